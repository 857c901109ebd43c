//! Tables of ReplicaSets, held against the reference module.

use super::Check;
use super::pure::{compare, field};
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use serde_json::{Value, json};
use solutions::workloads::replica_set;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "replicaset_pod_deletion_order" => Some(replicaset_pod_deletion_order),
        _ => None,
    }
}

fn replicaset_pod_deletion_order(case: &Value) -> Result<(), String> {
    let pods: Vec<Pod> = field(case, "pods")?;
    let now: Timestamp = field(case, "now")?;
    let pods: Vec<&Pod> = pods.iter().collect();
    let order = replica_set::deletion_order(&pods, &pods, now);
    let order: Vec<_> = order.iter().map(|pod| pod.metadata.name.as_deref().unwrap_or_default()).collect();
    compare(case, json!({ "deletionOrder": order }))
}
