//! The reference for `node/limits`.

// ANCHOR: solution
use kit::node::Limits;
use kit::node::limits::{Cgroup, Ended, Load, Node, OomKill, Pod, PodCgroup, Resources, RunningContainer, Served};

/// It keeps nothing.
#[derive(Default)]
pub struct Exercise;

const PERIOD_MS: i64 = 100;

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let request = resources.cpu_request.or(resources.cpu_limit).unwrap_or(0);
        Cgroup {
            cpu_shares: shares(request),
            cpu_quota_us: limit(resources.cpu_limit).map(quota),
            memory_max: limit(resources.memory_limit),
        }
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        let total = |of: fn(&Resources) -> Option<i64>, overhead: i64| {
            let amount = |container| of(container).unwrap_or(0);
            let together: i64 = pod.containers.iter().map(amount).sum();
            let largest = pod.init_containers.iter().map(amount).max().unwrap_or(0);
            together.max(largest) + overhead
        };
        // One container without a limit can use up everything, and a limit around it would not be its own.
        let all_have = |of: fn(&Resources) -> Option<i64>| all(pod).all(|container| limit(of(container)).is_some());
        let asks = |of: fn(&Resources) -> Option<i64>| all(pod).any(|container| limit(of(container)).is_some());
        let request = if SIDES.into_iter().any(asks) { total(|of| of.cpu_request, pod.overhead_cpu) } else { 0 };
        PodCgroup {
            cpu_weight: 1 + (shares(request) - 2) * 9999 / 262_142,
            cpu_max_us: all_have(|of| of.cpu_limit).then(|| quota(total(|of| of.cpu_limit, pod.overhead_cpu))),
            memory_max: all_have(|of| of.memory_limit).then(|| total(|of| of.memory_limit, pod.overhead_memory)),
        }
    }

    // ANCHOR: serve
    fn serve(&self, load: &Load) -> Served {
        let mut left: Vec<i64> = load.requests.iter().map(|request| request.cpu_ms).collect();
        let mut served = Served { latency_ms: vec![0; left.len()], ..Served::default() };
        let (mut quota, mut counted, mut throttled) = (0, false, false);
        for now in 0.. {
            if now % PERIOD_MS == 0 {
                (quota, counted, throttled) = (load.quota_ms.unwrap_or(i64::MAX), false, false);
            }
            if left.iter().all(|left| *left == 0) {
                break;
            }
            let open = (0..left.len()).filter(|&one| left[one] > 0 && load.requests[one].at_ms <= now);
            let at_work: Vec<usize> = open.take(load.threads as usize).collect();
            for one in at_work {
                served.periods += i64::from(!counted);
                counted = true;
                if quota > 0 {
                    quota -= 1;
                    left[one] -= 1;
                    served.latency_ms[one] = now + 1 - load.requests[one].at_ms;
                } else {
                    served.throttled_periods += i64::from(!throttled);
                    served.throttled_ms += 1;
                    throttled = true;
                }
            }
        }
        if load.quota_ms.is_none() {
            served.periods = 0;
        }
        served
    }
    // ANCHOR_END: serve

    // ANCHOR: oom
    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let everybody = || node.pods.iter().flat_map(|pod| &pod.containers);
        let over = |max: &Option<i64>, used: i64| max.filter(|max| used > *max);
        let container = everybody().find_map(|one| Some((vec![one], over(&one.memory_max, used(one))?)));
        let pod = || {
            node.pods.iter().find_map(|pod| {
                let total = over(&pod.memory_max, pod.containers.iter().map(used).sum())?;
                Some((pod.containers.iter().collect(), total))
            })
        };
        let all = || Some((everybody().collect(), over(&Some(node.memory), everybody().map(used).sum())?));
        let (among, total): (Vec<&RunningContainer>, i64) = container.or_else(pod).or_else(all)?;

        let killable = among.into_iter().filter(|container| container.oom_score_adj != -1000);
        let processes = killable.flat_map(|container| (0..container.processes.len()).map(move |at| (container, at)));
        // A thousand times the points, so that nothing is rounded.
        let points = |(container, at): &(&RunningContainer, usize)| {
            container.processes[*at] * 1000 + container.oom_score_adj * total
        };
        // Of several with as many points the first: `max_by_key` alone would take the last.
        let all: Vec<_> = processes.collect();
        let (container, victim) = all.into_iter().rev().max_by_key(points)?;
        let processes: Vec<usize> =
            if node.single_process_oom_kill { vec![victim] } else { (0..container.processes.len()).collect() };
        let ended = processes.contains(&0).then(|| Ended { exit_code: 137, reason: "OOMKilled".into() });
        Some(OomKill { container: container.name.clone(), processes, ended })
    }
    // ANCHOR_END: oom
}

const SIDES: [fn(&Resources) -> Option<i64>; 4] =
    [|of| of.cpu_request, |of| of.cpu_limit, |of| of.memory_request, |of| of.memory_limit];

fn all(pod: &Pod) -> impl Iterator<Item = &Resources> {
    pod.containers.iter().chain(&pod.init_containers)
}

/// A limit of 0 is none.
fn limit(amount: Option<i64>) -> Option<i64> {
    amount.filter(|amount| *amount > 0)
}

fn shares(milli_cpu: i64) -> i64 {
    (milli_cpu * 1024 / 1000).clamp(2, 262_144)
}

/// A thousandth of a CPU is 100 microseconds of a period.
fn quota(milli_cpu: i64) -> i64 {
    (milli_cpu * 100).max(1000)
}

fn used(container: &RunningContainer) -> i64 {
    container.processes.iter().sum()
}
// ANCHOR_END: solution
