//! Passes: everything is written out with plain loops; a load is played on an array of milliseconds, and the kill recurses into smaller places.

use kit::node::Limits;
use kit::node::limits::*;

#[derive(Default)]
struct Exercise;

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let mut cgroup = Cgroup { cpu_shares: 2, cpu_quota_us: None, memory_max: None };
        let asked = resources.cpu_request.unwrap_or(resources.cpu_limit.unwrap_or(0));
        let shares = asked * 1024 / 1000;
        if shares > 2 {
            cgroup.cpu_shares = if shares > 262_144 { 262_144 } else { shares };
        }
        if let Some(limit) = resources.cpu_limit
            && limit > 0
        {
            cgroup.cpu_quota_us = Some(if limit < 10 { 1000 } else { limit * 100_000 / 1000 });
        }
        if let Some(limit) = resources.memory_limit
            && limit > 0
        {
            cgroup.memory_max = Some(limit);
        }
        cgroup
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        // The pod as one container.
        let mut whole = Resources { cpu_request: Some(0), cpu_limit: Some(0), memory_request: Some(0), memory_limit: Some(0) };
        let fields: [fn(&mut Resources) -> &mut Option<i64>; 4] =
            [|of| &mut of.cpu_request, |of| &mut of.cpu_limit, |of| &mut of.memory_request, |of| &mut of.memory_limit];
        let mut said = false;
        for (number, field) in fields.into_iter().enumerate() {
            let (mut sum, mut lacks) = (0, false);
            for of in &pod.containers {
                let amount = field(&mut of.clone()).unwrap_or(0);
                sum += amount;
                lacks |= amount == 0;
                said |= amount > 0;
            }
            for of in &pod.init_containers {
                let amount = field(&mut of.clone()).unwrap_or(0);
                sum = std::cmp::max(sum, amount);
                lacks |= amount == 0;
                said |= amount > 0;
            }
            *field(&mut whole) = if lacks && number != 0 { None } else { Some(sum) };
        }
        whole.cpu_request = whole.cpu_request.map(|sum| sum + pod.overhead_cpu);
        whole.cpu_limit = whole.cpu_limit.map(|sum| sum + pod.overhead_cpu);
        whole.memory_limit = whole.memory_limit.map(|sum| sum + pod.overhead_memory);
        let cgroup = self.container(&whole);
        let shares = if said { cgroup.cpu_shares } else { 2 };
        PodCgroup {
            cpu_weight: 1 + (shares - 2) * 9999 / 262_142,
            cpu_max_us: cgroup.cpu_quota_us,
            memory_max: cgroup.memory_max,
        }
    }

    fn serve(&self, load: &Load) -> Served {
        let mut latency_ms = vec![0; load.requests.len()];
        let mut did = vec![0; load.requests.len()];
        let (mut busy, mut stopped) = (Vec::<i64>::new(), Vec::<i64>::new());
        let mut throttled_ms = 0;
        let (mut now, mut used) = (0, 0);
        loop {
            let mut finished = true;
            let mut threads = load.threads;
            if now % 100 == 0 {
                used = 0;
            }
            for (one, request) in load.requests.iter().enumerate() {
                if did[one] == request.cpu_ms {
                    continue;
                }
                finished = false;
                if request.at_ms > now || threads == 0 {
                    continue;
                }
                threads -= 1;
                busy.push(now / 100);
                if load.quota_ms.is_some_and(|quota| used >= quota) {
                    stopped.push(now / 100);
                    throttled_ms += 1;
                    continue;
                }
                used += 1;
                did[one] += 1;
                latency_ms[one] = now - request.at_ms + 1;
            }
            if finished {
                break;
            }
            now += 1;
        }
        if load.quota_ms.is_none() {
            busy.clear();
        }
        busy.dedup();
        stopped.dedup();
        Served { latency_ms, periods: busy.len() as i64, throttled_periods: stopped.len() as i64, throttled_ms }
    }

    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        for pod in &node.pods {
            for container in &pod.containers {
                if let Some(max) = container.memory_max
                    && container.processes.iter().sum::<i64>() > max
                {
                    return kill(&[container], max, node.single_process_oom_kill);
                }
            }
        }
        for pod in &node.pods {
            let containers: Vec<&RunningContainer> = pod.containers.iter().collect();
            let used: i64 = containers.iter().map(|of| of.processes.iter().sum::<i64>()).sum();
            if let Some(max) = pod.memory_max
                && used > max
            {
                return kill(&containers, max, node.single_process_oom_kill);
            }
        }
        let all: Vec<&RunningContainer> = node.pods.iter().flat_map(|pod| pod.containers.iter()).collect();
        let used: i64 = all.iter().map(|of| of.processes.iter().sum::<i64>()).sum();
        if used > node.memory { kill(&all, node.memory, node.single_process_oom_kill) } else { None }
    }
}

fn kill(among: &[&RunningContainer], total: i64, alone: bool) -> Option<OomKill> {
    let mut chosen: Option<(&RunningContainer, usize)> = None;
    let mut most = i64::MIN;
    for container in among {
        for (at, uses) in container.processes.iter().enumerate() {
            let points = uses * 1000 + container.oom_score_adj * total;
            if container.oom_score_adj != -1000 && points > most {
                most = points;
                chosen = Some((container, at));
            }
        }
    }
    let (container, at) = chosen?;
    let mut processes = vec![at];
    if !alone {
        processes = (0..container.processes.len()).collect();
    }
    let ended = if processes[0] == 0 { Some(Ended { exit_code: 137, reason: "OOMKilled".into() }) } else { None };
    Some(OomKill { container: container.name.clone(), processes, ended })
}

kit::exercise!(Exercise: Limits);
