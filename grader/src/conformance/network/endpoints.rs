//! Which slices a service has.

use kit_api::core::{Node, Pod, Service};
use kit_api::discovery::EndpointSlice;
use kit_contract::network::EndpointSlices;
use kit_network::endpoints::aggregate;
use kit_network::endpoints::hints::Topology;
use kit_network::endpoints::reconciler::{Seen, reconcile};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{error}: {value}"))
}

fn list<T: DeserializeOwned>(value: &Value) -> Result<Vec<T>, String> {
    value.as_array().into_iter().flatten().map(read).collect()
}

pub fn recorded(case: &Value) -> Result<(), String> {
    endpoint_slices(&*solutions::modules().endpoints.make(&()), case)
}

/// The slices of the service after each step, as recorded. What upstream takes from a Go map in any order is compared by
/// what it has in common.
fn endpoint_slices(module: &dyn EndpointSlices, case: &Value) -> Result<(), String> {
    let max = case["maxEndpointsPerSlice"].as_u64().and_then(|max| usize::try_from(max).ok()).ok_or("no maximum")?;
    let mut topology = Topology::default();
    for (at, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let at = format!("step {}", at + 1);
        let service: Service = read(&step["service"]).map_err(|error| format!("{at}: {error}"))?;
        let (pods, nodes): (Vec<Pod>, Vec<Node>) = (list(&step["pods"])?, list(&step["nodes"])?);
        let existing: Vec<EndpointSlice> = list(&step["existing"])?;
        topology.set_nodes(&nodes);
        let seen = Seen {
            service: &service,
            pods: &pods.iter().collect::<Vec<_>>(),
            node: &|name| nodes.iter().find(|node| node.metadata.name.as_deref() == Some(name)),
            slices: &existing.iter().collect::<Vec<_>>(),
            max_endpoints: max,
            triggered: "2025-01-01T00:00:00Z".parse().ok(),
        };
        let all = reconcile(module, &mut topology, &seen);

        let mut after: BTreeMap<String, Value> = BTreeMap::new();
        for slice in &existing {
            after.insert(slice.metadata.name.clone().unwrap_or_default(), plain(slice)?);
        }
        let (mut new, mut actions, mut events, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for changes in all {
            for slice in &changes.create {
                new.push(plain(slice)?);
                actions.push("create".to_string());
            }
            for slice in &changes.update {
                let name = slice.metadata.name.clone().unwrap_or_default();
                actions.push(format!("update {name}"));
                after.insert(name, plain(slice)?);
            }
            for slice in &changes.delete {
                let name = slice.metadata.name.clone().unwrap_or_default();
                after.remove(&name);
                actions.push(format!("delete {name}"));
            }
            events.extend(changes.told.iter().map(|told| format!("{} {} {}", told.kind, told.reason, told.message)));
            errors.extend(aggregate(&changes.skipped));
        }
        let ours: Vec<Value> = after.into_values().chain(new).collect();
        let theirs = &step["result"];
        let mut recorded: Vec<String> = list(&theirs["actions"])?;
        // The numbers of writes to slices: any of several equal ones may be that which is written.
        let varies = theirs["placementVaries"] == true;
        let count = |actions: &[String]| {
            let kinds = ["create", "update", "delete"];
            kinds.map(|kind| actions.iter().filter(|action| action.starts_with(kind)).count())
        };
        if varies {
            let counts = (count(&actions), count(&recorded));
            same(&at, "numbers of creates, updates and deletes", &json!(counts.0), &json!(counts.1))?;
        } else {
            actions.sort();
            recorded.sort();
            same(&at, "actions", &json!(actions), &json!(recorded))?;
        }
        same(&at, "error", &json!(aggregate(&errors)), &theirs["error"])?;
        same(&at, "events", &json!(sorted(events)), &json!(sorted(list(&theirs["events"])?)))?;
        let recorded: Vec<Value> = (theirs["slices"].as_array().into_iter().flatten()).cloned().collect();
        if varies {
            same(&at, "sizes", &json!(sizes(&ours)), &json!(sizes(&recorded)))?;
            same(&at, "endpoints", &json!(endpoints(&ours)), &json!(endpoints(&recorded)))?;
        } else {
            same(&at, "slices", &json!(whole(&ours)), &json!(whole(&recorded)))?;
        }
    }
    Ok(())
}

fn same(at: &str, what: &str, ours: &Value, theirs: &Value) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{at}: {what}: expected {theirs}, got {ours}")) }
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

fn plain(slice: &EndpointSlice) -> Result<Value, String> {
    serde_json::to_value(slice).map_err(|error| error.to_string())
}

/// With the fields of all objects in the order of their names, so that equal values have equal texts.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(ordered).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields.iter().map(|(name, value)| (name, ordered(value))).collect();
            json!(fields)
        }
        other => other.clone(),
    }
}

/// A list of a slice, in the order of its texts.
fn items(slice: &Value, field: &str) -> Vec<Value> {
    let mut items: Vec<Value> = slice[field].as_array().into_iter().flatten().map(ordered).collect();
    items.sort_by_key(Value::to_string);
    items
}

/// Each slice, without the name of a new one, its ports and endpoints in sorted order.
fn whole(slices: &[Value]) -> Vec<String> {
    let one = |slice: &Value| {
        let mut slice = ordered(slice);
        for field in ["apiVersion", "kind"] {
            slice.as_object_mut().map(|slice| slice.remove(field));
        }
        let name = slice["metadata"]["name"].as_str().unwrap_or("<new").to_string();
        if name.starts_with("<new") {
            slice["metadata"]["name"] = Value::Null;
        }
        for field in ["endpoints", "ports"] {
            slice[field] = items(&slice, field).into();
        }
        ordered(&slice).to_string()
    };
    sorted(slices.iter().map(one).collect())
}

/// Family, ports and number of endpoints of each slice.
fn sizes(slices: &[Value]) -> Vec<String> {
    let one = |slice: &Value| {
        let count = slice["endpoints"].as_array().map_or(0, Vec::len);
        format!("{} {} {count}", slice["addressType"], json!(items(slice, "ports")))
    };
    sorted(slices.iter().map(one).collect())
}

/// All endpoints, with family and ports, without their hints.
fn endpoints(slices: &[Value]) -> Vec<String> {
    let of = |slice: &Value| {
        let ports = json!(items(slice, "ports"));
        let all = items(slice, "endpoints").into_iter().map(|mut endpoint| {
            endpoint.as_object_mut().map(|endpoint| endpoint.remove("hints"));
            format!("{} {ports} {}", slice["addressType"], ordered(&endpoint))
        });
        all.collect::<Vec<_>>()
    };
    sorted(slices.iter().flat_map(of).collect())
}
