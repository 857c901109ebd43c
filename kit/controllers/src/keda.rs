//! KEDA: scaling by the length of a queue or a query of Prometheus, down to nothing and up again.
//!
//! A ScaledObject names a target and triggers. The [`Operator`](operator::Operator) owns an HPA for it, `keda-hpa-NAME`, which
//! scales from one replica up; since an HPA can't begin or end with none, the operator itself wakes the target as soon as a
//! trigger is active, and lets it sleep when none was for the cooldown. [`metric`] is what the HPA is told through
//! `external.metrics.k8s.io`: the value of the trigger, whether it is active or not.
//!
//! It is an add-on. Source: `kedacore/keda` 2.17. What isn't here: other triggers than `rabbitmq` with the mode `QueueLength`
//! and `prometheus`, formulas of several triggers, authentication, and ScaledJobs.

mod fallback;
pub mod operator;
mod pause;
mod spec;
mod status;
#[cfg(test)]
mod tests;

use kit_api::autoscaling::ExternalMetricSource;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_client::metrics::Measured;
use kit_server::Patch;
use serde_json::{Value, json};
use spec::Spec;
use status::Status;

/// The group and version of ScaledObjects.
pub const API_VERSION: &str = "keda.sh/v1alpha1";
/// The kind.
pub const KIND: &str = "ScaledObject";
/// The label by which an HPA says whose metric it asks for (`ScaledObjectOwnerAnnotation`).
const OWNER: &str = "scaledobject.keda.sh/name";

/// The values of a metric that an HPA asks for, in thousandths (`GetExternalMetric`, `GetScaledObjectMetrics`). Where there is
/// a fallback, the status says how often there was no answer.
///
/// # Errors
///
/// KEDA knows no ScaledObject or trigger of that name, or its source doesn't answer, and there is no fallback or not yet.
pub fn metric(
    source: &ExternalMetricSource,
    namespace: &str,
    measured: &Measured,
    world: &mut World<'_>,
) -> Result<Vec<i64>, String> {
    let name = &source.metric.name;
    let labels = source.metric.selector.as_ref().and_then(|selector| selector.match_labels.as_ref());
    let owner = labels.and_then(|labels| labels.get(OWNER)).ok_or("scaledObject name is not specified")?;
    let none = || format!("no matching metrics found for {name}");
    let kind = world.server.kind_of(API_VERSION, KIND).ok_or_else(none)?;
    let key = Key::new(kind, namespace, owner);
    let object = world.server.get(&key).map_err(|error| error.message)?.to_value();
    let spec = Spec::read(&object).map_err(|wrong| wrong.message.to_string())?;
    let trigger = spec.triggers.iter().find(|trigger| trigger.metric == *name).ok_or_else(none)?;
    let value = trigger.value_milli(measured).map_err(|_| format!("metric:{name} encountered error"));
    let Some((fallback, target)) = spec.fallback.as_ref().zip(trigger.averaged_milli()) else {
        return value.map(|value| vec![value]);
    };
    let mut status = Status::of(&object);
    let falls_back = fallback.count(name, value.is_ok(), &mut status);
    if status.value != object["status"] {
        _ = world.server.patch(&key, &Patch::Merge(json!({ "status": status.value })), true);
    }
    if !falls_back {
        return value.map(|value| vec![value]);
    }
    let target_of = spec.target_key(namespace, world).and_then(|key| world.server.get(&key).ok());
    let current = target_of.and_then(|there| replicas(&spec, &there.to_value()));
    current.map(|current| vec![fallback.value_milli(target, current)]).map_or(value.map(|value| vec![value]), Ok)
}

/// How many replicas a target asks for; none if it can't be scaled.
fn replicas(spec: &Spec, target: &Value) -> Option<i64> {
    let replicas = target["spec"]["replicas"].as_i64();
    replicas.or(matches!(spec.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet").then_some(1))
}
