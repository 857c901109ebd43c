//! The eviction manager of a node.

use super::Asked;
use kit_contract::node::eviction::{Config, Evicted, Look, NewPod, Resource};

pub fn eviction(asked: &Asked<'_>) -> Option<Vec<String>> {
    let config: Config = serde_json::from_value(asked.script.new["config"].clone()).ok()?;
    match asked.call {
        "look" => Some(look(&config, &asked.answer()?)),
        "collected" => Some(collected(asked.answer().flatten())),
        _ => Some(admit(&asked.arg("pod")?)),
    }
}

fn look(config: &Config, look: &Look) -> Vec<String> {
    let mut said = Vec::new();
    if !look.conditions.is_empty() {
        said.push(format!(
            "A condition holds from the first look that finds a threshold met, soft ones too, until {} s after the last.",
            config.transition_seconds
        ));
    }
    match (look.reclaims, look.collect_garbage, &look.evict) {
        (None, ..) => said.push(
            "No threshold is due, or the figures are no newer than those of the look before: nothing is done.".into(),
        ),
        (_, true, _) => said.push("Images and ended containers take up what is short, so they go first.".into()),
        (_, _, Some(evicted)) => said.extend(pod(evicted)),
        (_, _, None) => said.push("Something is short, but there is no pod that may be evicted.".into()),
    }
    said
}

fn pod(evicted: &Evicted) -> Vec<String> {
    let order = match evicted.because.signal.resource() {
        Resource::Pids => "Of process ids nobody requests any: priority comes first, then the number of processes.",
        _ => {
            "First go pods that nobody measured, then those that use more than they request, then by priority, then by how much more. The QoS class isn't asked."
        }
    };
    let grace = match evicted.because.grace_seconds {
        0 => "The threshold is hard: the pod has one second.",
        _ => "The threshold is soft: the pod has its own grace period, up to what the kubelet allows.",
    };
    vec![order.into(), grace.into()]
}

fn collected(evicted: Option<Evicted>) -> Vec<String> {
    match evicted {
        None => {
            vec!["Each threshold is left behind by as much as is to be won back, or there was nobody to evict.".into()]
        }
        Some(evicted) => {
            let more = "Some threshold isn't left behind by as much as is to be won back, so a pod goes after all."
                .to_string();
            [more].into_iter().chain(pod(&evicted)).collect()
        }
    }
}

fn admit(pod: &NewPod) -> Vec<String> {
    vec![match (pod.critical, pod.class) {
        (true, _) => "Critical pods are always let in.".into(),
        _ => "Without pressure all are let in. Memory pressure alone keeps out BestEffort pods that don't tolerate it; any other pressure keeps out all.".into(),
    }]
}
