//! The status of a Deployment: its counts, whether it is available, and whether a rollout comes forward.
//!
//! Sources: `calculateStatus` of `pkg/controller/deployment/sync.go`, `progress.go`, and the conditions in
//! `util/deployment_util.go`.

use kit_api::apps::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::time;
use kit_time::agenda::Instant;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// The seconds that a rollout may stand still; none if nobody counts them (`HasProgressDeadline`).
fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.as_ref()?.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)
}

fn condition<'a>(status: &'a DeploymentStatus, type_: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn remove(status: &mut DeploymentStatus, type_: &str) {
    status.conditions.iter_mut().for_each(|all| all.retain(|condition| condition.type_ != type_));
}

/// Sets a condition, unless it says the same already. The time of its transition moves only with its status.
fn set(status: &mut DeploymentStatus, mut new: DeploymentCondition) {
    if let Some(now) = condition(status, &new.type_).filter(|now| now.status == new.status) {
        if now.reason == new.reason {
            return;
        }
        new.last_transition_time = now.last_transition_time.clone();
    }
    remove(status, &new.type_);
    status.conditions.get_or_insert_default().push(new);
}

fn new_condition(type_: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: type_.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(time::seconds(now)),
        last_transition_time: Some(time::seconds(now)),
    }
}

/// Says in the condition `Progressing` what became of the new ReplicaSet, if anybody counts the time.
pub fn note(deployment: &mut Deployment, status: &str, reason: &str, message: String, now: Timestamp) {
    if deadline(deployment).is_some() {
        let condition = new_condition(PROGRESSING, status, reason, message, now);
        set(deployment.status.get_or_insert_default(), condition);
    }
}

/// Notes that the controller found the new ReplicaSet, if nothing was noted of a rollout before.
pub fn note_found(deployment: &mut Deployment, name: &str, now: Timestamp) {
    if condition(deployment.status.get_or_insert_default(), PROGRESSING).is_none() {
        note(deployment, "True", "FoundNewReplicaSet", format!("Found new replica set {name:?}"), now);
    }
}

/// Notes that the Deployment is paused or that it goes on, so that the time between doesn't count against it
/// (`checkPausedConditions`).
pub fn note_pause(deployment: &mut Deployment, now: Timestamp) {
    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused).unwrap_or(false);
    let status = deployment.status.get_or_insert_default();
    let reason = condition(status, PROGRESSING).and_then(|condition| condition.reason.as_deref());
    let (timed_out, noted) = (reason == Some(TIMED_OUT), reason == Some(PAUSED));
    match (paused, noted) {
        _ if timed_out => {}
        (true, false) => note(deployment, "Unknown", PAUSED, "Deployment is paused".into(), now),
        (false, true) => note(deployment, "Unknown", "DeploymentResumed", "Deployment is resumed".into(), now),
        _ => {}
    }
}

/// What the ReplicaSets come to. `unavailable` is how many of the pods may be unavailable.
pub fn calculate(
    deployment: &Deployment,
    sets: &[ReplicaSet],
    new: Option<&ReplicaSet>,
    unavailable: i32,
    now: Timestamp,
) -> DeploymentStatus {
    let before = deployment.status.clone().unwrap_or_default();
    let status = |set: &ReplicaSet| set.status.clone().unwrap_or_default();
    let sum = |count: &dyn Fn(&ReplicaSet) -> i32| sets.iter().map(count).sum::<i32>();
    let wanted = sum(&|set| set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1));
    let available = sum(&|set| status(set).available_replicas.unwrap_or(0));
    let some = |count: i32| Some(count).filter(|count| *count != 0);
    let mut after = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(&|set| status(set).replicas)),
        updated_replicas: some(new.map_or(0, |new| status(new).replicas)),
        ready_replicas: some(sum(&|set| status(set).ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((wanted - available).max(0)),
        ..before
    };
    let (word, reason, message) = if available >= replicas(deployment) - unavailable {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut after, new_condition(AVAILABLE, word, reason, message.into(), now));
    after
}

