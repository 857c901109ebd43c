//! Nodes that fail.

use super::{Asked, list};
use serde_json::Value;

pub fn node_lifecycle(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "node_changed" => Some(conditions(&asked.args["node"])),
        "monitor" => monitor(asked),
        _ => {
            let waits = asked.answer["again_after_ms"].as_i64();
            let added = !asked.answer["actions"].as_array()?.is_empty();
            let mut said = vec![match added {
                true => "A zone has a permission, and the first node that waits there uses it: the taint goes with its condition Ready as it is now.".to_string(),
                false => "No zone has both a permission and a node that waits and still needs a taint. A node waits only after a pass has put it in the queue.".into(),
            }];
            said.extend(waits.map(|ms| format!("Others wait: the next permission of a zone comes 1 ÷ rate seconds after the last one was used, in {ms} ms.")));
            Some(said)
        }
    }
}

/// Which taints follow from a node's conditions, and which it has.
fn conditions(node: &Value) -> Vec<String> {
    let table = [
        ("Ready", "False", "not-ready"),
        ("Ready", "Unknown", "unreachable"),
        ("MemoryPressure", "True", "memory-pressure"),
        ("DiskPressure", "True", "disk-pressure"),
        ("PIDPressure", "True", "pid-pressure"),
        ("NetworkUnavailable", "True", "network-unavailable"),
    ];
    let follow = table.iter().filter(|(condition, status, _)| node["conditions"][*condition] == *status);
    let mut follow: Vec<String> =
        follow.map(|(condition, status, key)| format!("{key} (from {condition} {status})")).collect();
    if node["unschedulable"] == true {
        follow.push("unschedulable (it is cordoned)".into());
    }
    let own = [
        "not-ready",
        "unreachable",
        "memory-pressure",
        "disk-pressure",
        "pid-pressure",
        "network-unavailable",
        "unschedulable",
    ];
    let taints = node["taints"].as_array().into_iter().flatten().filter(|taint| taint["effect"] == "NoSchedule");
    let has: Vec<String> = taints
        .filter_map(|taint| taint["key"].as_str()?.strip_prefix("node.kubernetes.io/").map(String::from))
        .filter(|key| own.contains(&key.as_str()))
        .collect();
    vec![
        format!("NoSchedule taints that it must have: {}.", list(&follow)),
        format!("Those that it has: {}. NoExecute taints are no business of this call.", list(&has)),
    ]
}

fn monitor(asked: &Asked<'_>) -> Option<Vec<String>> {
    let now = asked.args["now_ms"].as_i64()?;
    let first = asked.script.steps.iter().filter(|(call, _)| call == "monitor").count() == 1;
    let mut said = Vec::new();
    if first {
        said.push("It is the first pass: every node that reported appears now, and is heard now. Each loses NoExecute taints of before.".into());
    }
    let config = &asked.script.new["config"];
    let grace = config["node_monitor_grace_period_seconds"].as_i64().unwrap_or(50);
    let start = config["node_startup_grace_period_seconds"].as_i64().unwrap_or(60);
    for node in asked.args["nodes"].as_array()? {
        let name = node["name"].as_str()?;
        let about = |action: &&Value| action.as_object().is_some_and(|kind| kind.values().any(|of| of["node"] == name));
        let actions: Vec<&Value> = asked.answer["actions"].as_array()?.iter().filter(about).collect();
        let silent = actions.iter().any(|action| action.get("set_unknown").is_some());
        if silent && node["conditions"]["Ready"].is_null() {
            let created = node["created_ms"].as_i64().unwrap_or(0);
            said.push(format!("{name} never reported in the {start} s since it was created or seen (created at {created} ms, now {now})."));
        } else if silent {
            said.push(format!(
                "{name} was heard more than {grace} s ago: neither its heartbeat nor its lease has changed since."
            ));
        } else if actions.iter().any(|action| action.get("remove_taint").is_some()) {
            let ready = &node["conditions"]["Ready"];
            said.push(format!(
                "{name}: its Ready is {}, which goes with the taints that it keeps.",
                kit_contract::flow(ready)
            ));
        }
    }
    if asked.answer["actions"].as_array()?.is_empty() {
        said.push(format!("No node was silent for more than {grace} s, and nobody has a NoExecute taint too many. New ones only come with `taint`."));
    }
    said.truncate(5);
    Some(said)
}
