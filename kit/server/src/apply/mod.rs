//! Server-side apply: who owns which field, and what an apply changes.
//!
//! Sources: `apimachinery/pkg/util/managedfields/internal/{fieldmanager,structuredmerge,skipnonapplied,stripmeta}.go` and
//! `sigs.k8s.io/structured-merge-diff/merge/update.go`.

mod managers;

pub(super) use self::managers::is_reset;
use self::managers::{Manager, cap, managers, write_managers};
use super::field::Cause;
use super::schema;
use super::{Error, Server, canonical};
use crate::versions::Form;
use kit_apimachinery::managed::{Difference, Seen, Set, compare, fields, merge, mistyped, prune};
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};
use std::borrow::Cow;

/// What nobody owns, since the server alone decides it (`stripmeta.go`).
const SYSTEM: [&str; 11] = [
    "apiVersion",
    "kind",
    "metadata",
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

fn seen(kind: Kind) -> Seen<'static> {
    let resource = kind.resource();
    match &resource.definition {
        Some(version) => Seen::custom(&version.schema),
        None if resource.custom => Seen::free(),
        None => schema::of(&resource.group, &resource.kind).map_or(Seen::free(), Seen::object),
    }
}

fn seen_as(form: Form) -> Seen<'static> {
    schema::of_version(&form.0.api_version, &form.0.kind).map_or(Seen::free(), Seen::object)
}

/// What is different between two objects, in the version of each manager.
struct Differences<'a> {
    kind: Kind,
    /// In which version both are; none for the kept one.
    form: Option<Form>,
    old: &'a Value,
    new: &'a Value,
    reset: &'a Set,
    /// In their own version.
    own: Difference,
}

impl<'a> Differences<'a> {
    fn new(kind: Kind, form: Option<Form>, old: &'a Value, new: &'a Value, reset: &'a Set) -> Differences<'a> {
        let own = without(compare(old, new, form.map_or_else(|| seen(kind), seen_as), &NOT_COMPARED), reset);
        Differences { kind, form, old, new, reset, own }
    }

    fn of(&self, version: &str) -> Cow<'_, Difference> {
        let (now, then) = (self.form, Form::of(self.kind, version));
        if now.map(|form| &form.0.api_version) == then.map(|form| &form.0.api_version) {
            return Cow::Borrowed(&self.own);
        }
        let told = |object: &Value| {
            let kept = now.map_or_else(|| object.clone(), |form| form.keep(object.clone()));
            then.map_or_else(|| canonical(self.kind, kept.clone()), |form| form.show(kept.clone()))
        };
        let view = then.map_or_else(|| seen(self.kind), seen_as);
        Cow::Owned(without(compare(&told(self.old), &told(self.new), view, &NOT_COMPARED), self.reset))
    }
}

fn without(mut difference: Difference, reset: &Set) -> Difference {
    difference.changed.remove_trees(reset);
    difference.removed.remove_trees(reset);
    difference
}

/// An object of a kind that nobody has said anything of.
fn empty(kind: Kind) -> Value {
    canonical(kind, json!({"apiVersion": kind.api_version(), "kind": kind.name()}))
}

/// What a way of writing sets back to what it was, so that nobody can own it by it (`GetResetFields` of the strategies).
fn reset(resource: &Resource, subresource: Option<&str>) -> Set {
    let fields: &[&str] = match (subresource, resource.kind.as_str()) {
        (None, "CertificateSigningRequest") => &["spec", "status"],
        (None, _) if resource.has_status() => &["status"],
        (Some("status"), "CustomResourceDefinition" | "VolumeAttachment" | "APIService") => &["metadata", "spec"],
        // Of a custom resource the metadata is set back, too, and may be owned all the same.
        (Some("status"), _) if resource.group == "flowcontrol.apiserver.k8s.io" => &["metadata", "spec"],
        (Some("status"), "Deployment") => &["metadata.labels", "spec"],
        (Some("status"), "Pod") => &["metadata.deletionTimestamp", "metadata.ownerReferences", "spec"],
        (Some("status"), _) => &["spec"],
        (Some("finalize"), _) => &["status"],
        _ => &[],
    };
    Set::of(fields)
}

