//! A VerticalPodAutoscaler as the three components see it, and whose pods are whose.
//!
//! Source: `pkg/utils/vpa/api.go`, `pkg/target/controller_fetcher`.

use super::install::AUTOSCALER;
use kit_api::core::Pod;
use kit_api::meta::ObjectMeta;
use kit_api::owner;
use kit_apimachinery::object::{Key, Kind};
use kit_server::{Server, Snapshot, Stored};
use serde_json::Value;
use std::sync::Arc;

/// The group of both kinds.
pub const GROUP: &str = "autoscaling.k8s.io";

/// One VerticalPodAutoscaler.
pub struct Autoscaler {
    /// As it is stored.
    pub stored: Arc<Stored>,
    /// Its `spec`.
    pub spec: Value,
    /// Its `status`.
    pub status: Value,
}

impl Autoscaler {
    fn new(stored: &Arc<Stored>) -> Autoscaler {
        let mut value = stored.to_value();
        Autoscaler { stored: stored.clone(), spec: value["spec"].take(), status: value["status"].take() }
    }

    /// All of them, in the order in which one of two for the same pod is chosen: the older one (`Stronger`). None before
    /// the definitions are installed.
    pub fn all(server: &Server) -> Vec<Autoscaler> {
        let Some(kind) = server.kind_of(&format!("{GROUP}/v1"), AUTOSCALER) else { return Vec::new() };
        let mut all: Vec<&Arc<Stored>> = server.snapshot().list(kind).collect();
        all.sort_by_key(|stored| (stored.object.meta().creation_timestamp.clone(), stored.key.name.clone()));
        all.into_iter().map(Autoscaler::new).collect()
    }

    /// `updateMode`, by default `Recreate`.
    pub fn mode(&self) -> &str {
        self.spec["updatePolicy"]["updateMode"].as_str().filter(|mode| !mode.is_empty()).unwrap_or("Recreate")
    }

    /// Whether it replaces pods. Updates in place are none of this kit's, so that they are evictions here.
    pub fn evicts(&self) -> bool {
        matches!(self.mode(), "Recreate" | "Auto" | "InPlaceOrRecreate")
    }

    /// Whether it is about the pods of this owner.
    fn targets(&self, namespace: &str, (kind, name): &(String, String)) -> bool {
        let target = &self.spec["targetRef"];
        *self.stored.key.namespace == *namespace && target["kind"] == kind.as_str() && target["name"] == name.as_str()
    }

    /// The one of these that a pod belongs to.
    pub fn of<'a>(all: &'a [Autoscaler], meta: &ObjectMeta, snapshot: &Snapshot) -> Option<&'a Autoscaler> {
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let owner = top(meta, namespace, snapshot)?;
        all.iter().find(|autoscaler| autoscaler.targets(namespace, &owner))
    }

    /// Its pods that aren't being deleted and haven't ended, as far as it is theirs.
    pub fn pods(&self, all: &[Autoscaler], snapshot: &Snapshot) -> Vec<Pod> {
        let pods = snapshot.list_in(Kind::Pod, &self.stored.key.namespace).filter_map(|stored| stored.get::<Pod>());
        let alive = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none() && !kit_api::pod::is_finished(pod));
        let mine = |pod: &&Pod| {
            Autoscaler::of(all, &pod.metadata, snapshot).is_some_and(|of| of.stored.key == self.stored.key)
        };
        alive.filter(mine).cloned().collect()
    }
}

/// The topmost controller above an object: of a pod of a ReplicaSet of a Deployment, the Deployment.
fn top(meta: &ObjectMeta, namespace: &str, snapshot: &Snapshot) -> Option<(String, String)> {
    let mut top = owner::controller_of(meta).map(|owner| (owner.kind.clone(), owner.name.clone()))?;
    // Owners of owners are few; a ring of them would be a mistake of somebody's.
    for _ in 0..8 {
        let above = Kind::named(&top.0).and_then(|kind| snapshot.get(&Key::new(kind, namespace, &top.1)));
        let above = above.and_then(|stored| owner::controller_of(stored.object.meta()));
        match above {
            Some(owner) => top = (owner.kind.clone(), owner.name.clone()),
            None => break,
        }
    }
    Some(top)
}
