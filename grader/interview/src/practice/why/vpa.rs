//! The updater of the Vertical Pod Autoscaler.

use super::{Asked, list};
use kit_contract::workloads::vpa::{EvictRequest, PodView, Recommendation, Resource};
use std::collections::BTreeMap;

pub fn vpa(asked: &Asked<'_>) -> Option<Vec<String>> {
    let (request, gone): (EvictRequest, Vec<String>) = (asked.arg("request")?, asked.answer()?);
    let EvictRequest { replicas, min_replicas, recommendations, pods, .. } = &request;
    if pods.len() < *min_replicas as usize {
        let there = pods.len();
        return Some(vec![format!("There are {there} pods, and with fewer than {min_replicas} nobody is evicted.")]);
    }
    let mut said: Vec<String> = pods.iter().map(|pod| judged(pod, recommendations)).collect();
    said.truncate(3);
    let away = replicas / 2;
    let mut last =
        format!("Half of {replicas} replicas, {away}, may be away at once; pending pods don't run, and may always go.");
    if !request.requirements.is_empty() {
        last += " And all the requirements must hold for one of a pod's containers.";
    }
    said.push(format!("{last} Evicted: {}.", list(&gone)));
    Some(said)
}

/// Whether a pod should go, and why.
fn judged(pod: &PodView, recommendations: &[Recommendation]) -> String {
    let name = &pod.name;
    let known = |container: &str| recommendations.iter().find(|it| it.container_name == container);
    let (mut out, mut early) = (None, false);
    let mut sums: BTreeMap<Resource, (i64, i64)> = BTreeMap::new();
    for container in &pod.containers {
        let Some(recommendation) = known(&container.name) else { continue };
        early |= container.out_of_memory_after_seconds.is_some_and(|after| after < 600);
        for (resource, target) in &recommendation.target {
            let request = container.requests.get(resource);
            let (lower, upper) = (recommendation.lower_bound.get(resource), recommendation.upper_bound.get(resource));
            let why = match request {
                None => Some("is missing"),
                Some(request) if lower.is_some_and(|lower| request < lower) => Some("is below its lower bound"),
                Some(request) if upper.is_some_and(|upper| request > upper) => Some("is above its upper bound"),
                Some(_) => None,
            };
            let said = |why| format!("its request of {} for {} {why}", resource.name(), container.name);
            out = out.or(why.map(said));
            let sum = sums.entry(*resource).or_default();
            *sum = (sum.0.saturating_add(request.copied().unwrap_or(0)), sum.1.saturating_add(*target));
        }
    }
    let part = |(requested, target): &(i64, i64)| (requested - target).abs() as f64 / (*requested).max(1) as f64;
    let difference: f64 = sums.values().map(part).sum();
    let started = pod.started_seconds_ago.unwrap_or(0);
    match out {
        Some(out) => format!("{name} should go: {out}."),
        None if early && difference > 0.0 => {
            format!("{name} should go: it was out of memory within 600 s of its start.")
        }
        None if started >= 43_200 && difference >= 0.1 => {
            format!("{name} should go: it is older than 12 hours, and its difference is {difference:.3}.")
        }
        None if difference >= 0.1 => format!("{name} stays: it is in range and younger than 12 hours."),
        None => format!("{name} stays: it is in range, and its difference is {difference:.3}, below 0.1."),
    }
}
