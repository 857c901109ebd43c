//! Passes: a table with a row for each pod that is asked for both ratios, and a list of limits of which the strictest one wins.

use kit::workloads::HorizontalPodAutoscaler;
use kit::workloads::hpa::{
    AbleToScale, DecideRequest, Decision, Metric, MetricError, MetricRequest, PodSample, Policy, PolicyType, Proposal,
    ScalingActive, ScalingLimited, ScalingRules, SelectPolicy,
};
use std::cmp::Ordering;
use std::ops::ControlFlow;

#[derive(Default)]
struct Exercise;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Counted,
    Missing,
    Unready,
}

struct Row {
    kind: Kind,
    used: i64,
    requested: i64,
}

#[derive(Clone, Copy)]
enum Target {
    Percent(i32),
    Milli(i64),
}

/// A ratio against 1, and against 1 with the tolerance.
fn side(ratio: f64) -> Ordering {
    ratio.partial_cmp(&1.0).unwrap_or(Ordering::Equal)
}

fn is_close(ratio: f64) -> bool {
    !(ratio < 0.9 || ratio > 1.1)
}

fn up(number: f64) -> i32 {
    number.ceil() as i32
}

impl HorizontalPodAutoscaler for Exercise {
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        let sum = |values: &[i64]| values.iter().fold(0, |sum, value| sum + value);
        match &request.metric {
            Metric::ResourceUtilization { resource, target_percent } => {
                of_pods(request, resource == "cpu", Target::Percent(*target_percent))
            }
            Metric::ResourceAverageValue { resource, target_milli } => {
                of_pods(request, resource == "cpu", Target::Milli(*target_milli))
            }
            Metric::PodsAverageValue { target_milli } => of_pods(request, false, Target::Milli(*target_milli)),
            Metric::ObjectValue { value_milli, target_milli } => whole(request, *value_milli, *target_milli),
            Metric::ExternalValue { values_milli, target_milli } => whole(request, sum(values_milli), *target_milli),
            Metric::ObjectAverageValue { value_milli, target_milli } => each(request, *value_milli, *target_milli),
            Metric::ExternalAverageValue { values_milli, target_milli } => {
                each(request, sum(values_milli), *target_milli)
            }
        }
    }

    fn decide(&self, request: &DecideRequest) -> Decision {
        match before_limits(request) {
            ControlFlow::Break(decision) => decision,
            ControlFlow::Continue(proposed) => limited(request, proposed),
        }
    }
}

fn row(pod: &PodSample, cpu: bool, target: Target) -> Option<Row> {
    if pod.deleting || pod.phase == "Failed" {
        return None;
    }
    let requested = pod.request_milli.unwrap_or(0);
    let cautious = match target {
        Target::Percent(percent) => requested * i64::from(if percent < 100 { 100 } else { percent }) / 100,
        Target::Milli(milli) => milli,
    };
    let (kind, used) = match &pod.sample {
        _ if pod.phase == "Pending" => (Kind::Unready, 0),
        None => (Kind::Missing, cautious),
        Some(sample) => {
            let trusted = !cpu
                || match (pod.started_seconds_ago, pod.ready_transition_seconds_ago) {
                    (None, _) | (_, None) => false,
                    (Some(started), Some(turned)) if started < 300 => {
                        pod.ready && turned >= sample.seconds_ago + sample.window_seconds
                    }
                    (Some(started), Some(turned)) => pod.ready || started - turned >= 30,
                };
            (if trusted { Kind::Counted } else { Kind::Unready }, sample.value_milli)
        }
    };
    Some(Row { kind, used, requested })
}

/// The average, and the ratio, of some rows, with what each is taken to use.
fn ratio<'a>(
    rows: impl Iterator<Item = (&'a Row, i64)> + Clone,
    target: Target,
) -> Result<(f64, i64, Option<i32>), MetricError> {
    let used: i64 = rows.clone().map(|(_, used)| used).sum();
    let requested: i64 = rows.clone().map(|(row, _)| row.requested).sum();
    let average = used / rows.count() as i64;
    match target {
        Target::Milli(milli) => Ok((average as f64 / milli as f64, average, None)),
        Target::Percent(_) if requested == 0 => Err(MetricError::NothingRequested),
        Target::Percent(target) => {
            let percent = (used * 100 / requested) as i32;
            Ok((f64::from(percent) / f64::from(target), average, Some(percent)))
        }
    }
}

