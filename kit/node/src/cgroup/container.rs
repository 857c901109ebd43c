//! What the runtime is told of one container.
//!
//! Source: `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go`.

use super::{PERIOD, quota, shares};
use kit_api::Quantity;
use kit_api::core::{Pod, ResourceRequirements};
use kit_api::pod_resources::{self, RequestOptions, Resources};
use kit_api::quantity::Format;
use std::collections::BTreeMap;

/// How a node is set up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// Whether its kernel has cgroup v2.
    pub v2: bool,
    /// Whether one process may be killed alone when memory is short (`singleProcessOOMKill`; off by default on v2).
    pub single_process_oom_kill: bool,
    /// Of the gate `MemoryQoS`, which is off by default: the throttling factor, and the node's allocatable memory.
    pub memory_qos: Option<(f64, i64)>,
    /// Bytes of a page.
    pub page: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { v2: true, single_process_oom_kill: false, memory_qos: None, page: 4096 }
    }
}

/// `LinuxContainerResources` of the runtime's interface. 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Microseconds.
    pub cpu_period: i64,
    /// Microseconds of CPU time in each period.
    pub cpu_quota: i64,
    /// Its part when there is too little CPU.
    pub cpu_shares: i64,
    /// Bytes.
    pub memory_limit: i64,
    /// Other files of cgroup v2, with their content.
    pub unified: BTreeMap<String, String>,
}

/// What the runtime is told (`generateLinuxContainerResources`, `calculateLinuxResources`).
pub fn told(requests: &Resources, limits: &Resources, setup: &Setup) -> Told {
    let milli = |of: &Resources| of.get("cpu").map(|amount| amount.milli_value());
    let bytes = |of: &Resources| of.get("memory").map_or(0, |amount| amount.value());
    let cpu_limit = milli(limits);
    // The API server says so, too, but not of pods of old. A request of 0 is one.
    let request = milli(requests).or(cpu_limit).unwrap_or(0);
    let mut unified = BTreeMap::new();
    if setup.v2 && !setup.single_process_oom_kill {
        unified.insert("memory.oom.group".into(), "1".into());
    }
    if let Some((factor, allocatable)) = setup.memory_qos {
        let (request, limit) = (bytes(requests), bytes(limits));
        if request != 0 {
            unified.insert("memory.min".into(), request.to_string());
        }
        // With a request that equals the limit there is nothing to slow down.
        if request != limit {
            let most = if limit == 0 { allocatable } else { limit };
            let high = (request as f64 + (most - request) as f64 * factor) as i64 / setup.page * setup.page;
            if high > request {
                unified.insert("memory.high".into(), high.to_string());
            }
        }
    }
    Told {
        cpu_period: PERIOD,
        cpu_quota: quota(cpu_limit.unwrap_or(0), PERIOD),
        cpu_shares: shares(request),
        memory_limit: bytes(limits),
        unified,
    }
}

/// The limits of a container in a pod that has some as a whole: those stand in for what it doesn't limit itself
/// (`getCPULimit`, `getMemoryLimit`; the gate `PodLevelResources`, off in 1.33).
pub fn limits_in(pod: &ResourceRequirements, mut limits: Resources) -> Resources {
    for (name, amount) in pod_resources::resources(pod.limits.as_ref()) {
        if matches!(name.as_str(), "cpu" | "memory") && limits.get(&name).is_none_or(Quantity::is_zero) {
            limits.insert(name, amount);
        }
    }
    limits
}

/// The pod as it counts when memory is short: what it asks for as a whole, and no container does, is shared out evenly
/// (`remainingPodMemReqPerContainer`; the same gate).
pub fn shared_out(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let asked = pod_resources::requests(&pod, &RequestOptions { exclude_overhead: true, ..Default::default() });
    let Some(spec) = &mut pod.spec else { return pod };
    let whole =
        spec.resources.as_ref().map(|whole| pod_resources::resources(whole.requests.as_ref())).unwrap_or_default();
    let bytes = |of: &Resources| of.get("memory").map_or(0, Quantity::value);
    let sidecars =
        spec.init_containers.iter().flatten().filter(|container| pod_resources::is_sidecar(container)).count();
    let left = (bytes(&whole) - bytes(&asked)) / (spec.containers.len() + sidecars).max(1) as i64;
    if left > 0 {
        for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
            let own = bytes(&pod_resources::Side::Requests.of(container));
            let requests = container.resources.get_or_insert_default().requests.get_or_insert_default();
            requests.insert("memory".into(), (&Quantity::new(own + left, Format::BinarySI)).into());
        }
    }
    pod
}
