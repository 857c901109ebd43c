//! The pods that use a claim. They are listed when somebody wants to know, and not watched: see [`super`].

use kit_api::core::{ContainerStatus, Pod};
use kit_api::{pod, volume};
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;

/// The pods of a namespace that refer to a claim, by name (`PodPVCIndex`).
pub fn of<'a>(state: &'a Snapshot, namespace: &'a str, claim: &str) -> Vec<&'a Pod> {
    let pods = state.list_in(Kind::Pod, namespace).filter_map(|stored| stored.get::<Pod>());
    pods.filter(|pod| volume::uses(pod, claim)).collect()
}

/// Whether nothing of a pod runs any more (`IsPodTerminated` of `pkg/volume/util/util.go`).
pub fn is_terminated(pod: &Pod) -> bool {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let rests = |status: &ContainerStatus| {
        status.state.as_ref().is_some_and(|state| state.terminated.is_some() || state.waiting.is_some())
    };
    pod::is_finished(pod) || pod::is_terminating(pod) && statuses.all(rests)
}
