//! The HPA controller: asks a [`HorizontalPodAutoscaler`] and says what it decided.
//!
//! Source: `pkg/controller/podautoscaler/horizontal.go`. The caller syncs each HPA every 15 seconds and forgets the
//! [`History`] of one that was deleted. What isn't here: pod-level requests, and tolerances of one HPA
//! (`HPAConfigurableTolerance`); both are alpha in 1.33 and off.

pub mod adapters;
pub mod metrics;
#[cfg(test)]
mod tests;

pub use metrics::{Metrics, PodMetrics};

use kit_api::autoscaling::{
    HPAScalingRules, HorizontalPodAutoscaler as Object, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerCondition as Condition, HorizontalPodAutoscalerStatus as Status, MetricSpec, MetricStatus,
    MetricTarget, ResourceMetricSource,
};
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use kit_api::selector::{Labels, Selector};
use kit_api::time;
use kit_contract::workloads::HorizontalPodAutoscaler;
use kit_contract::workloads::hpa::{
    AbleToScale, Behavior, DecideRequest, Policy, PolicyType, Recommendation, ScaleEvent, ScalingActive,
    ScalingLimited, ScalingRules, SelectPolicy,
};
use metrics::{Evaluation, Failure, Target};
use std::collections::BTreeMap;

/// No window and no period may be longer than an hour; what is older is forgotten.
const LONGEST_WINDOW_SECONDS: i64 = 3600;

/// The `scale` subresource of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub spec_replicas: i32,
    /// `status.replicas`.
    pub status_replicas: i32,
    /// `status.selector`, as text.
    pub selector: String,
}

/// What the controller remembers of one HPA. It is lost when the controller restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    recommendations: Vec<(Timestamp, i32)>,
    scale_events: Vec<(Timestamp, i32)>,
}

/// What a sync sees beside the HPA, and what it may do.
pub struct Around<'a> {
    /// The scale of the target; the error's text where the API server gave none.
    pub scale: Result<&'a Scale, &'a str>,
    /// The pods of the namespace.
    pub pods: &'a [&'a Pod],
    /// What they use.
    pub metrics: &'a Metrics,
    /// What the other HPAs of the namespace select, by their names.
    pub others: &'a BTreeMap<&'a str, &'a Selector>,
    /// The time.
    pub now: Timestamp,
    /// Writes `spec.replicas` of the scale; the error's text where the API server refuses.
    pub rescale: &'a mut dyn FnMut(i32) -> Result<(), String>,
}

/// What one sync did.
#[derive(Debug, Clone)]
pub struct SyncResult {
    /// The new status.
    pub status: Status,
    /// In this order.
    pub events: Vec<Event>,
    /// What the HPA selects, if that is known.
    pub selector: Option<Selector>,
    /// What went wrong. The next sync comes at its time all the same.
    pub error: Option<String>,
}

/// An event about the HPA, from the component `horizontal-pod-autoscaler`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `Normal` or `Warning`.
    pub type_: &'static str,
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// Looks once at one HPA.
pub fn sync(
    module: &dyn HorizontalPodAutoscaler,
    hpa: &Object,
    around: Around<'_>,
    history: &mut History,
) -> SyncResult {
    let status = hpa.status.clone().unwrap_or_default();
    let mut sync = Sync { status, events: Vec::new(), selector: None, now: around.now };
    let error = match around.scale {
        Ok(scale) => sync.run(module, hpa, scale, around, history).err(),
        Err(error) => {
            sync.warn("FailedGetScale", error.into());
            let message = format!("the HPA controller was unable to get the target's current scale: {error}");
            sync.condition("AbleToScale", false, "FailedGetScale", &message);
            Some(format!("failed to query scale subresource for {}: {error}", reference(hpa)))
        }
    };
    SyncResult { status: sync.status, events: sync.events, selector: sync.selector, error }
}

/// The target as errors name it.
fn reference(hpa: &Object) -> String {
    let target = hpa.spec.as_ref().map(|spec| spec.scale_target_ref.clone()).unwrap_or_default();
    format!("{}/{}/{}", target.kind, hpa.metadata.namespace.as_deref().unwrap_or_default(), target.name)
}

/// A sync on its way.
struct Sync {
    status: Status,
    events: Vec<Event>,
    selector: Option<Selector>,
    now: Timestamp,
}

