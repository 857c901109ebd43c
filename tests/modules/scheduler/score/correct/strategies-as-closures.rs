//! Passes: each strategy is a closure from a utilization to a score; deviations and shares are computed by the book.

use kit::scheduler::{ContainerImage, NodeResources, PodRequest, Score, ShapePoint, Strategy, WeightedResource};

#[derive(Default)]
struct Exercise;

impl Score for Exercise {
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        type Rule<'a> = Box<dyn Fn(i64, i64) -> i64 + 'a>;
        let (resources, rule, is_curve): (&[WeightedResource], Rule<'_>, bool) = match strategy {
            Strategy::LeastAllocated(list) => {
                (list, Box::new(|used, has| if used > has { 0 } else { (has - used) * 100 / has }), false)
            }
            Strategy::MostAllocated(list) => (list, Box::new(|used, has| used.min(has) * 100 / has), false),
            Strategy::RequestedToCapacityRatio { resources, shape } => (
                resources,
                Box::new(|used, has| {
                    let percent = if used > has { 100 } else { used * 100 / has };
                    interpolate(shape, percent)
                }),
                true,
            ),
        };
        let counted: Vec<(i64, i64)> = resources
            .iter()
            .filter_map(|resource| {
                let (used, has) = amounts(&resource.name, pod, node)?;
                Some((rule(used, has), resource.weight))
            })
            .filter(|(score, _)| !is_curve || *score != 0)
            .collect();
        let weights: i64 = counted.iter().map(|(_, weight)| weight).sum();
        let sum: i64 = counted.iter().map(|(score, weight)| score * weight).sum();
        match weights {
            0 => 0,
            // Half up, without leaving the integers.
            _ if is_curve => (2 * sum + weights) / (2 * weights),
            _ => sum / weights,
        }
    }

    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        let mut fractions = Vec::new();
        for (used, asked, has) in [
            (node.requested.milli_cpu, pod.requests.milli_cpu, node.allocatable.milli_cpu),
            (node.requested.memory, pod.requests.memory, node.allocatable.memory),
        ] {
            if has > 0 {
                let fraction = (used + asked) as f64 / has as f64;
                fractions.push(if fraction > 1.0 { 1.0 } else { fraction });
            }
        }
        let deviation = match fractions[..] {
            [cpu, memory] => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * 100.0).floor() as i64
    }

    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        const MIB: i64 = 1024 * 1024;
        let count = containers.len() as i64;
        let most = 1000 * MIB * if count == 0 { 1 } else { count };
        let mut sum = 0;
        for image in containers {
            let share = image.nodes as f64 / nodes as f64;
            sum += (image.size as f64 * share).trunc() as i64;
        }
        if sum <= 23 * MIB {
            0
        } else if sum >= most {
            100
        } else {
            (sum - 23 * MIB) * 100 / (most - 23 * MIB)
        }
    }

    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        let greatest = scores.iter().max().copied().unwrap_or_default();
        let mut normal = vec![0; scores.len()];
        for (normal, score) in normal.iter_mut().zip(scores) {
            if greatest > 0 {
                *normal = score * 100 / greatest;
            }
            if reverse {
                *normal = 100 - *normal;
            }
        }
        normal
    }
}

fn amounts(name: &str, pod: &PodRequest, node: &NodeResources) -> Option<(i64, i64)> {
    let (used, has) = match name {
        "cpu" => (node.scored.milli_cpu + pod.scored.milli_cpu, node.allocatable.milli_cpu),
        "memory" => (node.scored.memory + pod.scored.memory, node.allocatable.memory),
        "ephemeral-storage" => {
            (node.requested.ephemeral_storage + pod.requests.ephemeral_storage, node.allocatable.ephemeral_storage)
        }
        device => {
            let asked = *pod.requests.scalar.get(device).filter(|asked| **asked > 0)?;
            let used = node.requested.scalar.get(device).copied().unwrap_or(0);
            (used + asked, node.allocatable.scalar.get(device).copied().unwrap_or(0))
        }
    };
    (has > 0).then_some((used, has))
}

fn interpolate(shape: &[ShapePoint], percent: i64) -> i64 {
    let first = shape[0];
    if percent <= first.utilization {
        return first.score;
    }
    for pair in shape.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if percent <= to.utilization {
            let (rise, run) = (to.score - from.score, to.utilization - from.utilization);
            return from.score + rise * (percent - from.utilization) / run;
        }
    }
    shape[shape.len() - 1].score
}

kit::exercise!(Exercise: Score);
