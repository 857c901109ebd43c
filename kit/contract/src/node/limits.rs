//! What becomes of requests and limits in the kernel: weights, quotas, and who is killed for memory.
//!
//! Sources: `pkg/kubelet/kuberuntime/kuberuntime_container_linux.go` (what a runtime is told), `pkg/kubelet/cm/helpers_linux.go`
//! (`MilliCPUToShares`, `MilliCPUToQuota`, `ResourceConfigForPod`), `cgroup_manager_linux.go` (`getCPUWeight`); of the kernel
//! `Documentation/scheduler/sched-bwc.rst`, `mm/oom_kill.c` (`oom_badness`) and `Documentation/admin-guide/cgroup-v2.rst`
//! (`memory.oom.group`).
//!
//! All is as on a node with cgroup v2 and the gates of 1.33: `MemoryQoS` is off, so that nobody writes `memory.min` or
//! `memory.high`. Some things are simpler here than in the kernel: CPU time is handed out by the millisecond, and there are as many CPUs
//! as threads; there is no swap. Where the kernel goes by chance, there is a rule.

use crate::Show;
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Says what requests and limits become, and what they do.
    pub trait Limits {
        /// What the runtime is told of one container.
        ///
        /// - `cpu_shares`: 1024 for each CPU that is requested, without a fraction, from 2 to 262144. A CPU request that is
        ///   missing is as much as the limit, or else 0.
        /// - `cpu_quota_us`: the microseconds of CPU time in each period of 100 ms that make up the CPU limit, at least 1000.
        /// - `memory_max`: the memory limit.
        ///
        /// A limit of 0 is none. A memory request is told nobody.
        fn container(&self, resources: &Resources) -> Cgroup;

        /// What the kubelet writes into the cgroup around the containers of a pod.
        ///
        /// All that is said of a container holds for all containers of the pod together. Init containers run one after the
        /// other and before the others, so a pod needs the sum of its containers, or as much as its largest init container if
        /// that is more. The overhead comes on top. This goes for requests and limits, for CPU and memory, each by itself.
        ///
        /// - `cpu_weight`: `1 + (shares - 2) * 9999 / 262142`, without a fraction, of the shares of that CPU request.
        ///   It is 1 if no container and no init container requests or limits more than 0 of anything (BestEffort), whatever the
        ///   overhead.
        /// - `cpu_max_us`: the quota of that CPU limit, if every container and init container has a CPU limit.
        /// - `memory_max`: that memory limit, if every container and init container has a memory limit.
        ///
        /// Defaults are filled in: where there is a limit there is a request.
        fn pod(&self, pod: &Pod) -> PodCgroup;

        /// What a quota does to the requests that a container serves.
        ///
        /// Time goes by the millisecond. A period begins every 100 ms, from 0 on, and then there are `quota_ms` to be used; what is left of the
        /// period before is lost. In each millisecond:
        ///
        /// 1. The first `threads` requests in the list that have arrived and aren't done are at work, each on a thread of its own.
        ///    The others wait for a thread.
        /// 2. Each of those at work, in order, takes 1 ms of the quota and does 1 ms of its work. When the quota is used up, the rest
        ///    of them is *throttled* for this millisecond.
        ///
        /// A request with 1 ms of work that arrives at 7 and isn't held up is done at 8. The list is sorted by `at_ms`.
        ///
        /// A period counts if a request was at work in it, and counts as throttled if one of them was. `throttled_ms` counts each
        /// thread in each millisecond. Without a quota nobody is throttled, and nothing is counted.
        fn serve(&self, load: &Load) -> Served;

        /// Whom the kernel kills, if there is too little memory. Amounts are MiB.
        ///
        /// **Where.** The first of these that holds says among whose processes the victim is, and how much is `total` there:
        ///
        /// 1. The first container whose processes use more than its `memory_max`.
        /// 2. The first pod whose containers together use more than its `memory_max`.
        /// 3. All pods, if they use more than the memory of the node.
        ///
        /// **Who.** The process with the most points: what it uses, and `oom_score_adj * total / 1000`, exactly. Of several with as
        /// many the first. With -1000 nobody is killed.
        ///
        /// **With whom.** All processes of its container, as `memory.oom.group` is 1 there; with `single_process_oom_kill` it alone.
        ///
        /// **And then.** If the first process of a container was killed, the container has ended, with the exit code 137 (128 and SIGKILL's 9)
        /// and the reason `OOMKilled`. Else it runs on.
        fn out_of_memory(&self, node: &Node) -> Option<OomKill>;
    }
}