impl Sync {
    fn run(
        &mut self,
        module: &dyn HorizontalPodAutoscaler,
        hpa: &Object,
        scale: &Scale,
        around: Around<'_>,
        history: &mut History,
    ) -> Result<(), String> {
        let spec = hpa.spec.clone().unwrap_or_default();
        let (current, min, max) = (scale.spec_replicas, spec.min_replicas.unwrap_or(1), spec.max_replicas);
        let got = "the HPA controller was able to get the target's current scale";
        self.condition("AbleToScale", true, "SucceededGetScale", got);
        history.begin(current, self.now);

        // Metrics are asked only where they may matter: a failure of theirs is an event.
        let asked = (current != 0 || min == 0) && (min..=max).contains(&current);
        let mut evaluations = Vec::new();
        if asked {
            let pods = match self.select(hpa, &scale.selector, &around) {
                Ok(pods) => pods,
                Err(error) => return self.failed(hpa, scale, Vec::new(), error),
            };
            let target = Target { hpa, scale, pods: &pods, now: self.now };
            let specs = spec.metrics.filter(|metrics| !metrics.is_empty()).unwrap_or_else(default_metrics);
            evaluations = specs.iter().map(|spec| target.evaluate(module, spec, around.metrics)).collect();
        }
        for failure in evaluations.iter().filter_map(|evaluation| evaluation.as_ref().err()) {
            self.warn(failure.reason, failure.message.clone());
        }

        let decision = module.decide(&DecideRequest {
            current_replicas: current,
            min_replicas: min,
            max_replicas: max,
            behavior: spec.behavior.as_ref().map(behavior),
            proposals: evaluations.iter().map(|e| e.as_ref().ok().map(|e| e.replicas)).collect(),
            recommendations: history.recommendations(self.now),
            scale_events: history.scale_events(self.now),
        });
        // The first of the greatest proposals gives the reason; of those for no replicas the last one.
        let greater = |a: &Evaluation, b: &Evaluation| b.replicas > a.replicas || a.replicas == 0;
        let winner = evaluations.iter().flatten().reduce(|a, b| if greater(a, b) { b } else { a });
        let statuses =
            || evaluations.iter().map(|e| e.as_ref().map_or_else(|_| MetricStatus::default(), |e| e.status.clone()));
        match decision.scaling_active {
            Some(ScalingActive::ValidMetricFound) => {
                let metric = winner.map_or("", |winner| winner.name.as_str());
                let message = format!("the HPA was able to successfully calculate a replica count from {metric}");
                self.condition("ScalingActive", true, "ValidMetricFound", &message);
                history.recommend(winner.map_or(current, |winner| winner.replicas), self.now);
            }
            Some(ScalingActive::ScalingDisabled) => {
                let message = "scaling is disabled since the replica count of the target is zero";
                self.condition("ScalingActive", false, "ScalingDisabled", message);
            }
            Some(ScalingActive::MetricFailed) => {
                if let Some(first) = evaluations.iter().find_map(|evaluation| evaluation.as_ref().err()) {
                    let message = format!("the HPA was unable to compute the replica count: {}", first.message);
                    self.condition("ScalingActive", false, first.reason, &message);
                }
                let error = invalid(&evaluations).unwrap_or_default();
                return self.failed(hpa, scale, statuses().collect(), error);
            }
            None => {}
        }
        self.limits(decision.able_to_scale, decision.scaling_limited);

        let replicas = decision.replicas;
        if replicas != current {
            let reason = match winner {
                None if current > max => "Current number of replicas above Spec.MaxReplicas".into(),
                None => "Current number of replicas below Spec.MinReplicas".into(),
                Some(winner) if winner.replicas > current => format!("{} above target", winner.name),
                Some(winner) if winner.replicas < current => "All metrics below target".into(),
                Some(_) => String::new(),
            };
            let message = format!("New size: {replicas}; reason: {reason}");
            if let Err(error) = (around.rescale)(replicas) {
                self.warn("FailedRescale", format!("{message}; error: {error}"));
                let message = format!("the HPA controller was unable to update the target scale: {error}");
                self.condition("AbleToScale", false, "FailedUpdateScale", &message);
                self.set_status(scale, None, statuses().collect());
                return Err(format!("failed to rescale {}: {error}", reference(hpa)));
            }
            let able = format!("the HPA controller was able to update the target scale to {replicas}");
            self.condition("AbleToScale", true, "SucceededRescale", &able);
            self.events.push(Event { type_: "Normal", reason: "SuccessfulRescale".into(), message });
            self.status.last_scale_time = Some(time::seconds(self.now));
            if spec.behavior.is_some() {
                history.scale_events.push((self.now, replicas - current));
            }
        }
        self.set_status(scale, Some(replicas), statuses().collect());
        // What else there is may do for now, and still something is wrong.
        invalid(&evaluations).map_or(Ok(()), Err)
    }

