//! Passes: percentiles from the heaviest use down, weights through logarithms, a heap of pods with whole keys

use kit::workloads::VerticalPodAutoscaler;
use kit::workloads::vpa::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

#[derive(Default)]
struct Exercise;

const MOST: i64 = 100_000_000_000_000;

impl VerticalPodAutoscaler for Exercise {
    fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram {
        let at = sample.at_seconds;
        let day = |at: i64| (2 * at + 86_400).div_euclid(2 * 86_400);
        let mut new = Histogram { resource: histogram.resource, weights: BTreeMap::new(), reference_seconds: None };
        let lighter = match histogram.reference_seconds {
            Some(old) if at - old <= 8_640_000 => {
                new.reference_seconds = Some(old);
                0
            }
            old => {
                new.reference_seconds = Some(day(at) * 86_400);
                old.map_or(0, |old| day(at) - old / 86_400)
            }
        };
        for (bucket, weight) in &histogram.weights {
            new.weights.insert(*bucket, weight * (-(lighter as f64) * std::f64::consts::LN_2).exp());
        }
        let age = (at - new.reference_seconds.unwrap_or(at)) as f64 / 86_400.0;
        let change = (age * std::f64::consts::LN_2).exp() * sample.weight;
        let bucket = histogram.resource.bucket(sample.amount);
        let sum = change + new.weights.remove(&bucket).unwrap_or_default();
        if sample.weight > 0.0 || sum >= 0.0001 {
            new.weights.insert(bucket, sum);
        }
        new
    }

    fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation> {
        let mut stars = BTreeMap::new();
        let mut own: BTreeMap<&str, &ContainerPolicy> = BTreeMap::new();
        for policy in &request.policies {
            match policy.container_name.as_str() {
                "*" => _ = stars.insert("*", policy),
                name => _ = own.entry(name).or_insert(policy),
            }
        }
        let of = |name: &str| own.get(name).or(stars.get("*")).copied();
        let is_on = |container: &&ContainerHistory| of(&container.name).is_none_or(|policy| !policy.off);
        let share = request.containers.iter().filter(is_on).count() as i64;
        let mut all = Vec::new();
        for container in request.containers.iter().filter(is_on) {
            let policy = of(&container.name).cloned().unwrap_or_default();
            let mut answer = Recommendation::default();
            answer.container_name.clone_from(&container.name);
            for resource in Resource::ALL {
                if policy.controlled_resources.as_ref().is_some_and(|only| !only.contains(&resource)) {
                    continue;
                }
                let [target, lower, upper] = three(container, resource, share);
                let fit = |amount: i64| {
                    let amount = match policy.min_allowed.get(&resource) {
                        Some(least) if *least > 0 => amount.max(*least),
                        _ => amount,
                    };
                    match policy.max_allowed.get(&resource) {
                        Some(most) if *most > 0 => amount.min(*most),
                        _ => amount,
                    }
                };
                answer.uncapped_target.insert(resource, target);
                answer.target.insert(resource, fit(target));
                answer.lower_bound.insert(resource, fit(lower));
                answer.upper_bound.insert(resource, fit(upper));
            }
            all.push(answer);
        }
        all
    }

    fn evict(&self, request: &EvictRequest) -> Vec<String> {
        let mut heap = BinaryHeap::new();
        for (index, pod) in request.pods.iter().enumerate() {
            if let Some((grows, difference)) = reason(pod, &request.recommendations) {
                if allowed(pod, request) {
                    // Positive floats are in the order of their bits.
                    heap.push((grows, difference.to_bits(), Reverse(index)));
                }
            }
        }
        let running = request.pods.iter().filter(|pod| !pod.pending).count();
        let (replicas, half) = (request.replicas as usize, request.replicas as usize / 2);
        let mut left = running.saturating_sub(replicas - half);
        if left == 0 && half == 0 && running == replicas {
            left = 1;
        }
        let mut names = Vec::new();
        let enough = request.pods.len() as u32 >= request.min_replicas;
        while let Some((.., Reverse(index))) = heap.pop().filter(|_| enough) {
            let pod = &request.pods[index];
            if pod.pending || left > 0 {
                left -= usize::from(!pod.pending);
                names.push(pod.name.clone());
            }
        }
        names
    }
}

