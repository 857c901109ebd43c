//! The reference for `workloads/hpa`: a proposal for each metric, then one decision.

use kit::workloads::HorizontalPodAutoscaler;
use kit::workloads::hpa::{
    AbleToScale, Behavior, DecideRequest, Decision, Metric, MetricError, MetricRequest, PodSample, Policy, PolicyType,
    Proposal, ScalingActive, ScalingLimited, ScalingRules, SelectPolicy,
};

// ANCHOR: solution
/// The autoscaler remembers nothing: the history is in the request.
#[derive(Default)]
pub struct Exercise;

impl HorizontalPodAutoscaler for Exercise {
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        match &request.metric {
            Metric::ResourceUtilization { resource, target_percent } => {
                by_pods(request, resource == "cpu", &Goal::Utilization(*target_percent))
            }
            Metric::ResourceAverageValue { resource, target_milli } => {
                by_pods(request, resource == "cpu", &Goal::Average(*target_milli))
            }
            Metric::PodsAverageValue { target_milli } => by_pods(request, false, &Goal::Average(*target_milli)),
            Metric::ObjectValue { value_milli, target_milli } => by_value(request, *value_milli, *target_milli),
            Metric::ObjectAverageValue { value_milli, target_milli } => {
                Ok(by_average(request, *value_milli, *target_milli))
            }
            Metric::ExternalValue { values_milli, target_milli } => {
                by_value(request, values_milli.iter().sum(), *target_milli)
            }
            Metric::ExternalAverageValue { values_milli, target_milli } => {
                Ok(by_average(request, values_milli.iter().sum(), *target_milli))
            }
        }
    }

    fn decide(&self, request: &DecideRequest) -> Decision {
        let DecideRequest { current_replicas: current, min_replicas: min, max_replicas: max, .. } = *request;
        let replicas = |replicas, scaling_active| Decision {
            replicas,
            scaling_active,
            able_to_scale: None,
            scaling_limited: None,
        };
        if current == 0 && min != 0 {
            return replicas(0, Some(ScalingActive::ScalingDisabled));
        }
        if current > max || current < min {
            return replicas(if current > max { max } else { min }, None);
        }
        let failed = request.proposals.contains(&None);
        let Some(proposed) = request.proposals.iter().copied().flatten().max().filter(|n| !failed || *n >= current)
        else {
            return replicas(current, Some(ScalingActive::MetricFailed));
        };
        let (replicas, able_to_scale, scaling_limited) = match &request.behavior {
            None => without_behavior(request, proposed),
            Some(behavior) => with_behavior(request, proposed, behavior),
        };
        Decision {
            replicas,
            scaling_active: Some(ScalingActive::ValidMetricFound),
            able_to_scale: Some(able_to_scale),
            scaling_limited: Some(scaling_limited),
        }
    }
}

// ANCHOR: ratio
/// Inside the tolerance of 10 %, written so that 0.9 and 1.1 belong to it.
fn within_tolerance(ratio: f64) -> bool {
    (1.0 - 0.1..=1.0 + 0.1).contains(&ratio)
}

fn ceil(replicas: f64) -> i32 {
    replicas.ceil() as i32
}

/// What a metric of pods aims at, for one pod.
enum Goal {
    Utilization(i32),
    Average(i64),
}

/// What pods use, and how that compares with the goal.
struct Usage {
    ratio: f64,
    average_milli: i64,
    percent: Option<i32>,
}

impl Goal {
    /// The usage of some pods, each with its value.
    fn measure(&self, pods: &[(&PodSample, i64)]) -> Result<Usage, MetricError> {
        let total: i64 = pods.iter().map(|(_, value)| value).sum();
        let average_milli = total / pods.len() as i64;
        match self {
            Goal::Average(target) => {
                Ok(Usage { ratio: average_milli as f64 / *target as f64, average_milli, percent: None })
            }
            Goal::Utilization(target) => {
                let requested: i64 = pods.iter().filter_map(|(pod, _)| pod.request_milli).sum();
                if requested == 0 {
                    return Err(MetricError::NothingRequested);
                }
                let percent = (total * 100 / requested) as i32;
                Ok(Usage { ratio: f64::from(percent) / f64::from(*target), average_milli, percent: Some(percent) })
            }
        }
    }

    /// What a missing pod is taken to use when the others ask for fewer replicas.
    fn cautious(&self, pod: &PodSample) -> i64 {
        match self {
            Goal::Average(target) => *target,
            Goal::Utilization(target) => pod.request_milli.unwrap_or(0) * i64::from((*target).max(100)) / 100,
        }
    }
}
// ANCHOR_END: ratio

// ANCHOR: pods
/// What a pod's sample is worth.
enum Group {
    Ignored,
    Unready,
    Missing,
    Counted(i64),
}

/// For how long after its start a pod's CPU samples are looked at with suspicion.
const CPU_INITIALIZATION_SECONDS: i64 = 300;
/// A pod that last turned unready this soon after its start was never ready.
const INITIAL_READINESS_SECONDS: i64 = 30;

