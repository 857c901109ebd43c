//! Server-side apply: who owns which field, and what an apply changes.
//!
//! Sources: `apimachinery/pkg/util/managedfields/internal/{structuredmerge,managedfields,stripmeta,conflict}.go` and
//! `sigs.k8s.io/structured-merge-diff/merge/update.go`.

use super::field::{Cause, quoted};
use super::schema::{self, Type};
use super::{Error, Server};
use kit_apimachinery::managed::{Seen, Set, compare, fields, merge, prune, undeclared};
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};

/// What nobody owns, since the server alone decides it (`stripmeta.go`).
const SYSTEM: [&str; 10] = [
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.namespace",
    "metadata.creationTimestamp",
    "metadata.selfLink",
    "metadata.uid",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
];
/// Who owns what was there before anybody applied (`skipnonapplied.go`, `NewBuildManagerInfoManager`).
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What nobody owns of metadata, and nobody compares.
const NOT_COMPARED: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "creationTimestamp",
    "uid",
    "generation",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// What one manager owns by one way of writing.
#[derive(Debug, Clone, PartialEq)]
struct Manager {
    name: String,
    apply: bool,
    api_version: String,
    subresource: String,
    time: String,
    set: Set,
}

impl Manager {
    fn decode(entry: &Value) -> Manager {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_string();
        Manager {
            name: text("manager"),
            apply: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: Set::decode(&entry["fieldsV1"]),
        }
    }

    fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.name, "operation": if self.apply { "Apply" } else { "Update" },
            "apiVersion": self.api_version, "fieldsType": "FieldsV1", "fieldsV1": self.set.encode(),
        });
        for (field, text) in [("time", &self.time), ("subresource", &self.subresource)] {
            if !text.is_empty() {
                entry[field] = text.as_str().into();
            }
        }
        entry
    }

    fn is(&self, other: &Manager) -> bool {
        (&self.name, self.apply, &self.api_version, &self.subresource)
            == (&other.name, other.apply, &other.api_version, &other.subresource)
    }

    /// As a conflict names it.
    fn shown(&self) -> String {
        let mut text = quoted(&self.name);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {}", quoted(&self.subresource));
        }
        if self.apply { text } else { format!("{text} using {}", self.api_version) }
    }
}

fn managers(object: &Value) -> Vec<Manager> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(Manager::decode).collect()
}

fn write_managers(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.set.is_empty());
    // `sortEncodedManagedFields`: applies first, then by time, then by name.
    managers.sort_by(|a, b| {
        let key =
            |m: &Manager| (!m.apply, m.time.clone(), m.name.clone(), m.api_version.clone(), m.subresource.clone());
        key(a).cmp(&key(b))
    });
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
        if !managers.is_empty() {
            metadata.insert("managedFields".into(), managers.iter().map(Manager::encode).collect());
        }
    }
}

fn seen(kind: Kind) -> (Type, bool) {
    let resource = kind.resource();
    let of = if resource.custom { None } else { schema::of(&resource.group, &resource.kind) };
    (of.unwrap_or(Type::Raw), resource.has_status())
}

/// What a way of writing can't own (`GetResetFields` of the strategies).
fn unownable(subresource: Option<&str>, has_status: bool) -> Set {
    let mut set = Set::of(&SYSTEM);
    match subresource {
        None if has_status => set.add(&Set::of(&["status"])),
        Some("status") => set.add(&Set::of(&["spec", "metadata"])),
        _ => {}
    }
    set
}

impl Server {
    /// Lets the writer of `new` own what it changed, if ownership is told of the object or `manager` wants it.
    ///
    /// Writers in this process are told of only once somebody applied to an object: nobody reads it before.
    pub(super) fn take_over(&mut self, key: &Key, new: &mut Value, subresource: Option<&str>) -> Result<(), Error> {
        let stored = self.get(key)?;
        if stored.object.meta().managed_fields.is_some() {
            let (old, actor) = (stored.to_value(), self.actor.to_string());
            self.own(key.kind, new, Some(&old), &actor, subresource);
        }
        Ok(())
    }

    /// Lets `manager` own all that `new` says in another way than `old`, or at all (`Updater.Update`).
    pub(super) fn own(
        &self,
        kind: Kind,
        new: &mut Value,
        old: Option<&Value>,
        manager: &str,
        subresource: Option<&str>,
    ) {
        let (of, has_status) = seen(kind);
        let view = Seen::object(of);
        let mut all = old.map(managers).unwrap_or_default();
        // An empty list of managers that is sent gives up all ownership (`RemoveObjectManagedFields`).
        let difference = compare(old.unwrap_or(&json!({})), new, view, &NOT_COMPARED);
        let me = Manager {
            name: manager.into(),
            apply: false,
            api_version: kind.api_version().into(),
            subresource: subresource.unwrap_or_default().into(),
            time: self.stamp(),
            set: Set::default(),
        };
        let unownable = unownable(subresource, has_status);
        let mut changed = difference.changed;
        changed.remove_trees(&unownable);
        let mut removed = difference.removed;
        removed.remove_trees(&unownable);
        for other in all.iter_mut().filter(|other| !other.is(&me)) {
            other.set.remove(&changed);
            other.set.remove(&removed);
        }
        let place = match all.iter().position(|other| other.is(&me)) {
            Some(place) => place,
            None => {
                all.push(me.clone());
                all.len() - 1
            }
        };
        let mine = &mut all[place];
        let was = changed.is_empty().then(|| mine.set.clone());
        mine.set.remove(&removed);
        mine.set.add(&changed);
        if was.is_none_or(|was| mine.set != was) {
            mine.time = me.time;
        }
        write_managers(new, all);
    }

