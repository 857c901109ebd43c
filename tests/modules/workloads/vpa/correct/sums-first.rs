//! Passes: prefix sums and a binary search for percentiles, chains instead of loops, a budget of evictions counted down

use kit::workloads::VerticalPodAutoscaler;
use kit::workloads::vpa::{
    Amounts, Change, ContainerHistory, ContainerPolicy, ContainerView, EvictRequest, Histogram, PodView,
    RecommendRequest, Recommendation, Resource, Sample,
};

const DAY: f64 = 86_400.0;

#[derive(Default)]
struct Exercise;

/// The days of a moment after another, in whole days and the rest.
fn decay(seconds: i64) -> f64 {
    let whole = seconds.div_euclid(86_400);
    2_f64.powi(whole as i32) * (seconds.rem_euclid(86_400) as f64 / DAY).exp2()
}

impl VerticalPodAutoscaler for Exercise {
    fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram {
        let at = sample.at_seconds;
        let nearest = ((at as f64 / DAY + 0.5).floor() as i64) * 86_400;
        let stays = histogram.reference_seconds.filter(|old| at - old <= 100 * 86_400);
        let reference = stays.unwrap_or(nearest);
        let moved = reference - histogram.reference_seconds.unwrap_or(reference);
        let mine = histogram.resource.bucket(sample.amount);
        let change = sample.weight * decay(at - reference);
        let there = histogram.weights.get(&mine).map_or(0.0, |weight| weight * decay(-moved));
        let others = histogram.weights.iter().filter(|(bucket, _)| **bucket != mine);
        let others = others.map(|(bucket, weight)| (*bucket, weight * decay(-moved)));
        let own = Some((mine, there + change)).filter(|(_, weight)| change > 0.0 || *weight >= 1e-4);
        Histogram { weights: others.chain(own).collect(), reference_seconds: Some(reference), ..histogram.clone() }
    }

    fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation> {
        let default = ContainerPolicy::default();
        let policy = |container: &ContainerHistory| {
            let own = request.policies.iter().find(|policy| policy.container_name == container.name);
            let star = || request.policies.iter().rev().find(|policy| policy.container_name == "*");
            own.or_else(star).unwrap_or(&default).clone()
        };
        let all: Vec<_> = request.containers.iter().map(|container| (container, policy(container))).collect();
        let on: Vec<_> = all.into_iter().filter(|(_, policy)| !policy.off).collect();
        let count = on.len() as i64;
        on.iter().map(|(container, policy)| one(container, policy, count)).collect()
    }

    fn evict(&self, request: &EvictRequest) -> Vec<String> {
        if (request.min_replicas as usize) > request.pods.len() {
            return vec![];
        }
        let running = request.pods.iter().filter(|pod| !pod.pending).count() as i64;
        let replicas = i64::from(request.replicas);
        let mut budget = match (running - (replicas - replicas / 2), replicas / 2) {
            (budget, _) if budget > 0 => budget,
            (_, 0) if running == replicas => 1,
            _ => 0,
        };
        let judged = request.pods.iter().map(|pod| (Facts::of(pod, request), pod));
        let mut judged: Vec<_> = judged.filter(|(facts, pod)| facts.goes(pod, request)).collect();
        judged.sort_by(|(a, _), (b, _)| (b.grows, b.change).partial_cmp(&(a.grows, a.change)).unwrap());
        let goes = |pod: &&PodView| {
            pod.pending || {
                budget -= 1;
                budget >= 0
            }
        };
        judged.into_iter().map(|(_, pod)| pod).filter(goes).map(|pod| pod.name.clone()).collect()
    }
}

