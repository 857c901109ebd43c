//! What containers should request, and what they do request.

use super::workload;
use kit_api::core::Pod;
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for stored in snapshot.list_named("VerticalPodAutoscaler") {
        let status = stored.to_value()["status"].take();
        let name = &stored.key.name;
        for condition in
            status["conditions"].as_array().into_iter().flatten().filter(|c| c["type"] != "RecommendationProvided")
        {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            table.insert(format!("vpa/{name} {}", text("type")), text("message").into());
        }
        for of in status["recommendation"]["containerRecommendations"].as_array().into_iter().flatten() {
            let container = of["containerName"].as_str().unwrap_or_default();
            table.insert(format!("vpa/{name} {container}"), list(&of["target"]));
        }
    }
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for stored in snapshot.list(Kind::Pod) {
        let Some(pod) = stored.get::<Pod>() else { continue };
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let resources = serde_json::to_value(&container.resources).unwrap_or_default();
            let mut said = list(&resources["requests"]);
            if resources["limits"].is_object() {
                said += &format!(" (limits {})", list(&resources["limits"]));
            }
            let subject = format!("requests of {} {}", workload(&stored.object), container.name);
            *counts.entry(subject).or_default().entry(said).or_default() += 1;
        }
    }
    for (subject, counts) in counts {
        let counts: Vec<_> = counts.iter().map(|(said, count)| format!("{count} × {said}")).collect();
        table.insert(subject, counts.join(", "));
    }
}

fn list(list: &Value) -> String {
    let pair = |(name, amount): (&String, &Value)| format!("{name} {}", amount.as_str().unwrap_or_default());
    let pairs: Vec<String> = list.as_object().into_iter().flatten().map(pair).collect();
    if pairs.is_empty() { "nothing".into() } else { pairs.join(" ") }
}
