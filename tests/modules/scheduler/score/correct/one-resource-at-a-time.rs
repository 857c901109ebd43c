//! Passes: a running total for each strategy, written out.

use kit::scheduler::{ContainerImage, NodeResources, PodRequest, Score, ShapePoint, Strategy, WeightedResource};

#[derive(Default)]
struct Exercise;

struct Use {
    requested: i64,
    allocatable: i64,
    weight: i64,
}

fn uses(resources: &[WeightedResource], pod: &PodRequest, node: &NodeResources) -> Vec<Use> {
    let mut uses = Vec::new();
    for WeightedResource { name, weight } in resources {
        let mut add = |requested: i64, allocatable: i64| {
            if allocatable != 0 {
                uses.push(Use { requested, allocatable, weight: *weight });
            }
        };
        if name == "cpu" {
            add(pod.scored.milli_cpu + node.scored.milli_cpu, node.allocatable.milli_cpu);
        } else if name == "memory" {
            add(pod.scored.memory + node.scored.memory, node.allocatable.memory);
        } else if name == "ephemeral-storage" {
            let requested = pod.requests.ephemeral_storage + node.requested.ephemeral_storage;
            add(requested, node.allocatable.ephemeral_storage);
        } else if let Some(asked @ 1..) = pod.requests.scalar.get(name) {
            let used = node.requested.scalar.get(name).unwrap_or(&0);
            add(asked + used, *node.allocatable.scalar.get(name).unwrap_or(&0));
        }
    }
    uses
}

impl Score for Exercise {
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        match strategy {
            Strategy::LeastAllocated(resources) => {
                for Use { requested, allocatable, weight } in uses(resources, pod, node) {
                    weights += weight;
                    if requested < allocatable {
                        sum += weight * ((allocatable - requested) * 100 / allocatable);
                    }
                }
            }
            Strategy::MostAllocated(resources) => {
                for Use { requested, allocatable, weight } in uses(resources, pod, node) {
                    weights += weight;
                    sum += weight * if requested >= allocatable { 100 } else { requested * 100 / allocatable };
                }
            }
            Strategy::RequestedToCapacityRatio { resources, shape } => {
                for Use { requested, allocatable, weight } in uses(resources, pod, node) {
                    let score = curve(shape, (requested * 100 / allocatable).min(100));
                    if score > 0 {
                        weights += weight;
                        sum += weight * score;
                    }
                }
                return if weights == 0 { 0 } else { (sum as f64 / weights as f64).round() as i64 };
            }
        }
        sum.checked_div(weights).unwrap_or(0)
    }

    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        let (has, used, asked) = (&node.allocatable, &node.requested, &pod.requests);
        if has.milli_cpu == 0 || has.memory == 0 {
            return 100;
        }
        let cpu = f64::min(1.0, (used.milli_cpu + asked.milli_cpu) as f64 / has.milli_cpu as f64);
        let memory = f64::min(1.0, (used.memory + asked.memory) as f64 / has.memory as f64);
        (100.0 * (1.0 - (cpu - memory).abs() / 2.0)) as i64
    }

    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        let sum: i64 = containers
            .iter()
            .filter(|image| image.size > 0)
            .map(|image| (image.size as f64 * (image.nodes as f64 / nodes as f64)) as i64)
            .sum();
        let (least, most) = (24_117_248, 1_048_576_000 * (containers.len() as i64).max(1));
        (sum.clamp(least, most) - least) * 100 / (most - least)
    }

    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        match scores.iter().max() {
            Some(&greatest) if greatest > 0 => {
                let normal = scores.iter().map(|score| 100 * score / greatest);
                normal.map(|score| if reverse { 100 - score } else { score }).collect()
            }
            _ => vec![if reverse { 100 } else { 0 }; scores.len()],
        }
    }
}

fn curve(shape: &[ShapePoint], utilization: i64) -> i64 {
    match shape.iter().rposition(|point| point.utilization < utilization) {
        None => shape[0].score,
        Some(last) if last + 1 == shape.len() => shape[last].score,
        Some(at) => {
            let (a, b) = (&shape[at], &shape[at + 1]);
            a.score + (b.score - a.score) * (utilization - a.utilization) / (b.utilization - a.utilization)
        }
    }
}

kit::exercise!(Exercise: Score);
