//! Tables of the HPA controller, held against the reference module.

use super::Check;
use super::pure::{compare, field};
use kit_contract::workloads::HorizontalPodAutoscaler;
use kit_contract::workloads::hpa::{
    AbleToScale, DecideRequest, Metric, MetricError, MetricRequest, PodSample, Recommendation, Sample, ScaleEvent,
    ScalingLimited,
};
use serde_json::{Value, json};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "hpa_replica_calculator" => Some(replica_calculator),
        "hpa_behavior_sequences" => Some(behavior_sequences),
        _ => None,
    }
}

fn autoscaler() -> Box<dyn HorizontalPodAutoscaler> {
    solutions::modules().hpa.make(&())
}

fn replica_calculator(case: &Value) -> Result<(), String> {
    let replicas = field(case, "currentReplicas")?;
    let pods = case["pods"].as_array().into_iter().flatten().map(|pod| pod_sample(case, pod));
    let request = MetricRequest {
        metric: metric(case)?,
        spec_replicas: replicas,
        status_replicas: replicas,
        pods: pods.collect::<Result<_, _>>()?,
    };
    match autoscaler().propose(&request) {
        Ok(proposal) => {
            let answers = json!({
                "error": null,
                "replicas": proposal.replicas,
                "rawAverageOrValue": proposal.current_milli,
                "utilization": proposal.utilization_percent,
            });
            compare(case, answers)
        }
        Err(error) => compare(case, json!({ "error": error_text(&error, &case["resource"]) })),
    }
}

fn metric(case: &Value) -> Result<Metric, String> {
    let milli = |name| field(case, name);
    Ok(match case["kind"].as_str().unwrap_or_default() {
        "utilization" => Metric::ResourceUtilization {
            resource: field(case, "resource")?,
            target_percent: field(case, "targetUtilization")?,
        },
        "averageValue" => Metric::ResourceAverageValue {
            resource: field(case, "resource")?,
            target_milli: milli("targetAverageMilli")?,
        },
        "pods" => Metric::PodsAverageValue { target_milli: milli("targetAverageMilli")? },
        "object" => Metric::ObjectValue { value_milli: milli("metricMilli")?, target_milli: milli("targetMilli")? },
        "objectPerPod" => {
            Metric::ObjectAverageValue { value_milli: milli("metricMilli")?, target_milli: milli("targetMilli")? }
        }
        "external" => {
            Metric::ExternalValue { values_milli: field(case, "metricsMilli")?, target_milli: milli("targetMilli")? }
        }
        "externalPerPod" => Metric::ExternalAverageValue {
            values_milli: field(case, "metricsMilli")?,
            target_milli: milli("targetMilli")?,
        },
        kind => return Err(format!("unknown kind {kind}")),
    })
}

fn pod_sample(case: &Value, pod: &Value) -> Result<PodSample, String> {
    let value: Option<i64> = field(pod, "metricMilli")?;
    let sample = |value_milli| -> Result<Sample, String> {
        Ok(Sample {
            value_milli,
            seconds_ago: field(pod, "metricAgeSeconds")?,
            window_seconds: field(case, "metricWindowSeconds")?,
        })
    };
    Ok(PodSample {
        name: field(pod, "name")?,
        phase: field(pod, "phase")?,
        deleting: pod["deleting"] == true,
        started_seconds_ago: field(pod, "startedSecondsAgo")?,
        ready: field(pod, "ready")?,
        ready_transition_seconds_ago: field(pod, "readyTransitionSecondsAgo")?,
        request_milli: field(pod, "requestMilli")?,
        sample: value.map(sample).transpose()?,
    })
}

fn error_text(error: &MetricError, resource: &Value) -> String {
    let resource = resource.as_str().unwrap_or_default();
    match error {
        MetricError::NoPods => "no pods returned by selector while calculating replica count".into(),
        MetricError::NoCountedPods => "did not receive metrics for targeted pods (pods might be unready)".into(),
        MetricError::MissingRequest { pod } => format!("missing request for {resource} in container web of Pod {pod}"),
        MetricError::NothingRequested => "no metrics returned matched known pods".into(),
    }
}

/// One HPA over time; each step's history is what the steps before proposed and did.
fn behavior_sequences(case: &Value) -> Result<(), String> {
    let (mut recommendations, mut events) = (Vec::<(i64, i32)>::new(), Vec::<(i64, i32)>::new());
    for step in case["steps"].as_array().into_iter().flatten() {
        let (now, current): (i64, i32) = (field(step, "t")?, field(step, "current")?);
        let proposed: i32 = field(step, "metricsDesired")?;
        if recommendations.is_empty() {
            recommendations.push((now, current));
        }
        let past =
            recommendations.iter().map(|(t, replicas)| Recommendation { replicas: *replicas, seconds_ago: now - t });
        let request = DecideRequest {
            current_replicas: current,
            min_replicas: field(case, "minReplicas")?,
            max_replicas: field(case, "maxReplicas")?,
            behavior: field(case, "behavior")?,
            proposals: vec![Some(proposed)],
            recommendations: past.collect(),
            scale_events: events
                .iter()
                .map(|(t, change)| ScaleEvent { change: *change, seconds_ago: now - t })
                .collect(),
        };
        let decision = autoscaler().decide(&request);
        recommendations.push((now, proposed));
        if decision.replicas != current {
            events.push((now, decision.replicas - current));
        }
        let answers = json!({
            "result": decision.replicas,
            "AbleToScale": decision.able_to_scale.map(|reason: AbleToScale| format!("True:{reason:?}")),
            "ScalingLimited": decision.scaling_limited.map(|reason| {
                let limited = reason != ScalingLimited::DesiredWithinRange;
                format!("{}:{reason:?}", if limited { "True" } else { "False" })
            }),
        });
        compare(step, answers)?;
    }
    Ok(())
}
