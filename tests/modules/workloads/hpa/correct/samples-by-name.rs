//! Passes: keeps a map from pods to samples that it fills and measures again, and fills in a behavior's defaults first.

use kit::workloads::hpa::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

/// A target for pods, and all that their ratio needs.
struct Gauge<'a> {
    requests: BTreeMap<&'a str, i64>,
    target: i64,
    percent: bool,
}

impl Gauge<'_> {
    /// The ratio, the average, and the percentage.
    fn read(&self, samples: &BTreeMap<&str, i64>) -> Option<(f64, i64, Option<i32>)> {
        let total: i64 = samples.values().sum();
        let average = total / i64::try_from(samples.len()).ok()?;
        if !self.percent {
            return Some((average as f64 / self.target as f64, average, None));
        }
        let requested: i64 = samples.keys().map(|name| self.requests[name]).sum();
        let percent = (total * 100).checked_div(requested)? as i32;
        Some((f64::from(percent) / self.target as f64, average, Some(percent)))
    }
}

impl kit::workloads::HorizontalPodAutoscaler for Exercise {
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        use Metric::*;
        match &request.metric {
            ResourceUtilization { resource, target_percent } => {
                pods_metric(request, resource == "cpu", i64::from(*target_percent), true)
            }
            ResourceAverageValue { resource, target_milli } => {
                pods_metric(request, resource == "cpu", *target_milli, false)
            }
            PodsAverageValue { target_milli } => pods_metric(request, false, *target_milli, false),
            ObjectValue { value_milli: value, target_milli } => whole(request, *value, *target_milli),
            ExternalValue { values_milli, target_milli } => whole(request, values_milli.iter().sum(), *target_milli),
            ObjectAverageValue { value_milli: value, target_milli } => Ok(split(request, *value, *target_milli)),
            ExternalAverageValue { values_milli, target_milli } => {
                Ok(split(request, values_milli.iter().sum(), *target_milli))
            }
        }
    }

    fn decide(&self, request: &DecideRequest) -> Decision {
        let (current, min, max) = (request.current_replicas, request.min_replicas, request.max_replicas);
        let answer = |replicas, scaling_active| Decision {
            replicas,
            scaling_active,
            able_to_scale: None,
            scaling_limited: None,
        };
        match current {
            0 if min != 0 => return answer(0, Some(ScalingActive::ScalingDisabled)),
            above if above > max => return answer(max, None),
            below if below < min => return answer(min, None),
            _ => {}
        }
        // A failed metric counts as a vote to stay, and alone it decides nothing.
        let votes: BTreeSet<i32> = request.proposals.iter().flatten().copied().collect();
        let failed = request.proposals.iter().any(Option::is_none);
        let proposed = match votes.last() {
            Some(most) if !(failed && *most < current) => *most,
            _ => return answer(current, Some(ScalingActive::MetricFailed)),
        };
        let plan = Plan::new(request.behavior.as_ref());
        let stable = plan.stabilize(request, proposed);
        let (replicas, limited) = plan.limit(request, stable);
        let able = if stable == proposed {
            AbleToScale::ReadyForNewScale
        } else if plan.with_behavior && proposed >= current {
            AbleToScale::ScaleUpStabilized
        } else {
            AbleToScale::ScaleDownStabilized
        };
        Decision {
            able_to_scale: Some(able),
            scaling_limited: Some(limited),
            ..answer(replicas, Some(ScalingActive::ValidMetricFound))
        }
    }
}

/// A behavior without gaps.
struct Plan {
    with_behavior: bool,
    windows: [i64; 2],
    select: [SelectPolicy; 2],
    policies: [Vec<Policy>; 2],
}

const UP: usize = 0;
const DOWN: usize = 1;

impl Plan {
    fn new(behavior: Option<&Behavior>) -> Self {
        let percent = Policy { kind: PolicyType::Percent, value: 100, period_seconds: 15 };
        let pods = Policy { kind: PolicyType::Pods, value: 4, period_seconds: 15 };
        let mut plan = Plan {
            with_behavior: behavior.is_some(),
            windows: [0, 300],
            select: [SelectPolicy::Max; 2],
            policies: [vec![pods, percent], vec![percent]],
        };
        let given = behavior.cloned().unwrap_or_default();
        for (direction, rules) in [(UP, given.scale_up), (DOWN, given.scale_down)] {
            let Some(rules) = rules else { continue };
            if let Some(seconds) = rules.stabilization_window_seconds {
                plan.windows[direction] = i64::from(seconds);
            }
            if let Some(select) = rules.select_policy {
                plan.select[direction] = select;
            }
            if let Some(policies) = rules.policies {
                plan.policies[direction] = policies;
            }
        }
        plan
    }

    fn stabilize(&self, request: &DecideRequest, proposed: i32) -> i32 {
        let (mut least, mut most) = (proposed, proposed);
        for old in &request.recommendations {
            if old.seconds_ago < self.windows[UP] {
                least = least.min(old.replicas);
            }
            if old.seconds_ago < self.windows[DOWN] {
                most = most.max(old.replicas);
            }
        }
        if !self.with_behavior {
            return most;
        }
        match request.current_replicas {
            few if few < least => least,
            many if many > most => most,
            right => right,
        }
    }

