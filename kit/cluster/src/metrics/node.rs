//! What a node says: its kubelet, cAdvisor in it, and the node exporter beside it.
//!
//! Sources: `pkg/kubelet/metrics/metrics.go` and `pkg/kubelet/metrics/collectors/resource_metrics.go`, `pkg/kubelet/server/server.go`
//! (`containerPrometheusLabelsFunc`), `pkg/kubelet/prober/prober_manager.go`, `metrics/prometheus.go` of cAdvisor, and
//! `collector/{cpu,meminfo,filesystem}_linux.go` of node_exporter.

use super::{With, family};
use kit_api::jiff::Timestamp;
use kit_node::cgroup::PERIOD;
use kit_node::cgroup::name::{Driver, of_pod};
use kit_node::kubelet::metrics::{ContainerReading, PodReading, Reading, Throttled};
use kit_observability::exposition::{Family, Type};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};

/// What time it is: since the cluster began, and on the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Since the cluster began.
    pub since: Instant,
    /// On the calendar.
    pub time: Timestamp,
}

/// A page of a kubelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// `/metrics`
    Kubelet,
    /// `/metrics/cadvisor`
    Cadvisor,
    /// `/metrics/resource`
    Resource,
    /// `/metrics/probes`
    Probes,
}

impl Page {
    /// The page at a path.
    pub fn of(path: &str) -> Option<Page> {
        match path.trim_matches('/') {
            "metrics" => Some(Page::Kubelet),
            "metrics/cadvisor" => Some(Page::Cadvisor),
            "metrics/resource" => Some(Page::Resource),
            "metrics/probes" => Some(Page::Probes),
            _ => None,
        }
    }

    /// What stands there.
    pub fn families(self, node: &str, reading: &Reading, now: Now) -> Vec<Family> {
        match self {
            Page::Kubelet => kubelet(node, reading),
            Page::Cadvisor => cadvisor(reading, now),
            Page::Resource => resource(reading),
            Page::Probes => vec![probes(reading)],
        }
    }
}

fn kubelet(node: &str, reading: &Reading) -> Vec<Family> {
    let (counts, pods) = (&reading.counts, &reading.pods);
    let (counter, gauge, histogram) = (Type::Counter, Type::Gauge, Type::Histogram);
    let running = pods.iter().filter(|pod| !pod.containers.is_empty()).count();
    let containers: usize = pods.iter().map(|pod| pod.containers.len()).sum();
    let stopped: usize = pods.iter().map(|pod| pod.stopped).sum();
    let rejections = family(
        "kubelet_admission_rejections_total",
        counter,
        "[ALPHA] Cumulative number pod admission rejections by the Kubelet.",
    );
    let evictions =
        family("kubelet_evictions", counter, "[ALPHA] Cumulative number of pod evictions by eviction signal");
    let started =
        family("kubelet_started_containers_total", counter, "[ALPHA] Cumulative number of containers started");
    let starts = "[ALPHA] Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run";
    let sli = "[ALPHA] Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch";
    let total = "[ALPHA] Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch";
    vec![
        family(
            "kubelet_active_pods",
            gauge,
            "[ALPHA] The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver.",
        )
        .with(&[("static", "")], pods.len() as f64),
        counts.rejections.iter().fold(rejections, |all, (of, count)| all.with(&[("reason", of)], *count as f64)),
        counts.evictions.iter().fold(evictions, |all, (of, count)| all.with(&[("eviction_signal", of)], *count as f64)),
        family("kubelet_node_name", gauge, "[ALPHA] The node's name. The count is always 1.").with(&[("node", node)], 1.0),
        family("kubelet_pod_start_duration_seconds", histogram, starts).with_histogram(&[], &counts.starts),
        family("kubelet_pod_start_sli_duration_seconds", histogram, sli).with_histogram(&[], &counts.sli),
        family("kubelet_pod_start_total_duration_seconds", histogram, total).with_histogram(&[], &counts.total),
        family("kubelet_running_containers", gauge, "[ALPHA] Number of containers currently running")
            .with(&[("container_state", "exited")], stopped as f64)
            .with(&[("container_state", "running")], containers as f64),
        family("kubelet_running_pods", gauge, "[ALPHA] Number of pods that have a running pod sandbox")
            .with(&[], running as f64),
        counts
            .started_containers
            .iter()
            .fold(started, |all, (kind, count)| all.with(&[("container_type", kind)], *count as f64)),
        family("kubelet_started_pods_total", counter, "[ALPHA] Cumulative number of pods started")
            .with(&[], counts.started_pods as f64),
    ]
}

