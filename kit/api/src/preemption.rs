//! How the kubelet makes room for a critical pod.
//!
//! Source: `pkg/kubelet/preemption/preemption.go`.

use crate::core::Pod;
use crate::pod_resources::kubelet_request;
use crate::qos::{QosClass, class_of, is_critical};

/// What is missing, in the kubelet's order: amounts of CPU in milli-cores, all others in whole units.
pub type Missing = Vec<(String, i64)>;

/// The pods to evict so that `preemptor` fits: as little as possible of the better classes (`getPodsToPreempt`).
///
/// # Errors
///
/// What would still be missing if all went, in upstream's words.
pub fn victims<'a>(preemptor: &Pod, running: &[&'a Pod], missing: &Missing) -> Result<Vec<&'a Pod>, String> {
    let class = |class| {
        let of_class = running.iter().copied().filter(move |pod| class_of(pod) == class);
        of_class.filter(|pod| preemptable(preemptor, pod)).collect::<Vec<_>>()
    };
    let (best_effort, burstable, guaranteed) =
        (class(QosClass::BestEffort), class(QosClass::Burstable), class(QosClass::Guaranteed));
    let all = [&best_effort[..], &burstable, &guaranteed].concat();
    let unmet = subtract(missing, &all);
    if !unmet.is_empty() {
        return Err(none_found(&unmet));
    }
    // Of each class only as many as the lower classes can't replace.
    let guaranteed = nearest(guaranteed, subtract(missing, &[&best_effort[..], &burstable].concat()))?;
    let burstable = nearest(burstable, subtract(missing, &[&best_effort[..], &guaranteed].concat()))?;
    let best_effort = nearest(best_effort, subtract(missing, &[&burstable[..], &guaranteed].concat()))?;
    Ok([best_effort, burstable, guaranteed].concat())
}

/// Whether one pod may push out another (`Preemptable`).
fn preemptable(preemptor: &Pod, pod: &Pod) -> bool {
    let priority = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.priority);
    is_critical(preemptor) && !is_critical(pod) || priority(preemptor).zip(priority(pod)).is_some_and(|(a, b)| a > b)
}

fn request(pod: &Pod, resource: &str) -> i64 {
    match resource {
        "pods" => 1,
        "cpu" => kubelet_request(pod, resource).milli_value(),
        _ => kubelet_request(pod, resource).value(),
    }
}

fn subtract(missing: &Missing, pods: &[&Pod]) -> Missing {
    let left = |(name, amount): &(String, i64)| {
        let left = pods.iter().fold(*amount, |left, pod| left.saturating_sub(request(pod, name)));
        (left > 0).then(|| (name.clone(), left))
    };
    missing.iter().filter_map(left).collect()
}

/// Picks the pod that comes nearest to what is missing, again and again (`getPodsToPreemptByDistance`).
fn nearest(mut pods: Vec<&Pod>, mut missing: Missing) -> Result<Vec<&Pod>, String> {
    let mut picked = Vec::new();
    while !missing.is_empty() {
        let mut best: Option<(usize, f64)> = None;
        for (i, pod) in pods.iter().enumerate() {
            let distance = distance(&missing, pod);
            let better =
                best.is_none_or(|(at, least)| distance < least || distance == least && is_smaller(pod, pods[at]));
            if better {
                best = Some((i, distance));
            }
        }
        let Some((at, _)) = best else {
            return Err(none_found(&missing));
        };
        let pod = pods.swap_remove(at);
        missing = subtract(&missing, &[pod]);
        picked.push(pod);
    }
    Ok(picked)
}

/// The sum of the squares of what would still be missing, each as a part of what is missing now.
fn distance(missing: &Missing, pod: &Pod) -> f64 {
    let part = |(name, amount): &(String, i64)| {
        let left = (amount - request(pod, name)) as f64;
        if left > 0.0 { (left / *amount as f64).powi(2) } else { 0.0 }
    };
    missing.iter().map(part).sum()
}

/// Whether a pod asks for less memory than another, or as much memory and no more CPU.
fn is_smaller(pod: &Pod, other: &Pod) -> bool {
    let both = |pod| (request(pod, "memory"), request(pod, "cpu"));
    both(pod) <= both(other)
}

fn none_found(missing: &Missing) -> String {
    let list: String = missing.iter().map(|(name, amount)| format!("(res: {name}, q: {amount}), ")).collect();
    format!("no set of running pods found to reclaim resources: [{list}]")
}
