//! Pods on a node under pressure.
//!
//! Source: `pkg/kubelet/eviction/eviction_manager.go`.

pub mod disk_limit;
pub mod manager;

use kit_api::core::{Pod, Taint};
use kit_api::qos::{self, QosClass};
use kit_api::toleration;

const MEMORY: &str = "MemoryPressure";

/// Whether a pod that was bound to the node is let in while the node has these conditions of pressure (`Admit`).
///
/// # Errors
///
/// The message with which the pod fails; its reason is `Evicted`.
pub fn admit(pod: &Pod, class: QosClass, conditions: &[&str]) -> Result<(), String> {
    let tolerates = || {
        let taint =
            Taint { key: "node.kubernetes.io/memory-pressure".into(), effect: "NoSchedule".into(), ..Taint::default() };
        let all = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten());
        all.into_iter().any(|one| toleration::tolerates(one, &taint))
    };
    match conditions {
        [] => Ok(()),
        _ if qos::is_critical(pod) => Ok(()),
        // Memory is short for those alone that asked for none; of a disk or of PIDs nobody asks.
        [MEMORY] if class != QosClass::BestEffort || tolerates() => Ok(()),
        _ => Err(format!("The node had condition: [{}]. ", conditions.join(" "))),
    }
}
