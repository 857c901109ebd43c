//! Passes: time goes in leaps, from one event to the next, instead of by the millisecond; amounts of a pod are added up in one fold, and the
//! victim is found with a loop.

use kit::node::Limits;
use kit::node::limits::*;

#[derive(Default)]
struct Exercise;

/// CPU request, CPU limit, memory limit.
type Sums = [i64; 3];

fn sums(of: &Resources) -> Sums {
    [of.cpu_request, of.cpu_limit, of.memory_limit].map(|amount| amount.unwrap_or(0))
}

fn shares(milli: i64) -> i64 {
    i64::max(2, i64::min(milli * 128 / 125, 1 << 18))
}

fn quota(milli: i64) -> Option<i64> {
    match milli {
        0 => None,
        1..10 => Some(1000),
        _ => Some(100 * milli),
    }
}

fn positive(amount: i64) -> Option<i64> {
    (amount != 0).then_some(amount)
}

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let [mut request, limit, memory] = sums(resources);
        if resources.cpu_request.is_none() {
            request = limit;
        }
        Cgroup { cpu_shares: shares(request), cpu_quota_us: quota(limit), memory_max: positive(memory) }
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        let mut together = [0; 3];
        let (mut cpu, mut memory, mut anything) = (true, true, false);
        for of in &pod.containers {
            for (sum, more) in together.iter_mut().zip(sums(of)) {
                *sum += more;
            }
        }
        for of in &pod.init_containers {
            for (sum, most) in together.iter_mut().zip(sums(of)) {
                *sum = (*sum).max(most);
            }
        }
        for of in pod.containers.iter().chain(&pod.init_containers) {
            let [request, limit, of_memory] = sums(of);
            cpu &= limit != 0;
            memory &= of_memory != 0;
            anything |= request + limit + of_memory + of.memory_request.unwrap_or(0) != 0;
        }
        let [request, limit, of_memory] = together;
        let shares = if anything { shares(request + pod.overhead_cpu) } else { 2 };
        PodCgroup {
            cpu_weight: (shares - 2) * 9999 / 262_142 + 1,
            cpu_max_us: if cpu { quota(limit + pod.overhead_cpu) } else { None },
            memory_max: if memory { Some(of_memory + pod.overhead_memory) } else { None },
        }
    }

    fn serve(&self, load: &Load) -> Served {
        let mut served = Served { latency_ms: vec![0; load.requests.len()], ..Served::default() };
        let mut left: Vec<(usize, i64)> = load.requests.iter().map(|of| of.cpu_ms).enumerate().collect();
        let mut now = 0;
        let (mut quota, mut ends) = (0, 0);
        let (mut last_counted, mut last_throttled) = (-1, -1);
        while !left.is_empty() {
            let next = left.iter().map(|(one, _)| load.requests[*one].at_ms).min().unwrap_or(0);
            now = now.max(next);
            if now >= ends {
                ends = now / 100 * 100 + 100;
                quota = load.quota_ms.unwrap_or(i64::MAX);
            }
            let arrived = left.iter().filter(|(one, _)| load.requests[*one].at_ms <= now);
            let work: Vec<usize> = arrived.map(|(one, _)| *one).take(load.threads as usize).collect();
            let many = work.len() as i64;
            if last_counted != ends {
                served.periods += 1;
                last_counted = ends;
            }
            // How long until something is another: somebody comes, is done, the period ends, or the quota is short.
            let arrival = load.requests.iter().map(|of| of.at_ms).filter(|at| *at > now).min().unwrap_or(i64::MAX);
            let mut span = arrival.min(ends) - now;
            if quota >= many {
                let first = left.iter().filter(|(one, _)| work.contains(one)).map(|(_, left)| *left).min().unwrap_or(1);
                span = span.min(first).min(quota / many);
                quota -= span * many;
                for (one, left) in left.iter_mut().filter(|(one, _)| work.contains(one)) {
                    *left -= span;
                    served.latency_ms[*one] = now + span - load.requests[*one].at_ms;
                }
            } else {
                if last_throttled != ends {
                    served.throttled_periods += 1;
                    last_throttled = ends;
                }
                if quota > 0 {
                    span = 1;
                    for one in &work[..quota as usize] {
                        for (_, left) in left.iter_mut().filter(|(other, _)| other == one) {
                            *left -= 1;
                        }
                        served.latency_ms[*one] = now + 1 - load.requests[*one].at_ms;
                    }
                }
                served.throttled_ms += span * many - quota;
                quota = 0;
            }
            left.retain(|(_, left)| *left > 0);
            now += span;
        }
        if load.quota_ms.is_none() {
            served.periods = 0;
        }
        served
    }

    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let sum = |of: &RunningContainer| of.processes.iter().sum::<i64>();
        let mut among: Vec<&RunningContainer> = Vec::new();
        let mut total = 0;
        for pod in &node.pods {
            for of in &pod.containers {
                if among.is_empty() && of.memory_max.is_some_and(|max| max < sum(of)) {
                    among.push(of);
                    total = of.memory_max.unwrap_or(0);
                }
            }
        }
        for pod in &node.pods {
            if among.is_empty() && pod.memory_max.is_some_and(|max| max < pod.containers.iter().map(sum).sum()) {
                among.extend(&pod.containers);
                total = pod.memory_max.unwrap_or(0);
            }
        }
        if among.is_empty() {
            among.extend(node.pods.iter().flat_map(|pod| &pod.containers));
            total = node.memory;
            if among.iter().map(|of| sum(of)).sum::<i64>() <= total {
                return None;
            }
        }
        let mut best: Option<(i64, &RunningContainer, usize)> = None;
        for of in among {
            if of.oom_score_adj == -1000 {
                continue;
            }
            for (at, uses) in of.processes.iter().enumerate() {
                let points = uses * 1000 + of.oom_score_adj * total;
                if best.as_ref().is_none_or(|(most, ..)| points > *most) {
                    best = Some((points, of, at));
                }
            }
        }
        let (_, of, at) = best?;
        let alone = node.single_process_oom_kill;
        let ends = !alone || at == 0;
        Some(OomKill {
            container: of.name.clone(),
            processes: if alone { vec![at] } else { (0..of.processes.len()).collect() },
            ended: if ends { Some(Ended { exit_code: 128 + 9, reason: "OOMKilled".to_string() }) } else { None },
        })
    }
}

kit::exercise!(Exercise: Limits);
