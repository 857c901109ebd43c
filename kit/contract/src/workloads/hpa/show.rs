//! How questions and answers of this contract look to people.

use super::{
    Behavior, DecideRequest, Decision, Metric, MetricError, MetricRequest, PodSample, Policy, PolicyType, Proposal,
    ScalingActive, ScalingLimited, ScalingRules,
};
use crate::{Show, flow};

impl Show for MetricRequest {
    fn lines(&self) -> Vec<String> {
        let metric = match &self.metric {
            Metric::ResourceUtilization { resource, target_percent } => {
                format!("{} utilization, target {target_percent}%", flow(resource))
            }
            Metric::ResourceAverageValue { resource, target_milli } => {
                format!("{} for each pod, target {target_milli}m", flow(resource))
            }
            Metric::PodsAverageValue { target_milli } => format!("metric of each pod, target {target_milli}m"),
            Metric::ObjectValue { value_milli, target_milli } => {
                format!("metric of an object {value_milli}m, target {target_milli}m")
            }
            Metric::ObjectAverageValue { value_milli, target_milli } => {
                format!("metric of an object {value_milli}m, target {target_milli}m for each pod")
            }
            Metric::ExternalValue { values_milli, target_milli } => {
                format!("external metric {}, target {target_milli}m", values(values_milli))
            }
            Metric::ExternalAverageValue { values_milli, target_milli } => {
                format!("external metric {}, target {target_milli}m for each pod", values(values_milli))
            }
        };
        let mut lines = vec![metric, format!("replicas: spec {}, status {}", self.spec_replicas, self.status_replicas)];
        // Pods in a row that differ in nothing but their names share a line.
        let pods: Vec<_> = self.pods.iter().map(|pod| (flow(&pod.name), show_pod(pod))).collect();
        for alike in pods.chunk_by(|a, b| a.1 == b.1) {
            let names: Vec<_> = alike.iter().map(|(name, _)| name.as_str()).collect();
            lines.push(format!("{}: {}", names.join(", "), alike[0].1));
        }
        if self.pods.is_empty() {
            lines.push("no pods".into());
        }
        lines
    }
}

fn values(values: &[i64]) -> String {
    let values: Vec<_> = values.iter().map(|value| format!("{value}m")).collect();
    if values.is_empty() { "without a value".into() } else { values.join(" + ") }
}

fn show_pod(pod: &PodSample) -> String {
    let mut parts = vec![flow(&pod.phase)];
    if pod.deleting {
        parts.push("terminating".into());
    }
    parts.push(pod.started_seconds_ago.map_or("not started".into(), |ago| format!("started {ago}s ago")));
    let ready = if pod.ready { "ready" } else { "not ready" };
    let since = pod.ready_transition_seconds_ago;
    parts.push(since.map_or("no condition Ready".into(), |ago| format!("{ready} since {ago}s")));
    parts.push(pod.request_milli.map_or("no request".into(), |request| format!("requests {request}m")));
    parts.push(pod.sample.map_or("no sample".into(), |sample| {
        format!("uses {}m ({}s ago, over {}s)", sample.value_milli, sample.seconds_ago, sample.window_seconds)
    }));
    parts.join(", ")
}

impl Show for Proposal {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("propose {} replicas", self.replicas)];
        lines.extend(self.utilization_percent.map(|percent| format!("current utilization {percent}%")));
        lines.push(format!("current value {}m", self.current_milli));
        lines
    }
}

impl Show for MetricError {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            MetricError::NoPods => "no pods".into(),
            MetricError::NoCountedPods => "no counted pods".into(),
            MetricError::MissingRequest { pod } => format!("missing request of pod {}", flow(pod)),
            MetricError::NothingRequested => "nothing requested".into(),
        }]
    }
}

impl Show for DecideRequest {
    fn lines(&self) -> Vec<String> {
        let DecideRequest { current_replicas, min_replicas, max_replicas, behavior, .. } = self;
        let mut lines = vec![format!("{current_replicas} replicas, from {min_replicas} to {max_replicas}")];
        lines.extend(behavior.iter().flat_map(show_behavior));
        let proposals = self.proposals.iter().map(|replicas| replicas.map_or("failed".into(), |n| n.to_string()));
        lines.push(match proposals.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => "no metric was asked".into(),
            proposals => format!("metrics propose {proposals}"),
        });
        let recommendations = self.recommendations.iter().map(|r| format!("{} {}s ago", r.replicas, r.seconds_ago));
        if !self.recommendations.is_empty() {
            lines.push(format!("recommended before: {}", recommendations.collect::<Vec<_>>().join(", ")));
        }
        let events = self.scale_events.iter().map(|event| format!("{:+} {}s ago", event.change, event.seconds_ago));
        if !self.scale_events.is_empty() {
            lines.push(format!("scaled before: {}", events.collect::<Vec<_>>().join(", ")));
        }
        lines
    }
}

fn show_behavior(behavior: &Behavior) -> Vec<String> {
    let rules = [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)];
    let given = rules.into_iter().filter_map(|(name, rules)| Some(format!("{name}: {}", show_rules(rules.as_ref()?))));
    let given: Vec<_> = given.collect();
    if given.is_empty() { vec!["behavior: all defaults".into()] } else { given }
}

fn show_rules(rules: &ScalingRules) -> String {
    let mut parts = Vec::new();
    parts.extend(rules.stabilization_window_seconds.map(|seconds| format!("window {seconds}s")));
    parts.extend(rules.select_policy.map(|select| format!("selectPolicy {select:?}")));
    parts.extend(rules.policies.iter().flatten().map(show_policy));
    if parts.is_empty() { "all defaults".into() } else { parts.join(", ") }
}

fn show_policy(policy: &Policy) -> String {
    let unit = match policy.kind {
        PolicyType::Pods => " pods",
        PolicyType::Percent => "%",
    };
    format!("{}{unit} per {}s", policy.value, policy.period_seconds)
}

impl Show for Decision {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("scale to {}", self.replicas)];
        lines.extend(self.scaling_active.map(|reason| {
            let status = if reason == ScalingActive::ValidMetricFound { "True" } else { "False" };
            format!("ScalingActive {status} {reason:?}")
        }));
        lines.extend(self.able_to_scale.map(|reason| format!("AbleToScale True {reason:?}")));
        lines.extend(self.scaling_limited.map(|reason| {
            let status = if reason == ScalingLimited::DesiredWithinRange { "False" } else { "True" };
            format!("ScalingLimited {status} {reason:?}")
        }));
        lines
    }
}
