//! # Quality of service: who suffers last
//!
//! From the requests and limits of a pod's containers follows its class, and from the class what each container is
//! worth to the kernel when a node has no memory left. You compute both: what the API server writes into
//! `status.qosClass`, and what the kubelet writes into `/proc/PID/oom_score_adj`.
//!
//! About 30 minutes · builds on nothing · book: "Quality of service: who suffers last" · stuck? `cargo grade hint node/qos`
//!
//! Given to you:
//!
//! - `kit::api::qos::is_critical: fn(&Pod) -> bool`
//! - `kit::api::pod_resources::is_sidecar: fn(&kit::api::core::Container) -> bool`
//! - `kit::api::pod_resources::Side::of: fn(kit::api::pod_resources::Side, &kit::api::core::Container) -> BTreeMap<String, kit::api::Quantity>`
//! - `kit::api::Quantity::sign: fn(&kit::api::Quantity) -> i32`
//! - `kit::api::Quantity::value: fn(&kit::api::Quantity) -> i64`

use kit::api::core::Pod;
use kit::node::Qos;
use kit::node::qos::QosClass;

#[derive(Default)]
struct Exercise;

impl Qos for Exercise {
    /// The class of a pod that is about to be stored.
    ///
    /// Only CPU and memory count, of all containers, init containers included. An amount of 0 counts as none, and
    /// the pod's `overhead` doesn't count.
    ///
    /// - `BestEffort`: no container requests or limits anything that counts.
    /// - `Guaranteed`: every container limits both CPU and memory, and requests are equal to limits.
    /// - `Burstable`: all others.
    ///
    /// Defaults are filled in already: where there is a limit there is a request too.
    /// `kit::api::pod_resources::Side::Requests.of(container)` gives exact amounts by name, and so does `Side::Limits`.
    fn class(&self, pod: &Pod) -> QosClass {
        let _ = pod;
        todo!("look at the CPU and memory of all containers")
    }

    /// What the kernel adds to the badness of a container's processes, from -1000, never to be killed, to 1000, to be
    /// killed first. `memory_capacity` is the node's, in bytes, and more than 0.
    ///
    /// 1. A node-critical pod: -997. That is a critical pod (`kit::api::qos::is_critical`) with the priority class
    ///    `system-node-critical`.
    /// 2. Guaranteed: -997. BestEffort: 1000.
    /// 3. Burstable: `1000 - 1000 * request / memory_capacity`, where `request` is the memory that *this container*
    ///    requests, in bytes, and the division drops the fraction.
    /// 4. A Burstable pod's sidecar (an init container with `restartPolicy: Always`) gets the lower of its own score
    ///    and the one for the smallest request among the pod's regular containers.
    /// 5. What comes out for Burstable is at least 3 and at most 999.
    ///
    /// `container` names one of the pod's containers or init containers.
    fn oom_score_adj(&self, pod: &Pod, container: &str, memory_capacity: i64) -> i64 {
        let _ = (pod, container, memory_capacity);
        todo!("the class first; then, if that is Burstable, the formula")
    }
}

kit::exercise!(Exercise: Qos);
