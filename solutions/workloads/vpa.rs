//! The reference for `workloads/vpa`: remember what was used, recommend what to request, and say who has to go for it.

use kit::workloads::VerticalPodAutoscaler;
use kit::workloads::vpa::{
    Amounts, Change, ContainerHistory, ContainerPolicy, ContainerView, EvictRequest, Histogram, PodView,
    RecommendRequest, Recommendation, Requirement, Resource, Sample,
};

// ANCHOR: solution
const DAY: i64 = 86_400;
/// Half-lives from the reference to a sample, at most.
const MOST_DAYS: i64 = 100;
/// A bucket with less is empty.
const EPSILON: f64 = 0.0001;
const MOST: f64 = 1e14;
/// Who lives for 12 hours may go for a difference of a tenth.
const LONG: i64 = 12 * 3600;
const DIFFERENT: f64 = 0.1;
/// Out of memory so soon after the start is a reason to go at once.
const QUICK: i64 = 600;

/// All that is remembered is in the histograms.
#[derive(Default)]
pub struct Exercise;

impl VerticalPodAutoscaler for Exercise {
    // ANCHOR: add
    fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram {
        let mut histogram = histogram.clone();
        let nearest = (sample.at_seconds + DAY / 2).div_euclid(DAY) * DAY;
        let old = histogram.reference_seconds.unwrap_or(nearest);
        let far = sample.at_seconds - old > MOST_DAYS * DAY;
        let reference = if far { nearest } else { old };
        let moved = days(old - reference).exp2();
        histogram.weights.values_mut().for_each(|weight| *weight *= moved);
        histogram.reference_seconds = Some(reference);

        let weight = sample.weight * days(sample.at_seconds - reference).exp2();
        let bucket = histogram.resource.bucket(sample.amount);
        let now = histogram.weights.entry(bucket).or_default();
        *now += weight;
        if weight < 0.0 && *now < EPSILON {
            histogram.weights.remove(&bucket);
        }
        histogram
    }
    // ANCHOR_END: add

    fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation> {
        let policies = request.containers.iter().map(|container| policy_of(&container.name, &request.policies));
        let policies: Vec<ContainerPolicy> = policies.collect();
        let count = policies.iter().filter(|policy| !policy.off).count() as i64;
        let asked = request.containers.iter().zip(&policies).filter(|(_, policy)| !policy.off);
        asked.map(|(container, policy)| of_container(container, policy, count)).collect()
    }

    fn evict(&self, request: &EvictRequest) -> Vec<String> {
        if request.pods.len() < request.min_replicas as usize {
            return Vec::new();
        }
        let judged = request.pods.iter().map(|pod| (pod, Verdict::of(pod, &request.recommendations)));
        let mut pods: Vec<(&PodView, Verdict)> =
            judged.filter(|(pod, verdict)| verdict.goes(pod) && is_wanted(pod, request)).collect();
        pods.sort_by(|(_, a), (_, b)| b.grows.cmp(&a.grows).then(b.difference.total_cmp(&a.difference)));

        let may_be_away = request.replicas as usize / 2;
        let must_stay = request.replicas as usize - may_be_away;
        let mut running = request.pods.iter().filter(|pod| !pod.pending).count();
        let mut first = true;
        let may_go = |(pod, _): &(&PodView, Verdict)| {
            if pod.pending {
                return true;
            }
            let alone = may_be_away == 0 && first && running == request.replicas as usize;
            let may = running > must_stay || alone;
            if may {
                (running, first) = (running - 1, false);
            }
            may
        };
        pods.into_iter().filter(may_go).map(|(pod, _)| pod.name.clone()).collect()
    }
}

/// Half-lives.
fn days(seconds: i64) -> f64 {
    seconds as f64 / DAY as f64
}

fn policy_of(name: &str, policies: &[ContainerPolicy]) -> ContainerPolicy {
    let own = policies.iter().find(|policy| policy.container_name == name);
    own.or(policies.iter().rfind(|policy| policy.container_name == "*")).cloned().unwrap_or_default()
}

// ANCHOR: recommend
fn of_container(container: &ContainerHistory, policy: &ContainerPolicy, count: i64) -> Recommendation {
    let confidence = days(container.span_seconds).min(container.samples as f64 / 1440.0);
    let little = 1.0 + 0.001 / confidence;
    let estimate = |part: f64, factor: f64| -> Amounts {
        let of = |resource: Resource| {
            let (histogram, least) = match resource {
                Resource::Cpu => (&container.cpu, 25),
                Resource::Memory => (&container.memory, 250 << 20),
            };
            let base = percentile(histogram, part);
            let estimate = base + base * 15 / 100;
            // Nothing, however uncertain, is nothing.
            let estimate = if estimate == 0 { 0.0 } else { (estimate as f64 * factor).min(MOST) };
            (resource, (estimate as i64).max(least / count))
        };
        let controlled = policy.controlled_resources.as_deref().unwrap_or(&Resource::ALL);
        controlled.iter().copied().map(of).collect()
    };
    let target = estimate(0.9, 1.0);
    Recommendation {
        container_name: container.name.clone(),
        target: capped(&target, policy),
        lower_bound: capped(&estimate(0.5, 1.0 / (little * little)), policy),
        upper_bound: capped(&estimate(0.95, 1.0 + 1.0 / confidence), policy),
        uncapped_target: target,
    }
}

