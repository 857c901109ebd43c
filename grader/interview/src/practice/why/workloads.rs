//! The controllers of workloads.

use super::{Asked, list};
use kit_contract::workloads::hpa::{
    AbleToScale, DecideRequest, Decision, Metric, MetricRequest, PodSample, ScalingLimited,
};
use kit_contract::workloads::replica_set::SyncRequest as ReplicaSetSync;
use kit_contract::workloads::rolling_update::{Fenceposts, IntOrString, RollingUpdate, Strategy, SyncRequest};
use serde_json::Value;

pub fn hpa(asked: &Asked<'_>) -> Option<Vec<String>> {
    match asked.call {
        "decide" => decide(&asked.arg("request")?, &asked.answer()?),
        _ => propose(&asked.arg("request")?, asked.answer),
    }
}

fn propose(request: &MetricRequest, answer: &Value) -> Option<Vec<String>> {
    let MetricRequest { metric, spec_replicas, status_replicas, pods, .. } = request;
    let within = |ratio: f64| (0.9..=1.1).contains(&ratio);
    if let Some(error) = answer.get("Err") {
        return Some(vec![format!("The metric fails: {}.", kit_contract::flow(error))]);
    }
    let replicas = &answer["Ok"]["replicas"];
    let kept = |ratio: f64| match within(ratio) {
        true => format!("{ratio:.3} is within 0.9 to 1.1, which changes nothing: {replicas}."),
        false => format!("{ratio:.3} is beyond 0.9 to 1.1."),
    };
    Some(match metric {
        Metric::ObjectValue { .. } | Metric::ExternalValue { .. } => {
            let (value, target) = match metric {
                Metric::ObjectValue { value_milli, target_milli } => (*value_milli, *target_milli),
                Metric::ExternalValue { values_milli, target_milli } => (values_milli.iter().sum(), *target_milli),
                _ => return None,
            };
            let ratio = value as f64 / target as f64;
            let ready = pods.iter().filter(|pod| pod.phase == "Running" && pod.ready).count();
            let mut said = vec![format!("The ratio is {value} ÷ {target}.")];
            if *spec_replicas == 0 {
                said.push(format!("With 0 replicas it is ceil({ratio:.3}) = {replicas}, without a tolerance."));
            } else {
                said.push(kept(ratio));
                if !within(ratio) {
                    said.push(format!("ceil({ratio:.3} × {ready} pods that run and are ready) = {replicas}."));
                }
            }
            said
        }
        Metric::ObjectAverageValue { .. } | Metric::ExternalAverageValue { .. } => {
            let (value, target) = match metric {
                Metric::ObjectAverageValue { value_milli, target_milli } => (*value_milli, *target_milli),
                Metric::ExternalAverageValue { values_milli, target_milli } => {
                    (values_milli.iter().sum(), *target_milli)
                }
                _ => return None,
            };
            let ratio = value as f64 / (target as f64 * f64::from(*status_replicas));
            let mut said = vec![format!("The ratio is {value} ÷ ({target} × {status_replicas}).")];
            said.push(if *status_replicas == 0 {
                "With 0 replicas no value is within the tolerance.".into()
            } else {
                kept(ratio)
            });
            if *status_replicas == 0 || !within(ratio) {
                said.push(format!("ceil({value} ÷ {target}) = {replicas}; no pod is looked at."));
            }
            said
        }
        _ => of_pods(request, answer)?,
    })
}

/// Where a pod belongs, by the first rule that applies.
fn class(pod: &PodSample, cpu: bool) -> &'static str {
    if pod.deleting || pod.phase == "Failed" {
        return "ignored";
    }
    if pod.phase == "Pending" {
        return "unready";
    }
    let Some(sample) = pod.sample else { return "missing" };
    if cpu {
        let (Some(started), Some(turned)) = (pod.started_seconds_ago, pod.ready_transition_seconds_ago) else {
            return "unready";
        };
        let young = started < 300 && (!pod.ready || sample.seconds_ago > turned - sample.window_seconds);
        let never = started >= 300 && !pod.ready && started - turned < 30;
        if young || never {
            return "unready";
        }
    }
    "counted"
}

