//! Passes: sorted lists of single indexes, counted up with iterators, and rules as closures.

use kit::workloads::JobController;
use kit::workloads::job::{
    Backoff, BackoffRequest, Ending, EndingRequest, FailedPod, PendingRequest, PodFailurePolicyRule, Size, SizeRequest,
    SuccessRule, Verdict,
};
use std::collections::HashSet;

#[derive(Default)]
struct Exercise;

fn all(text: &str) -> Vec<i64> {
    let number = |text: &str| text.parse::<i64>().ok();
    text.split(',')
        .flat_map(|part| match part.split('-').map(number).collect::<Vec<_>>()[..] {
            [Some(one)] => one..=one,
            [Some(first), Some(last)] => first..=last,
            _ => 1..=0,
        })
        .collect()
}

impl JobController for Exercise {
    fn size(&self, request: &SizeRequest) -> Size {
        let SizeRequest { parallelism, completions, suspended, only_failed, active, terminating, succeeded } = *request;
        let left = completions.map(|completions| completions - succeeded);
        let wanted = match left {
            _ if suspended => 0,
            Some(left) if left <= 0 => 0,
            Some(left) if left < parallelism => left,
            None if succeeded != 0 => active,
            _ => parallelism,
        };
        match wanted - active {
            surplus @ ..0 => Size { create: 0, delete: surplus.abs() },
            missing if only_failed && terminating >= missing => Size::default(),
            missing if only_failed => Size { create: missing - terminating, delete: 0 },
            missing => Size { create: missing, delete: 0 },
        }
    }

    fn completed(&self, before: &str, succeeded: &[i64]) -> String {
        let mut list = all(before);
        list.extend(succeeded);
        list.sort_unstable();
        list.dedup();
        let runs = list.chunk_by(|one, next| one + 1 == *next);
        let texts = runs.map(|run| match run {
            [first, _, .., last] => format!("{first}-{last}"),
            few => few.iter().map(i64::to_string).collect::<Vec<_>>().join(","),
        });
        texts.collect::<Vec<_>>().join(",")
    }

    fn pending(&self, request: &PendingRequest) -> Vec<i64> {
        let mut settled: Vec<i64> = all(&request.completed);
        settled.extend(all(&request.failed));
        settled.extend(&request.taken);
        settled.sort_unstable();
        let mut settled = settled.into_iter().peekable();
        let free = (0..request.completions).filter(|index| {
            while settled.next_if(|one| one < index).is_some() {}
            settled.peek() != Some(index)
        });
        free.take(request.count.max(0) as usize).collect()
    }

    fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict {
        let failed: Vec<(&str, i32)> = pod
            .containers
            .iter()
            .filter_map(|container| Some((container.name.as_str(), container.exit_code?)))
            .filter(|(_, code)| *code != 0)
            .collect();
        let conditions: HashSet<(&str, &str)> =
            pod.conditions.iter().map(|condition| (condition.type_.as_str(), condition.status.as_str())).collect();
        for (number, rule) in (0..).zip(rules) {
            let codes = rule.on_exit_codes.iter().any(|codes| {
                let named = |name: &str| codes.container_name.iter().all(|wanted| wanted == name);
                let inside = codes.operator == "In";
                failed.iter().any(|(name, code)| named(name) && codes.values.contains(code) == inside)
            });
            let patterns = rule.on_pod_conditions.iter().flatten();
            let mut patterns = patterns.map(|pattern| (pattern.type_.as_str(), pattern.status.as_str()));
            if !codes && !patterns.any(|pattern| conditions.contains(&pattern)) {
                continue;
            }
            return match rule.action.as_str() {
                "FailJob" => Verdict::FailJob(number),
                "FailIndex" => Verdict::FailIndex,
                "Ignore" => Verdict::Ignore,
                _ => Verdict::Count,
            };
        }
        Verdict::Count
    }

    fn backoff(&self, request: &BackoffRequest) -> Backoff {
        let BackoffRequest { failures, last, ended, now } = request;
        let success = ended.iter().filter(|one| one.succeeded).map(|one| one.at).fold(i64::MIN, i64::max);
        let failed: Vec<i64> = ended.iter().filter(|one| !one.succeeded && one.at > success).map(|one| one.at).collect();
        let old = success == i64::MIN;
        let failures = failed.len() as i64 + if old { *failures } else { 0 };
        let last = failed.iter().max().copied().or(last.filter(|_| old));
        let mut wait = 0;
        if let Some(last) = last {
            let seconds = if failures == 0 { 0.0 } else { (10.0 * 2f64.powi(failures.min(20) as i32 - 1)).min(600.0) };
            wait = (last + (seconds * 1000.0) as i64 - now).max(0);
        }
        Backoff { failures, last, wait }
    }

    fn ending(&self, request: &EndingRequest) -> Option<Ending> {
        let completed: HashSet<i64> = all(&request.completed).into_iter().collect();
        let done = completed.len() as i64;
        let is_met = |rule: &SuccessRule| match &rule.succeeded_indexes {
            None => rule.succeeded_count.is_some_and(|count| done >= count),
            Some(text) => {
                let wanted = all(text);
                let there = wanted.iter().filter(|index| completed.contains(index)).count() as i64;
                !wanted.is_empty() && there >= rule.succeeded_count.unwrap_or(wanted.len() as i64)
            }
        };
        let met = (0..).zip(&request.success_rules).find(|(_, rule)| done != 0 && is_met(rule));
        let rules: [(Ending, &dyn Fn() -> Option<bool>); 7] = [
            (Ending::PodFailurePolicy, &|| Some(request.fails_job)),
            (Ending::BackoffLimitExceeded, &|| {
                let restarted = request.restarts != 0 && request.restarts >= request.backoff_limit;
                Some(restarted || request.failed > request.backoff_limit)
            }),
            (Ending::DeadlineExceeded, &|| {
                Some(!request.suspended && request.active_ms? >= 1000 * request.deadline_seconds?)
            }),
            (Ending::MaxFailedIndexesExceeded, &|| Some(request.failed_indexes? > request.max_failed_indexes?)),
            (Ending::FailedIndexes, &|| {
                let failed = request.failed_indexes?;
                Some(failed != 0 && failed + done >= i64::from(request.completions?))
            }),
            (Ending::SuccessPolicy(met.map_or(0, |(place, _)| place)), &|| Some(met.is_some())),
            (Ending::CompletionsReached, &|| {
                let enough = request.completions.unwrap_or(1);
                Some(request.active < 1 && request.succeeded >= enough)
            }),
        ];
        rules.into_iter().find(|(_, holds)| holds() == Some(true)).map(|(ending, _)| ending)
    }
}

kit::exercise!(Exercise: JobController);