fn group(pod: &PodSample, cpu: bool) -> Group {
    match pod.sample {
        _ if pod.deleting || pod.phase == "Failed" => Group::Ignored,
        _ if pod.phase == "Pending" => Group::Unready,
        None => Group::Missing,
        Some(sample) if cpu => {
            let (Some(started), Some(turned)) = (pod.started_seconds_ago, pod.ready_transition_seconds_ago) else {
                return Group::Unready;
            };
            let unready = if started < CPU_INITIALIZATION_SECONDS {
                !pod.ready || turned - sample.seconds_ago < sample.window_seconds
            } else {
                !pod.ready && started - turned < INITIAL_READINESS_SECONDS
            };
            if unready { Group::Unready } else { Group::Counted(sample.value_milli) }
        }
        Some(sample) => Group::Counted(sample.value_milli),
    }
}

/// Metrics of pods: the ratio of those that can be trusted, checked against what the others might use.
fn by_pods(request: &MetricRequest, cpu: bool, goal: &Goal) -> Result<Proposal, MetricError> {
    if request.pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    let (mut counted, mut missing, mut unready) = (Vec::new(), Vec::new(), Vec::new());
    for pod in &request.pods {
        match group(pod, cpu) {
            Group::Ignored => {}
            Group::Unready => unready.push((pod, 0)),
            Group::Missing => missing.push(pod),
            Group::Counted(value) => counted.push((pod, value)),
        }
    }
    if counted.is_empty() {
        return Err(MetricError::NoCountedPods);
    }
    let without = request.pods.iter().find(|pod| pod.request_milli.is_none());
    if let (Goal::Utilization(_), Some(pod)) = (goal, without) {
        return Err(MetricError::MissingRequest { pod: pod.name.clone() });
    }

    let usage = goal.measure(&counted)?;
    let propose =
        |replicas| Proposal { replicas, current_milli: usage.average_milli, utilization_percent: usage.percent };
    let keep = propose(request.spec_replicas);
    let up = usage.ratio > 1.0;
    if missing.is_empty() && (unready.is_empty() || !up) {
        let replicas = ceil(usage.ratio * counted.len() as f64);
        return Ok(if within_tolerance(usage.ratio) { keep } else { propose(replicas) });
    }

    if up {
        counted.extend(missing.into_iter().map(|pod| (pod, 0)));
        counted.append(&mut unready);
    } else if usage.ratio < 1.0 {
        counted.extend(missing.into_iter().map(|pod| (pod, goal.cautious(pod))));
    }
    let ratio = goal.measure(&counted)?.ratio;
    let replicas = ceil(ratio * counted.len() as f64);
    let turned = (usage.ratio < 1.0 && ratio > 1.0) || (up && ratio < 1.0);
    let backwards =
        (ratio < 1.0 && replicas > request.spec_replicas) || (ratio > 1.0 && replicas < request.spec_replicas);
    Ok(if within_tolerance(ratio) || turned || backwards { keep } else { propose(replicas) })
}
// ANCHOR_END: pods

// ANCHOR: value
/// One value for all pods together: it is the ready ones that bear it.
fn by_value(request: &MetricRequest, value_milli: i64, target_milli: i64) -> Result<Proposal, MetricError> {
    let ratio = value_milli as f64 / target_milli as f64;
    let propose = |replicas| Ok(Proposal { replicas, current_milli: value_milli, utilization_percent: None });
    if request.spec_replicas == 0 {
        return propose(ceil(ratio));
    }
    if within_tolerance(ratio) {
        return propose(request.spec_replicas);
    }
    if request.pods.is_empty() {
        return Err(MetricError::NoPods);
    }
    let ready = request.pods.iter().filter(|pod| pod.phase == "Running" && pod.ready).count();
    propose(ceil(ratio * ready as f64))
}

/// One value that is divided among the pods, however many there are.
fn by_average(request: &MetricRequest, value_milli: i64, target_milli: i64) -> Proposal {
    let (value, target) = (value_milli as f64, target_milli as f64);
    let replicas = f64::from(request.status_replicas);
    let within = within_tolerance(value / (target * replicas));
    Proposal {
        replicas: if within { request.status_replicas } else { ceil(value / target) },
        current_milli: (value / replicas.max(1.0)).ceil() as i64,
        utilization_percent: None,
    }
}
// ANCHOR_END: value

/// The replicas and the reasons of the two conditions.
type Outcome = (i32, AbleToScale, ScalingLimited);

// ANCHOR: stabilize
/// The earlier recommendations that are still in a window.
fn recent(request: &DecideRequest, window_seconds: i32) -> impl Iterator<Item = i32> {
    let recent = request.recommendations.iter().filter(move |r| r.seconds_ago < i64::from(window_seconds));
    recent.map(|recommendation| recommendation.replicas)
}