fn of_pods(request: &MetricRequest, answer: &Value) -> Option<Vec<String>> {
    let cpu = match &request.metric {
        Metric::ResourceUtilization { resource, .. } | Metric::ResourceAverageValue { resource, .. } => {
            resource == "cpu"
        }
        _ => false,
    };
    let mut said = Vec::new();
    let count = |what: &str| request.pods.iter().filter(|pod| class(pod, cpu) == what).count();
    let counts: Vec<String> = ["counted", "missing", "unready", "ignored"]
        .iter()
        .map(|what| (count(what), what))
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    said.push(format!("Of the pods, {}.", list(&counts)));
    let current = answer["Ok"]["current_milli"].as_i64()?;
    let replicas = &answer["Ok"]["replicas"];
    let (shown, ratio) = match &request.metric {
        Metric::ResourceUtilization { target_percent, .. } => {
            let percent = answer["Ok"]["utilization_percent"].as_i64()?;
            (format!("{percent} % ÷ {target_percent} %"), percent as f64 / f64::from(*target_percent))
        }
        Metric::ResourceAverageValue { target_milli, .. } | Metric::PodsAverageValue { target_milli } => {
            (format!("{current}m ÷ {target_milli}m"), current as f64 / *target_milli as f64)
        }
        _ => return None,
    };
    let within = (0.9..=1.1).contains(&ratio);
    let doubt = count("missing") > 0 || (count("unready") > 0 && ratio > 1.0);
    said.push(match (doubt, within) {
        (false, true) => format!("{shown} = {ratio:.3} is within 0.9 to 1.1, which changes nothing: {replicas}."),
        (false, false) => format!("{shown} = {ratio:.3}; ceil({ratio:.3} × {} counted pods) = {replicas}.", count("counted")),
        (true, _) if ratio < 1.0 => format!("{shown} = {ratio:.3} is below 1, so the missing ones count as if they used what they may. The second ratio gives {replicas}."),
        (true, _) if ratio > 1.0 => format!("{shown} = {ratio:.3} is above 1, so the missing and the unready ones count with 0. The second ratio gives {replicas}."),
        (true, _) => format!("{shown} is exactly 1, which changes nothing: {replicas}."),
    });
    Some(said)
}

fn decide(request: &DecideRequest, decision: &Decision) -> Option<Vec<String>> {
    let DecideRequest { current_replicas: now, min_replicas: min, max_replicas: max, proposals, .. } = request;
    if decision.scaling_active.is_none() || *now == 0 && *min != 0 {
        return Some(vec![match () {
            () if *now == 0 && *min != 0 => "With 0 replicas and a minimum that isn't 0, autoscaling is off.".into(),
            () if now > max => {
                format!("{now} replicas are above the maximum of {max}: that is put right before any metric is asked.")
            }
            () => {
                format!("{now} replicas are below the minimum of {min}: that is put right before any metric is asked.")
            }
        }]);
    }
    let failed = proposals.iter().filter(|one| one.is_none()).count();
    let greatest = proposals.iter().flatten().max();
    let mut said = Vec::new();
    match greatest {
        None => return Some(vec!["All metrics failed, and then nothing changes.".into()]),
        Some(greatest) if failed > 0 && greatest < now => {
            return Some(vec![format!(
                "A metric failed, and the others would scale down to {greatest}: then nothing changes."
            )]);
        }
        Some(greatest) => said.push(format!("The greatest proposal wins: {greatest}.")),
    }
    said.push(match decision.able_to_scale? {
        AbleToScale::ReadyForNewScale => "No earlier recommendation stands in the way.".into(),
        AbleToScale::ScaleUpStabilized => "Lower recommendations of the up window hold it down.".into(),
        AbleToScale::ScaleDownStabilized => format!(
            "A higher recommendation that is less than the window old{} holds it up.",
            if request.behavior.is_none() { " (300 s without a behavior)" } else { "" }
        ),
    });
    said.push(match decision.scaling_limited? {
        ScalingLimited::DesiredWithinRange => {
            format!("Nothing limits it between {min} and {max}: {}.", decision.replicas)
        }
        ScalingLimited::TooFewReplicas => format!("The minimum limits it: {}.", decision.replicas),
        ScalingLimited::TooManyReplicas => format!("The maximum limits it: {}.", decision.replicas),
        ScalingLimited::ScaleUpLimit => format!(
            "The rate of going up limits it to {}{}.",
            decision.replicas,
            if request.behavior.is_none() { " (without a behavior: twice the replicas, or 4)" } else { "" }
        ),
        ScalingLimited::ScaleDownLimit => format!("The rate of going down limits it to {}.", decision.replicas),
    });
    Some(said)
}

