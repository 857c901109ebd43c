//! What a set's status says of its pods.
//!
//! Source: `computeReplicaStatus`, `completeRollingUpdate` and `inconsistentStatus` of
//! `pkg/controller/statefulset/stateful_set_control.go` and `stateful_set_utils.go`.

use super::identity::revision_of;
use super::plan::Seen;
use kit_api::apps::{StatefulSet, StatefulSetStatus};
use kit_api::pod;

/// The status that follows from what is seen, where so many pods were deleted since to be replaced.
pub fn status(seen: &Seen<'_>, collisions: i32, replaced: i32) -> StatefulSetStatus {
    let some = |count: i32| Some(count).filter(|count| *count != 0);
    let count =
        |counts: &dyn Fn(&kit_api::core::Pod) -> bool| seen.pods.values().filter(|pod| counts(pod)).count() as i32;
    let ready = |pod: &kit_api::core::Pod| pod::phase(pod) == "Running" && pod::is_ready(pod);
    let seconds = seen.spec.min_ready_seconds.unwrap_or(0);
    let replicas = count(&|pod| !pod::phase(pod).is_empty());
    let of =
        |name: &str| count(&|pod| !pod::phase(pod).is_empty() && !pod::is_terminating(pod) && revision_of(pod) == name);
    let (mut current, updated) = (of(&seen.current.name) - replaced, of(&seen.update.name));
    let ready_replicas = count(&ready);
    let mut revision = &seen.current.name;
    let rolls = seen.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    let wanted = seen.spec.replicas.unwrap_or(1);
    if rolls == Some("RollingUpdate") && [updated, ready_replicas, replicas] == [wanted; 3] {
        (current, revision) = (updated, &seen.update.name);
    }
    StatefulSetStatus {
        observed_generation: seen.set.metadata.generation,
        replicas,
        ready_replicas: some(ready_replicas),
        available_replicas: Some(count(&|pod| ready(pod) && pod::is_available(pod, seconds, seen.now))),
        current_replicas: some(current),
        updated_replicas: some(updated),
        current_revision: Some(revision.clone()),
        update_revision: Some(seen.update.name.clone()),
        collision_count: Some(collisions),
        conditions: None,
    }
}

/// Whether it has to be written. A collision alone is not enough.
pub fn is_news(status: &StatefulSetStatus, set: &StatefulSet) -> bool {
    let before = set.status.clone().unwrap_or_default();
    let generation = |status: &StatefulSetStatus| status.observed_generation.unwrap_or(0);
    let rest = |status: &StatefulSetStatus| {
        let count = |count: Option<i32>| count.unwrap_or(0);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let counts = [
            status.replicas,
            count(status.current_replicas),
            count(status.ready_replicas),
            count(status.updated_replicas),
            count(status.available_replicas),
        ];
        (counts, text(&status.current_revision), text(&status.update_revision))
    };
    generation(status) > generation(&before) || rest(status) != rest(&before)
}