    fn limit(&self, request: &DecideRequest, stable: i32) -> (i32, ScalingLimited) {
        let (current, min, max) = (request.current_replicas, request.min_replicas, request.max_replicas);
        let up = stable > current || !self.with_behavior;
        let down = stable < current || !self.with_behavior;
        if up {
            let rate = if self.with_behavior { self.reach(request, UP).max(current) } else { 4.max(2 * current) };
            if stable > rate && rate < max {
                return (rate, ScalingLimited::ScaleUpLimit);
            }
            if stable > max {
                return (max, ScalingLimited::TooManyReplicas);
            }
        }
        if down {
            let rate = if self.with_behavior { self.reach(request, DOWN).min(current) } else { min };
            if stable < rate && rate > min {
                return (rate, ScalingLimited::ScaleDownLimit);
            }
            if stable < min {
                return (min, ScalingLimited::TooFewReplicas);
            }
        }
        (stable, ScalingLimited::DesiredWithinRange)
    }

    fn reach(&self, request: &DecideRequest, direction: usize) -> i32 {
        let mut limits = Vec::new();
        for policy in &self.policies[direction] {
            let mut start = request.current_replicas;
            for event in &request.scale_events {
                if event.seconds_ago < i64::from(policy.period_seconds) {
                    start -= event.change;
                }
            }
            let share = f64::from(policy.value) / 100.0;
            limits.push(match (policy.kind, direction) {
                (PolicyType::Pods, UP) => start + policy.value,
                (PolicyType::Pods, _) => start - policy.value,
                (PolicyType::Percent, UP) => (f64::from(start) * (1.0 + share)).ceil() as i32,
                (PolicyType::Percent, _) => (f64::from(start) * (1.0 - share)).trunc() as i32,
            });
        }
        limits.sort_unstable();
        if direction == DOWN {
            limits.reverse();
        }
        let chosen = match self.select[direction] {
            SelectPolicy::Disabled => None,
            SelectPolicy::Min => limits.first(),
            SelectPolicy::Max => limits.last(),
        };
        chosen.copied().unwrap_or(request.current_replicas)
    }
}

fn inside(ratio: f64) -> bool {
    !(ratio < 1.0 - 0.1) && !(ratio > 1.0 + 0.1)
}

fn pods_metric(request: &MetricRequest, cpu: bool, target: i64, percent: bool) -> Result<Proposal, MetricError> {
    let mut samples = BTreeMap::new();
    let mut missing = Vec::new();
    let mut unready = Vec::new();
    for pod in &request.pods {
        let name = pod.name.as_str();
        if pod.deleting || pod.phase == "Failed" {
        } else if pod.phase == "Pending" {
            unready.push(name);
        } else if let Some(sample) = pod.sample {
            if cpu && starts(pod, sample) {
                unready.push(name);
            } else {
                samples.insert(name, sample.value_milli);
            }
        } else {
            missing.push(name);
        }
    }
    if samples.is_empty() {
        return Err(if request.pods.is_empty() { MetricError::NoPods } else { MetricError::NoCountedPods });
    }
    let mut requests = BTreeMap::new();
    for pod in &request.pods {
        match pod.request_milli {
            None if percent => return Err(MetricError::MissingRequest { pod: pod.name.clone() }),
            milli => requests.insert(pod.name.as_str(), milli.unwrap_or(0)),
        };
    }
    let gauge = Gauge { requests, target, percent };
    let (first, average, utilization) = gauge.read(&samples).ok_or(MetricError::NothingRequested)?;
    let spec = request.spec_replicas;
    let propose = |replicas| Ok(Proposal { replicas, current_milli: average, utilization_percent: utilization });
    let simple = missing.is_empty() && (first <= 1.0 || unready.is_empty());
    if simple {
        return propose(if inside(first) { spec } else { (first * samples.len() as f64).ceil() as i32 });
    }
    for name in missing {
        if first < 1.0 {
            let busy = if percent { gauge.requests[name] * target.max(100) / 100 } else { target };
            samples.insert(name, busy);
        } else if first > 1.0 {
            samples.insert(name, 0);
        }
    }
    if first > 1.0 {
        samples.extend(unready.into_iter().map(|name| (name, 0)));
    }
    let (second, ..) = gauge.read(&samples).ok_or(MetricError::NothingRequested)?;
    let replicas = (second * samples.len() as f64).ceil() as i32;
    let up = first > 1.0 && second >= 1.0 && replicas >= spec;
    let down = first < 1.0 && second <= 1.0 && replicas <= spec;
    propose(if !inside(second) && (up || down) { replicas } else { spec })
}

fn starts(pod: &PodSample, sample: Sample) -> bool {
    let Some(age) = pod.started_seconds_ago else { return true };
    let Some(turned) = pod.ready_transition_seconds_ago else { return true };
    let begun_after = sample.seconds_ago + sample.window_seconds <= turned;
    if age < 300 { !(pod.ready && begun_after) } else { !pod.ready && age - turned < 30 }
}

fn whole(request: &MetricRequest, value: i64, target: i64) -> Result<Proposal, MetricError> {
    let ratio = value as f64 / target as f64;
    let mut replicas = ratio.ceil() as i32;
    if request.spec_replicas != 0 {
        replicas = request.spec_replicas;
        if !inside(ratio) {
            if request.pods.is_empty() {
                return Err(MetricError::NoPods);
            }
            let ready: Vec<_> = request.pods.iter().filter(|p| p.phase == "Running" && p.ready).collect();
            replicas = (ratio * ready.len() as f64).ceil() as i32;
        }
    }
    Ok(Proposal { replicas, current_milli: value, utilization_percent: None })
}

fn split(request: &MetricRequest, value: i64, target: i64) -> Proposal {
    let there = f64::from(request.status_replicas);
    let right = inside(value as f64 / (target as f64 * there));
    Proposal {
        replicas: if right { request.status_replicas } else { (value as f64 / target as f64).ceil() as i32 },
        current_milli: if request.status_replicas == 0 { value } else { (value as f64 / there).ceil() as i64 },
        utilization_percent: None,
    }
}

kit::exercise!(Exercise: kit::workloads::HorizontalPodAutoscaler);
