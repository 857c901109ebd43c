//! Passes: plain loops, one function for each rule, pods picked one by one instead of sorted

use kit::workloads::VerticalPodAutoscaler;
use kit::workloads::vpa::{
    Amounts, Change, ContainerPolicy, EvictRequest, Histogram, PodView, RecommendRequest, Recommendation, Resource,
    Sample,
};

#[derive(Default)]
struct Exercise;

impl VerticalPodAutoscaler for Exercise {
    fn add(&self, histogram: &Histogram, sample: &Sample) -> Histogram {
        let mut out = histogram.clone();
        let round = |at: i64| {
            let rest = at.rem_euclid(86_400);
            if rest >= 43_200 { at - rest + 86_400 } else { at - rest }
        };
        let reference = match histogram.reference_seconds {
            None => round(sample.at_seconds),
            Some(old) if sample.at_seconds > old + 8_640_000 => {
                let new = round(sample.at_seconds);
                for weight in out.weights.values_mut() {
                    *weight /= 2_f64.powf((new - old) as f64 / 86_400.0);
                }
                new
            }
            Some(old) => old,
        };
        out.reference_seconds = Some(reference);
        let weight = sample.weight * 2_f64.powf((sample.at_seconds - reference) as f64 / 86_400.0);
        let bucket = sample_bucket(histogram, sample);
        if weight >= 0.0 {
            *out.weights.entry(bucket).or_insert(0.0) += weight;
            return out;
        }
        if let Some(there) = out.weights.remove(&bucket) {
            if there + weight >= 0.0001 {
                out.weights.insert(bucket, there + weight);
            }
        }
        out
    }

    fn recommend(&self, request: &RecommendRequest) -> Vec<Recommendation> {
        let mut wanted = Vec::new();
        for container in &request.containers {
            let policy = find_policy(&container.name, &request.policies);
            if !policy.is_some_and(|policy| policy.off) {
                wanted.push((container, policy));
            }
        }
        let mut answers = Vec::new();
        for (container, policy) in &wanted {
            let mut answer = Recommendation { container_name: container.name.clone(), ..Recommendation::default() };
            let mut confidence = container.span_seconds as f64 / 86_400.0;
            if container.samples as f64 / 1440.0 < confidence {
                confidence = container.samples as f64 / 1440.0;
            }
            for resource in [Resource::Cpu, Resource::Memory] {
                if let Some(only) = policy.and_then(|policy| policy.controlled_resources.as_ref()) {
                    if !only.contains(&resource) {
                        continue;
                    }
                }
                let (histogram, mut least) = match resource {
                    Resource::Cpu => (&container.cpu, 25),
                    Resource::Memory => (&container.memory, 250 * 1024 * 1024),
                };
                least /= wanted.len() as i64;
                let base = |part: f64| {
                    let value = percentile(histogram, part);
                    value + (value as f64 * 0.15) as i64
                };
                let limit = |value: i64| value.clamp(least, 100_000_000_000_000);
                let (middle, high) = (base(0.5), base(0.95));
                let lower = if confidence == 0.0 { 0 } else { (middle as f64 * (1.0 + 0.001 / confidence).powi(-2)) as i64 };
                let upper = match (high, confidence) {
                    (0, _) => 0,
                    (_, 0.0) => i64::MAX,
                    (high, confidence) => (high as f64 * (1.0 + 1.0 / confidence)) as i64,
                };
                let target = limit(base(0.9));
                answer.uncapped_target.insert(resource, target);
                answer.target.insert(resource, cap(target, resource, *policy));
                answer.lower_bound.insert(resource, cap(limit(lower), resource, *policy));
                answer.upper_bound.insert(resource, cap(limit(upper), resource, *policy));
            }
            answers.push(answer);
        }
        answers
    }