/// The end of the bucket below which so much of all weight lies.
fn percentile(histogram: &Histogram, part: f64) -> i64 {
    let all: f64 = histogram.weights.values().sum();
    let mut sum = 0.0;
    let reached = histogram.weights.iter().find(|(_, weight)| {
        sum += **weight;
        sum >= (part - 1e-6) * all
    });
    reached.map_or(0, |(bucket, _)| histogram.resource.end(*bucket))
}

fn capped(amounts: &Amounts, policy: &ContainerPolicy) -> Amounts {
    let limit = |limits: &Amounts, resource: &Resource| limits.get(resource).copied().filter(|limit| *limit != 0);
    let cap = |(resource, amount): (&Resource, &i64)| {
        let amount = limit(&policy.min_allowed, resource).map_or(*amount, |least| least.max(*amount));
        (*resource, limit(&policy.max_allowed, resource).map_or(amount, |most| most.min(amount)))
    };
    amounts.iter().map(cap).collect()
}
// ANCHOR_END: recommend

// ANCHOR: verdict
/// What is to be said of a pod (`PodPriority`).
#[derive(Default)]
struct Verdict {
    out_of_range: bool,
    /// Whether a container should request more.
    grows: bool,
    difference: f64,
    quick_kill: bool,
}

/// The containers of a pod for which something is recommended.
fn with_recommendation<'a>(
    pod: &'a PodView,
    all: &'a [Recommendation],
) -> impl Iterator<Item = (&'a ContainerView, &'a Recommendation)> {
    let of = |container: &ContainerView| all.iter().find(|one| one.container_name == container.name);
    pod.containers.iter().filter_map(move |container| Some((container, of(container)?)))
}

impl Verdict {
    fn of(pod: &PodView, all: &[Recommendation]) -> Verdict {
        let mut verdict = Verdict::default();
        for resource in Resource::ALL {
            let (mut requested, mut recommended, mut any) = (0, 0, false);
            for (container, recommendation) in with_recommendation(pod, all) {
                let Some(target) = recommendation.target.get(&resource) else { continue };
                (any, recommended) = (true, recommended + target);
                let Some(request) = container.requests.get(&resource) else {
                    (verdict.out_of_range, verdict.grows) = (true, true);
                    continue;
                };
                requested += request;
                verdict.grows |= target > request;
                verdict.out_of_range |= recommendation.lower_bound.get(&resource).is_some_and(|bound| request < bound)
                    || recommendation.upper_bound.get(&resource).is_some_and(|bound| request > bound);
            }
            if any {
                let requested = requested.max(1) as f64;
                verdict.difference += (requested - recommended as f64).abs() / requested;
            }
        }
        let quick =
            |container: &ContainerView| container.out_of_memory_after_seconds.is_some_and(|after| after < QUICK);
        verdict.quick_kill = with_recommendation(pod, all).any(|(container, _)| quick(container));
        verdict
    }

    fn goes(&self, pod: &PodView) -> bool {
        let differs = || pod.started_seconds_ago.is_some_and(|ago| ago >= LONG) && self.difference >= DIFFERENT;
        (self.out_of_range || self.quick_kill || differs()) && !(self.quick_kill && self.difference == 0.0)
    }
}

/// Whether all requirements hold for one of the containers.
fn is_wanted(pod: &PodView, request: &EvictRequest) -> bool {
    let holds = |container: &ContainerView, recommendation: &Recommendation, requirement: &Requirement| {
        requirement.resources.iter().any(|resource| {
            // What isn't recommended counts as 0, as upstream reads a map without the key.
            let target = recommendation.target.get(resource).copied().unwrap_or_default();
            let requested = container.requests.get(resource).copied().unwrap_or_default();
            match requirement.change {
                Change::Higher => target > requested,
                Change::Lower => target < requested,
            }
        })
    };
    request.requirements.is_empty()
        || with_recommendation(pod, &request.recommendations).any(|(container, recommendation)| {
            let is_missing = |resource: &Resource| !container.requests.contains_key(resource);
            Resource::ALL.iter().any(is_missing)
                || request.requirements.iter().all(|requirement| holds(container, recommendation, requirement))
        })
}
// ANCHOR_END: verdict
// ANCHOR_END: solution
