//! Quality of service: a pod's class, and what it is worth to the kernel when memory runs out.
//!
//! Sources: `pkg/apis/core/v1/helper/qos/qos.go` (the class), `pkg/kubelet/qos/policy.go` (the score).
//!
//! The class is computed once, by the API server when it stores a new pod (`pkg/registry/core/pod/strategy.go`), and
//! stands in `status.qosClass` from then on. The score is computed by the kubelet for each container that it starts.

use crate::{Show, flow};
use kit_api::core::Container;
pub use kit_api::core::Pod;
use kit_api::pod_resources::{Side, is_sidecar};
use kit_api::qos;
pub use kit_api::qos::QosClass;

// ANCHOR: contract
contract! {
    /// Says how well a pod and its containers are protected where resources run out. The pod's `overhead` counts for
    /// neither answer.
    pub trait Qos {
        /// The class of a pod that is about to be stored.
        ///
        /// Only CPU and memory count, of all containers, init containers included. An amount of 0 counts as none.
        ///
        /// - `BestEffort`: no container requests or limits anything that counts.
        /// - `Guaranteed`: every container limits both CPU and memory, and requests are equal to limits.
        /// - `Burstable`: all others.
        ///
        /// Defaults are filled in already: where there is a limit there is a request too.
        fn class(&self, pod: &Pod) -> QosClass;

        /// What the kernel adds to the badness of a container's processes (`/proc/PID/oom_score_adj`), from -1000,
        /// never to be killed, to 1000, to be killed first. `memory_capacity` is the node's, in bytes, and more than 0.
        ///
        /// 1. A node-critical pod: -997. That is a critical pod (`kit::api::qos::is_critical`) with the priority
        ///    class `system-node-critical`.
        /// 2. Guaranteed: -997. BestEffort: 1000.
        /// 3. Burstable: `1000 - 1000 * request / memory_capacity`, where `request` is the memory that *this
        ///    container* requests, in bytes, and the division drops the fraction.
        /// 4. A Burstable pod's sidecar (an init container with `restartPolicy: Always`) gets the lower of its own
        ///    score and the one for the smallest request among the pod's regular containers.
        /// 5. What comes out for Burstable is at least 3 and at most 999.
        ///
        /// `container` names one of the pod's containers or init containers.
        fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64;
    }
}
// ANCHOR_END: contract

impl Show for QosClass {
    fn lines(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let spec = self.spec.clone().unwrap_or_default();
        let mut lines = Vec::new();
        if let Some(class) = spec.priority_class_name {
            let critical = if qos::is_critical(self) { "critical" } else { "not critical" };
            lines.push(format!("priority class {}, {critical}", flow(&class)));
        }
        let inits = spec.init_containers.unwrap_or_default();
        lines.extend(
            inits
                .iter()
                .map(|container| show(if is_sidecar(container) { "sidecar" } else { "init container" }, container)),
        );
        lines.extend(spec.containers.iter().map(|container| show("container", container)));
        if let Some(overhead) = spec.overhead {
            lines.push(format!("overhead {}", flow(&overhead)));
        }
        lines
    }
}

fn show(what: &str, container: &Container) -> String {
    let amounts = |side: Side| {
        let resources = side.of(container);
        let amounts: Vec<_> = resources.iter().map(|(name, amount)| format!("{name} {amount}")).collect();
        if amounts.is_empty() { "nothing".to_string() } else { amounts.join(", ") }
    };
    let (requests, limits) = (amounts(Side::Requests), amounts(Side::Limits));
    format!("{what} {}: requests {requests}; limits {limits}", flow(&container.name))
}