    /// What an apply of `config` makes of an object (`Updater.Apply`).
    ///
    /// # Errors
    ///
    /// A conflict if others own what would change and `force` is not set.
    pub(super) fn applied(
        &self,
        kind: Kind,
        live: Option<&Value>,
        config: &Value,
        manager: &str,
        force: bool,
        subresource: Option<&str>,
    ) -> Result<Value, Error> {
        let (of, has_status) = seen(kind);
        let view = Seen::object(of);
        if let Some(problem) = undeclared(config, of, "").first() {
            let (meta, api_version) = (&config["metadata"], kind.api_version());
            let text = |field: &str| meta[field].as_str().unwrap_or_default();
            return Err(Error::internal(format!(
                "failed to create typed patch object ({}/{}; {api_version}, Kind={}): {problem}",
                text("namespace"),
                text("name"),
                kind.name()
            )));
        }
        let mut all = live.map(managers).unwrap_or_default();
        let nothing = json!({});
        let before = strip(live.unwrap_or(&nothing));
        if live.is_some() && all.is_empty() {
            let mut set = fields(&before, view);
            set.remove_trees(&unownable(subresource, has_status));
            all.push(Manager {
                name: BEFORE_FIRST_APPLY.into(),
                apply: false,
                api_version: kind.api_version().into(),
                subresource: String::new(),
                time: String::new(),
                set,
            });
        }
        let me = Manager {
            name: manager.into(),
            apply: true,
            api_version: kind.api_version().into(),
            subresource: subresource.unwrap_or_default().into(),
            time: self.stamp(),
            set: Set::default(),
        };
        let mut set = fields(config, view);
        set.remove_trees(&unownable(subresource, has_status));
        let place = match all.iter().position(|other| other.is(&me)) {
            Some(place) => place,
            None => {
                all.push(me.clone());
                all.len() - 1
            }
        };
        let last = std::mem::replace(&mut all[place].set, set);
        let mut object = merge(&before, config, view);
        let mut owned = Set::default();
        all.iter().for_each(|manager| owned.add(&manager.set));
        let mut gone = last.clone();
        gone.remove(&all[place].set);
        prune(&mut object, &gone, &owned, view);
        let difference = compare(&before, &object, view, &[]);
        conflicts(&mut all, place, &difference.changed, force)?;
        for other in all.iter_mut() {
            other.set.remove(&difference.removed);
        }
        if live.is_none() || object != before || all[place].set != last {
            all[place].time = me.time;
        }
        if let Some(live) = live {
            for field in [
                "creationTimestamp",
                "uid",
                "resourceVersion",
                "generation",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
            ] {
                if let Some(value) = live["metadata"].get(field) {
                    object["metadata"][field] = value.clone();
                }
            }
        }
        write_managers(&mut object, all);
        Ok(object)
    }
}

/// Tells of others who own what changes, or takes it from them.
fn conflicts(all: &mut [Manager], place: usize, changed: &Set, force: bool) -> Result<(), Error> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (_, other) in all.iter_mut().enumerate().filter(|(index, _)| *index != place) {
        let both = other.set.common(changed);
        if both.is_empty() {
            continue;
        }
        if force {
            other.set.remove(&both);
        } else {
            found.push((other.shown(), both.paths()));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    found.sort();
    let causes: Vec<Cause> = found
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| Cause {
                reason: "FieldManagerConflict",
                message: format!("conflict with {manager}"),
                field: path.clone(),
            })
        })
        .collect();
    let message = match &causes[..] {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => {
            let managers = found.iter().map(|(manager, paths)| {
                let paths: Vec<String> = paths.iter().map(|path| format!("\n- {path}")).collect();
                format!("conflicts with {manager}:{}", paths.concat())
            });
            let managers: Vec<String> = managers.collect();
            format!("Apply failed with {} conflicts: {}", many.len(), managers.join("\n"))
        }
    };
    Err(Error::apply_conflict(message, causes))
}

/// An object without what nobody owns and nobody compares.
fn strip(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in NOT_COMPARED {
            metadata.shift_remove(field);
        }
    }
    object
}