/// Estimates from two statuses, before and after, whether the rollout comes forward, and takes over what hinders the
/// ReplicaSets (`syncRolloutStatus`).
pub fn estimate_progress(
    deployment: &Deployment,
    after: &mut DeploymentStatus,
    sets: &[ReplicaSet],
    new: Option<&ReplicaSet>,
    now: Timestamp,
) {
    let before = deployment.status.clone().unwrap_or_default();
    let current = condition(&before, PROGRESSING);
    let reason = current.and_then(|current| current.reason.as_deref());
    let all_updated = after.replicas == after.updated_replicas;
    let what = match new.and_then(|new| new.metadata.name.as_deref()) {
        Some(name) => format!("ReplicaSet {name:?}"),
        None => format!("Deployment {:?}", deployment.metadata.name.as_deref().unwrap_or_default()),
    };
    if deadline(deployment).is_none() {
        remove(after, PROGRESSING);
    } else if all_updated && reason == Some(NEW_SET_AVAILABLE) {
        // Nothing rolls: there is no progress to estimate.
    } else if is_complete(deployment, after) {
        let message = format!("{what} has successfully progressed.");
        set(after, new_condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
    } else if is_further(&before, after) {
        let message = format!("{what} is progressing.");
        let mut progress = new_condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
        if let Some(current) = current.filter(|current| current.status == "True") {
            progress.last_transition_time = current.last_transition_time.clone();
        }
        // Even with the same reason: the time of the last progress is what the deadline counts from.
        remove(after, PROGRESSING);
        set(after, progress);
    } else if is_timed_out(deployment, after, now) {
        let message = format!("{what} has timed out progressing.");
        set(after, new_condition(PROGRESSING, "False", TIMED_OUT, message, now));
    }

    let failures = new.into_iter().chain(sets).filter_map(|set| set.status.as_ref()?.conditions.as_ref());
    match failures.flatten().find(|condition| condition.type_ == REPLICA_FAILURE) {
        Some(failure) => set(
            after,
            DeploymentCondition {
                type_: REPLICA_FAILURE.into(),
                status: failure.status.clone(),
                reason: failure.reason.clone(),
                message: failure.message.clone(),
                last_update_time: failure.last_transition_time.clone(),
                last_transition_time: failure.last_transition_time.clone(),
            },
        ),
        None => remove(after, REPLICA_FAILURE),
    }
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// All pods are new, available, and as many as are wanted (`DeploymentComplete`).
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let counts = [status.updated_replicas, status.replicas, status.available_replicas];
    counts.iter().all(|count| count.unwrap_or(0) == replicas(deployment))
        && status.observed_generation >= deployment.metadata.generation
}

/// More new pods, fewer old ones, more that are ready or available (`DeploymentProgressing`).
fn is_further(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let old = |status: &DeploymentStatus| status.replicas.unwrap_or(0) - status.updated_replicas.unwrap_or(0);
    after.updated_replicas > before.updated_replicas
        || old(after) < old(before)
        || after.ready_replicas > before.ready_replicas
        || after.available_replicas > before.available_replicas
}

/// The last progress is longer ago than the deadline (`DeploymentTimedOut`).
fn is_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(condition) = condition(status, PROGRESSING) else { return false };
    match condition.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => due(deployment, condition).is_some_and(|due| due < now),
    }
}

/// When a rollout that shows no progress from now on has taken too long.
fn due(deployment: &Deployment, condition: &DeploymentCondition) -> Option<Timestamp> {
    let since = condition.last_update_time.as_ref()?.0;
    since.checked_add(SignedDuration::from_secs(deadline(deployment)?.into())).ok()
}

/// How long to wait with the next look at a rollout whose status didn't change (`requeueStuckDeployment`).
pub fn look_again(deployment: &Deployment, after: &DeploymentStatus, now: Timestamp) -> Option<Instant> {
    let condition = condition(after, PROGRESSING)?;
    if is_complete(deployment, after) || condition.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    let left = due(deployment, condition)?.duration_since(now);
    // Times are whole seconds: one more, and the deadline has passed for sure.
    Some(Instant { nanos: left.as_secs().max(0) * 1_000_000_000 } + Instant::seconds(1))
}