    /// Ends a sync that doesn't know how many replicas there should be.
    fn failed(&mut self, hpa: &Object, scale: &Scale, metrics: Vec<MetricStatus>, error: String) -> Result<(), String> {
        self.set_status(scale, None, metrics);
        self.warn("FailedComputeMetricsReplicas", error.clone());
        let of = reference(hpa);
        Err(format!("failed to compute desired number of replicas based on listed metrics for {of}: {error}"))
    }

    /// The pods that are the HPA's alone, or the error that ends the sync (`validateAndParseSelector`).
    fn select<'p>(&mut self, hpa: &Object, text: &str, around: &Around<'p>) -> Result<Vec<&'p Pod>, String> {
        let selector = self.selector(text)?;
        self.selector = Some(selector.clone());
        let none = Labels::new();
        let matches = |selector: &Selector, pod: &Pod| selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none));
        let pods: Vec<&Pod> = around.pods.iter().copied().filter(|pod| matches(&selector, pod)).collect();
        let rivals = around.others.iter().filter(|(_, other)| pods.iter().any(|pod| matches(other, pod)));
        let mut rivals: Vec<&str> = rivals.map(|(name, _)| *name).collect();
        if rivals.is_empty() {
            return Ok(pods);
        }
        rivals.push(hpa.metadata.name.as_deref().unwrap_or_default());
        rivals.sort_unstable();
        let namespace = hpa.metadata.namespace.as_deref().unwrap_or_default();
        let rivals: Vec<String> = rivals.into_iter().map(|name| format!("{namespace}/{name}")).collect();
        let error = format!("pods by selector {text} are controlled by multiple HPAs: [{}]", rivals.join(" "));
        self.warn("AmbiguousSelector", error.clone());
        self.condition("ScalingActive", false, "AmbiguousSelector", &error);
        Err(error)
    }

    fn selector(&mut self, text: &str) -> Result<Selector, String> {
        let (reason, error, message) = if text.is_empty() {
            let message = "the HPA target's scale is missing a selector".to_string();
            ("SelectorRequired", "selector is required".to_string(), message)
        } else {
            match text.parse::<Selector>() {
                Ok(selector) => return Ok(selector),
                Err(error) => {
                    let error =
                        format!("couldn't convert selector into a corresponding internal selector object: {error}");
                    ("InvalidSelector", error.clone(), error)
                }
            }
        };
        self.warn(reason, error.clone());
        self.condition("ScalingActive", false, "InvalidSelector", &message);
        Err(error)
    }

    fn limits(&mut self, able: Option<AbleToScale>, limited: Option<ScalingLimited>) {
        if let Some(reason) = able {
            let message = match reason {
                AbleToScale::ReadyForNewScale => "recommended size matches current size",
                AbleToScale::ScaleUpStabilized => {
                    "recent recommendations were lower than current one, applying the lowest recent recommendation"
                }
                AbleToScale::ScaleDownStabilized => {
                    "recent recommendations were higher than current one, applying the highest recent recommendation"
                }
            };
            self.condition("AbleToScale", true, &format!("{reason:?}"), message);
        }
        if let Some(reason) = limited {
            let message = match reason {
                ScalingLimited::DesiredWithinRange => "the desired count is within the acceptable range",
                ScalingLimited::TooFewReplicas => "the desired replica count is less than the minimum replica count",
                ScalingLimited::TooManyReplicas => "the desired replica count is more than the maximum replica count",
                ScalingLimited::ScaleUpLimit => {
                    "the desired replica count is increasing faster than the maximum scale rate"
                }
                ScalingLimited::ScaleDownLimit => {
                    "the desired replica count is decreasing faster than the maximum scale rate"
                }
            };
            let limited = reason != ScalingLimited::DesiredWithinRange;
            self.condition("ScalingLimited", limited, &format!("{reason:?}"), message);
        }
    }

    /// The counts; `desired` is none where this sync found none, and then it stays as it was.
    fn set_status(&mut self, scale: &Scale, desired: Option<i32>, metrics: Vec<MetricStatus>) {
        self.status.current_replicas = Some(scale.spec_replicas);
        self.status.desired_replicas = desired.unwrap_or(self.status.desired_replicas);
        self.status.current_metrics = Some(metrics).filter(|metrics| !metrics.is_empty());
        self.status.observed_generation = None;
    }

    fn condition(&mut self, type_: &str, status: bool, reason: &str, message: &str) {
        let status = if status { "True" } else { "False" };
        let conditions = self.status.conditions.get_or_insert_default();
        let i = conditions.iter().position(|condition| condition.type_ == type_).unwrap_or_else(|| {
            conditions.push(Condition { type_: type_.into(), ..Condition::default() });
            conditions.len() - 1
        });
        let condition = &mut conditions[i];
        if condition.status != status {
            condition.last_transition_time = Some(time::seconds(self.now));
        }
        condition.status = status.into();
        condition.reason = Some(reason.into());
        condition.message = Some(message.into());
    }

    fn warn(&mut self, reason: &str, message: String) {
        self.events.push(Event { type_: "Warning", reason: reason.into(), message });
    }
}

