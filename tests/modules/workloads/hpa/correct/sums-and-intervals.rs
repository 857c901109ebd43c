//! Passes: adds up sums instead of keeping lists of pods, and decides by clamping to intervals.

use kit::workloads::hpa::*;
use std::ops::AddAssign;

#[derive(Default)]
struct Exercise;

/// Usage, requests and number of some pods.
#[derive(Clone, Copy, Default)]
struct Sum {
    used: i64,
    requested: i64,
    pods: i64,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Sum) {
        self.used += other.used;
        self.requested += other.requested;
        self.pods += other.pods;
    }
}

fn steady(ratio: f64) -> bool {
    (0.9..=1.1).contains(&ratio)
}

fn unready_cpu(pod: &PodSample, sample: &Sample) -> bool {
    match (pod.started_seconds_ago, pod.ready_transition_seconds_ago) {
        (Some(..300), Some(turned)) => !pod.ready || sample.seconds_ago + sample.window_seconds > turned,
        (Some(started), Some(turned)) => !pod.ready && turned > started - 30,
        _ => true,
    }
}

impl kit::workloads::HorizontalPodAutoscaler for Exercise {
    fn propose(&self, request: &MetricRequest) -> Result<Proposal, MetricError> {
        let (cpu, percent_target, milli_target) = match &request.metric {
            Metric::ResourceUtilization { resource, target_percent } => (resource == "cpu", Some(*target_percent), 0),
            Metric::ResourceAverageValue { resource, target_milli } => (resource == "cpu", None, *target_milli),
            Metric::PodsAverageValue { target_milli } => (false, None, *target_milli),
            Metric::ObjectValue { value_milli, target_milli } => return shared(request, *value_milli, *target_milli),
            Metric::ExternalValue { values_milli, target_milli } => {
                return shared(request, values_milli.iter().sum(), *target_milli);
            }
            Metric::ObjectAverageValue { value_milli, target_milli } => {
                return Ok(divided(request, *value_milli, *target_milli));
            }
            Metric::ExternalAverageValue { values_milli, target_milli } => {
                return Ok(divided(request, values_milli.iter().sum(), *target_milli));
            }
        };
        let (mut sure, mut idle, mut busy, mut starting) =
            (Sum::default(), Sum::default(), Sum::default(), Sum::default());
        let mut lacking = None;
        for pod in &request.pods {
            if pod.request_milli.is_none() && lacking.is_none() {
                lacking = Some(pod.name.clone());
            }
            let requested = pod.request_milli.unwrap_or_default();
            let unused = Sum { used: 0, requested, pods: 1 };
            if pod.deleting || pod.phase == "Failed" {
                continue;
            }
            match &pod.sample {
                _ if pod.phase == "Pending" => starting += unused,
                None => {
                    let used =
                        percent_target.map_or(milli_target, |target| requested * i64::from(target.max(100)) / 100);
                    idle += unused;
                    busy += Sum { used, ..unused };
                }
                Some(sample) if cpu && unready_cpu(pod, sample) => starting += unused,
                Some(sample) => sure += Sum { used: sample.value_milli, ..unused },
            }
        }
        if request.pods.is_empty() {
            return Err(MetricError::NoPods);
        }
        if sure.pods == 0 {
            return Err(MetricError::NoCountedPods);
        }
        if let (Some(pod), Some(_)) = (lacking, percent_target) {
            return Err(MetricError::MissingRequest { pod });
        }
        let percent = |sum: Sum| (100 * sum.used).checked_div(sum.requested).ok_or(MetricError::NothingRequested);
        let ratio = |sum: Sum| match percent_target {
            Some(target) => percent(sum).map(|percent| percent as f64 / f64::from(target)),
            None => Ok((sum.used / sum.pods) as f64 / milli_target as f64),
        };
        let first = ratio(sure)?;
        let utilization_percent = percent_target.map(|_| percent(sure)).transpose()?.map(|percent| percent as i32);
        let doubt = idle.pods > 0 || (starting.pods > 0 && first > 1.0);
        let mut all = sure;
        if first > 1.0 {
            all += idle;
            all += starting;
        } else if first < 1.0 {
            all += busy;
        }
        let ratio = ratio(all)?;
        let mut replicas = (ratio * all.pods as f64).ceil() as i32;
        if doubt {
            // Never to the other side: neither of the ratio, nor of the replicas.
            let same_side = (first - 1.0) * (ratio - 1.0) >= 0.0;
            replicas = match same_side {
                true if ratio > 1.0 => replicas.max(request.spec_replicas),
                true if ratio < 1.0 => replicas.min(request.spec_replicas),
                _ => request.spec_replicas,
            };
        }
        let replicas = if steady(ratio) { request.spec_replicas } else { replicas };
        Ok(Proposal { replicas, current_milli: sure.used / sure.pods, utilization_percent })
    }

