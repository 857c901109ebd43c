//! Passes: one flag for each index, and loops over everything.

use kit::workloads::JobController;
use kit::workloads::job::{
    Backoff, BackoffRequest, Ending, EndingRequest, FailedPod, PendingRequest, PodFailurePolicyRule, Size, SizeRequest,
    Verdict,
};

#[derive(Default)]
struct Exercise;

/// Sets the flags of a text; further ones are added as they are needed.
fn read(text: &str, flags: &mut Vec<bool>) {
    if text.is_empty() {
        return;
    }
    for part in text.split(',') {
        let mut ends = part.split('-').map(|number| number.parse::<usize>().unwrap_or(0));
        let first = ends.next().unwrap_or(0);
        let last = ends.next().unwrap_or(first);
        for index in first..=last {
            set(index, flags);
        }
    }
}

fn set(index: usize, flags: &mut Vec<bool>) {
    if flags.len() <= index {
        flags.resize(index + 1, false);
    }
    flags[index] = true;
}

fn write(flags: &[bool]) -> String {
    let mut text = String::new();
    let mut index = 0;
    while index < flags.len() {
        if !flags[index] {
            index += 1;
            continue;
        }
        let first = index;
        while index < flags.len() && flags[index] {
            index += 1;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text += &first.to_string();
        match index - first {
            1 => {}
            2 => text += &format!(",{}", index - 1),
            _ => text += &format!("-{}", index - 1),
        }
    }
    text
}

impl JobController for Exercise {
    fn size(&self, request: &SizeRequest) -> Size {
        let mut size = Size { create: 0, delete: 0 };
        let wanted = if request.suspended {
            0
        } else if let Some(completions) = request.completions {
            std::cmp::max(0, std::cmp::min(completions - request.succeeded, request.parallelism))
        } else if request.succeeded == 0 {
            request.parallelism
        } else {
            request.active
        };
        if request.active > wanted {
            size.delete = request.active - wanted;
        } else {
            size.create = wanted - request.active;
            if request.only_failed {
                size.create = std::cmp::max(0, size.create - request.terminating);
            }
        }
        size
    }

    fn completed(&self, before: &str, succeeded: &[i64]) -> String {
        let mut flags = Vec::new();
        read(before, &mut flags);
        for index in succeeded {
            set(*index as usize, &mut flags);
        }
        write(&flags)
    }

    fn pending(&self, request: &PendingRequest) -> Vec<i64> {
        let mut flags = Vec::new();
        read(&request.completed, &mut flags);
        read(&request.failed, &mut flags);
        for index in &request.taken {
            set(*index as usize, &mut flags);
        }
        let mut pending = Vec::new();
        for index in 0..request.completions {
            if pending.len() as i64 == request.count {
                break;
            }
            if !flags.get(index as usize).copied().unwrap_or(false) {
                pending.push(index);
            }
        }
        pending
    }

    fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict {
        for (index, rule) in rules.iter().enumerate() {
            let mut matches = false;
            if let Some(codes) = &rule.on_exit_codes {
                for container in &pod.containers {
                    if codes.container_name.is_some() && codes.container_name != Some(container.name.clone()) {
                        continue;
                    }
                    match container.exit_code {
                        None | Some(0) => {}
                        Some(code) if codes.operator == "In" => matches |= codes.values.contains(&code),
                        Some(code) => matches |= !codes.values.contains(&code),
                    }
                }
            }
            if let Some(patterns) = &rule.on_pod_conditions {
                for pattern in patterns {
                    for condition in &pod.conditions {
                        matches |= (&pattern.type_, &pattern.status) == (&condition.type_, &condition.status);
                    }
                }
            }
            if matches {
                return match rule.action.as_str() {
                    "FailJob" => Verdict::FailJob(index as i64),
                    "FailIndex" => Verdict::FailIndex,
                    "Ignore" => Verdict::Ignore,
                    _ => Verdict::Count,
                };
            }
        }
        Verdict::Count
    }

    fn backoff(&self, request: &BackoffRequest) -> Backoff {
        let (mut failures, mut last) = (request.failures, request.last);
        let mut ended = request.ended.clone();
        // Of two at the same moment the success comes last, so that it wipes the failure out.
        ended.sort_by_key(|one| (one.at, one.succeeded));
        for one in ended {
            if one.succeeded {
                failures = 0;
                last = None;
            } else {
                failures += 1;
                last = Some(one.at);
            }
        }
        let mut delay = if failures > 0 { 10_000 } else { 0 };
        for _ in 1..failures.max(1) {
            delay = (delay * 2).min(600_000);
        }
        let wait = match last {
            Some(last) if last + delay > request.now => last + delay - request.now,
            _ => 0,
        };
        Backoff { failures, last, wait }
    }

    fn ending(&self, request: &EndingRequest) -> Option<Ending> {
        if request.fails_job {
            return Some(Ending::PodFailurePolicy);
        }
        if request.failed > request.backoff_limit {
            return Some(Ending::BackoffLimitExceeded);
        }
        if request.restarts > 0 && request.restarts >= request.backoff_limit {
            return Some(Ending::BackoffLimitExceeded);
        }
        if let (Some(active), Some(deadline), false) =
            (request.active_ms, request.deadline_seconds, request.suspended)
        {
            if active / 1000 >= deadline {
                return Some(Ending::DeadlineExceeded);
            }
        }
        let mut flags = Vec::new();
        read(&request.completed, &mut flags);
        let done = flags.iter().filter(|flag| **flag).count() as i64;
        if let Some(failed) = request.failed_indexes {
            if let Some(most) = request.max_failed_indexes {
                if failed > most {
                    return Some(Ending::MaxFailedIndexesExceeded);
                }
            }
            if failed > 0 && done + failed >= i64::from(request.completions.unwrap_or(0)) {
                return Some(Ending::FailedIndexes);
            }
        }
        if done > 0 {
            for (number, rule) in request.success_rules.iter().enumerate() {
                let (mut all, mut there) = (0, done);
                if let Some(text) = &rule.succeeded_indexes {
                    let mut wanted = Vec::new();
                    read(text, &mut wanted);
                    all = wanted.iter().filter(|flag| **flag).count() as i64;
                    there = 0;
                    for (index, flag) in wanted.iter().enumerate() {
                        if *flag && flags.get(index) == Some(&true) {
                            there += 1;
                        }
                    }
                }
                let enough = match rule.succeeded_count {
                    Some(count) => there >= count,
                    None => there == all,
                };
                if enough && (all > 0 || rule.succeeded_indexes.is_none()) {
                    return Some(Ending::SuccessPolicy(number as i64));
                }
            }
        }
        let reached = match request.completions {
            Some(completions) => request.succeeded >= completions,
            None => request.succeeded > 0,
        };
        (reached && request.active == 0).then_some(Ending::CompletionsReached)
    }
}

kit::exercise!(Exercise: JobController);