pub fn rolling_update(asked: &Asked<'_>) -> Option<Vec<String>> {
    if asked.call == "fenceposts" {
        let (update, replicas): (RollingUpdate, i32) = (asked.arg("update")?, asked.arg("replicas")?);
        let answer: Fenceposts = asked.answer()?;
        return Some(posts(&update, replicas, &answer));
    }
    let request: SyncRequest = asked.arg("request")?;
    let SyncRequest { replicas, paused, replica_sets: sets, .. } = &request;
    let active: Vec<_> = sets.iter().filter(|set| set.replicas != 0).collect();
    let sizes: i32 = sets.iter().map(|set| set.replicas).sum();
    let resized = active.iter().find(|set| set.desired_replicas.is_some_and(|desired| desired != *replicas));
    let mut said = Vec::new();
    if *paused || resized.is_some() {
        said.push(match resized {
            _ if *paused => "It is paused, so that it is only scaled.".to_string(),
            Some(set) => format!(
                "{} was sized for {} replicas, and now it is {replicas}: the Deployment is scaled, not rolled out.",
                set.name,
                set.desired_replicas.unwrap_or_default()
            ),
            None => String::new(),
        });
        said.push(match active.len() {
            0 | 1 => format!("At most one set is active: it gets {replicas}."),
            _ => format!("{} sets are active; a new one that is saturated ends the old ones, otherwise the difference is shared out by size.", active.len()),
        });
        return Some(said);
    }
    match &request.strategy {
        Strategy::Recreate => {
            let old = active.iter().filter(|set| !set.new).count();
            said.push(match (old, request.old_pods_running) {
                (1.., _) => "Recreate: the old sets get 0 first, and this sync does nothing else.".into(),
                (0, true) => "Recreate: old pods are still running, and the new ones wait for them.".into(),
                (0, false) => format!("Recreate: all old ones are gone, so the new set gets {replicas}."),
            });
        }
        Strategy::RollingUpdate(update) => {
            let answer = solved(update, *replicas);
            said.extend(posts(update, *replicas, &answer).pop());
            let (most, least) = (replicas + answer.surge, replicas - answer.unavailable);
            said.push(format!("There may be {most} pods, and there are {sizes}; {least} must be available."));
            let new = sets.iter().find(|set| set.new);
            match new {
                None => said.push(format!(
                    "The new set is created with what there is room for: min({replicas}, {most} − {sizes}), at least 0."
                )),
                Some(new) if new.replicas < *replicas && most > sizes => {
                    said.push(format!(
                        "The new set grows by min({replicas} − {}, {most} − {sizes}), and this sync does nothing else.",
                        new.replicas
                    ));
                    return Some(said);
                }
                Some(new) if new.replicas > *replicas => {
                    said.push(format!("The new set is larger than {replicas}, and shrinks to that."));
                    return Some(said);
                }
                Some(_) => {}
            }
            // What a set that was created just now adds.
            let created = if new.is_none() { (most - sizes).clamp(0, *replicas) } else { 0 };
            let waiting = new.map_or(created, |set| set.replicas - set.available);
            let may = sizes + created - least - waiting;
            said.push(match may {
                1.. => format!("The old sets may lose {} − {least} − {waiting} pods of the new one that aren't available = {may}, the unhealthy ones first.", sizes + created),
                _ => format!("The old sets may lose none: {} − {least} − {waiting} isn't more than 0.", sizes + created),
            });
        }
    }
    Some(said)
}