/// What a container asks for. Absent is not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_request: Option<i64>,
    /// Thousandths of a CPU.
    pub cpu_limit: Option<i64>,
    /// Bytes.
    pub memory_request: Option<i64>,
    /// Bytes.
    pub memory_limit: Option<i64>,
}

/// What a runtime is told of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cgroup {
    /// Its part where there is too little CPU.
    pub cpu_shares: i64,
    /// Microseconds of CPU time in each period of 100 ms; none without a limit.
    pub cpu_quota_us: Option<i64>,
    /// Bytes; none without a limit.
    pub memory_max: Option<i64>,
}

/// A pod. None of its init containers is a sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// They run at the same time.
    pub containers: Vec<Resources>,
    /// They run one after the other, before the others.
    pub init_containers: Vec<Resources>,
    /// Thousandths of a CPU that the runtime needs for the pod itself.
    pub overhead_cpu: i64,
    /// Bytes, for the same.
    pub overhead_memory: i64,
}

/// What is written into the files of a pod's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodCgroup {
    /// `cpu.weight`
    pub cpu_weight: i64,
    /// The first number of `cpu.max`: microseconds in each period of 100 ms. None is `max`.
    pub cpu_max_us: Option<i64>,
    /// `memory.max`: bytes. None is `max`.
    pub memory_max: Option<i64>,
}

/// What a container has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// How much CPU time there is in each period of 100 ms, at least 1; none without a limit.
    #[serde(default)]
    pub quota_ms: Option<i64>,
    /// How many requests it works on at the same time, at least 1.
    pub threads: u32,
    /// In the order in which they arrive.
    pub requests: Vec<Request>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// When it arrives.
    pub at_ms: i64,
    /// How much CPU time it takes, at least 1.
    pub cpu_ms: i64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// Of each request, from its arrival until it is done.
    pub latency_ms: Vec<i64>,
    /// `nr_periods` of `cpu.stat`, as in `container_cpu_cfs_periods_total`.
    pub periods: i64,
    /// `nr_throttled`, as in `container_cpu_cfs_throttled_periods_total`.
    pub throttled_periods: i64,
    /// `throttled_usec`, as in `container_cpu_cfs_throttled_seconds_total`.
    pub throttled_ms: i64,
}

/// A node and what runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// How much there is.
    pub memory: i64,
    /// `singleProcessOOMKill` of the kubelet's configuration.
    #[serde(default)]
    pub single_process_oom_kill: bool,
    /// Its pods.
    pub pods: Vec<RunningPod>,
}

/// A pod that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningPod {
    /// `memory.max` of its cgroup.
    #[serde(default)]
    pub memory_max: Option<i64>,
    /// Its containers.
    pub containers: Vec<RunningContainer>,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningContainer {
    /// No two on a node have the same.
    pub name: String,
    /// `memory.max` of its cgroup.
    #[serde(default)]
    pub memory_max: Option<i64>,
    /// What each of its processes has, from -1000 to 1000.
    pub oom_score_adj: i64,
    /// What each of its processes uses.
    pub processes: Vec<i64>,
}

/// What the kernel does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OomKill {
    /// The container of the victim.
    pub container: String,
    /// The places in its list of those that are killed, from 0.
    pub processes: Vec<usize>,
    /// What its status says, if it has ended.
    pub ended: Option<Ended>,
}

/// `state.terminated` of a container's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// `exitCode`
    pub exit_code: i32,
    /// `reason`
    pub reason: String,
}
// ANCHOR_END: contract

/// An amount of bytes as people write it, if that says the same.
fn bytes(amount: i64) -> String {
    match amount {
        0 => "0".into(),
        _ if amount % (1 << 30) == 0 => format!("{}Gi", amount >> 30),
        _ if amount % (1 << 20) == 0 => format!("{}Mi", amount >> 20),
        _ => amount.to_string(),
    }
}

fn cpu(milli: i64) -> String {
    format!("{milli}m")
}

impl Resources {
    fn said(&self) -> String {
        let side = |name: &str, of_cpu: Option<i64>, of_memory: Option<i64>| {
            let all = of_cpu.map(|milli| format!("cpu {}", cpu(milli))).into_iter();
            let all: Vec<_> = all.chain(of_memory.map(|amount| format!("memory {}", bytes(amount)))).collect();
            format!("{name} {}", if all.is_empty() { "nothing".into() } else { all.join(", ") })
        };
        let requests = side("requests", self.cpu_request, self.memory_request);
        format!("{requests}; {}", side("limits", self.cpu_limit, self.memory_limit))
    }
}