fn one(container: &ContainerHistory, policy: &ContainerPolicy, count: i64) -> Recommendation {
    let trust = (container.span_seconds as f64 / DAY).min(container.samples as f64 / 1440.0);
    let resources = policy.controlled_resources.clone().unwrap_or(vec![Resource::Cpu, Resource::Memory]);
    let estimate = |part: f64, by: &dyn Fn(f64) -> f64| -> Amounts {
        let amount = |resource: &Resource| {
            let (histogram, least) = match resource {
                Resource::Cpu => (&container.cpu, 25),
                Resource::Memory => (&container.memory, 262_144_000),
            };
            let base = reach(histogram, part);
            let more = base + base * 3 / 20;
            let scaled = if more == 0 { 0 } else { by(more as f64).min(1e14) as i64 };
            (*resource, scaled.max(least / count))
        };
        resources.iter().map(amount).collect()
    };
    let cap = |amounts: &Amounts| -> Amounts {
        let set = |limits: &Amounts, resource: &Resource, none: i64| match limits.get(resource) {
            None | Some(0) => none,
            Some(limit) => *limit,
        };
        let fit = |(resource, amount): (&Resource, &i64)| {
            let at_least = set(&policy.min_allowed, resource, i64::MIN).max(*amount);
            (*resource, set(&policy.max_allowed, resource, i64::MAX).min(at_least))
        };
        amounts.iter().map(fit).collect()
    };
    let uncapped_target = estimate(0.9, &|amount| amount);
    Recommendation {
        container_name: container.name.clone(),
        lower_bound: cap(&estimate(0.5, &|amount| amount * (1.0 + 0.001 / trust).powi(-2))),
        upper_bound: cap(&estimate(0.95, &|amount| amount * (1.0 + 1.0 / trust))),
        target: cap(&uncapped_target),
        uncapped_target,
    }
}

fn reach(histogram: &Histogram, part: f64) -> i64 {
    let sums: Vec<(u32, f64)> = histogram
        .weights
        .iter()
        .scan(0.0, |sum, (bucket, weight)| {
            *sum += weight;
            Some((*bucket, *sum))
        })
        .collect();
    let Some((_, total)) = sums.last().copied() else { return 0 };
    let index = sums.partition_point(|(_, sum)| *sum < total * (part - 0.000_001));
    histogram.resource.end(sums[index].0)
}

struct Facts {
    outside: bool,
    grows: bool,
    change: f64,
    killed: bool,
}

fn pairs<'a>(pod: &'a PodView, request: &'a EvictRequest) -> Vec<(&'a ContainerView, &'a Recommendation)> {
    let with = |container: &'a ContainerView| {
        request.recommendations.iter().find(|of| of.container_name == container.name).map(|of| (container, of))
    };
    pod.containers.iter().filter_map(with).collect()
}

impl Facts {
    fn of(pod: &PodView, request: &EvictRequest) -> Facts {
        let pairs = pairs(pod, request);
        // Every resource of every container, once.
        let all = || pairs.iter().flat_map(|(container, of)| of.target.iter().map(move |(name, to)| (name, to, *container, *of)));
        let is_outside = |(name, _, container, of): (&Resource, &i64, &ContainerView, &Recommendation)| {
            let Some(request) = container.requests.get(name) else { return true };
            let low = of.lower_bound.get(name).unwrap_or(&i64::MIN);
            !(low..=of.upper_bound.get(name).unwrap_or(&i64::MAX)).contains(&request)
        };
        let grows = all().any(|(name, to, container, _)| container.requests.get(name).is_none_or(|from| from < to));
        let change = |resource: Resource| {
            let of = || all().filter(move |(name, ..)| **name == resource);
            let to: i64 = of().map(|(_, to, ..)| to).sum();
            let from: i64 = of().filter_map(|(name, _, container, _)| container.requests.get(name)).sum();
            if of().next().is_none() { 0.0 } else { (from.max(1) - to).abs() as f64 / from.max(1) as f64 }
        };
        Facts {
            outside: all().any(is_outside),
            grows,
            change: change(Resource::Cpu) + change(Resource::Memory),
            killed: pairs.iter().filter_map(|(container, _)| container.out_of_memory_after_seconds).any(|after| after < 600),
        }
    }

    fn goes(&self, pod: &PodView, request: &EvictRequest) -> bool {
        let reason = match (self.killed, self.outside) {
            (true, _) => self.change != 0.0,
            (false, true) => true,
            (false, false) => pod.started_seconds_ago >= Some(43_200) && self.change >= 0.1,
        };
        let passes = |container: &ContainerView, of: &Recommendation| {
            let (Some(cpu), Some(memory)) = (container.requests.get(&Resource::Cpu), container.requests.get(&Resource::Memory))
            else {
                return true;
            };
            request.requirements.iter().all(|requirement| {
                requirement.resources.iter().any(|resource| {
                    let from = if *resource == Resource::Cpu { cpu } else { memory };
                    let to = of.target.get(resource).copied().unwrap_or(0);
                    to != *from && (to > *from) == (requirement.change == Change::Higher)
                })
            })
        };
        reason && (request.requirements.is_empty() || pairs(pod, request).iter().any(|(container, of)| passes(container, of)))
    }
}

kit::exercise!(Exercise: VerticalPodAutoscaler);