/// Where the runtime put a container: its id, and its cgroup.
fn id(pod: &PodReading, container: &ContainerReading) -> (String, String) {
    let (name, run) = (&container.container.name, container.container.restarts);
    let hash = |part: u64| {
        let attempt = u64::try_from(run).unwrap_or_default();
        Random::new(part).bits(Purpose { component: "runtime", object: &pod.uid, reason: name, attempt })
    };
    let id: String = (0..4).map(|part| format!("{:016x}", hash(part))).collect();
    let scope = format!("{}/cri-containerd-{id}.scope", cgroup(pod));
    (id, scope)
}

fn cgroup(pod: &PodReading) -> String {
    of_pod("/", pod.class, &pod.uid, Driver::Systemd)
}

/// A series of each container, each pod and the whole node, as cAdvisor has them.
type Value<'a> = &'a dyn Fn(&ContainerReading) -> Option<f64>;

/// The labels of the cgroup around all others.
const ROOT: [(&str, &str); 6] =
    [("container", ""), ("id", "/"), ("image", ""), ("name", ""), ("namespace", ""), ("pod", "")];

/// What cAdvisor counts for the cgroup whose limit was hit (`watchForNewOoms` of its `manager/manager.go`). A container that is killed for
/// its memory is gone with its series; a node that has none left is not.
fn out_of_memory(containers: Family, reading: &Reading) -> Family {
    let of_pods = |all: Family, pod: &PodReading| all.with(&names("", "", "", &cgroup(pod), pod), 0.0);
    reading.pods.iter().fold(containers, of_pods).with(&ROOT, reading.counts.system_ooms as f64)
}

