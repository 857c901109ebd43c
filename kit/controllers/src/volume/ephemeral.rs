//! The ephemeral volume controller: makes the claims of pods with `ephemeral` volumes. They belong to the pod and go with it.
//!
//! Source: `pkg/controller/volume/ephemeral/controller.go`.

use kit_api::core::{PersistentVolumeClaim, Pod, Volume};
use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_api::{owner, pod};
use kit_apimachinery::object::{AsKind, Kind};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;

/// Makes claims for pods.
#[derive(Default)]
pub struct EphemeralVolumes {
    /// Namespace and name of pods.
    queue: WorkQueue<(String, String)>,
}

fn has_ephemeral(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| volume.ephemeral.is_some())
}

/// Makes the claim of a volume, if it isn't there.
fn make(pod: &Pod, volume: &Volume, world: &mut World<'_>) -> Result<(), String> {
    let Some(ephemeral) = &volume.ephemeral else { return Ok(()) };
    let meta = &pod.metadata;
    let (namespace, pod_name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    let name = format!("{pod_name}-{}", volume.name);
    if let Some(there) = world.cache.fetch::<PersistentVolumeClaim>(&namespace, &name) {
        // `VolumeIsForPod` of `component-helpers/storage/ephemeral/ephemeral.go`.
        let mine = owner::controller_of(&there.metadata).is_some_and(|owner| Some(&owner.uid) == meta.uid.as_ref());
        let why =
            || format!("PVC {namespace}/{name} was not created for pod {namespace}/{pod_name} (pod is not owner)");
        return if mine { Ok(()) } else { Err(why()) };
    }
    let template = ephemeral.volume_claim_template.clone().unwrap_or_default();
    let said = template.metadata.unwrap_or_default();
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Pod".into(),
                name: pod_name,
                uid: meta.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            annotations: said.annotations,
            labels: said.labels,
            ..ObjectMeta::default()
        },
        spec: Some(template.spec),
        status: None,
    };
    world.server.create(claim.into_object()).map(drop).map_err(|error| format!("create PVC {name}: {error}"))
}

/// Makes what is missing; the first failure is told and ends it.
fn sync(pod: &Pod, world: &mut World<'_>) -> Result<(), String> {
    if pod::is_terminating(pod) {
        return Ok(());
    }
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        if let Err(why) = make(pod, volume, world) {
            let why = format!("ephemeral volume {}: {why}", volume.name);
            world.server.record(pod, "Warning", "FailedBinding", &why);
            return Err(why);
        }
    }
    Ok(())
}

impl Component for EphemeralVolumes {
    fn name(&self) -> &'static str {
        "ephemeral_volume"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::PersistentVolumeClaim]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        if let Some(pod) = change.object.get::<Pod>() {
            if !gone && has_ephemeral(pod) && !pod::is_terminating(pod) {
                let key = &change.object.key;
                self.queue.add((key.namespace.to_string(), key.name.to_string()), world.now);
            }
        } else if gone
            && let Some(owner) = owner::controller_of(change.object.object.meta()).filter(|owner| owner.kind == "Pod")
        {
            self.queue.add((change.object.key.namespace.to_string(), owner.name.clone()), world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let done = match world.cache.fetch::<Pod>(&name.0, &name.1) {
                Some(pod) => sync(pod, world),
                None => Ok(()),
            };
            self.queue.done(name, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
