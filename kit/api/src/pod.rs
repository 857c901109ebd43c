//! What controllers ask of a pod.
//!
//! Source: `pkg/api/v1/pod/util.go` and `pkg/controller/controller_utils.go`.

use crate::core::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The annotation that says how much a pod's deletion costs; see [`deletion_cost`].
pub const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The phase, empty if it isn't set yet.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether it is being deleted.
pub fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether it ran to its end, well or badly.
pub fn is_finished(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether it counts as one of a controller's replicas: neither finished nor being deleted (`IsPodActive`).
pub fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && !is_terminating(pod)
}

/// The node it is bound to, if any.
pub fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

/// The pod's condition of one type (`GetPodCondition`).
pub fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// Whether its Ready condition is true (`IsPodReady`).
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Since when it is ready; none if it isn't, or if nobody wrote when.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "True")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

/// Whether it was ready for longer than `min_ready_seconds` (`IsPodAvailable`). Exactly that long is not enough,
/// except for 0.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    let long_enough =
        |since: Timestamp| now.duration_since(since) > SignedDuration::from_secs(min_ready_seconds.into());
    is_ready(pod) && (min_ready_seconds == 0 || ready_since(pod).is_some_and(long_enough))
}

/// What its deletion costs, in no unit; cheaper pods are deleted first. 0 without the annotation, and 0 if it is
/// not an integer of 32 bits as Go prints one (`GetDeletionCostFromPodAnnotations`; validation refuses others).
pub fn deletion_cost(pod: &Pod) -> i32 {
    let text = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(DELETION_COST));
    text.and_then(|text| parse_cost(text)).unwrap_or(0)
}

/// `validFirstDigit` and `strconv.ParseInt`: no `+`, no leading zero, except in a negative number's digits.
fn parse_cost(text: &str) -> Option<i32> {
    let first = text.bytes().next()?;
    let fits = first == b'-' || (first == b'0' && text == "0") || (b'1'..=b'9').contains(&first);
    if fits { text.parse().ok() } else { None }
}

/// The greatest number of restarts among its containers, and among its sidecars: init containers whose restart
/// policy is Always (`maxContainerRestarts`).
pub fn max_restarts(pod: &Pod) -> (i32, i32) {
    let Some(status) = &pod.status else {
        return (0, 0);
    };
    let containers = status.container_statuses.iter().flatten().map(|c| c.restart_count).max();
    let is_sidecar = |name: &str| {
        let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
        init.into_iter().flatten().any(|c| c.name == name && c.restart_policy.as_deref() == Some("Always"))
    };
    let sidecars = status.init_container_statuses.iter().flatten();
    let sidecars = sidecars.filter(|c| is_sidecar(&c.name)).map(|c| c.restart_count).max();
    (containers.unwrap_or(0).max(0), sidecars.unwrap_or(0).max(0))
}
