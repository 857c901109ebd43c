//! Passes: every strategy becomes a table of 101 scores or a plain quotient, and all sums are of 128 bits.

use kit::scheduler::{ContainerImage, NodeResources, PodRequest, Score, ShapePoint, Strategy, WeightedResource};

#[derive(Default)]
struct Exercise;

/// Of a resource: what is requested with the pod, and what there is.
#[derive(Clone, Copy)]
struct Load {
    used: i128,
    has: i128,
}

fn load(name: &str, pod: &PodRequest, node: &NodeResources) -> Option<Load> {
    let triple = match name {
        "cpu" => [pod.scored.milli_cpu, node.scored.milli_cpu, node.allocatable.milli_cpu],
        "memory" => [pod.scored.memory, node.scored.memory, node.allocatable.memory],
        "ephemeral-storage" => [
            pod.requests.ephemeral_storage,
            node.requested.ephemeral_storage,
            node.allocatable.ephemeral_storage,
        ],
        _ => [&pod.requests, &node.requested, &node.allocatable].map(|of| *of.scalar.get(name).unwrap_or(&0)),
    };
    let [asked, used, has] = triple.map(i128::from);
    let is_device = !["cpu", "memory", "ephemeral-storage"].contains(&name);
    (has != 0 && (asked != 0 || !is_device)).then_some(Load { used: asked + used, has })
}

/// The score at each whole percent.
fn table(shape: &[ShapePoint]) -> Vec<i64> {
    let mut table = vec![shape[shape.len() - 1].score; 101];
    let mut at = 0;
    for (n, point) in shape.iter().enumerate() {
        while at <= point.utilization {
            table[at as usize] = match n.checked_sub(1).map(|before| shape[before]) {
                None => point.score,
                Some(b) => {
                    b.score + (point.score - b.score) * (at - b.utilization) / (point.utilization - b.utilization)
                }
            };
            at += 1;
        }
    }
    table
}

fn sums(resources: &[WeightedResource], scored: impl Fn(&str) -> Option<i128>) -> (i128, i128) {
    resources.iter().fold((0, 0), |(sum, weights), WeightedResource { name, weight }| match scored(name) {
        Some(score) => (sum + score * i128::from(*weight), weights + i128::from(*weight)),
        None => (sum, weights),
    })
}

impl Score for Exercise {
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        let of = |name: &str| load(name, pod, node);
        let down = |(sum, weights): (i128, i128)| sum.checked_div(weights).unwrap_or(0) as i64;
        match strategy {
            Strategy::LeastAllocated(resources) => down(sums(resources, |name| {
                let Load { used, has } = of(name)?;
                Some(((has - used.min(has)) * 100) / has)
            })),
            Strategy::MostAllocated(resources) => {
                down(sums(resources, |name| of(name).map(|load| load.used.min(load.has) * 100 / load.has)))
            }
            Strategy::RequestedToCapacityRatio { resources, shape } => {
                let table = table(shape);
                let (sum, weights) = sums(resources, |name| {
                    let Load { used, has } = of(name)?;
                    Some(i128::from(table[(used.min(has) * 100 / has) as usize])).filter(|score| *score != 0)
                });
                down((sum + weights / 2, weights))
            }
        }
    }

    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        let of = |asked: i64, used: i64, has: i64| match has {
            0 => None,
            has => Some(((asked + used) as f64 / has as f64).min(1.0)),
        };
        let cpu = of(pod.requests.milli_cpu, node.requested.milli_cpu, node.allocatable.milli_cpu);
        let memory = of(pod.requests.memory, node.requested.memory, node.allocatable.memory);
        match (cpu, memory) {
            (Some(cpu), Some(memory)) => ((1.0 - (cpu.max(memory) - cpu.min(memory)) / 2.0) * 100.0) as i64,
            _ => 100,
        }
    }

    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        let least = 23_i128 << 20;
        let most = (1000_i128 << 20) * (containers.len() as i128).max(1);
        let mut sum = 0_i128;
        for ContainerImage { size, nodes: with } in containers.iter().rev() {
            let share = *with as f64 / nodes as f64;
            sum += (share * *size as f64).floor() as i128;
        }
        ((sum.min(most).max(least) - least) * 100 / (most - least)) as i64
    }

    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        let mut sorted = scores.to_vec();
        sorted.sort_unstable();
        let greatest = sorted.pop().unwrap_or(0).max(1);
        let forward = scores.iter().map(|score| i128::from(*score) * 100 / i128::from(greatest));
        forward.map(|score| if reverse { 100 - score as i64 } else { score as i64 }).collect()
    }
}

kit::exercise!(Exercise: Score);
