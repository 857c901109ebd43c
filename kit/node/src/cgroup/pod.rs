//! What the kubelet writes into the cgroup around the containers of a pod.
//!
//! Source: `ResourceConfigForPod` of `pkg/kubelet/cm/helpers_linux.go`.

use super::{PERIOD, quota, shares};
use kit_api::core::Pod;
use kit_api::pod_resources::{self, RequestOptions, Resources, Side};
use kit_api::qos::QosClass;
use std::collections::BTreeMap;

/// What is written; nothing where the kernel's own stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Its part when there is too little CPU.
    pub cpu_shares: i64,
    /// Microseconds of CPU time in each period; 0 for no limit, -1 where quotas are off.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<i64>,
    /// The most bytes of memory.
    pub memory: Option<i64>,
    /// The most bytes of huge pages, by the size of a page.
    pub huge_pages: BTreeMap<i64, i64>,
    /// Other files of cgroup v2, with their content.
    pub unified: BTreeMap<String, String>,
}

/// How a node is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Whether limits of CPU are enforced (`--cpu-cfs-quota`).
    pub cpu_quota: bool,
    /// The gate `MemoryQoS`.
    pub memory_qos: bool,
    /// The gate `PodLevelResources`.
    pub pod_level_resources: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { cpu_quota: true, memory_qos: false, pod_level_resources: false }
    }
}

/// The resources that can be said of a pod as a whole (`SupportedPodLevelResources`).
const OF_PODS: [&str; 2] = ["cpu", "memory"];

/// What is written for a pod of a class.
pub fn config(pod: &Pod, class: QosClass, setup: &Setup) -> Config {
    let whole = pod.spec.as_ref().and_then(|spec| spec.resources.as_ref()).filter(|_| setup.pod_level_resources);
    let said = |of: Option<_>| -> Resources {
        let mut said = pod_resources::resources(of);
        said.retain(|name, _| OF_PODS.contains(&name.as_str()));
        said
    };
    let of_pod = whole.map(|whole| (said(whole.requests.as_ref()), said(whole.limits.as_ref())));
    let (of_pod_requests, of_pod_limits) = of_pod.unwrap_or_default();
    let overhead = pod_resources::resources(pod.spec.as_ref().and_then(|spec| spec.overhead.as_ref()));

    // What is said of the pod as a whole counts instead of the sum; overhead comes on top of both.
    let mut requests = pod_resources::requests(pod, &RequestOptions { exclude_overhead: true, ..Default::default() });
    requests.extend(of_pod_requests);
    pod_resources::add(&mut requests, &overhead);
    let mut limits = pod_resources::limits(pod);
    for (name, mut amount) in of_pod_limits.clone() {
        if let Some(more) = overhead.get(&name).filter(|_| !amount.is_zero()) {
            amount.add(more);
        }
        limits.insert(name, amount);
    }

    let limited = |name: &str| {
        let is_set = |of: &Resources| of.get(name).is_some_and(|amount| !amount.is_zero());
        let spec = pod.spec.iter();
        let mut all = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
        is_set(&of_pod_limits) || all.all(|container| is_set(&Side::Limits.of(container)))
    };
    let milli = |of: &Resources| of.get("cpu").map_or(0, |amount| amount.milli_value());
    let bytes = |of: &Resources| of.get("memory").map_or(0, |amount| amount.value());

    let cpu_quota = if setup.cpu_quota { quota(milli(&limits), PERIOD) } else { -1 };
    let mut config = Config { cpu_shares: shares(milli(&requests)), ..Config::default() };
    let guaranteed = class == QosClass::Guaranteed;
    match class {
        QosClass::BestEffort => config.cpu_shares = shares(0),
        QosClass::Burstable | QosClass::Guaranteed => {
            if guaranteed || limited("cpu") {
                (config.cpu_quota, config.cpu_period) = (Some(cpu_quota), Some(PERIOD));
            }
            if guaranteed || limited("memory") {
                config.memory = Some(bytes(&limits));
            }
        }
    }
    for (name, amount) in &requests {
        let size = name.strip_prefix("hugepages-").and_then(|size| size.parse::<kit_api::Quantity>().ok());
        if let Some(size) = size {
            *config.huge_pages.entry(size.value()).or_default() += amount.value();
        }
    }
    let memory = bytes(&requests);
    if setup.memory_qos && memory > 0 {
        config.unified.insert("memory.min".into(), memory.to_string());
    }
    config
}
