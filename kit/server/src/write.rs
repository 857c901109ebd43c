//! How an object is written: completed, admitted, checked, stored. One way for all kinds and all callers.
//!
//! The order is upstream's: defaults, changing admission, metadata, strategy, validation, checking admission, store.
//! Sources: `apiserver/pkg/endpoints/handlers/create.go`, `apiserver/pkg/registry/generic/registry/store.go`,
//! `apiserver/pkg/registry/rest/{create,update,delete}.go`.

use super::admission::Verb;
use super::apiextensions::shape;
use super::field::{At, Errors};
use super::rules::advice::advice;
use super::rules::update::IMMUTABLE;
use super::rules::{defaults, gates, map_in, strategy, update, validate};
use super::{Error, Server, Stored, canonical};
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
    /// The subresource by which a part of the whole object is written.
    pub through: Option<&'static str>,
    /// Whether it is a patch: one that names another uid wants to change it, and means no other object.
    pub patch: bool,
    /// Whether an update makes what isn't there: a version that it names is not looked at.
    pub by_update: bool,
}

pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Server {
    /// Now, as the API writes times.
    pub(crate) fn stamp(&self) -> String {
        format!("{:.0}", self.time())
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
        let version = metadata.shift_remove("resourceVersion");
        for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            metadata.shift_remove(field);
        }
        defaults::default(&resource.kind, &mut value);
        give_shape(resource, &mut value)?;
        if kind == Kind::DaemonSet {
            strategy::begin_template_generation(&mut value);
        }
        if let Some(manager) = &options.manager {
            self.own(kind, &mut value, None, manager, options.through);
        }
        self.admit(Verb::Create, kind, &mut value)?;
        self.mutate_dynamic(kind, &mut value, None, options)?;
        let key = self.name_new(kind, &mut value);
        let now = self.stamp();
        value["metadata"]["uid"] = self.uid(&key).into();
        value["metadata"]["creationTimestamp"] = now.as_str().into();
        strategy::prepare_for_create(resource, &mut value, &now, self.qos.as_ref());
        if kind == Kind::StatefulSet {
            gates::max_unavailable(&mut value, None, self.max_unavailable);
        }
        self.allocate(kind, &key, &mut value, None)?;
        let errors = validate::validate(resource, &value);
        if !errors.0.is_empty() {
            return Err(Error::invalid_object(&key, errors.0));
        }
        self.advise(resource, &value, None, options);
        self.check(kind, &value, None, options)?;
        // Only the store looks at it, and only if it can be one (`ErrResourceVersionSetOnCreate`).
        let version = version.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
        if !options.by_update && version.is_some_and(|version| version > 0) {
            return Err(Error::internal("resourceVersion should not be set on objects to be created"));
        }
        if let Some(there) = self.state.get(&key) {
            let mut error = Error::already_exists(&key);
            if there.object.meta().deletion_timestamp.is_some() {
                error.message = format!("object is being deleted: {}", error.message);
            }
            return Err(error);
        }
        self.put(&key, value, options.dry_run)
    }

    /// Tells whoever sent a request what is unwise in what it writes; nobody hears what others write.
    fn advise(&mut self, resource: &Resource, new: &Value, old: Option<&Value>, options: &WriteOptions) {
        if options.manager.is_some() {
            self.warnings.extend(advice(resource, new, old));
        }
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
        // Limits need no name to count (`limitrangeStrategy`).
        if kind == Kind::LimitRange && text(value, "name").is_empty() {
            value["metadata"]["name"] = self.uid(&Key::new(kind, &namespace, "")).into();
        }
        if kind == Kind::Namespace {
            let name = value["metadata"]["name"].clone();
            map_in(&mut value["metadata"], "labels").insert("kubernetes.io/metadata.name".into(), name);
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
        self.check_preconditions(key, &value, &old, options)?;
        give_shape(resource, &mut value)?;
        // A volume has a phase, whoever writes its status.
        if options.subresource.is_none()
            || (options.subresource == Some("status") && resource.kind == "PersistentVolume")
        {
            defaults::default(&resource.kind, &mut value);
        }
        // Before admission changes anything (`endpoints/handlers/{update,patch}.go`).
        if let Some(manager) = &options.manager {
            self.own(key.kind, &mut value, Some(&there), manager, options.through.or(options.subresource));
        }
        if options.subresource.is_none() {
            self.admit(Verb::Update, key.kind, &mut value)?;
        }
        self.mutate_dynamic(key.kind, &mut value, Some(&there), options)?;
        match options.subresource {
            Some("status") => strategy::prepare_for_status_update(resource, &mut value, &there, &self.stamp()),
            // The caller has made the change, and the rules are those of the subresource.
            Some(_) => {}
            None => {
                if key.kind == Kind::StatefulSet {
                    gates::max_unavailable(&mut value, Some(&there), self.max_unavailable);
                }
                strategy::prepare_for_update(resource, &mut value, &there);
                self.allocate(key.kind, key, &mut value, Some(&there))?;
            }
        }
        value["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
        let value = canonical(key.kind, value);
        let errors = match options.subresource {
            None => update::validate_update(resource, &value, &there),
            Some("status") => update::validate_status_update(resource, &value, &there),
            Some("resize") => {
                update::validate_resize(resource, &value, &there, &strategy::qos_class(&value, self.qos.as_ref()))
            }
            Some("ephemeralcontainers") => update::validate_guests(resource, &value),
            Some(_) => Default::default(),
        };
        if !errors.0.is_empty() {
            return Err(Error::invalid_object(key, errors.0));
        }
        if options.subresource.is_none() {
            self.advise(resource, &value, Some(&there), options);
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

    fn check_preconditions(&self, key: &Key, value: &Value, old: &Stored, options: &WriteOptions) -> Result<(), Error> {
        let there = old.object.meta();
        let said = |field: &str| value["metadata"][field].as_str().filter(|text| !text.is_empty());
        if let Some(uid) = said("uid").filter(|uid| *uid != old.object.uid()) {
            if options.patch {
                let mut errors = Errors::default();
                errors.invalid(&At { value: &value["metadata"]["uid"], path: "metadata.uid".into() }, IMMUTABLE);
                return Err(Error::invalid_object(key, errors.0));
            }
            return Err(Error::conflict(key, &other_uid(key, uid, old.object.uid())));
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
}

/// What the store says of an object that has another uid than the client means.
pub(crate) fn other_uid(key: &Key, meant: &str, there: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID \
         in precondition: {meant}, UID in object meta: {there}",
        key.path()
    )
}

/// What the schema of a custom resource makes of an object.
pub(crate) fn give_shape(resource: &Resource, value: &mut Value) -> Result<(), Error> {
    let Some(version) = &resource.definition else { return Ok(()) };
    let Resource { kind, version: name, .. } = resource;
    let unfit = |why| Error::bad_request(format!("{kind} in version {name:?} cannot be handled as a {kind}: {why}"));
    shape(value, &version.schema).map(|_| ()).map_err(unfit)
}

/// Namespaces are held by their own kind of finalizers.
pub(super) fn held_by_spec(kind: Kind, value: &Value) -> bool {
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