/// What the server alone decides.
fn system() -> Set {
    Set::of(&SYSTEM)
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

    /// Lets `manager` own all that `new` says in another way than `old`, or at all (`FieldManager.Update`).
    pub(super) fn own(
        &self,
        kind: Kind,
        new: &mut Value,
        old: Option<&Value>,
        manager: &str,
        subresource: Option<&str>,
    ) {
        let mut all = match old {
            _ if subresource.is_none() && is_reset(new) => Vec::new(),
            None => managers(new),
            Some(old) => {
                let sent = if subresource.is_none() { managers(new) } else { Vec::new() };
                if sent.is_empty() { managers(old) } else { sent }
            }
        };
        // Whoever has cleared the list, or never had one, isn't told of before somebody applies again.
        if old.is_some() && all.is_empty() {
            return write_managers(new, all);
        }
        let nothing = empty(kind);
        let reset = reset(kind.resource(), subresource);
        let me = self.manager(kind, manager, false, subresource);
        let differences = Differences::new(kind, None, old.unwrap_or(&nothing), new, &reset);
        for other in all.iter_mut().filter(|other| !other.is(&me)) {
            let theirs = differences.of(&other.api_version);
            other.set.remove(&theirs.changed);
            other.set.remove(&theirs.removed);
        }
        let mut difference = differences.of(&me.api_version).into_owned();
        let place = place_of(&mut all, &me);
        let mine = &mut all[place];
        difference.changed.remove(&system());
        mine.set.remove(&difference.removed);
        mine.set.add(&difference.changed);
        if !difference.changed.is_empty() {
            mine.time = me.time;
        }
        cap(&mut all);
        write_managers(new, all);
    }

    fn manager(&self, kind: Kind, name: &str, apply: bool, subresource: Option<&str>) -> Manager {
        Manager {
            name: name.into(),
            apply,
            api_version: self.form.map_or(kind.api_version(), |form| &form.0.api_version).into(),
            subresource: subresource.unwrap_or_default().into(),
            time: self.stamp(),
            set: Set::default(),
        }
    }

    /// Whether a configuration that is applied is of its type. The namespace of an object that is not there yet is that of
    /// the request; what is there is called as the configuration calls it (`objectGVKNN` of `managedfields/internal`).
    ///
    /// # Errors
    ///
    /// Which field isn't.
    pub(super) fn is_typed(&self, kind: Kind, created_in: Option<&str>, config: &Value) -> Result<(), Error> {
        let view = self.form.map_or_else(|| seen(kind), seen_as);
        let Some(problem) = mistyped(config, view) else { return Ok(()) };
        let called = self.called(kind, created_in, config);
        Err(Error::internal(format!("failed to create typed patch object ({called}): {problem}")))
    }

    /// What a configuration is about, as messages say it.
    pub(super) fn called(&self, kind: Kind, created_in: Option<&str>, config: &Value) -> String {
        let text = |field: &str| config["metadata"][field].as_str().unwrap_or_default();
        let api_version = self.form.map_or(kind.api_version(), |form| &form.0.api_version);
        // The core group has no name, and its slash stays.
        let slash = if api_version.contains('/') { "" } else { "/" };
        let (namespace, name) = (created_in.unwrap_or(text("namespace")), text("name"));
        format!("{namespace}/{name}; {slash}{api_version}, Kind={}", kind.name())
    }

    /// What an apply of `config`, which is of its type, makes of an object (`Updater.Apply`).
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
        let view = self.form.map_or_else(|| seen(kind), seen_as);
        let reset = reset(kind.resource(), subresource);
        let mut all = live.map(managers).unwrap_or_default();
        let nothing = self.form.map_or_else(|| empty(kind), |form| form.show(empty(kind)));
        let before = strip(live.unwrap_or(&nothing));
        if live.is_some() && all.is_empty() {
            let mut first = self.manager(kind, BEFORE_FIRST_APPLY, false, subresource);
            first.set = compare(&strip(&nothing), &before, view, &[]).changed;
            first.set.remove_trees(&reset);
            first.set.remove(&system());
            all.push(first);
        }
        let me = self.manager(kind, manager, true, subresource);
        let mut set = fields(config, view);
        set.remove_trees(&reset);
        let is_new = !all.iter().any(|other| other.is(&me));
        let place = place_of(&mut all, &me);
        let last = std::mem::replace(&mut all[place].set, set);
        all[place].api_version.clone_from(&me.api_version);
        let mut object = merge(&before, config, view);
        let mut owned = Set::default();
        all.iter().for_each(|manager| owned.add(&manager.set));
        let mut gone = last.clone();
        gone.remove(&all[place].set);
        prune(&mut object, &gone, &owned, view);
        let differences = Differences::new(kind, self.form, &before, &object, &reset);
        conflicts(&mut all, place, &differences, force)?;
        for (_, other) in all.iter_mut().enumerate().filter(|(index, _)| *index != place) {
            other.set.remove(&differences.of(&other.api_version).removed);
        }
        all[place].set.remove(&system());
        // An apply that changes nothing is dated only if an earlier one was (`managedfieldsupdater.go`).
        if live.is_none() || object != before {
            all[place].time = me.time;
        } else if is_new {
            all[place].time.clear();
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
                let said = config["metadata"].get(field);
                if let Some(value) = said.or(live["metadata"].get(field)) {
                    object["metadata"][field] = value.clone();
                }
            }
        }
        write_managers(&mut object, all);
        Ok(object)
    }
}

/// Where a manager is among others; it is put there if it isn't.
fn place_of(all: &mut Vec<Manager>, me: &Manager) -> usize {
    match all.iter().position(|other| other.is(me)) {
        Some(place) => place,
        None => {
            all.push(me.clone());
            all.len() - 1
        }
    }
}

/// Tells of others who own what changes, or takes it from them.
fn conflicts(all: &mut [Manager], place: usize, differences: &Differences<'_>, force: bool) -> Result<(), Error> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (_, other) in all.iter_mut().enumerate().filter(|(index, _)| *index != place) {
        let both = other.set.common(&differences.of(&other.api_version).changed);
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