/// Target, lower and upper bound.
fn three(container: &ContainerHistory, resource: Resource, share: i64) -> [i64; 3] {
    let (histogram, least) = match resource {
        Resource::Cpu => (&container.cpu, 25 / share),
        Resource::Memory => (&container.memory, (250 << 20) / share),
    };
    let trust = f64::min(container.span_seconds as f64 / 86_400.0, container.samples as f64 / 1440.0);
    let one = |part: f64| {
        let total: f64 = histogram.weights.values().sum();
        // Down from the top, as long as the rest below is enough.
        let (mut below, mut found) = (total, None);
        for (bucket, weight) in histogram.weights.iter().rev() {
            if below < (part - 1e-6) * total {
                break;
            }
            found = Some(*bucket);
            below -= weight;
        }
        let end = found.map_or(0, |bucket| histogram.resource.end(bucket));
        end + end * 15 / 100
    };
    let (target, low, high) = (one(0.9), one(0.5), one(0.95));
    let (lower, upper) = if trust > 0.0 {
        let by = 1.0 + 0.001 / trust;
        (low as f64 / (by * by), high as f64 * (1.0 + 1.0 / trust))
    } else {
        (0.0, if high > 0 { MOST as f64 } else { 0.0 })
    };
    [target, lower as i64, upper as i64].map(|amount| amount.min(MOST).max(least))
}

/// Why it should go, if it should: whether it grows, and by how much it differs.
fn reason(pod: &PodView, recommendations: &[Recommendation]) -> Option<(bool, f64)> {
    let by_name: BTreeMap<&str, &Recommendation> =
        recommendations.iter().rev().map(|one| (one.container_name.as_str(), one)).collect();
    let (mut outside, mut grows, mut quick) = (false, false, false);
    let mut sums: BTreeMap<Resource, (i64, i64)> = BTreeMap::new();
    for container in &pod.containers {
        let Some(one) = by_name.get(container.name.as_str()) else { continue };
        quick = quick || (0..600).contains(&container.out_of_memory_after_seconds.unwrap_or(600));
        for (resource, target) in &one.target {
            let sum = sums.entry(*resource).or_default();
            sum.1 += target;
            let Some(request) = container.requests.get(resource) else {
                outside = true;
                grows = true;
                continue;
            };
            sum.0 += request;
            grows = grows || target > request;
            outside = outside
                || one.lower_bound.get(resource).unwrap_or(request) > request
                || one.upper_bound.get(resource).unwrap_or(request) < request;
        }
    }
    let difference: f64 = sums.values().map(|(from, to)| ((*from).max(1) - to).abs() as f64 / (*from).max(1) as f64).sum();
    if quick {
        return (difference > 0.0).then_some((grows, difference));
    }
    let long = pod.started_seconds_ago.is_some_and(|ago| ago >= 43_200);
    (outside || (long && difference >= 0.1)).then_some((grows, difference))
}

fn allowed(pod: &PodView, request: &EvictRequest) -> bool {
    let mut passes = request.requirements.is_empty();
    for container in &pod.containers {
        let Some(one) = request.recommendations.iter().find(|one| one.container_name == container.name) else { continue };
        let wanted = |requirement: &Requirement| {
            let mut changes = requirement.resources.iter().map(|resource| {
                one.target.get(resource).unwrap_or(&0).cmp(container.requests.get(resource).unwrap_or(&0))
            });
            match requirement.change {
                Change::Higher => changes.any(std::cmp::Ordering::is_gt),
                Change::Lower => changes.any(std::cmp::Ordering::is_lt),
            }
        };
        passes |= container.requests.len() < 2 || request.requirements.iter().all(wanted);
    }
    passes
}

kit::exercise!(Exercise: VerticalPodAutoscaler);
