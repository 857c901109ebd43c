//! The reference for `scheduler/score`.
//!
//! The names follow `pkg/scheduler/framework/plugins/noderesources` and `imagelocality`.

// ANCHOR: solution
use kit::scheduler::{ContainerImage, NodeResources, PodRequest, Score, ShapePoint, Strategy, WeightedResource};

/// The plugins NodeResourcesFit, NodeResourcesBalancedAllocation and ImageLocality, as far as they score.
#[derive(Default)]
pub struct Exercise;

const MIB: i64 = 1 << 20;

impl Score for Exercise {
    // ANCHOR: allocation
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        match strategy {
            Strategy::LeastAllocated(resources) => {
                let least = |requested: i64, allocatable: i64| (allocatable - requested).max(0) * 100 / allocatable;
                let (sum, weights) = weighted(resources, pod, node, least, false);
                if weights == 0 { 0 } else { sum / weights }
            }
            Strategy::MostAllocated(resources) => {
                let most = |requested: i64, allocatable: i64| requested.min(allocatable) * 100 / allocatable;
                let (sum, weights) = weighted(resources, pod, node, most, false);
                if weights == 0 { 0 } else { sum / weights }
            }
            Strategy::RequestedToCapacityRatio { resources, shape } => {
                // Beyond 100 % the curve is level: its last point is there at most.
                let ratio = |requested: i64, allocatable: i64| on_curve(shape, requested * 100 / allocatable);
                let (sum, weights) = weighted(resources, pod, node, ratio, true);
                if weights == 0 { 0 } else { (sum as f64 / weights as f64).round() as i64 }
            }
        }
    }
    // ANCHOR_END: allocation

    // ANCHOR: balanced
    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        let (asked, used, has) = (&pod.requests, &node.requested, &node.allocatable);
        let cpu = fraction(used.milli_cpu + asked.milli_cpu, has.milli_cpu);
        let memory = fraction(used.memory + asked.memory, has.memory);
        // Of two values, the standard deviation is half of their distance.
        let deviation = cpu.zip(memory).map_or(0.0, |(cpu, memory)| ((cpu - memory) / 2.0).abs());
        ((1.0 - deviation) * 100.0) as i64
    }
    // ANCHOR_END: balanced

    // ANCHOR: image_locality
    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        let scaled = |image: &ContainerImage| (image.size as f64 * (image.nodes as f64 / nodes as f64)) as i64;
        let (least, most) = (23 * MIB, 1000 * MIB * containers.len().max(1) as i64);
        let sum = containers.iter().map(scaled).sum::<i64>().clamp(least, most);
        100 * (sum - least) / (most - least)
    }
    // ANCHOR_END: image_locality

    // ANCHOR: normalize
    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        let greatest = scores.iter().copied().max().unwrap_or(0);
        let scaled = |score: &i64| if greatest == 0 { 0 } else { 100 * score / greatest };
        scores.iter().map(scaled).map(|score| if reverse { 100 - score } else { score }).collect()
    }
    // ANCHOR_END: normalize
}

/// The sum of the weighted scores of all resources that count, and of their weights. Scores of 0 may count or not.
fn weighted(
    resources: &[WeightedResource],
    pod: &PodRequest,
    node: &NodeResources,
    score: impl Fn(i64, i64) -> i64,
    without_zero: bool,
) -> (i64, i64) {
    let mut total = (0, 0);
    for WeightedResource { name, weight } in resources {
        let (requested, allocatable) = requested_and_allocatable(name, pod, node);
        if allocatable == 0 {
            continue;
        }
        let score = score(requested, allocatable);
        if score > 0 || !without_zero {
            total = (total.0 + score * weight, total.1 + weight);
        }
    }
    total
}

/// Of one resource, what is requested with the pod, and what there is; 0 of both if it doesn't count.
fn requested_and_allocatable(name: &str, pod: &PodRequest, node: &NodeResources) -> (i64, i64) {
    let (asked, used, has) = (&pod.requests, &node.requested, &node.allocatable);
    match name {
        "cpu" => (node.scored.milli_cpu + pod.scored.milli_cpu, has.milli_cpu),
        "memory" => (node.scored.memory + pod.scored.memory, has.memory),
        "ephemeral-storage" => (used.ephemeral_storage + asked.ephemeral_storage, has.ephemeral_storage),
        _ => match (asked.scalar.get(name), has.scalar.get(name)) {
            (Some(&asked), Some(&has)) if asked > 0 => (used.scalar.get(name).unwrap_or(&0) + asked, has),
            _ => (0, 0),
        },
    }
}

// ANCHOR: curve
fn on_curve(shape: &[ShapePoint], utilization: i64) -> i64 {
    let Some(at) = shape.iter().position(|point| utilization <= point.utilization) else {
        return shape.last().map_or(0, |point| point.score);
    };
    let after = shape[at];
    let Some(before) = at.checked_sub(1).map(|before| shape[before]) else {
        return after.score;
    };
    let rise = (after.score - before.score) * (utilization - before.utilization);
    before.score + rise / (after.utilization - before.utilization)
}
// ANCHOR_END: curve

fn fraction(requested: i64, allocatable: i64) -> Option<f64> {
    (allocatable != 0).then(|| (requested as f64 / allocatable as f64).min(1.0))
}
// ANCHOR_END: solution