fn cadvisor(reading: &Reading, now: Now) -> Vec<Family> {
    let (counter, gauge) = (Type::Counter, Type::Gauge);
    let throttled = |value: fn(&Throttled) -> f64| move |of: &ContainerReading| of.throttled.as_ref().map(value);
    let memory = |of: &ContainerReading| Some(of.container.memory as f64);
    let each = |name: &str, kind, help: &str, value: Value<'_>| of_containers(reading, family(name, kind, help), value);
    let sums = |family: Family, more: &[(&str, &str)], value: fn(&ContainerReading) -> f64| {
        let mut all = 0.0;
        let mut family = family;
        for pod in &reading.pods {
            let sum: f64 = pod.containers.iter().map(value).sum();
            family = family.with(&[&names("", "", "", &cgroup(pod), pod)[..], more].concat(), sum);
            all += sum;
        }
        family.with(&[&ROOT[..], more].concat(), all)
    };
    let total = [("cpu", "total")];
    let cpu = family("container_cpu_usage_seconds_total", counter, "Cumulative cpu time consumed in seconds.");
    let cpu = with_containers(reading, cpu, &total, &|of| Some(of.cpu));
    let used = "Current memory usage in bytes, including all memory regardless of when it was accessed";
    let in_memory =
        |name: &str, help: &str| sums(each(name, gauge, help, &memory), &[], |of| of.container.memory as f64);
    vec![
        each(
            "container_cpu_cfs_periods_total",
            counter,
            "Number of elapsed enforcement period intervals.",
            &throttled(|of| of.periods),
        ),
        each(
            "container_cpu_cfs_throttled_periods_total",
            counter,
            "Number of throttled period intervals.",
            &throttled(|of| of.throttled_periods),
        ),
        each(
            "container_cpu_cfs_throttled_seconds_total",
            counter,
            "Total time duration the container has been throttled.",
            &throttled(|of| of.seconds),
        ),
        sums(cpu, &total, |of| of.cpu),
        each("container_last_seen", gauge, "Last time a container was seen by the exporter", &|_| {
            Some(now.time.as_second() as f64)
        }),
        // Nothing is cached here, so that all of these are the same.
        in_memory("container_memory_rss", "Size of RSS in bytes."),
        in_memory("container_memory_usage_bytes", used),
        in_memory("container_memory_working_set_bytes", "Current working set in bytes."),
        out_of_memory(
            each(
                "container_oom_events_total",
                counter,
                "Count of out of memory events observed for the container",
                &|_| Some(0.0),
            ),
            reading,
        ),
        each("container_spec_cpu_period", gauge, "CPU period of the container.", &|_| Some(PERIOD as f64)),
        each("container_spec_cpu_quota", gauge, "CPU quota of the container.", &|of| {
            of.quota.map(|quota| quota as f64)
        }),
        each("container_spec_cpu_shares", gauge, "CPU share of the container.", &|of| Some(of.shares as f64)),
        each("container_spec_memory_limit_bytes", gauge, "Memory limit for the container.", &|of| {
            Some(of.memory_limit.unwrap_or_default() as f64)
        }),
        each(
            "container_start_time_seconds",
            gauge,
            "Start time of the container since unix epoch in seconds.",
            &|of| Some(of.container.at.as_second() as f64),
        ),
        family("machine_cpu_cores", gauge, "Number of logical CPU cores.").with(&[], (reading.milli_cpu / 1000) as f64),
        family("machine_memory_bytes", gauge, "Amount of memory installed on the machine.")
            .with(&[], reading.capacity.memory as f64),
    ]
}

fn names<'a>(
    container: &'a str,
    image: &'a str,
    name: &'a str,
    id: &'a str,
    pod: &'a PodReading,
) -> [(&'static str, &'a str); 6] {
    [
        ("container", container),
        ("id", id),
        ("image", image),
        ("name", name),
        ("namespace", &pod.key.namespace),
        ("pod", &pod.key.name),
    ]
}

fn of_containers(reading: &Reading, family: Family, value: Value<'_>) -> Family {
    with_containers(reading, family, &[], value)
}

fn with_containers(reading: &Reading, mut family: Family, more: &[(&str, &str)], value: Value<'_>) -> Family {
    for pod in &reading.pods {
        for of in &pod.containers {
            let Some(value) = value(of) else { continue };
            let (id, cgroup) = id(pod, of);
            let names = names(&of.container.name, &of.container.image, &id, &cgroup, pod);
            family = family.with(&[&names[..], more].concat(), value);
        }
    }
    family
}

