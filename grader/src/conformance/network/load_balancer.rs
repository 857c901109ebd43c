//! The service controller of a cloud.

use kit_contract::api::meta::ObjectMeta;
use kit_contract::network::LoadBalancerController;
use kit_contract::network::load_balancer::{Action, Happened, Host, Node, Service, SyncRequest, Task};
use serde_json::{Value, json};
use solutions::network::load_balancer::Exercise;

fn service(case: &Value, field: &str) -> Result<Service, String> {
    serde_json::from_value(case[field].clone()).map_err(|e| format!("the case's `{field}`: {e}"))
}

/// A node, without what the recording adds of its own.
fn node(value: &Value) -> Result<Node, String> {
    let mut value = value.clone();
    if let Some(status) = value["status"].as_object_mut() {
        status.retain(|name, _| name == "conditions");
    }
    serde_json::from_value(value).map_err(|e| format!("a node: {e}"))
}

fn nodes(case: &Value, field: &str) -> Result<Vec<Node>, String> {
    case[field].as_array().into_iter().flatten().map(node).collect()
}

fn same(case: &Value, field: &str, answer: Value) -> Result<(), String> {
    let expected = &case[field];
    let shown: String = case.to_string().chars().take(300).collect();
    if *expected == answer { Ok(()) } else { Err(format!("{field}: expected {expected}, got {answer} · {shown}")) }
}

pub fn load_balancer_nodes(case: &Value) -> Result<(), String> {
    let node = node(&case["node"])?;
    // `allPredicates` adds the readiness, which the controller doesn't ask for any more.
    let is_host = !Exercise.hosts(std::slice::from_ref(&node)).is_empty();
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.into_iter().find(|c| c.type_ == "Ready").is_some_and(|ready| ready.status == "True");
    // The older list of conditions didn't ask whether a node is being deleted either.
    let metadata = ObjectMeta { deletion_timestamp: None, ..node.metadata.clone() };
    let by_all = ready && !Exercise.hosts(&[Node { metadata, ..node }]).is_empty();
    same(case, "inLoadBalancer", is_host.into())?;
    same(case, "allPredicates", by_all.into())
}

pub fn load_balancer_services(case: &Value) -> Result<(), String> {
    if case["op"] == "update" {
        let (old, new) = (service(case, "old")?, service(case, "new")?);
        return same(case, "needsUpdate", Exercise.service_changed(&old, &new).into());
    }
    let service = service(case, "service")?;
    let task = Exercise.task(&service);
    same(case, "needsCleanup", (task == Task::CleanUp).into())?;
    // A service that is to be cleaned up may want one all the same: whether its type or class changes tells.
    let mut other = service.clone();
    other.spec.get_or_insert_default().type_ = Some("ClusterIP".into());
    let wants = Exercise.service_changed(&service, &other);
    same(case, "wantsLoadBalancer", wants.into())
}

pub fn load_balancer_node_sync(case: &Value) -> Result<(), String> {
    if case["op"] == "node update triggers a sync" {
        let (old, new) = (node(&case["old"])?, node(&case["new"])?);
        return same(case, "sync", Exercise.node_changed(&old, &new).into());
    }
    let told: Vec<Host> = Exercise.hosts(&nodes(case, "old")?);
    let service = json!({"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer"}});
    let request = SyncRequest {
        happened: Happened::Nodes,
        service: serde_json::from_value(service).map_err(|e| e.to_string())?,
        nodes: nodes(case, "new")?,
        in_cloud: true,
        told,
        failures: 0,
    };
    let result = Exercise.sync(&request);
    same(case, "update", result.actions.iter().any(|action| matches!(action, Action::UpdateHosts { .. })).into())
}
