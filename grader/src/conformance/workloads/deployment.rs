//! Tables of the Deployment controller, held against the reference module and the controller around it.

use super::Check;
use super::pure::{compare, field};
use kit_api::int_or_percent::IntOrString;
use kit_contract::workloads::DeploymentController;
use kit_contract::workloads::rolling_update::RollingUpdate;
use serde_json::{Value, json};
use solutions::workloads::rolling_update::{grown, resolve, share};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "deployment_fenceposts" => Some(fenceposts),
        "deployment_new_rs_replicas" => Some(new_rs_replicas),
        "deployment_proportion" => Some(proportion),
        _ => None,
    }
}

fn controller() -> Box<dyn DeploymentController> {
    solutions::modules().rolling_update.make(&())
}

fn rolling_update(case: &Value) -> Result<RollingUpdate, String> {
    let max_unavailable = case.get("maxUnavailable").map_or(Ok(IntOrString::Int(0)), |_| field(case, "maxUnavailable"));
    Ok(RollingUpdate { max_surge: field(case, "maxSurge")?, max_unavailable: max_unavailable? })
}

fn fenceposts(case: &Value) -> Result<(), String> {
    let (update, replicas): (_, i32) = (rolling_update(case)?, field(case, "replicas")?);
    let resolved = match resolve(&update, replicas) {
        Err(error) => return compare(case, json!({ "error": error })),
        Ok(resolved) => resolved,
    };
    let posts = controller().fenceposts(&update, replicas);
    compare(
        case,
        json!({
            "surge": resolved.surge,
            "unavailable": resolved.unavailable,
            "MaxUnavailable": posts.unavailable,
            "MinAvailable": replicas - posts.unavailable,
            "MaxSurge": posts.surge,
        }),
    )
}

fn new_rs_replicas(case: &Value) -> Result<(), String> {
    let (replicas, new, old): (i32, i32, i32) =
        (field(case, "replicas")?, field(case, "newRS")?, field(case, "oldRS")?);
    match resolve(&rolling_update(case)?, replicas) {
        Err(error) => compare(case, json!({ "error": error })),
        Ok(posts) => {
            compare(case, json!({ "error": null, "newReplicas": grown(replicas, posts.surge, new, new + old) }))
        }
    }
}

fn proportion(case: &Value) -> Result<(), String> {
    let replicas = field(case, "deploymentReplicas")?;
    let surge = controller().fenceposts(&rolling_update(case)?, replicas).surge;
    let most = if replicas == 0 { 0 } else { replicas + surge };
    let status: Option<i32> = field(case, "deploymentStatusReplicas")?;
    let before =
        field::<Option<i32>>(case, "rsMaxReplicasAnnotation")?.filter(|most| *most != 0).or(status).unwrap_or(0);
    let (missing, added): (i32, i32) = (field(case, "toAdd")?, field(case, "added")?);
    let share = share(field(case, "rsReplicas")?, before, most, missing, missing - added);
    compare(case, json!({ "proportion": share }))
}