fn of_pods(request: &MetricRequest, cpu: bool, target: Target) -> Result<Proposal, MetricError> {
    let table: Vec<Row> = request.pods.iter().filter_map(|pod| row(pod, cpu, target)).collect();
    let has = |kind: Kind| table.iter().any(|row| row.kind == kind);
    if !has(Kind::Counted) {
        return Err(if request.pods.is_empty() { MetricError::NoPods } else { MetricError::NoCountedPods });
    }
    if matches!(target, Target::Percent(_))
        && let Some(pod) = request.pods.iter().find(|pod| pod.request_milli.is_none())
    {
        return Err(MetricError::MissingRequest { pod: pod.name.clone() });
    }
    let counted = table.iter().filter(|row| row.kind == Kind::Counted).map(|row| (row, row.used));
    let (first, current_milli, utilization_percent) = ratio(counted, target)?;
    // What a row is taken to use in the second ratio, if it is in it.
    let taken = |row: &Row| match (row.kind, side(first)) {
        (Kind::Counted, _) => Some(row.used),
        (Kind::Missing, Ordering::Less) => Some(row.used),
        (_, Ordering::Greater) => Some(0),
        _ => None,
    };
    let all: Vec<(&Row, i64)> = table.iter().filter_map(|row| Some((row, taken(row)?))).collect();
    // Without doubt it is the first ratio again.
    let (second, ..) = ratio(all.iter().copied(), target)?;
    let goal = up(second * all.len() as f64);
    let doubt = has(Kind::Missing) || (has(Kind::Unready) && side(first) == Ordering::Greater);
    let opposed = doubt
        && (side(first) == side(second).reverse() && side(second) != Ordering::Equal
            || side(second) == goal.cmp(&request.spec_replicas).reverse() && side(second) != Ordering::Equal);
    let replicas = if is_close(second) || opposed { request.spec_replicas } else { goal };
    Ok(Proposal { replicas, current_milli, utilization_percent })
}

fn whole(request: &MetricRequest, value: i64, target: i64) -> Result<Proposal, MetricError> {
    let ratio = value as f64 / target as f64;
    let replicas = if request.spec_replicas == 0 {
        up(ratio)
    } else if is_close(ratio) {
        request.spec_replicas
    } else if request.pods.is_empty() {
        return Err(MetricError::NoPods);
    } else {
        let mut ready = 0.0;
        for pod in &request.pods {
            ready += if pod.phase == "Running" && pod.ready { 1.0 } else { 0.0 };
        }
        up(ratio * ready)
    };
    Ok(Proposal { replicas, current_milli: value, utilization_percent: None })
}

fn each(request: &MetricRequest, value: i64, target: i64) -> Result<Proposal, MetricError> {
    let (value_f, target_f, pods) = (value as f64, target as f64, f64::from(request.status_replicas));
    let (replicas, current_milli) = match request.status_replicas {
        0 => (up(value_f / target_f), value),
        status => {
            let close = is_close(value_f / (target_f * pods));
            (if close { status } else { up(value_f / target_f) }, (value_f / pods).ceil() as i64)
        }
    };
    Ok(Proposal { replicas, current_milli, utilization_percent: None })
}

/// The greatest proposal, unless something else decides.
fn before_limits(request: &DecideRequest) -> ControlFlow<Decision, i32> {
    let end = |replicas: i32, scaling_active: Option<ScalingActive>| {
        ControlFlow::Break(Decision { replicas, scaling_active, able_to_scale: None, scaling_limited: None })
    };
    let DecideRequest { current_replicas: now, min_replicas: min, max_replicas: max, proposals, .. } = request;
    if (*now, *min > 0) == (0, true) {
        return end(0, Some(ScalingActive::ScalingDisabled));
    }
    if now > max {
        return end(*max, None);
    }
    if now < min {
        return end(*min, None);
    }
    let mut greatest = None;
    let mut failed = false;
    for proposal in proposals {
        match proposal {
            Some(_) => greatest = greatest.max(*proposal),
            None => failed = true,
        }
    }
    match greatest {
        Some(greatest) if !failed || greatest >= *now => ControlFlow::Continue(greatest),
        _ => end(*now, Some(ScalingActive::MetricFailed)),
    }
}

