//! How an object is written: completed, admitted, checked, stored. One way for all kinds and all callers.
//!
//! The order is upstream's: defaults, changing admission, metadata, strategy, validation, checking admission, store.
//! Sources: `apiserver/pkg/endpoints/handlers/create.go`, `apiserver/pkg/registry/generic/registry/store.go`,
//! `apiserver/pkg/registry/rest/{create,update,delete}.go`.

use super::admission::Verb;
use super::apiextensions::shape;
use super::rules::{defaults, gates, map_in, strategy, update, validate};
use super::{DeleteOptions, Error, Propagation, Server, Stored, canonical};
use kit_api::jiff::Timestamp;
use kit_apimachinery::managed::equal;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_apimachinery::resource::Resource;
use serde_json::Value;
use std::sync::Arc;

/// How an object is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    /// Check everything and change nothing.
    pub dry_run: bool,
    /// Only this part is written.
    pub subresource: Option<&'static str>,
    /// Who writes, if it is told of in `managedFields`.
    pub manager: Option<String>,
}

pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Server {
    /// Now, as the API writes times.
    pub(crate) fn stamp(&self) -> String {
        self.time().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Stores a new object, completed as its kind asks for. `value` has the form of its type.
    pub(crate) fn create_value(
        &mut self,
        kind: Kind,
        mut value: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>, Error> {
        let resource = kind.resource();
        if kind.namespaced() && value["metadata"]["namespace"].as_str().unwrap_or_default().is_empty() {
            map_in(&mut value, "metadata").insert("namespace".into(), "default".into());
        }
        let metadata = map_in(&mut value, "metadata");
        if metadata.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty()) {
            return Err(Error::internal("resourceVersion should not be set on objects to be created"));
        }
        for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            metadata.shift_remove(field);
        }
        defaults::default(&resource.kind, &mut value);
        give_shape(resource, &mut value)?;
        self.admit(Verb::Create, kind, &mut value)?;
        let key = self.name_new(kind, &mut value);
        let now = self.stamp();
        value["metadata"]["uid"] = self.uid(&key).into();
        value["metadata"]["creationTimestamp"] = now.as_str().into();
        strategy::prepare_for_create(resource, &mut value, &now, self.qos.as_ref());
        if kind == Kind::StatefulSet {
            gates::max_unavailable(&mut value, None, self.max_unavailable);
        }
        self.allocate(kind, &key, &mut value, None)?;
        if let Some(manager) = &options.manager {
            self.own(kind, &mut value, None, manager, None);
        }
        let errors = validate::validate(resource, &value);
        if !errors.0.is_empty() {
            return Err(Error::invalid_object(&key, errors.0));
        }
        self.check(kind, &value, None, options)?;
        if self.state.get(&key).is_some() {
            return Err(Error::already_exists(&key));
        }
        self.put(&key, value, options.dry_run)
    }

    /// Gives a new object its name, if it only has the beginning of one.
    fn name_new(&mut self, kind: Kind, value: &mut Value) -> Key {
        let text = |value: &Value, field: &str| value["metadata"][field].as_str().unwrap_or_default().to_string();
        let (namespace, base) = (text(value, "namespace"), text(value, "generateName"));
        if text(value, "name").is_empty() && !base.is_empty() {
            let suffix = self.suffix(&format!("{}/{namespace}/{base}", kind.plural()));
            // Names have room for 63 characters (`maxGeneratedNameLength`).
            let kept: String = base.chars().take(58).collect();
            value["metadata"]["name"] = format!("{kept}{suffix}").into();
        }
        Key::new(kind, &namespace, &text(value, "name"))
    }

    /// Writes the changed value of an object that is there.
    pub(crate) fn update_value(
        &mut self,
        key: &Key,
        mut value: Value,
        options: &WriteOptions,
    ) -> Result<Arc<Stored>, Error> {
        let old = self.get(key)?.clone();
        let there = old.to_value();
        let resource = key.kind.resource();
        self.check_preconditions(key, &value, &old)?;
        give_shape(resource, &mut value)?;
        match options.subresource {
            Some("status") => strategy::prepare_for_status_update(resource, &mut value, &there, &self.stamp()),
            // The caller has made the change, and the rules are those of the subresource.
            Some(_) => {}
            None => {
                defaults::default(&resource.kind, &mut value);
                self.admit(Verb::Update, key.kind, &mut value)?;
                if key.kind == Kind::StatefulSet {
                    gates::max_unavailable(&mut value, Some(&there), self.max_unavailable);
                }
                strategy::prepare_for_update(resource, &mut value, &there);
                self.allocate(key.kind, key, &mut value, Some(&there))?;
            }
        }
        value["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
        let mut value = canonical(key.kind, value);
        if let Some(manager) = &options.manager {
            self.own(key.kind, &mut value, Some(&there), manager, options.subresource);
        }
        let errors = match options.subresource {
            None => update::validate_update(resource, &value, &there),
            Some("status") => update::validate_status_update(resource, &value, &there),
            Some(_) => Default::default(),
        };
        if !errors.0.is_empty() {
            return Err(Error::invalid_object(key, errors.0));
        }
        self.check(key.kind, &value, Some(&there), options)?;
        let metadata = &value["metadata"];
        let ends = metadata["deletionTimestamp"].is_string()
            && metadata["finalizers"].as_array().is_none_or(Vec::is_empty)
            && metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default() == 0
            && !held_by_spec(key.kind, &value);
        if ends {
            let last = Stored::new(key, self.decode(key, value)?);
            if !options.dry_run {
                self.remove(key)?;
            }
            return Ok(last);
        }
        if same(&value, &there) {
            return Ok(old);
        }
        self.put(key, value, options.dry_run)
    }

    fn check_preconditions(&self, key: &Key, value: &Value, old: &Stored) -> Result<(), Error> {
        let there = old.object.meta();
        let said = |field: &str| value["metadata"][field].as_str().filter(|text| !text.is_empty());
        if let Some(uid) = said("uid").filter(|uid| *uid != old.object.uid()) {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
                 failed: UID in precondition: {uid}, UID in object meta: {}",
                key.path(),
                old.object.uid()
            );
            return Err(Error::conflict(key, &why));
        }
        match said("resourceVersion") {
            Some(version) if Some(version) != there.resource_version.as_deref() => Err(Error::conflict(key, MODIFIED)),
            _ => Ok(()),
        }
    }

    fn decode(&self, key: &Key, value: Value) -> Result<Object, Error> {
        Object::from_value(key.kind, value)
            .map_err(|e| Error::bad_request(format!("{} {:?} can't be stored: {e}", key.kind.name(), key.name)))
    }

    fn put(&mut self, key: &Key, value: Value, dry_run: bool) -> Result<Arc<Stored>, Error> {
        let object = self.decode(key, value)?;
        if dry_run { Ok(Stored::new(key, object)) } else { self.write(key, object) }
    }

    /// Deletes an object, or begins to. The answer is the object as it is then, and whether it is gone.
    pub(crate) fn delete_object(&mut self, key: &Key, options: &DeleteOptions) -> Result<(Arc<Stored>, bool), Error> {
        let old = self.get(key)?.clone();
        let kind = key.kind;
        delete_preconditions(kind, &old.object, options)?;
        self.may_delete(key)?;
        let (mut object, deletion) = (old.object.clone(), old.object.meta().deletion_timestamp.is_some());
        if deletion && pending(&object, options) {
            return Ok((old, false));
        }
        let graceful = matches!(object, Object::Pod(_));
        let changed = set_finalizers(&mut object, options.propagation);
        let held = object.meta().finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
        let held = held || (kind == Kind::Namespace && held_by_spec(kind, &object.to_value()));
        let grace = if let Object::Pod(pod) = &object { grace_period(pod, options.grace_period_seconds) } else { 0 };
        if graceful || held {
            mark(&mut object, grace, self.time());
        }
        if !graceful && !held && !changed {
            return Ok((if options.dry_run { old } else { self.remove(key)? }, true));
        }
        if let Object::Namespace(namespace) = &mut object {
            namespace.status.get_or_insert_default().phase = Some("Terminating".into());
        }
        if options.dry_run {
            return Ok((Stored::new(key, object), false));
        }
        let marked = if object == old.object { old } else { self.write(key, object)? };
        if held || (graceful && grace > 0) { Ok((marked, false)) } else { Ok((self.remove(key)?, true)) }
    }
}