fn resource(reading: &Reading) -> Vec<Family> {
    type Containers = (&'static str, Type, &'static str, fn(&ContainerReading) -> f64);
    type Pods = (&'static str, Type, &'static str, &'static str, fn(&ContainerReading) -> f64);
    let containers: [Containers; 3] = [
        (
            "container_cpu_usage_seconds_total",
            Type::Counter,
            "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
            |of| of.cpu,
        ),
        (
            "container_memory_working_set_bytes",
            Type::Gauge,
            "[STABLE] Current working set of the container in bytes",
            |of| of.container.memory as f64,
        ),
        (
            "container_start_time_seconds",
            Type::Gauge,
            "[STABLE] Start time of the container since unix epoch in seconds",
            |of| of.container.at.as_second() as f64,
        ),
    ];
    let pods: [Pods; 2] = [
        (
            "cpu_usage_seconds_total",
            Type::Counter,
            "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
            "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
            |of| of.cpu,
        ),
        (
            "memory_working_set_bytes",
            Type::Gauge,
            "[STABLE] Current working set of the pod in bytes",
            "[STABLE] Current working set of the node in bytes",
            |of| of.container.memory as f64,
        ),
    ];
    let mut families = Vec::new();
    for (name, kind, help, value) in containers {
        let mut one = family(name, kind, help);
        for pod in &reading.pods {
            for of in &pod.containers {
                let labels = [
                    ("container", of.container.name.as_str()),
                    ("namespace", &pod.key.namespace),
                    ("pod", &pod.key.name),
                ];
                one = one.with(&labels, value(of));
            }
        }
        families.push(one);
    }
    for (name, kind, of_pod, of_node, value) in pods {
        let mut one = family(&format!("pod_{name}"), kind, of_pod);
        let mut all = 0.0;
        for pod in &reading.pods {
            let sum: f64 = pod.containers.iter().map(value).sum();
            one = one.with(&[("namespace", &pod.key.namespace), ("pod", &pod.key.name)], sum);
            all += sum;
        }
        families.push(family(&format!("node_{name}"), kind, of_node).with(&[], all));
        families.push(one);
    }
    let error = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    families.push(family("resource_scrape_error", Type::Gauge, error).with(&[], 0.0));
    families
}

fn probes(reading: &Reading) -> Family {
    let mut family = family(
        "prober_probe_total",
        Type::Counter,
        "[ALPHA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
    );
    for pod in &reading.pods {
        for (container, kind, result, count) in &pod.found {
            let labels = [
                ("container", container.as_str()),
                ("namespace", &pod.key.namespace),
                ("pod", &pod.key.name),
                ("pod_uid", &pod.uid),
                ("probe_type", &format!("{kind:?}")),
                ("result", result),
            ];
            family = family.with(&labels, *count as f64);
        }
    }
    family
}

/// `/metrics` of the node exporter: what most people ask it for. Nothing but pods uses the machine here.
pub fn exporter(node: &str, reading: &Reading, now: Now) -> Vec<Family> {
    let gauge = Type::Gauge;
    let cpus = (reading.milli_cpu / 1000).max(1);
    let up = now.since.nanos as f64 / 1e9;
    let worked: f64 = reading.pods.iter().flat_map(|pod| &pod.containers).map(|of| of.cpu).sum();
    let worked = (worked / cpus as f64).min(up);
    let mut cpu = family("node_cpu_seconds_total", Type::Counter, "Seconds the CPUs spent in each mode.");
    for index in 0..cpus {
        let index = index.to_string();
        cpu = cpu
            .with(&[("cpu", &index), ("mode", "idle")], up - worked)
            .with(&[("cpu", &index), ("mode", "user")], worked);
    }
    let (capacity, used) = (reading.capacity, reading.used);
    let disk = [("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", "/")];
    let free = |has: i64, used: i64| (has - used).max(0) as f64;
    vec![
        cpu,
        family("node_filesystem_avail_bytes", gauge, "Filesystem space available to non-root users in bytes.")
            .with(&disk, free(capacity.disk, used.disk)),
        family("node_filesystem_size_bytes", gauge, "Filesystem size in bytes.").with(&disk, capacity.disk as f64),
        family("node_memory_MemAvailable_bytes", gauge, "Memory information field MemAvailable_bytes.")
            .with(&[], free(capacity.memory, used.memory)),
        family("node_memory_MemTotal_bytes", gauge, "Memory information field MemTotal_bytes.")
            .with(&[], capacity.memory as f64),
        family("node_uname_info", gauge, "Labeled system information as provided by the uname system call.")
            .with(&[("nodename", node), ("sysname", "Linux")], 1.0),
        family("node_vmstat_oom_kill", Type::Untyped, "/proc/vmstat information field oom_kill.")
            .with(&[], reading.counts.oom_kills as f64),
    ]
}
