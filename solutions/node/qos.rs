//! The reference for `node/qos`.
//!
//! The names follow `pkg/apis/core/v1/helper/qos/qos.go` and `pkg/kubelet/qos/policy.go`.

// ANCHOR: solution
use kit::api::Quantity;
use kit::api::core::{Container, Pod};
use kit::api::pod_resources::{Resources, Side, add, is_sidecar};
use kit::api::qos::is_critical;
use kit::node::Qos;
use kit::node::qos::QosClass;

const GUARANTEED: i64 = -997;
const BEST_EFFORT: i64 = 1000;

/// The class from the containers, the score from the class and the requested memory.
#[derive(Default)]
pub struct Exercise;

impl Qos for Exercise {
    // ANCHOR: class
    fn class(&self, pod: &Pod) -> QosClass {
        let (mut requests, mut limits) = (Resources::new(), Resources::new());
        let mut all_limited = true;
        for container in containers(pod) {
            let own = counted(Side::Limits.of(container));
            all_limited &= own.len() == 2;
            add(&mut limits, &own);
            add(&mut requests, &counted(Side::Requests.of(container)));
        }
        if requests.is_empty() && limits.is_empty() {
            QosClass::BestEffort
        } else if all_limited && requests == limits {
            // No request is above its limit, so equal sums mean that each container's are equal.
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }
    // ANCHOR_END: class

    // ANCHOR: oom
    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        let spec = pod.spec.as_ref();
        let node_critical = spec.and_then(|s| s.priority_class_name.as_deref()) == Some("system-node-critical");
        match self.class(pod) {
            _ if node_critical && is_critical(pod) => return GUARANTEED,
            QosClass::Guaranteed => return GUARANTEED,
            QosClass::BestEffort => return BEST_EFFORT,
            QosClass::Burstable => {}
        }
        // The more it asks for, the more it may use before it is the first to go.
        let adjust = |request: i64| 1000 - 1000_i64.wrapping_mul(request) / memory_capacity;
        let this = containers(pod).find(|c| c.name == container);
        let mut score = adjust(this.map_or(0, memory_request));
        if this.is_some_and(is_sidecar) {
            // A sidecar must not die before what it serves.
            let least = spec.and_then(|s| s.containers.iter().map(memory_request).min());
            score = score.min(adjust(least.unwrap_or(0)));
        }
        score.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
    }
    // ANCHOR_END: oom
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    let spec = pod.spec.as_ref();
    spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()))
}

/// The amounts that decide the class.
fn counted(mut resources: Resources) -> Resources {
    resources.retain(|name, amount| matches!(name.as_str(), "cpu" | "memory") && amount.sign() > 0);
    resources
}

/// In bytes; 0 if it requests none.
fn memory_request(container: &Container) -> i64 {
    Side::Requests.of(container).get("memory").map_or(0, Quantity::value)
}
// ANCHOR_END: solution