    fn evict(&self, request: &EvictRequest) -> Vec<String> {
        let mut candidates: Vec<(&PodView, bool, f64)> = Vec::new();
        if (request.pods.len() as u32) < request.min_replicas {
            return Vec::new();
        }
        for pod in &request.pods {
            let (goes, grows, difference) = look(pod, &request.recommendations);
            if goes && wanted(pod, request) {
                candidates.push((pod, grows, difference));
            }
        }
        let half = request.replicas / 2;
        let running = request.pods.iter().filter(|pod| !pod.pending).count() as u32;
        let mut gone = 0;
        let mut names = Vec::new();
        while !candidates.is_empty() {
            let mut best = 0;
            for index in 1..candidates.len() {
                let (a, b) = (&candidates[index], &candidates[best]);
                if (a.1 && !b.1) || (a.1 == b.1 && a.2 > b.2) {
                    best = index;
                }
            }
            let (pod, ..) = candidates.remove(best);
            if pod.pending {
                names.push(pod.name.clone());
            } else if running - gone + half > request.replicas || (half == 0 && gone == 0 && running == request.replicas) {
                gone += 1;
                names.push(pod.name.clone());
            }
        }
        names
    }
}

fn sample_bucket(histogram: &Histogram, sample: &Sample) -> u32 {
    histogram.resource.bucket(sample.amount)
}

fn find_policy<'a>(name: &str, policies: &'a [ContainerPolicy]) -> Option<&'a ContainerPolicy> {
    let mut all = None;
    for policy in policies {
        if policy.container_name == name {
            return Some(policy);
        }
        if policy.container_name == "*" {
            all = Some(policy);
        }
    }
    all
}

fn percentile(histogram: &Histogram, part: f64) -> i64 {
    let mut total = 0.0;
    for weight in histogram.weights.values() {
        total += weight;
    }
    let mut seen = 0.0;
    for (bucket, weight) in &histogram.weights {
        seen += weight;
        if seen + total * 1e-6 >= part * total {
            return histogram.resource.end(*bucket);
        }
    }
    0
}

fn cap(value: i64, resource: Resource, policy: Option<&ContainerPolicy>) -> i64 {
    let Some(policy) = policy else { return value };
    let mut value = value;
    if let Some(least) = policy.min_allowed.get(&resource) {
        if *least != 0 && value < *least {
            value = *least;
        }
    }
    if let Some(most) = policy.max_allowed.get(&resource) {
        if *most != 0 && value > *most {
            value = *most;
        }
    }
    value
}

/// Whether it goes, whether it grows, and its difference.
fn look(pod: &PodView, recommendations: &[Recommendation]) -> (bool, bool, f64) {
    let (mut outside, mut grows, mut killed) = (false, false, false);
    let (mut requested, mut recommended) = (Amounts::new(), Amounts::new());
    for container in &pod.containers {
        let Some(of) = recommendations.iter().find(|of| of.container_name == container.name) else { continue };
        killed |= matches!(container.out_of_memory_after_seconds, Some(after) if after < 600);
        for (resource, target) in &of.target {
            *recommended.entry(*resource).or_insert(0) += target;
            match container.requests.get(resource) {
                None => (outside, grows) = (true, true),
                Some(request) => {
                    *requested.entry(*resource).or_insert(0) += request;
                    grows |= request < target;
                    outside |= matches!(of.lower_bound.get(resource), Some(lower) if request < lower);
                    outside |= matches!(of.upper_bound.get(resource), Some(upper) if request > upper);
                }
            }
        }
    }
    let mut difference = 0.0;
    for (resource, target) in &recommended {
        let request = requested.get(resource).copied().unwrap_or(0).max(1);
        difference += (request - target).abs() as f64 / request as f64;
    }
    let old = pod.started_seconds_ago.unwrap_or(-1) >= 12 * 60 * 60;
    let goes = if killed { difference != 0.0 } else { outside || (old && difference >= 0.1) };
    (goes, grows, difference)
}

fn wanted(pod: &PodView, request: &EvictRequest) -> bool {
    if request.requirements.is_empty() {
        return true;
    }
    'containers: for container in &pod.containers {
        let Some(of) = request.recommendations.iter().find(|of| of.container_name == container.name) else { continue };
        let (Some(_), Some(_)) = (container.requests.get(&Resource::Cpu), container.requests.get(&Resource::Memory)) else {
            return true;
        };
        for requirement in &request.requirements {
            let mut holds = false;
            for resource in &requirement.resources {
                let (target, there) = (of.target.get(resource).unwrap_or(&0), container.requests[resource]);
                holds |= match requirement.change {
                    Change::Higher => *target > there,
                    Change::Lower => *target < there,
                };
            }
            if !holds {
                continue 'containers;
            }
        }
        return true;
    }
    false
}

kit::exercise!(Exercise: VerticalPodAutoscaler);
