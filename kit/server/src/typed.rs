//! The API server for callers in the same process: typed objects, the same rules.

use super::write::{MODIFIED, WriteOptions};
use super::{DeleteOptions, Error, Patch, Server, Stored, canonical, registry};
use kit_api::core::{Node, NodeSpec, Pod};
use kit_api::meta::ObjectMeta;
use kit_api::time;
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use serde_json::json;
use std::sync::Arc;

impl Server {
    /// One object.
    pub fn get(&self, key: &Key) -> Result<&Arc<Stored>, Error> {
        if self.stopped {
            return Err(Error::unreachable());
        }
        self.readable(key)?;
        self.state.get(key).ok_or_else(|| Error::not_found(key))
    }

    /// One object as its type, to be changed and sent back.
    pub fn fetch<T: AsKind + Clone>(&self, namespace: &str, name: &str) -> Result<T, Error> {
        let key = Key::new(T::KIND, namespace, name);
        self.get(&key)?.get::<T>().cloned().ok_or_else(|| Error::not_found(&key))
    }

    /// Stores a new object, completed as its kind asks for.
    pub fn create(&mut self, object: Object) -> Result<Arc<Stored>, Error> {
        let kind = object.kind();
        self.create_value(kind, canonical(kind, object.to_value()), &WriteOptions::default())
    }

    /// Stores an object's new specification and metadata; its status stays.
    ///
    /// With a resource version the object must not have changed since; without one the last writer wins. An update
    /// that changes nothing is not written.
    pub fn update(&mut self, object: Object) -> Result<Arc<Stored>, Error> {
        let key = object.key();
        let object = match self.renew(&key, object) {
            Ok(renewed) => return renewed,
            Err(object) => object,
        };
        let mut value = canonical(key.kind, object.to_value());
        self.take_over(&key, &mut value, None)?;
        self.update_value(&key, value, &WriteOptions::default())
    }

    /// Heartbeats are most of what a large cluster writes, and every node that joins loses a taint: there is little to check
    /// in them. Whoever sends other metadata, or something wrong, gets the object back and goes the way of all others.
    fn renew(&mut self, key: &Key, object: Object) -> Result<Result<Arc<Stored>, Error>, Object> {
        let Ok(stored) = self.get(key) else { return Err(object) };
        let right = match (&object, &stored.object) {
            (Object::Lease(new), Object::Lease(_)) => new.spec.as_ref().is_some_and(|spec| {
                spec.lease_duration_seconds.is_none_or(|seconds| seconds > 0)
                    && spec.lease_transitions.is_none_or(|transitions| transitions >= 0)
            }),
            (Object::Node(new), Object::Node(old)) => old.metadata.managed_fields.is_none() && loses_taints(new, old),
            _ => false,
        };
        if !right || object.meta() != stored.object.meta() || self.is_asked() {
            return Err(object);
        }
        if object == stored.object {
            return Ok(Ok(stored.clone()));
        }
        Ok(self.write(key, object))
    }

    /// Stores an object's new status; everything else stays.
    pub fn update_status(&mut self, object: Object) -> Result<Arc<Stored>, Error> {
        let key = object.key();
        let old = self.get(&key)?.clone();
        self.check_version(&key, object.meta(), old.object.meta())?;
        let mut new = old.object.clone();
        let long = match old.object.meta().managed_fields {
            None if !self.is_asked() => with_status_of(&mut new, object),
            _ => Err(object),
        };
        if let Err(object) = long {
            let mut value = canonical(key.kind, object.to_value());
            self.take_over(&key, &mut value, Some("status"))?;
            return self.update_value(&key, value, &WriteOptions { subresource: Some("status"), ..Default::default() });
        }
        if new == old.object { Ok(old) } else { self.write(&key, new) }
    }

    fn check_version(&self, key: &Key, mine: &ObjectMeta, theirs: &ObjectMeta) -> Result<(), Error> {
        let moved = |mine: &Option<String>, theirs: &Option<String>| mine.is_some() && mine != theirs;
        if moved(&mine.resource_version, &theirs.resource_version) || moved(&mine.uid, &theirs.uid) {
            return Err(Error::conflict(key, MODIFIED));
        }
        Ok(())
    }

    /// Changes parts of an object.
    pub fn patch(&mut self, key: &Key, patch: &Patch, status: bool) -> Result<Arc<Stored>, Error> {
        let patched = patch.apply(key, self.get(key)?.to_value())?;
        let mut value = canonical(key.kind, patched);
        let subresource = status.then_some("status");
        self.take_over(key, &mut value, subresource)?;
        self.update_value(key, value, &WriteOptions { subresource, ..Default::default() })
    }