    fn decide(&self, request: &DecideRequest) -> Decision {
        let (current, min, max) = (request.current_replicas, request.min_replicas, request.max_replicas);
        let mut decision =
            Decision { replicas: current, scaling_active: None, able_to_scale: None, scaling_limited: None };
        if current == 0 && min > 0 {
            decision.scaling_active = Some(ScalingActive::ScalingDisabled);
            return decision;
        }
        if !(min..=max).contains(&current) {
            decision.replicas = current.clamp(min, max);
            return decision;
        }
        let working: Vec<i32> = request.proposals.iter().flatten().copied().collect();
        let proposed = working.iter().copied().max().unwrap_or(-1);
        let broken = working.len() < request.proposals.len();
        if working.is_empty() || (broken && proposed < current) {
            decision.scaling_active = Some(ScalingActive::MetricFailed);
            return decision;
        }
        decision.scaling_active = Some(ScalingActive::ValidMetricFound);

        let within = |seconds: i32| {
            let young = request.recommendations.iter().filter(move |r| r.seconds_ago < i64::from(seconds));
            young.map(|r| r.replicas)
        };
        let rules = request.behavior.as_ref().map(|behavior| {
            let up = behavior.scale_up.clone().unwrap_or_default();
            let down = behavior.scale_down.clone().unwrap_or_default();
            (up, down)
        });
        let stable = match &rules {
            None => within(300).chain([proposed]).max().unwrap_or(proposed),
            Some((up, down)) => {
                let low = within(up.stabilization_window_seconds.unwrap_or(0)).chain([proposed]).min();
                let high = within(down.stabilization_window_seconds.unwrap_or(300)).chain([proposed]).max();
                current.clamp(low.unwrap_or(proposed), high.unwrap_or(proposed))
            }
        };
        decision.able_to_scale = Some(match stable == proposed {
            true => AbleToScale::ReadyForNewScale,
            false if rules.is_some() && proposed >= current => AbleToScale::ScaleUpStabilized,
            false => AbleToScale::ScaleDownStabilized,
        });

        // The interval of the rate around the current replicas.
        let (lowest, highest) = match &rules {
            None => (i32::MIN, (2 * current).max(4)),
            Some((up, down)) => (edge(request, down, -1).min(current), edge(request, up, 1).max(current)),
        };
        let free = rules.is_some() && stable == current;
        let (floor, ceiling) = (min.max(lowest), max.min(highest));
        decision.replicas = if free { stable } else { stable.clamp(floor, ceiling) };
        decision.scaling_limited = Some(if decision.replicas == stable {
            ScalingLimited::DesiredWithinRange
        } else if stable > ceiling {
            if highest < max { ScalingLimited::ScaleUpLimit } else { ScalingLimited::TooManyReplicas }
        } else if lowest > min {
            ScalingLimited::ScaleDownLimit
        } else {
            ScalingLimited::TooFewReplicas
        });
        decision
    }
}

/// The furthest that the policies of one direction (1 is up, -1 down) allow.
fn edge(request: &DecideRequest, rules: &ScalingRules, direction: i32) -> i32 {
    let policy = |kind, value| Policy { kind, value, period_seconds: 15 };
    let mut defaults = vec![policy(PolicyType::Percent, 100)];
    if direction > 0 {
        defaults.push(policy(PolicyType::Pods, 4));
    }
    let distances = rules.policies.as_ref().unwrap_or(&defaults).iter().map(|policy| {
        let changed: i32 = (request.scale_events.iter())
            .filter(|event| event.seconds_ago < i64::from(policy.period_seconds))
            .map(|event| event.change)
            .sum();
        let start = request.current_replicas - changed;
        let edge = match policy.kind {
            PolicyType::Pods => start + direction * policy.value,
            PolicyType::Percent => {
                let edge = f64::from(start) * (1.0 + f64::from(direction) * (f64::from(policy.value) / 100.0));
                if direction > 0 { edge.ceil() as i32 } else { edge as i32 }
            }
        };
        direction * (edge - request.current_replicas)
    });
    let distance = match rules.select_policy.unwrap_or(SelectPolicy::Max) {
        SelectPolicy::Max => distances.max(),
        SelectPolicy::Min => distances.min(),
        SelectPolicy::Disabled => Some(0),
    };
    request.current_replicas + direction * distance.unwrap_or(0)
}

fn shared(request: &MetricRequest, value: i64, target: i64) -> Result<Proposal, MetricError> {
    let ratio = value as f64 / target as f64;
    let able = request.pods.iter().filter(|pod| pod.ready && pod.phase == "Running").count();
    let replicas = match request.spec_replicas {
        0 => ratio.ceil() as i32,
        spec if steady(ratio) => spec,
        _ if request.pods.is_empty() => return Err(MetricError::NoPods),
        _ => (ratio * able as f64).ceil() as i32,
    };
    Ok(Proposal { replicas, current_milli: value, utilization_percent: None })
}

fn divided(request: &MetricRequest, value: i64, target: i64) -> Proposal {
    let there = request.status_replicas;
    let ratio = value as f64 / (target as f64 * f64::from(there));
    let replicas = if steady(ratio) { there } else { (value as f64 / target as f64).ceil() as i32 };
    let current_milli = if there == 0 { value } else { (value as f64 / f64::from(there)).ceil() as i64 };
    Proposal { replicas, current_milli, utilization_percent: None }
}

kit::exercise!(Exercise: kit::workloads::HorizontalPodAutoscaler);
