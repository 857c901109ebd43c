//! How a definition ends: it is marked, its objects are deleted, and it goes when the last of them is gone.
//!
//! Sources: `apiextensions-apiserver/pkg/registry/customresourcedefinition/etcd.go` (`Delete`),
//! `pkg/controller/finalizer/crd_finalizer.go`. That controller runs beside the API server; here it acts at once.

use super::definition;
use crate::rules::map_in;
use crate::{DeleteOptions, Error, Server, Stored};
use kit_apimachinery::object::{Key, Kind, Object};
use serde_json::{Value, json};
use std::sync::Arc;

const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

impl Server {
    /// Marks a definition that is to go. The answer is the definition as it is then; after it, its objects are deleted.
    pub(crate) fn end_definition(&mut self, key: &Key, old: &Stored, dry_run: bool) -> Result<Arc<Stored>, Error> {
        let (mut value, now) = (old.to_value(), self.stamp());
        let metadata = map_in(&mut value, "metadata");
        metadata.insert("deletionTimestamp".into(), now.as_str().into());
        let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(list) = finalizers.as_array_mut().filter(|list| !list.contains(&CLEANUP.into())) {
            list.push(CLEANUP.into());
        }
        let why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        terminating(&mut value, &now, ("True", "InstanceDeletionPending", why));
        let object = read(key.kind, value)?;
        if dry_run {
            return Ok(Stored::new(key, object));
        }
        let marked = self.write(key, object)?;
        self.delete_instances(key)?;
        Ok(marked)
    }

    /// Deletes the objects of a definition that is to go, and then lets it go, if none of them is held.
    fn delete_instances(&mut self, key: &Key) -> Result<(), Error> {
        let kinds = self.defined_kinds(&self.get(key)?.to_value());
        for object in self.instances(&kinds) {
            match self.delete_object(&object, &DeleteOptions::default()) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        self.finish_definition(key)
    }

    /// Lets a definition go whose objects are gone, or says that it waits for them.
    fn finish_definition(&mut self, key: &Key) -> Result<(), Error> {
        // Whoever deleted the last object may have ended it already.
        let Ok(stored) = self.get(key) else { return Ok(()) };
        let (mut value, now) = (stored.to_value(), self.stamp());
        if !is_held(&value) {
            return Ok(());
        }
        if !self.instances(&self.defined_kinds(&value)).is_empty() {
            let why = "CustomResource deletion is in progress";
            terminating(&mut value, &now, ("True", "InstanceDeletionInProgress", why));
            return self.write(key, read(key.kind, value)?).map(|_| ());
        }
        let established = definition::is_true(&value, "Established");
        let end = match established {
            true => ("False", "InstanceDeletionCompleted", "removed all instances"),
            false => ("False", "NeverEstablished", "resource was never established"),
        };
        terminating(&mut value, &now, end);
        let finalizers = value["metadata"]["finalizers"].as_array_mut();
        let left = finalizers.map_or(0, |list| {
            list.retain(|name| name != CLEANUP);
            list.len()
        });
        match left {
            0 => self.remove(key).map(|_| ()),
            _ => self.write(key, read(key.kind, value)?).map(|_| ()),
        }
    }

    /// A custom object is gone, and with it perhaps the last one that its definition waits for.
    pub(crate) fn instance_removed(&mut self, kind: Kind) -> Result<(), Error> {
        let Some(key) = self.definition_of(kind) else { return Ok(()) };
        let ends = self.state.get(&key).filter(|there| there.object.meta().deletion_timestamp.is_some());
        match ends.map(|there| self.instances(&self.defined_kinds(&there.to_value())).is_empty()) {
            Some(true) => self.finish_definition(&key),
            _ => Ok(()),
        }
    }

    /// No objects are made any more of a definition that is to go (`customresource_handler.go`).
    pub(crate) fn refuse_while_ending(&self, kind: Kind) -> Result<(), Error> {
        match self.definition_of(kind).and_then(|key| self.state.get(&key)) {
            Some(there) if definition::is_true(&there.to_value(), "Terminating") => {
                Err(Error::not_while_ending(kind.resource()))
            }
            _ => Ok(()),
        }
    }

    /// The definition of a kind, if it has one: nothing is looked for where it is built in.
    fn definition_of(&self, kind: Kind) -> Option<Key> {
        let resource = kind.resource();
        let of = if resource.custom { self.definition_kind()? } else { return None };
        Some(Key::new(of, "", &format!("{}.{}", resource.plural, resource.group)))
    }

    fn defined_kinds(&self, definition: &Value) -> Vec<Kind> {
        let spec = &definition["spec"];
        let of = self.custom.values().filter(|resource| {
            spec["group"] == resource.group.as_str() && spec["names"]["plural"] == resource.plural.as_str()
        });
        of.map(|resource| resource.as_kind()).collect()
    }

    fn instances(&self, kinds: &[Kind]) -> Vec<Key> {
        kinds.iter().flat_map(|kind| self.state.list(*kind)).map(|stored| stored.key.clone()).collect()
    }
}

/// Whether a definition waits for its objects to go.
fn is_held(definition: &Value) -> bool {
    let metadata = &definition["metadata"];
    metadata["deletionTimestamp"].is_string()
        && metadata["finalizers"].as_array().is_some_and(|list| list.contains(&CLEANUP.into()))
}

fn terminating(definition: &mut Value, now: &str, (is, reason, message): (&str, &str, &str)) {
    map_in(definition, "status");
    definition::set_condition(&mut definition["status"], now, ("Terminating", is, reason, message));
}

fn read(kind: Kind, value: Value) -> Result<Object, Error> {
    Object::from_value(kind, value).map_err(|e| Error::internal(e.to_string()))
}
