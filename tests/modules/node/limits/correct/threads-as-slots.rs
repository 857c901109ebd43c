//! Passes: threads are slots that hold requests, and a queue waits for them; periods are played one after the other; the kill sorts a list of
//! all processes.

use kit::node::Limits;
use kit::node::limits::*;
use std::cmp::Reverse;
use std::collections::VecDeque;

#[derive(Default)]
struct Exercise;

struct Job {
    number: usize,
    at: i64,
    left: i64,
}

fn weight(milli: i64) -> (i64, i64) {
    let shares = (milli * 1024 / 1000).max(2).min(262_144);
    (shares, 1 + (shares - 2) * 9999 / 262_142)
}

fn micros(milli: i64) -> i64 {
    if milli < 10 { 1000 } else { milli * 100 }
}

fn real(amount: Option<i64>) -> Option<i64> {
    match amount {
        Some(0) | None => None,
        some => some,
    }
}

/// What a pod needs of something; none if one of its containers doesn't say.
fn need(pod: &Pod, of: impl Fn(&Resources) -> Option<i64>) -> Option<i64> {
    let mut sum = 0;
    for one in &pod.containers {
        sum += of(one)?;
    }
    for one in &pod.init_containers {
        sum = sum.max(of(one)?);
    }
    Some(sum)
}

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let Resources { cpu_request, cpu_limit, memory_limit, .. } = *resources;
        let request = match (cpu_request, cpu_limit) {
            (Some(request), _) => request,
            (None, Some(limit)) => limit,
            (None, None) => 0,
        };
        Cgroup { cpu_shares: weight(request).0, cpu_quota_us: real(cpu_limit).map(micros), memory_max: real(memory_limit) }
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        let silent = |of: &Resources| {
            [of.cpu_request, of.cpu_limit, of.memory_request, of.memory_limit].into_iter().all(|one| real(one).is_none())
        };
        let best_effort = pod.containers.iter().all(silent) && pod.init_containers.iter().all(silent);
        let request = need(pod, |of| Some(of.cpu_request.unwrap_or_default())).unwrap_or_default();
        PodCgroup {
            cpu_weight: if best_effort { 1 } else { weight(request + pod.overhead_cpu).1 },
            cpu_max_us: need(pod, |of| real(of.cpu_limit)).map(|limit| micros(limit + pod.overhead_cpu)),
            memory_max: need(pod, |of| real(of.memory_limit)).map(|limit| limit + pod.overhead_memory),
        }
    }

    fn serve(&self, load: &Load) -> Served {
        let count = load.requests.len();
        let mut done = vec![0; count];
        let jobs = load.requests.iter().enumerate().map(|(number, of)| Job { number, at: of.at_ms, left: of.cpu_ms });
        let mut queue: VecDeque<Job> = jobs.collect();
        let mut slots: Vec<Job> = Vec::new();
        let (mut periods, mut throttled_periods, mut throttled_ms) = (0, 0, 0);
        let mut period = 0;
        while !queue.is_empty() || !slots.is_empty() {
            let mut quota = load.quota_ms;
            let (mut worked, mut stopped) = (false, 0);
            for now in period * 100..period * 100 + 100 {
                while slots.len() < load.threads as usize && queue.front().is_some_and(|job| job.at <= now) {
                    slots.extend(queue.pop_front());
                }
                worked |= !slots.is_empty();
                for job in &mut slots {
                    match &mut quota {
                        Some(0) => stopped += 1,
                        Some(quota) => {
                            *quota -= 1;
                            job.left -= 1;
                        }
                        None => job.left -= 1,
                    }
                }
                slots.retain(|job| {
                    if job.left == 0 {
                        done[job.number] = now + 1 - job.at;
                    }
                    job.left != 0
                });
            }
            if load.quota_ms.is_some() {
                periods += i64::from(worked);
                throttled_periods += i64::from(stopped > 0);
                throttled_ms += stopped;
            }
            period += 1;
        }
        Served { latency_ms: done, periods, throttled_periods, throttled_ms }
    }

    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let uses = |all: &[RunningContainer]| all.iter().flat_map(|of| &of.processes).sum::<i64>();
        let pods: Vec<&RunningPod> = node.pods.iter().collect();
        let mut domains: Vec<(Vec<RunningContainer>, Option<i64>)> = Vec::new();
        for pod in &pods {
            domains.extend(pod.containers.iter().map(|of| (vec![of.clone()], of.memory_max)));
        }
        domains.extend(pods.iter().map(|pod| (pod.containers.clone(), pod.memory_max)));
        domains.push((pods.iter().flat_map(|pod| pod.containers.clone()).collect(), Some(node.memory)));
        let (among, limit) = domains.into_iter().find(|(all, max)| max.is_some_and(|max| uses(all) > max))?;
        let total = limit?;
        let mut list: Vec<(Reverse<i64>, usize, &RunningContainer)> = Vec::new();
        for of in among.iter().filter(|of| of.oom_score_adj > -1000) {
            for (at, used) in of.processes.iter().enumerate() {
                list.push((Reverse(used * 1000 + of.oom_score_adj * total), at, of));
            }
        }
        list.sort_by_key(|(points, ..)| *points);
        let (_, victim, of) = list.first()?;
        let killed = (0..of.processes.len()).filter(|at| at == victim || !node.single_process_oom_kill);
        let processes: Vec<usize> = killed.collect();
        let ended = processes.first() == Some(&0);
        let ended = ended.then(|| Ended { exit_code: 137, reason: String::from("OOMKilled") });
        Some(OomKill { container: of.name.clone(), processes, ended })
    }
}

kit::exercise!(Exercise: Limits);