/// What the schema of a custom resource makes of an object.
fn give_shape(resource: &Resource, value: &mut Value) -> Result<(), Error> {
    let Some(version) = &resource.definition else { return Ok(()) };
    let Resource { kind, version: name, .. } = resource;
    let unfit = |why| Error::bad_request(format!("{kind} in version {name:?} cannot be handled as a {kind}: {why}"));
    shape(value, &version.schema).map(|_| ()).map_err(unfit)
}

/// Namespaces are held by their own kind of finalizers.
fn held_by_spec(kind: Kind, value: &Value) -> bool {
    kind == Kind::Namespace && value["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

/// Whether two objects are equal but for what the server itself writes about fields.
fn same(new: &Value, old: &Value) -> bool {
    let managed = |value: &Value| value["metadata"]["managedFields"].is_array();
    equal(new, old)
        || (managed(new)
            && managed(old)
            && same_but(new, old, "metadata", |new, old| {
                same_but(new, old, "managedFields", |new, old| {
                    let (Some(new), Some(old)) = (new.as_array(), old.as_array()) else { return false };
                    let same = |(new, old)| same_but(new, old, "time", |_, _| true);
                    new.len() == old.len() && new.iter().zip(old).all(same)
                })
            }))
}

/// Whether two objects are equal, where one field of both is looked at in its own way.
fn same_but(new: &Value, old: &Value, but: &str, look: impl Fn(&Value, &Value) -> bool) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return false };
    new.len() == old.len()
        && new.iter().all(|(name, new)| {
            old.get(name).is_some_and(|old| if name == but { look(new, old) } else { equal(new, old) })
        })
}