fn most(amount: Option<i64>, show: impl Fn(i64) -> String) -> String {
    amount.map_or("max".into(), show)
}

fn of_period(quota: Option<i64>) -> String {
    most(quota, |quota| format!("{quota} of 100000"))
}

impl Show for Resources {
    fn lines(&self) -> Vec<String> {
        vec![self.said()]
    }
}

impl Show for Cgroup {
    fn lines(&self) -> Vec<String> {
        vec![
            format!("cpu shares {}", self.cpu_shares),
            format!("cpu quota {}", of_period(self.cpu_quota_us)),
            format!("memory {}", most(self.memory_max, bytes)),
        ]
    }
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let inits = self.init_containers.iter().map(|of| format!("init container: {}", of.said()));
        let containers = self.containers.iter().map(|of| format!("container: {}", of.said()));
        let overhead = (self.overhead_cpu != 0 || self.overhead_memory != 0)
            .then(|| format!("overhead: cpu {}, memory {}", cpu(self.overhead_cpu), bytes(self.overhead_memory)));
        inits.chain(containers).chain(overhead).collect()
    }
}

impl Show for PodCgroup {
    fn lines(&self) -> Vec<String> {
        vec![
            format!("cpu.weight {}", self.cpu_weight),
            format!("cpu.max {}", of_period(self.cpu_max_us)),
            format!("memory.max {}", most(self.memory_max, bytes)),
        ]
    }
}

impl Show for Load {
    fn lines(&self) -> Vec<String> {
        // Those that are alike and come together are one line.
        let mut lines: Vec<(Request, usize)> = Vec::new();
        for request in &self.requests {
            match lines.last_mut() {
                Some((last, count)) if last == request => *count += 1,
                _ => lines.push((*request, 1)),
            }
        }
        let threads = if self.threads == 1 { "1 thread".into() } else { format!("{} threads", self.threads) };
        let requests = lines.into_iter().map(|(Request { at_ms, cpu_ms }, count)| {
            let many = if count == 1 { String::new() } else { format!("{count} requests, each ") };
            format!("at {at_ms} ms: {many}{cpu_ms} ms of CPU time")
        });
        let quota = self.quota_ms.map_or("no limit".into(), |quota| format!("{quota} ms of CPU time in each 100 ms"));
        [quota, threads].into_iter().chain(requests).collect()
    }
}

impl Show for Served {
    fn lines(&self) -> Vec<String> {
        let latencies: Vec<String> = self.latency_ms.iter().map(i64::to_string).collect();
        vec![
            format!("latencies {} ms", if latencies.is_empty() { "none".into() } else { latencies.join(", ") }),
            format!("periods {}, throttled {}", self.periods, self.throttled_periods),
            format!("throttled for {} ms", self.throttled_ms),
        ]
    }
}

impl Show for Node {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}Mi of memory", self.memory)];
        if self.single_process_oom_kill {
            lines.push("singleProcessOOMKill: true".into());
        }
        let limit = |max: Option<i64>| max.map_or("no limit".into(), |max| format!("limit {max}Mi"));
        for (pod, number) in self.pods.iter().zip(1..) {
            lines.push(format!("pod {number}: {}", limit(pod.memory_max)));
            for RunningContainer { name, memory_max, oom_score_adj, processes } in &pod.containers {
                let processes: Vec<String> = processes.iter().map(|used| format!("{used}Mi")).collect();
                lines.push(format!(
                    "  container {name}: {}, oom_score_adj {oom_score_adj}, processes {}",
                    limit(*memory_max),
                    processes.join(", ")
                ));
            }
        }
        lines
    }
}

impl Show for OomKill {
    fn lines(&self) -> Vec<String> {
        let killed: Vec<String> = self.processes.iter().map(|at| format!("{}", at + 1)).collect();
        let killed = format!("kill of {}: process {}", self.container, killed.join(", "));
        let ended = match &self.ended {
            Some(Ended { exit_code, reason }) => {
                format!("{} has ended: {reason}, exit code {exit_code}", self.container)
            }
            None => format!("{} runs on", self.container),
        };
        vec![killed, ended]
    }
    fn meaning(&self) -> String {
        let mut killed = self.processes.clone();
        killed.sort_unstable();
        format!("{} {killed:?} {:?}", self.container, self.ended)
    }
}
