//! Passes: a pod is folded over a small matrix in 128 bits, a load keeps who is open in one list from which those that are done are taken
//! out, and the victim is the first after a sort.

use kit::node::Limits;
use kit::node::limits::*;

#[derive(Default)]
struct Exercise;

const MOST: i128 = 262_144;

fn shares(milli: i128) -> i128 {
    let whole = milli.div_euclid(1000) * 1024 + milli.rem_euclid(1000) * 1024 / 1000;
    if whole < 2 {
        2
    } else if whole > MOST {
        MOST
    } else {
        whole
    }
}

fn quota(milli: i128) -> i64 {
    if milli < 10 { 1000 } else { small(milli * 100) }
}

fn small(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

fn row(of: &Resources) -> [Option<i128>; 4] {
    [of.cpu_request, of.cpu_limit, of.memory_request, of.memory_limit].map(|amount| amount.map(i128::from))
}

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let mut told = Cgroup { cpu_shares: 0, cpu_quota_us: None, memory_max: None };
        let request = match (resources.cpu_request, resources.cpu_limit) {
            (Some(request), _) => request,
            (None, Some(limit)) => limit,
            (None, None) => 0,
        };
        told.cpu_shares = small(shares(request.into()));
        if let Some(limit @ 1..) = resources.cpu_limit {
            told.cpu_quota_us = Some(quota(limit.into()));
        }
        if let Some(limit @ 1..) = resources.memory_limit {
            told.memory_max = Some(limit);
        }
        told
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        let (mut sum, mut most, mut lacks, mut asks) = ([0_i128; 4], [0_i128; 4], [false; 4], false);
        let inits = pod.init_containers.iter().map(|of| (true, row(of)));
        let mains = pod.containers.iter().map(|of| (false, row(of)));
        for (is_init, row) in inits.chain(mains) {
            for (place, amount) in row.into_iter().enumerate() {
                let amount = amount.unwrap_or_default();
                lacks[place] |= amount <= 0;
                asks |= amount > 0;
                if is_init {
                    most[place] = most[place].max(amount);
                } else {
                    sum[place] += amount;
                }
            }
        }
        let overhead = [pod.overhead_cpu, pod.overhead_cpu, pod.overhead_memory, pod.overhead_memory].map(i128::from);
        let needs: Vec<i128> =
            (0..4).map(|at| overhead[at] + if sum[at] > most[at] { sum[at] } else { most[at] }).collect();
        let weight = if asks { 1 + (shares(needs[0]) - 2) * 9999 / 262_142 } else { 1 };
        PodCgroup {
            cpu_weight: small(weight),
            cpu_max_us: if lacks[1] { None } else { Some(quota(needs[1])) },
            memory_max: if lacks[3] { None } else { Some(small(needs[3])) },
        }
    }

    fn serve(&self, load: &Load) -> Served {
        let mut latency_ms = vec![0; load.requests.len()];
        // The number of a request, and what is left of it.
        let mut open: Vec<(usize, i64)> = Vec::new();
        let mut coming = load.requests.iter().enumerate().peekable();
        let (mut now, mut used, mut worked, mut stopped, mut stops) = (0_i64, 0_i64, Vec::new(), Vec::new(), 0);
        while !open.is_empty() || coming.peek().is_some() {
            while let Some((number, request)) = coming.next_if(|(_, request)| request.at_ms <= now) {
                open.push((number, request.cpu_ms));
            }
            if now % 100 == 0 {
                used = 0;
            }
            for (number, left) in open.iter_mut().take(load.threads as usize) {
                worked.push(now / 100);
                if load.quota_ms.is_some_and(|quota| used >= quota) {
                    stopped.push(now / 100);
                    stops += 1;
                    continue;
                }
                used += 1;
                *left -= 1;
                if *left == 0 {
                    latency_ms[*number] = now + 1 - load.requests[*number].at_ms;
                }
            }
            open.retain(|(_, left)| *left > 0);
            now += 1;
        }
        worked.dedup();
        stopped.dedup();
        let periods = if load.quota_ms.is_some() { worked.len() as i64 } else { 0 };
        Served { latency_ms, periods, throttled_periods: stopped.len() as i64, throttled_ms: stops }
    }

    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let uses = |one: &RunningContainer| one.processes.iter().sum::<i64>();
        let mut places: Vec<(Vec<&RunningContainer>, Option<i64>)> = Vec::new();
        for pod in &node.pods {
            places.extend(pod.containers.iter().map(|one| (vec![one], one.memory_max)));
        }
        for pod in &node.pods {
            places.push((pod.containers.iter().collect(), pod.memory_max));
        }
        places.push((node.pods.iter().flat_map(|pod| pod.containers.iter()).collect(), Some(node.memory)));
        let (who, total) = places.into_iter().find_map(|(who, max)| {
            let max = max?;
            let used: i64 = who.iter().map(|one| uses(one)).sum();
            if used > max { Some((who, max)) } else { None }
        })?;
        let mut all = Vec::new();
        for one in who {
            if one.oom_score_adj > -1000 {
                for (place, used) in one.processes.iter().enumerate() {
                    all.push((1000 * used + total * one.oom_score_adj, one, place));
                }
            }
        }
        all.sort_by(|one, other| other.0.cmp(&one.0));
        let (_, one, victim) = all.first()?;
        let mut killed: Vec<usize> = (0..one.processes.len()).collect();
        if node.single_process_oom_kill {
            killed.retain(|place| place == victim);
        }
        let ended = match killed.first() {
            Some(0) => Some(Ended { exit_code: 137, reason: "OOMKilled".to_owned() }),
            _ => None,
        };
        Some(OomKill { container: one.name.clone(), processes: killed, ended })
    }
}

kit::exercise!(Exercise: Limits);