fn delete_preconditions(kind: Kind, object: &Object, options: &DeleteOptions) -> Result<(), Error> {
    let name = object.name();
    let conflict = |why: String| Err(Error::conflict_on(kind.name(), name, &why));
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object.uid()) {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            object.uid()
        ));
    }
    let there = object.meta().resource_version.as_deref().unwrap_or_default();
    match options.resource_version.as_deref() {
        Some(version) if version != there => conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
             ({there}). The object might have been modified"
        )),
        _ => Ok(()),
    }
}

/// Whether nothing is left to ask for: a deletion goes on, and this one doesn't hurry it (`rest.BeforeDelete`).
fn pending(object: &Object, options: &DeleteOptions) -> bool {
    match object.meta().deletion_grace_period_seconds {
        None => false,
        Some(there) => options.grace_period_seconds.is_none_or(|asked| asked >= there),
    }
}

/// `deletionFinalizersForGarbageCollection` of `registry/store.go`; whether anything changed.
fn set_finalizers(object: &mut Object, propagation: Propagation) -> bool {
    let (orphan, foreground) = match propagation {
        Propagation::Background => (false, false),
        Propagation::Foreground => (false, true),
        Propagation::Orphan => (true, false),
    };
    let there = object.meta().finalizers.clone().unwrap_or_default();
    let mut finalizers: Vec<String> =
        there.iter().filter(|name| *name != "orphan" && *name != "foregroundDeletion").cloned().collect();
    let wanted = [("orphan", orphan), ("foregroundDeletion", foreground)];
    finalizers.extend(wanted.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name.to_string()));
    let changed = finalizers != there;
    object.meta_mut().finalizers = Some(finalizers).filter(|finalizers| !finalizers.is_empty());
    changed
}

/// `podStrategy.CheckGracefulDelete` of `pkg/registry/core/pod/strategy.go`.
fn grace_period(pod: &kit_api::core::Pod, asked: Option<i64>) -> i64 {
    let own =
        pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(defaults::GRACE_SECONDS);
    match asked.unwrap_or(own) {
        // Nobody would confirm the end of a pod that never ran, or that is over.
        _ if kit_api::pod::node_name(pod).is_none() || kit_api::pod::is_finished(pod) => 0,
        seconds if seconds < 0 => 1,
        seconds => seconds,
    }
}

/// Says that an object is being deleted. A second deletion can shorten the grace period, never lengthen it.
fn mark(object: &mut Object, grace: i64, now: Timestamp) {
    let meta = object.meta_mut();
    if meta.deletion_timestamp.is_some() && meta.deletion_grace_period_seconds.is_some_and(|there| grace >= there) {
        return;
    }
    let began = match (&meta.deletion_timestamp, meta.deletion_grace_period_seconds) {
        (Some(at), Some(grace)) => at.0.as_second() - grace,
        _ => now.as_second(),
    };
    if meta.deletion_timestamp.is_none() {
        meta.generation = meta.generation.map(|at| at + 1);
    }
    let at = Timestamp::from_second(began + grace).unwrap_or(now);
    meta.deletion_timestamp = Some(kit_api::time::seconds(at));
    meta.deletion_grace_period_seconds = Some(grace);
}
