//! What scales workloads, and what guards them: `horizontalpodautoscaler.go` and `poddisruptionbudget.go`.

use super::{
    BY_UNIX, CREATED, GENERATION, OBSERVED, Of, Row, Table, alpha, amount, conditions, list, number, stable, text,
};
use kit_apimachinery::object::Kind;
use serde_json::Value;

pub static AUTOSCALERS: Table = Table {
    kind: Kind::HorizontalPodAutoscaler,
    labels: &[("namespace", "/metadata/namespace"), ("horizontalpodautoscaler", "/metadata/name")],
    metrics: &[
        alpha(
            "kube_horizontalpodautoscaler_info",
            "Information about this autoscaler.",
            Of::Info(&[
                ("scaletargetref_api_version", "/spec/scaleTargetRef/apiVersion"),
                ("scaletargetref_kind", "/spec/scaleTargetRef/kind"),
                ("scaletargetref_name", "/spec/scaleTargetRef/name"),
            ]),
        ),
        stable(
            "kube_horizontalpodautoscaler_metadata_generation",
            "The generation observed by the HorizontalPodAutoscaler controller.",
            GENERATION,
        ),
        stable(
            "kube_horizontalpodautoscaler_spec_max_replicas",
            "Upper limit for the number of pods that can be set by the autoscaler; cannot be smaller than MinReplicas.",
            Of::Number("/spec/maxReplicas"),
        ),
        stable(
            "kube_horizontalpodautoscaler_spec_min_replicas",
            "Lower limit for the number of pods that can be set by the autoscaler, default 1.",
            Of::Rows(|of| vec![(Vec::new(), number(of, "/spec/minReplicas").unwrap_or(1.0))]),
        ),
        alpha(
            "kube_horizontalpodautoscaler_spec_target_metric",
            "The metric specifications used by this autoscaler when calculating the desired replica count.",
            Of::Rows(|of| targets(of, "/spec/metrics", "/target")),
        ),
        stable(
            "kube_horizontalpodautoscaler_status_target_metric",
            "The current metric status used by this autoscaler when calculating the desired replica count.",
            Of::Rows(|of| targets(of, "/status/currentMetrics", "/current")),
        ),
        stable(
            "kube_horizontalpodautoscaler_status_current_replicas",
            "Current number of replicas of pods managed by this autoscaler.",
            Of::Number("/status/currentReplicas"),
        ),
        stable(
            "kube_horizontalpodautoscaler_status_desired_replicas",
            "Desired number of replicas of pods managed by this autoscaler.",
            Of::Number("/status/desiredReplicas"),
        ),
        stable(
            "kube_horizontalpodautoscaler_status_condition",
            "The condition of this autoscaler.",
            Of::Rows(conditions),
        ),
        alpha("kube_horizontalpodautoscaler_created", BY_UNIX, CREATED),
    ],
};

/// What each metric of an autoscaler is to be, or is.
fn targets(of: &Value, metrics: &str, values: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for metric in list(of, metrics) {
        let sources = ["object", "pods", "resource", "containerResource", "external"];
        let Some(source) = sources.iter().find_map(|source| metric.get(source)) else { continue };
        let name = [text(source, "/metric/name"), text(source, "/name")].concat();
        let Some(values) = source.pointer(values) else { continue };
        let kinds = [("value", "/value"), ("average", "/averageValue"), ("utilization", "/averageUtilization")];
        for (kind, at) in kinds {
            if let Some(value) = values.pointer(at).and_then(amount) {
                let container = text(source, "/container");
                let kind = kind.to_string();
                let labels =
                    vec![("metric_name", name.clone()), ("metric_target_type", kind), ("container", container)];
                rows.push((labels, value));
            }
        }
    }
    rows
}

pub static BUDGETS: Table = Table {
    kind: Kind::PodDisruptionBudget,
    labels: &[("namespace", "/metadata/namespace"), ("poddisruptionbudget", "/metadata/name")],
    metrics: &[
        stable("kube_poddisruptionbudget_created", BY_UNIX, CREATED),
        stable(
            "kube_poddisruptionbudget_status_current_healthy",
            "Current number of healthy pods",
            Of::Number("/status/currentHealthy"),
        ),
        stable(
            "kube_poddisruptionbudget_status_desired_healthy",
            "Minimum desired number of healthy pods",
            Of::Number("/status/desiredHealthy"),
        ),
        stable(
            "kube_poddisruptionbudget_status_pod_disruptions_allowed",
            "Number of pod disruptions that are currently allowed",
            Of::Number("/status/disruptionsAllowed"),
        ),
        stable(
            "kube_poddisruptionbudget_status_expected_pods",
            "Total number of pods counted by this disruption budget",
            Of::Number("/status/expectedPods"),
        ),
        stable(
            "kube_poddisruptionbudget_status_observed_generation",
            "Most recent generation observed when updating this PDB status",
            OBSERVED,
        ),
    ],
};