/// The percentage of so many, in tenths.
fn share(of: &IntOrString, replicas: i32) -> Option<(i64, i64)> {
    let text = serde_json::to_value(of).ok()?;
    let percent: i64 = text.as_str()?.strip_suffix('%')?.parse().ok()?;
    Some((percent, percent * i64::from(replicas)))
}

fn solved(update: &RollingUpdate, replicas: i32) -> Fenceposts {
    let whole = |of: &IntOrString, up: bool| match share(of, replicas) {
        Some((_, hundredths)) => {
            (if up { (hundredths + 99).div_euclid(100) } else { hundredths.div_euclid(100) }) as i32
        }
        None => serde_json::to_value(of).ok().and_then(|value| value.as_i64()).unwrap_or(0) as i32,
    };
    let (surge, mut unavailable) = (whole(&update.max_surge, true), whole(&update.max_unavailable, false));
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    Fenceposts { surge, unavailable: unavailable.min(replicas) }
}

fn posts(update: &RollingUpdate, replicas: i32, answer: &Fenceposts) -> Vec<String> {
    let shown = |of: &IntOrString, name: &str, how: &str, is: i32| match share(of, replicas) {
        Some((percent, hundredths)) => {
            format!("{name}: {percent} % of {replicas} is {}, {how}: {is}.", hundredths as f64 / 100.0)
        }
        None => format!("{name} is {is}."),
    };
    let mut unavailable = shown(&update.max_unavailable, "unavailable", "rounded down", answer.unavailable);
    if answer.surge == 0
        && answer.unavailable == 1
        && share(&update.max_unavailable, replicas).is_none_or(|(_, hundredths)| hundredths < 100)
    {
        unavailable = "Both come to 0, and then one pod may be unavailable, since nothing could move otherwise.".into();
    }
    let first = shown(&update.max_surge, "surge", "rounded up", answer.surge);
    vec![format!("{first} {unavailable}")]
}

pub fn replica_set(asked: &Asked<'_>) -> Option<Vec<String>> {
    let request: ReplicaSetSync = asked.arg("request")?;
    let wanted = request.replica_set.spec.as_ref()?.replicas.unwrap_or(1);
    let claimed = asked.answer["status"]["replicas"].as_i64()?;
    let mut said = Vec::new();
    let idle = request.pods.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        pod.metadata.deletion_timestamp.is_some() || ["Succeeded", "Failed"].contains(&phase)
    });
    let idle: Vec<String> = idle.filter_map(|pod| pod.metadata.name.clone()).collect();
    if !idle.is_empty() {
        said.push(format!(
            "{} ha{} finished or {} being deleted, and do{} not count.",
            list(&idle),
            if idle.len() == 1 { "s" } else { "ve" },
            if idle.len() == 1 { "is" } else { "are" },
            if idle.len() == 1 { "es" } else { "" }
        ));
    }
    said.push(format!("{claimed} pods are claimed, and {wanted} are wanted."));
    let expected = request.expectations.creations + request.expectations.deletions;
    if request.replica_set.metadata.deletion_timestamp.is_some() {
        said.push("The replica set is being deleted: it neither adopts nor releases, creates nor deletes.".into());
    } else if expected > 0 {
        said.push(format!(
            "The cache has not shown {expected} earlier creates or deletes yet, so nothing is created or deleted now."
        ));
    } else if claimed > i64::from(wanted) {
        said.push("Who goes first: without a node, Pending, not ready, lower deletion cost, more of them on the node, ready for less long, more restarts, younger.".into());
    }
    let adopts = asked.answer["actions"].as_array().into_iter().flatten();
    for action in adopts {
        if let Some(name) = action["adopt_pod"]["name"].as_str() {
            said.push(format!("{name} has no controller and matches the selector: it is adopted."));
        }
        if let Some(name) = action["release_pod"]["name"].as_str() {
            said.push(format!("{name} is its own and doesn't match the selector any more: it is released."));
        }
    }
    said.truncate(6);
    Some(said)
}