/// What is wrong with the metrics, if anything is.
fn invalid(evaluations: &[Result<Evaluation, Failure>]) -> Option<String> {
    let failures: Vec<_> = evaluations.iter().filter_map(|evaluation| evaluation.as_ref().err()).collect();
    let (invalid, all) = (failures.len(), evaluations.len());
    let first = failures.first()?;
    Some(format!("invalid metrics ({invalid} invalid out of {all}), first error is: {}", first.error))
}

impl History {
    /// The replicas found at the very first sync are a recommendation: they hold the first ones that are lower.
    fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommend(current, now);
        }
        for times in [&mut self.recommendations, &mut self.scale_events] {
            let newest = times.last().copied();
            times.retain(|entry| seconds_ago(entry.0, now) < LONGEST_WINDOW_SECONDS || Some(*entry) == newest);
        }
    }

    fn recommend(&mut self, replicas: i32, now: Timestamp) {
        self.recommendations.push((now, replicas));
    }

    fn recommendations(&self, now: Timestamp) -> Vec<Recommendation> {
        let ago = |time: &Timestamp| seconds_ago(*time, now);
        (self.recommendations.iter())
            .map(|(time, replicas)| Recommendation { replicas: *replicas, seconds_ago: ago(time) })
            .collect()
    }

    fn scale_events(&self, now: Timestamp) -> Vec<ScaleEvent> {
        let ago = |time: &Timestamp| seconds_ago(*time, now);
        self.scale_events.iter().map(|(time, change)| ScaleEvent { change: *change, seconds_ago: ago(time) }).collect()
    }
}

fn seconds_ago(time: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(time).as_secs()
}

/// What the API server writes into an HPA without metrics: 80 % of the requested CPU.
fn default_metrics() -> Vec<MetricSpec> {
    let target = MetricTarget { type_: "Utilization".into(), average_utilization: Some(80), ..MetricTarget::default() };
    let resource = Some(ResourceMetricSource { name: "cpu".into(), target });
    vec![MetricSpec { type_: "Resource".into(), resource, ..MetricSpec::default() }]
}

fn behavior(behavior: &HorizontalPodAutoscalerBehavior) -> Behavior {
    Behavior { scale_up: behavior.scale_up.as_ref().map(rules), scale_down: behavior.scale_down.as_ref().map(rules) }
}

fn rules(rules: &HPAScalingRules) -> ScalingRules {
    let policies = (rules.policies.iter().flatten()).map(|policy| Policy {
        kind: if policy.type_ == "Pods" { PolicyType::Pods } else { PolicyType::Percent },
        value: policy.value,
        period_seconds: policy.period_seconds,
    });
    ScalingRules {
        stabilization_window_seconds: rules.stabilization_window_seconds,
        select_policy: rules.select_policy.as_deref().map(|select| match select {
            "Min" => SelectPolicy::Min,
            "Disabled" => SelectPolicy::Disabled,
            _ => SelectPolicy::Max,
        }),
        policies: rules.policies.is_some().then(|| policies.collect()),
    }
}