    /// Assigns a pod to a node (the `binding` subresource; `pkg/registry/core/pod/storage/storage.go`).
    pub fn bind(&mut self, namespace: &str, name: &str, node: &str) -> Result<Arc<Stored>, Error> {
        let key = Key::new(Kind::Pod, namespace, name);
        self.admit_binding(&key, node, false)?;
        let mut pod: Pod = self.fetch(namespace, name)?;
        let conflict = |why: String| Err(Error::conflict_on("pods/binding", name, &why));
        if pod.metadata.deletion_timestamp.is_some() {
            return conflict(format!("pod {name} is being deleted, cannot be assigned to a host"));
        }
        let spec = pod.spec.get_or_insert_default();
        let assigned = spec.node_name.clone().unwrap_or_default();
        if !assigned.is_empty() {
            return conflict(format!("pod {name} is already assigned to node {assigned:?}"));
        }
        if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
            return conflict(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        spec.node_name = Some(node.into());
        registry::set_condition(&mut pod, "PodScheduled", "True", None, None, self.time());
        self.write(&key, pod.into_object())
    }

    /// Deletes an object, or begins to: see [`DeleteOptions`]. The answer is the object as it is then.
    pub fn delete(&mut self, key: &Key, options: &DeleteOptions) -> Result<Arc<Stored>, Error> {
        self.delete_object(key, options).map(|(object, _)| object)
    }

    /// Records an event, or counts one that was recorded before, or drops it: see [`recorder`](super::recorder).
    pub fn record<'a>(&mut self, about: impl Into<About<'a>>, kind: &str, reason: &str, message: &str) {
        let about = about.into();
        let Some(told) = self.recorder.tell(&self.actor, about, (kind, reason, message), self.now) else { return };
        let mut event = registry::event(about, told.id, (kind, reason, &told.message), &self.actor, self.time());
        let key = event.key();
        if let Some(there) = self.state.get(&key).and_then(|there| there.get::<kit_api::core::Event>()) {
            let mut again = there.clone();
            again.count = Some(again.count.unwrap_or(1) + 1);
            again.message = Some(told.message);
            again.last_timestamp = Some(time::seconds(self.time()));
            _ = self.write(&key, again.into_object());
            return;
        }
        // The server makes these itself, and makes them right: only the namespace can be in the way.
        if self.namespace_lives(&key).is_ok() {
            let meta = event.meta_mut();
            meta.uid = Some(self.uid(&key));
            meta.creation_timestamp = Some(time::seconds(self.time()));
            _ = self.write(&key, event);
        }
    }

    /// The component of this name begins anew, and doesn't know which events it has told.
    pub fn forget_events_of(&mut self, by: &str) {
        self.recorder.forget(by);
    }

    /// What is there before anybody asks for anything: the namespaces and the priorities of the system.
    pub(super) fn bootstrap(&mut self) {
        let namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"].map(|name| {
            (Kind::Namespace, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        });
        let classes = [("system-cluster-critical", 2_000_000_000_i64), ("system-node-critical", 2_000_001_000)];
        let classes = classes.map(|(name, value)| {
            let description = match value {
                2_000_000_000 => {
                    "Used for system critical pods that must run in the cluster, but can be moved to \
                                  another node if necessary."
                }
                _ => "Used for system critical pods that must not be moved from their current node.",
            };
            let class = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                "value": value, "description": description,
            });
            (Kind::PriorityClass, class)
        });
        for (kind, value) in namespaces.into_iter().chain(classes) {
            _ = self.create_value(kind, canonical(kind, value), &WriteOptions::default());
        }
        self.horizon = self.state.revision;
    }
}

/// Whether a node has lost some of its taints, and nothing else is another.
fn loses_taints(new: &Node, old: &Node) -> bool {
    let (Some(spec), Some(before)) = (&new.spec, &old.spec) else { return false };
    let mut left = before.taints.iter().flatten();
    let fewer = spec.taints.as_ref().is_none_or(|taints| {
        // No taints at all are written as nothing.
        !taints.is_empty() && taints.iter().all(|taint| left.any(|there| there == taint))
    });
    fewer && new.status == old.status && *spec == NodeSpec { taints: spec.taints.clone(), ..before.clone() }
}

/// Takes the status of one object into another of its kind, and the metadata that goes with it
/// (`strategy::prepare_for_status_update`); gives it back if its kind goes the long way.
fn with_status_of(to: &mut Object, from: Object) -> Result<(), Object> {
    let (labels, annotations) = (from.meta().labels.clone(), from.meta().annotations.clone());
    let finalizers = from.meta().finalizers.clone();
    match (&mut *to, from) {
        (Object::Pod(to), Object::Pod(from)) => {
            let class = to.status.as_ref().and_then(|status| status.qos_class.clone());
            to.status = from.status;
            to.status.get_or_insert_default().qos_class = class;
        }
        (Object::Node(to), Object::Node(from)) => to.status = from.status,
        (Object::ReplicaSet(to), Object::ReplicaSet(from)) => to.status = from.status,
        (Object::Deployment(to), Object::Deployment(from)) => {
            to.metadata.annotations = annotations;
            to.status = from.status;
            return Ok(());
        }
        (Object::HorizontalPodAutoscaler(to), Object::HorizontalPodAutoscaler(from)) => to.status = from.status,
        (_, from) => return Err(from),
    }
    let meta = to.meta_mut();
    (meta.labels, meta.annotations, meta.finalizers) = (labels, annotations, finalizers);
    Ok(())
}
