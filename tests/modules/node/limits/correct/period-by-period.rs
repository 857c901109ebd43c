//! Passes: a pod is asked four times by kind, a load is played period by period with what each thread works on, and the OOM killer
//! compares fractions crosswise.

use kit::node::Limits;
use kit::node::limits::*;
use std::collections::VecDeque;

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy)]
enum Kind {
    CpuRequest,
    CpuLimit,
    MemoryRequest,
    MemoryLimit,
}

use Kind::{CpuLimit, CpuRequest, MemoryLimit, MemoryRequest};

impl Kind {
    fn of(self, resources: &Resources) -> i64 {
        match self {
            CpuRequest => resources.cpu_request,
            CpuLimit => resources.cpu_limit,
            MemoryRequest => resources.memory_request,
            MemoryLimit => resources.memory_limit,
        }
        .unwrap_or(0)
    }

    fn of_pod(self, pod: &Pod) -> i64 {
        let mut need = 0;
        for container in &pod.containers {
            need += self.of(container);
        }
        for init in &pod.init_containers {
            if self.of(init) > need {
                need = self.of(init);
            }
        }
        need + match self {
            CpuRequest | CpuLimit => pod.overhead_cpu,
            MemoryRequest | MemoryLimit => pod.overhead_memory,
        }
    }

    fn everywhere(self, pod: &Pod) -> bool {
        !pod.containers.iter().chain(&pod.init_containers).any(|of| self.of(of) == 0)
    }

    fn anywhere(self, pod: &Pod) -> bool {
        pod.containers.iter().chain(&pod.init_containers).any(|of| self.of(of) != 0)
    }
}

fn shares(milli: i64) -> i64 {
    match milli {
        ..=2 => 2,
        256_000.. => 262_144,
        _ => milli * 128 / 125,
    }
}

fn quota(milli: i64) -> i64 {
    100 * milli.max(10)
}

/// What a thread works on.
struct Work {
    number: usize,
    left: i64,
}

impl Limits for Exercise {
    fn container(&self, resources: &Resources) -> Cgroup {
        let (cpu, memory) = (CpuLimit.of(resources), MemoryLimit.of(resources));
        let request = if resources.cpu_request.is_none() { cpu } else { CpuRequest.of(resources) };
        Cgroup {
            cpu_shares: shares(request),
            cpu_quota_us: (cpu != 0).then(|| quota(cpu)),
            memory_max: (memory != 0).then_some(memory),
        }
    }

    fn pod(&self, pod: &Pod) -> PodCgroup {
        let best_effort = ![CpuRequest, CpuLimit, MemoryRequest, MemoryLimit].iter().any(|kind| kind.anywhere(pod));
        PodCgroup {
            cpu_weight: if best_effort { 1 } else { 1 + 9999 * (shares(CpuRequest.of_pod(pod)) - 2) / 262_142 },
            cpu_max_us: CpuLimit.everywhere(pod).then(|| quota(CpuLimit.of_pod(pod))),
            memory_max: MemoryLimit.everywhere(pod).then(|| MemoryLimit.of_pod(pod)),
        }
    }

    fn serve(&self, load: &Load) -> Served {
        let mut queue: VecDeque<(usize, Request)> = load.requests.iter().copied().enumerate().collect();
        let mut threads: Vec<Work> = Vec::new();
        let mut served = Served { latency_ms: load.requests.iter().map(|_| 0).collect(), ..Default::default() };
        let mut begins = 0;
        while !queue.is_empty() || !threads.is_empty() {
            let mut quota = load.quota_ms;
            let (mut worked, mut throttled) = (0, 0);
            for now in begins..begins + 100 {
                while threads.len() < load.threads as usize && queue.front().is_some_and(|(_, next)| next.at_ms <= now)
                {
                    threads.extend(queue.pop_front().map(|(number, next)| Work { number, left: next.cpu_ms }));
                }
                for work in &mut threads {
                    worked += 1;
                    match &mut quota {
                        Some(0) => throttled += 1,
                        Some(rest) => {
                            *rest -= 1;
                            work.left -= 1;
                        }
                        None => work.left -= 1,
                    }
                }
                for done in threads.extract_if(.., |work| work.left == 0) {
                    served.latency_ms[done.number] = now + 1 - load.requests[done.number].at_ms;
                }
            }
            if load.quota_ms.is_some() && worked > 0 {
                served.periods += 1;
            }
            if throttled > 0 {
                served.throttled_periods += 1;
            }
            served.throttled_ms += throttled;
            begins += 100;
        }
        served
    }

    fn out_of_memory(&self, node: &Node) -> Option<OomKill> {
        let sum = |containers: &[RunningContainer]| -> i64 {
            containers.iter().map(|container| container.processes.iter().sum::<i64>()).sum()
        };
        let everybody: Vec<RunningContainer> = node.pods.iter().flat_map(|pod| pod.containers.clone()).collect();
        let exceeds = |containers: &[RunningContainer], max: Option<i64>| max.is_some_and(|max| sum(containers) > max);

        let mut place = None;
        if exceeds(&everybody, Some(node.memory)) {
            place = Some((everybody.clone(), node.memory));
        }
        for pod in node.pods.iter().rev().filter(|pod| exceeds(&pod.containers, pod.memory_max)) {
            place = Some((pod.containers.clone(), pod.memory_max?));
        }
        for one in everybody.iter().rev().filter(|one| exceeds(std::slice::from_ref(one), one.memory_max)) {
            place = Some((vec![one.clone()], one.memory_max?));
        }
        let (among, total) = place?;

        let mut victim: Option<(&RunningContainer, usize)> = None;
        for container in &among {
            for (at, used) in container.processes.iter().enumerate() {
                let more = |(other, place): (&RunningContainer, usize)| {
                    (used - other.processes[place]) * 1000 > (other.oom_score_adj - container.oom_score_adj) * total
                };
                if container.oom_score_adj != -1000 && victim.is_none_or(more) {
                    victim = Some((container, at));
                }
            }
        }
        let (container, at) = victim?;
        let killed = if node.single_process_oom_kill { at..at + 1 } else { 0..container.processes.len() };
        Some(OomKill {
            container: container.name.clone(),
            ended: (killed.start == 0).then(|| Ended { exit_code: 137, reason: "OOMKilled".into() }),
            processes: killed.collect(),
        })
    }
}

kit::exercise!(Exercise: Limits);