fn limited(request: &DecideRequest, proposed: i32) -> Decision {
    let now = request.current_replicas;
    let window = |seconds: i32| {
        let mut counting = vec![proposed];
        for earlier in &request.recommendations {
            if earlier.seconds_ago < i64::from(seconds) {
                counting.push(earlier.replicas);
            }
        }
        counting.sort_unstable();
        (counting[0], counting[counting.len() - 1])
    };
    let ceiling = (request.max_replicas, ScalingLimited::TooManyReplicas);
    let floor = (request.min_replicas, ScalingLimited::TooFewReplicas);
    // The range comes first in each list: the first of equally strict limits is named.
    let (stable, tops, bottoms) = match &request.behavior {
        None => {
            let rate = now.saturating_add(now).max(4);
            (window(300).1, vec![ceiling, (rate, ScalingLimited::ScaleUpLimit)], vec![floor])
        }
        Some(behavior) => {
            let (rules_up, rules_down) =
                (behavior.scale_up.clone().unwrap_or_default(), behavior.scale_down.clone().unwrap_or_default());
            let (least, _) = window(rules_up.stabilization_window_seconds.unwrap_or(0));
            let (_, greatest) = window(rules_down.stabilization_window_seconds.unwrap_or(300));
            let stable = if now < least { least } else { now.min(greatest) };
            let up = (rate(request, &rules_up, true).max(now), ScalingLimited::ScaleUpLimit);
            let down = (rate(request, &rules_down, false).min(now), ScalingLimited::ScaleDownLimit);
            match stable.cmp(&now) {
                Ordering::Greater => (stable, vec![ceiling, up], vec![]),
                Ordering::Equal => (stable, vec![], vec![]),
                Ordering::Less => (stable, vec![], vec![floor, down]),
            }
        }
    };
    let able_to_scale = if stable == proposed {
        AbleToScale::ReadyForNewScale
    } else if request.behavior.is_some() && proposed >= now {
        AbleToScale::ScaleUpStabilized
    } else {
        AbleToScale::ScaleDownStabilized
    };
    let mut result = (stable, ScalingLimited::DesiredWithinRange);
    for top in tops {
        if result.0 > top.0 {
            result = top;
        }
    }
    for bottom in bottoms {
        if result.0 < bottom.0 {
            result = bottom;
        }
    }
    Decision {
        replicas: result.0,
        scaling_active: Some(ScalingActive::ValidMetricFound),
        able_to_scale: Some(able_to_scale),
        scaling_limited: Some(result.1),
    }
}

fn rate(request: &DecideRequest, rules: &ScalingRules, going_up: bool) -> i32 {
    let usual = |kind, value| Policy { kind, value, period_seconds: 15 };
    let policies = match (&rules.policies, going_up) {
        (Some(policies), _) => policies.clone(),
        (None, true) => vec![usual(PolicyType::Pods, 4), usual(PolicyType::Percent, 100)],
        (None, false) => vec![usual(PolicyType::Percent, 100)],
    };
    let mut allowed = Vec::new();
    for Policy { kind, value, period_seconds } in policies {
        let mut start = request.current_replicas;
        for event in &request.scale_events {
            if event.seconds_ago < i64::from(period_seconds) {
                start -= event.change;
            }
        }
        allowed.push(match (kind, going_up) {
            (PolicyType::Pods, true) => start.saturating_add(value),
            (PolicyType::Pods, false) => start.saturating_sub(value),
            (PolicyType::Percent, true) => (f64::from(start) * (1.0 + f64::from(value) / 100.0)).ceil() as i32,
            (PolicyType::Percent, false) => (f64::from(start) * (1.0 - f64::from(value) / 100.0)).trunc() as i32,
        });
    }
    allowed.sort_unstable();
    if going_up {
        allowed.reverse();
    }
    // The policy that allows most is the first one now.
    let chosen = match rules.select_policy {
        None | Some(SelectPolicy::Max) => allowed.first(),
        Some(SelectPolicy::Min) => allowed.last(),
        Some(SelectPolicy::Disabled) => None,
    };
    chosen.copied().unwrap_or(request.current_replicas)
}

kit::exercise!(Exercise: HorizontalPodAutoscaler);
