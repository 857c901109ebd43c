//! # Limits: what a container gets, and what becomes of it
//!
//! Kubernetes limits nothing by itself: it writes a few numbers into cgroups, and the kernel does the rest. You say which
//! numbers these are, what a CPU quota does to the latency of a service, and who is killed when memory runs out.
//!
//! About 45 minutes · builds on nothing · book: "Limits: what a container gets, and what becomes of it" · stuck? `cargo grade hint node/limits`
//!
//! All types are in `kit::node::limits`.

use kit::node::Limits;
use kit::node::limits::{Cgroup, Load, Node, OomKill, Pod, PodCgroup, Resources, Served};

#[derive(Default)]
struct Exercise;

impl Limits for Exercise {
    /// What the runtime is told of one container.
    ///
    /// - `cpu_shares`: 1024 for each CPU that is requested, without a fraction, from 2 to 262144. A CPU request that is
    ///   missing is as much as the limit, or else 0.
    /// - `cpu_quota_us`: the microseconds of CPU time in each period of 100 ms that make up the CPU limit, at least 1000.
    /// - `memory_max`: the memory limit.
    ///
    /// A limit of 0 is none. A memory request is told nobody. CPUs are in thousandths.
    fn container(&self, resources: &Resources) -> Cgroup {
        let _ = resources;
        todo!("shares from the CPU request, quota from the CPU limit")
    }

    /// What the kubelet writes into the cgroup around the containers of a pod.
    ///
    /// All that is said of a container holds for all containers of the pod together. Init containers run one after the
    /// other and before the others, so a pod needs the sum of its containers, or as much as its largest init container if
    /// that is more. The overhead comes on top. This goes for requests and limits, for CPU and memory, each by itself.
    ///
    /// - `cpu_weight`: `1 + (shares - 2) * 9999 / 262142`, without a fraction, of the shares of that CPU request. It is 1
    ///   if no container and no init container requests or limits more than 0 of anything (BestEffort), whatever the
    ///   overhead.
    /// - `cpu_max_us`: the quota of that CPU limit, if every container and init container has a CPU limit.
    /// - `memory_max`: that memory limit, if every container and init container has a memory limit.
    ///
    /// Defaults are filled in: where there is a limit there is a request.
    fn pod(&self, pod: &Pod) -> PodCgroup {
        let _ = pod;
        todo!("how much does the pod need of each? and does every container have a limit?")
    }

    /// What a quota does to the requests that a container serves.
    ///
    /// Time goes by the millisecond. A period begins every 100 ms, from 0 on, and then there are `quota_ms` to be used;
    /// what is left of the period before is lost. In each millisecond:
    ///
    /// 1. The first `threads` requests in the list that have arrived and aren't done are at work, each on a thread of its
    ///    own. The others wait for a thread.
    /// 2. Each of those at work, in order, takes 1 ms of the quota and does 1 ms of its work. When the quota is used up, the
    ///    rest of them is *throttled* for this millisecond.
    ///
    /// A request with 1 ms of work that arrives at 7 and isn't held up is done at 8. The list is sorted by `at_ms`.
    ///
    /// A period counts if a request was at work in it, and counts as throttled if one of them was. `throttled_ms` counts
    /// each thread in each millisecond. Without a quota nobody is throttled, and nothing is counted.
    fn serve(&self, load: &Load) -> Served {
        let _ = load;
        todo!("a loop over milliseconds, with what each request has left to do")
    }

    /// Whom the kernel kills, if there is too little memory. Amounts are MiB.
    ///
    /// **Where.** The first of these that holds says among whose processes the victim is, and how much is `total` there:
    ///
    /// 1. The first container whose processes use more than its `memory_max`.
    /// 2. The first pod whose containers together use more than its `memory_max`.
    /// 3. All pods, if they use more than the memory of the node.
    ///
    /// **Who.** The process with the most points: what it uses, and `oom_score_adj * total / 1000`, exactly. Of several with
    /// as many the first. With -1000 nobody is killed.
    ///
    /// **With whom.** All processes of its container, as `memory.oom.group` is 1 there; with `single_process_oom_kill` it
    /// alone.
    ///
    /// **And then.** If the first process of a container was killed, the container has ended, with the exit code 137 (128
    /// and SIGKILL's 9) and the reason `OOMKilled`. Else it runs on.
    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let _ = node;
        todo!("where is too much used? who has most points there? who goes with it?")
    }
}

kit::exercise!(Exercise: Limits);
