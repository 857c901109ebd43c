//! Quality of service: which pods suffer last when a node runs out.
//!
//! Source: `pkg/apis/core/v1/helper/qos/qos.go`, `pkg/kubelet/qos/policy.go` and `pkg/kubelet/types/pod_update.go`.

use crate::Quantity;
use crate::core::{Container, Pod};
use crate::pod_resources::{Resources, Side, add, is_sidecar};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The priority from which pods are critical to the system.
pub const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// The class of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum QosClass {
    /// No container asks for CPU or memory, or limits them.
    BestEffort,
    /// All others.
    Burstable,
    /// Every container limits both CPU and memory, and asks for just that.
    Guaranteed,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The class that follows from a pod's containers (`ComputePodQOS`). Init containers count; amounts of 0 don't, and
/// neither does any resource but CPU and memory.
pub fn qos_class(pod: &Pod) -> QosClass {
    let Some(spec) = &pod.spec else {
        return QosClass::BestEffort;
    };
    let (mut requests, mut limits) = (Resources::new(), Resources::new());
    let mut all_limited = true;
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        add(&mut requests, &counted(Side::Requests.of(container)));
        let own = counted(Side::Limits.of(container));
        all_limited &= own.len() == 2;
        add(&mut limits, &own);
    }
    if requests.is_empty() && limits.is_empty() {
        QosClass::BestEffort
    } else if all_limited && requests == limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

fn counted(mut resources: Resources) -> Resources {
    resources.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && amount.sign() > 0);
    resources
}

/// The class in the pod's status, or the one that it will get (`GetPodQOS`).
pub fn class_of(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        Some("BestEffort") => QosClass::BestEffort,
        _ => qos_class(pod),
    }
}

/// Whether the kubelet must run it before all others: static pods, mirror pods, and those of a system priority
/// (`IsCriticalPod`).
pub fn is_critical(pod: &Pod) -> bool {
    let annotation = |key: &str| pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(key));
    let is_static = annotation("kubernetes.io/config.source").is_some_and(|source| source != "api");
    let is_mirror = annotation("kubernetes.io/config.mirror").is_some();
    is_static || is_mirror || pod.spec.as_ref().and_then(|s| s.priority).is_some_and(|p| p >= SYSTEM_CRITICAL_PRIORITY)
}

/// What the kernel adds to the score by which it picks the process to kill: from -1000, never, to 1000, first
/// (`GetContainerOOMScoreAdjust`). `memory_capacity` is the node's, in bytes.
pub fn oom_score_adj(pod: &Pod, container: &Container, memory_capacity: i64) -> i64 {
    const GUARANTEED: i64 = -997;
    const BEST_EFFORT: i64 = 1000;
    let spec = pod.spec.as_ref();
    let node_critical = spec.and_then(|s| s.priority_class_name.as_deref()) == Some("system-node-critical");
    if node_critical && is_critical(pod) {
        return GUARANTEED;
    }
    match class_of(pod) {
        QosClass::Guaranteed => return GUARANTEED,
        QosClass::BestEffort => return BEST_EFFORT,
        QosClass::Burstable => {}
    }
    let memory = |container: &Container| Side::Requests.of(container).get("memory").map_or(0, Quantity::value);
    // The more it asks for, the more it may use before it is the first to go.
    let adjust = |request: i64| 1000 - 1000_i64.wrapping_mul(request) / memory_capacity.max(1);
    let mut score = adjust(memory(container));
    if is_sidecar(container) {
        // A sidecar must not die before what it serves.
        let least = spec.and_then(|s| s.containers.iter().map(memory).min()).unwrap_or(0);
        score = score.min(adjust(least));
    }
    score.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
}
