//! KEDA: scaling by the length of a queue or a query of Prometheus, down to nothing and up again.
//!
//! A ScaledObject names a target and triggers. The [`Operator`](operator::Operator) owns an HPA for it, `keda-hpa-NAME`, which
//! scales from one replica up; since an HPA can't begin or end with none, the operator itself wakes the target as soon as a
//! trigger is active, and lets it sleep when none was for the cooldown. [`metric`] is what the HPA is told through
//! `external.metrics.k8s.io`: the value of the trigger, whether it is active or not.
//!
//! It is an add-on. Source: `kedacore/keda` 2.17. What isn't here: other triggers than `rabbitmq` with the mode `QueueLength`
//! and `prometheus`, fallbacks, pauses, formulas of several triggers, authentication, and ScaledJobs.

pub mod operator;
mod spec;
#[cfg(test)]
mod tests;

use kit_api::autoscaling::ExternalMetricSource;
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_client::metrics::Measured;
use spec::Spec;

/// The group and version of ScaledObjects.
pub const API_VERSION: &str = "keda.sh/v1alpha1";
/// The kind.
pub const KIND: &str = "ScaledObject";
/// The label by which an HPA says whose metric it asks for (`ScaledObjectOwnerAnnotation`).
const OWNER: &str = "scaledobject.keda.sh/name";

/// The values of a metric that an HPA asks for, in thousandths (`GetExternalMetric`).
///
/// # Errors
///
/// KEDA knows no ScaledObject or trigger of that name, or its source doesn't answer.
pub fn metric(
    source: &ExternalMetricSource,
    namespace: &str,
    measured: &Measured,
    world: &World<'_>,
) -> Result<Vec<i64>, String> {
    let name = &source.metric.name;
    let labels = source.metric.selector.as_ref().and_then(|selector| selector.match_labels.as_ref());
    let owner = labels.and_then(|labels| labels.get(OWNER)).ok_or("scaledObject name is not specified")?;
    let none = || format!("no matching metrics found for {name}");
    let kind = world.server.kind_of(API_VERSION, KIND).ok_or_else(none)?;
    let object = world.server.get(&Key::new(kind, namespace, owner)).map_err(|error| error.message)?.to_value();
    let spec = Spec::read(&object).map_err(|wrong| wrong.message.to_string())?;
    let trigger = spec.triggers.iter().find(|trigger| trigger.metric == *name).ok_or_else(none)?;
    trigger.value_milli(measured).map(|value| vec![value]).map_err(|_| none())
}
