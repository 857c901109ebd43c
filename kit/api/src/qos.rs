//! Quality of service: which pods suffer last when a node runs out.
//!
//! How a class follows from a pod's containers is an exercise (`node/qos`), and its solution is what the API server
//! runs. Source: `pkg/kubelet/types/pod_update.go`.

use crate::core::Pod;
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

/// The class in the pod's status, which the API server wrote when it stored the pod; a pod without one that counts is
/// BestEffort.
pub fn class_of(pod: &Pod) -> QosClass {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => QosClass::Guaranteed,
        Some("Burstable") => QosClass::Burstable,
        _ => QosClass::BestEffort,
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