/// An HPA without `behavior`: the greatest recommendation of five minutes, and at most a doubling.
fn without_behavior(request: &DecideRequest, proposed: i32) -> Outcome {
    let DecideRequest { current_replicas: current, min_replicas: min, max_replicas: max, .. } = *request;
    let stabilized = recent(request, 300).fold(proposed, i32::max);
    let able = if stabilized == proposed { AbleToScale::ReadyForNewScale } else { AbleToScale::ScaleDownStabilized };
    let rate = current.saturating_mul(2).max(4);
    let (limit, reason) =
        if max > rate { (rate, ScalingLimited::ScaleUpLimit) } else { (max, ScalingLimited::TooManyReplicas) };
    if stabilized < min {
        (min, able, ScalingLimited::TooFewReplicas)
    } else if stabilized > limit {
        (limit, able, reason)
    } else {
        (stabilized, able, ScalingLimited::DesiredWithinRange)
    }
}

fn with_behavior(request: &DecideRequest, proposed: i32, behavior: &Behavior) -> Outcome {
    let DecideRequest { current_replicas: current, min_replicas: min, max_replicas: max, .. } = *request;
    let up = Rules::up(behavior);
    let down = Rules::down(behavior);

    let least = recent(request, up.window_seconds).fold(proposed, i32::min);
    let greatest = recent(request, down.window_seconds).fold(proposed, i32::max);
    let stabilized = current.max(least).min(greatest);
    let able = match proposed {
        _ if stabilized == proposed => AbleToScale::ReadyForNewScale,
        _ if proposed >= current => AbleToScale::ScaleUpStabilized,
        _ => AbleToScale::ScaleDownStabilized,
    };

    if stabilized > current {
        let rate = up.limit(request).max(current);
        let (limit, reason) =
            if max > rate { (rate, ScalingLimited::ScaleUpLimit) } else { (max, ScalingLimited::TooManyReplicas) };
        if stabilized > limit {
            return (limit, able, reason);
        }
    } else {
        let rate = down.limit(request).min(current);
        let (limit, reason) =
            if min < rate { (rate, ScalingLimited::ScaleDownLimit) } else { (min, ScalingLimited::TooFewReplicas) };
        if stabilized < limit {
            return (limit, able, reason);
        }
    }
    (stabilized, able, ScalingLimited::DesiredWithinRange)
}
// ANCHOR_END: stabilize

// ANCHOR: rate
/// The rules of one direction with their defaults.
struct Rules {
    up: bool,
    window_seconds: i32,
    select: SelectPolicy,
    policies: Vec<Policy>,
}

impl Rules {
    fn up(behavior: &Behavior) -> Self {
        Rules::new(true, behavior.scale_up.as_ref(), 0, &[(PolicyType::Pods, 4), (PolicyType::Percent, 100)])
    }

    fn down(behavior: &Behavior) -> Self {
        Rules::new(false, behavior.scale_down.as_ref(), 300, &[(PolicyType::Percent, 100)])
    }

    fn new(up: bool, given: Option<&ScalingRules>, window_seconds: i32, policies: &[(PolicyType, i32)]) -> Self {
        let given = given.cloned().unwrap_or_default();
        let policies = policies.iter().map(|(kind, value)| Policy { kind: *kind, value: *value, period_seconds: 15 });
        Rules {
            up,
            window_seconds: given.stabilization_window_seconds.unwrap_or(window_seconds),
            select: given.select_policy.unwrap_or(SelectPolicy::Max),
            policies: given.policies.unwrap_or_else(|| policies.collect()),
        }
    }

    /// How far the replicas may go in this direction.
    fn limit(&self, request: &DecideRequest) -> i32 {
        let limits = self.policies.iter().map(|policy| self.allowed(request, policy));
        let limit = match (self.select, self.up) {
            (SelectPolicy::Disabled, _) => None,
            (SelectPolicy::Max, true) | (SelectPolicy::Min, false) => limits.max(),
            (SelectPolicy::Min, true) | (SelectPolicy::Max, false) => limits.min(),
        };
        limit.unwrap_or(request.current_replicas)
    }

    /// How far one policy lets them go, from where they were when its period began.
    fn allowed(&self, request: &DecideRequest, policy: &Policy) -> i32 {
        let recent = request.scale_events.iter().filter(|e| e.seconds_ago < i64::from(policy.period_seconds));
        let start = request.current_replicas - recent.map(|event| event.change).sum::<i32>();
        let part = f64::from(policy.value) / 100.0;
        match (policy.kind, self.up) {
            (PolicyType::Pods, true) => start.saturating_add(policy.value),
            (PolicyType::Pods, false) => start.saturating_sub(policy.value),
            (PolicyType::Percent, true) => ceil(f64::from(start) * (1.0 + part)),
            (PolicyType::Percent, false) => (f64::from(start) * (1.0 - part)) as i32,
        }
    }
}
// ANCHOR_END: rate
// ANCHOR_END: solution
