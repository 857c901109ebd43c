//! The reference for `workloads/job`: pods by numbers, indexes by spans, failures by rules.

use kit::workloads::JobController;
use kit::workloads::job::{
    Backoff, BackoffRequest, Ended, Ending, EndingRequest, FailedPod, PendingRequest, PodFailurePolicyRule, Size,
    SizeRequest, SuccessRule, Verdict,
};

// ANCHOR: solution
/// The job's status remembers; the module doesn't.
#[derive(Default)]
pub struct Exercise;

impl JobController for Exercise {
    // ANCHOR: size
    fn size(&self, request: &SizeRequest) -> Size {
        let SizeRequest { parallelism, active, succeeded, .. } = *request;
        if request.suspended {
            return Size { create: 0, delete: active };
        }
        let wanted = match request.completions {
            None if succeeded > 0 => active,
            None => parallelism,
            Some(completions) => (completions - succeeded).min(parallelism).max(0),
        };
        let terminating = if request.only_failed { request.terminating } else { 0 };
        let missing = wanted - active;
        if missing < 0 {
            return Size { create: 0, delete: -missing };
        }
        Size { create: (missing - terminating).max(0), delete: 0 }
    }
    // ANCHOR_END: size

    // ANCHOR: indexes
    fn completed(&self, before: &str, succeeded: &[i64]) -> String {
        write(merge(spans(before).into_iter().chain(succeeded.iter().map(|index| (*index, *index)))))
    }

    fn pending(&self, request: &PendingRequest) -> Vec<i64> {
        let taken = request.taken.iter().map(|index| (*index, *index));
        let settled = spans(&request.completed).into_iter().chain(spans(&request.failed)).chain(taken);
        let count = usize::try_from(request.count).unwrap_or(0);
        let (mut pending, mut from) = (Vec::new(), 0);
        for (first, last) in merge(settled).into_iter().chain([(request.completions, request.completions)]) {
            let room = count - pending.len();
            pending.extend((from..first.min(request.completions)).take(room));
            from = last + 1;
        }
        pending
    }
    // ANCHOR_END: indexes

    // ANCHOR: failures
    fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict {
        let matching = rules.iter().enumerate().find(|(_, rule)| matches(rule, pod));
        match matching.map(|(index, rule)| (index, rule.action.as_str())) {
            Some((index, "FailJob")) => Verdict::FailJob(index as i64),
            Some((_, "FailIndex")) => Verdict::FailIndex,
            Some((_, "Ignore")) => Verdict::Ignore,
            _ => Verdict::Count,
        }
    }

    fn backoff(&self, request: &BackoffRequest) -> Backoff {
        let success = request.ended.iter().filter(|ended| ended.succeeded).map(|ended| ended.at).max();
        let is_new = |ended: &&Ended| !ended.succeeded && success.is_none_or(|success| ended.at > success);
        let new = request.ended.iter().filter(is_new).map(|ended| ended.at);
        let (before, last) = if success.is_some() { (0, None) } else { (request.failures, request.last) };
        let failures = before + new.clone().count() as i64;
        let last = new.max().or(last);
        let wait = last.map_or(0, |last| (delay(failures) - (request.now - last)).max(0));
        Backoff { failures, last, wait }
    }
    // ANCHOR_END: failures

    // ANCHOR: endings
    fn ending(&self, request: &EndingRequest) -> Option<Ending> {
        let EndingRequest { failed, backoff_limit, restarts, succeeded, .. } = *request;
        let completed = spans(&request.completed);
        let done = count(&completed);
        let failed_indexes = request.failed_indexes.unwrap_or(0);
        let too_long = request.active_ms.zip(request.deadline_seconds).filter(|_| !request.suspended);
        let reached = request.completions.map_or(succeeded > 0, |completions| succeeded >= completions);
        let met = request.success_rules.iter().position(|rule| done > 0 && is_met(rule, &completed));
        let rules = [
            request.fails_job.then_some(Ending::PodFailurePolicy),
            (failed > backoff_limit || restarts >= backoff_limit.max(1)).then_some(Ending::BackoffLimitExceeded),
            too_long.filter(|(active, deadline)| active / 1000 >= *deadline).map(|_| Ending::DeadlineExceeded),
            request.max_failed_indexes.filter(|most| failed_indexes > *most).map(|_| Ending::MaxFailedIndexesExceeded),
            (failed_indexes > 0 && failed_indexes + done >= request.completions.unwrap_or(0).into())
                .then_some(Ending::FailedIndexes),
            met.map(|rule| Ending::SuccessPolicy(rule as i64)),
            (request.active == 0 && reached).then_some(Ending::CompletionsReached),
        ];
        rules.into_iter().flatten().next()
    }
    // ANCHOR_END: endings
}

/// Indexes from the first to the last, both included.
type Span = (i64, i64);

/// The spans of a text such as `1,3-5`.
fn spans(text: &str) -> Vec<Span> {
    let span = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split(',').filter_map(span).collect()
}

/// Sorted spans that neither overlap nor touch.
fn merge(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut all: Vec<Span> = spans.collect();
    all.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for (first, last) in all {
        match merged.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn write(spans: Vec<Span>) -> String {
    let span = |(first, last)| match last - first {
        0 => format!("{first}"),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    spans.into_iter().map(span).collect::<Vec<_>>().join(",")
}

fn count(spans: &[Span]) -> i64 {
    spans.iter().map(|(first, last)| last - first + 1).sum()
}

/// Whether a rule of the failure policy is about this pod.
fn matches(rule: &PodFailurePolicyRule, pod: &FailedPod) -> bool {
    match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(codes), _) => {
            let containers = pod.containers.iter();
            let named = containers.filter(|one| codes.container_name.as_ref().is_none_or(|name| *name == one.name));
            let mut failures = named.filter_map(|one| one.exit_code).filter(|code| *code != 0);
            failures.any(|code| codes.values.contains(&code) == (codes.operator == "In"))
        }
        (None, Some(patterns)) => pod.conditions.iter().any(|condition| {
            patterns.iter().any(|pattern| pattern.type_ == condition.type_ && pattern.status == condition.status)
        }),
        (None, None) => false,
    }
}

/// How long a pod waits after so many failures in a row, in milliseconds.
fn delay(failures: i64) -> i64 {
    match failures {
        ..=0 => 0,
        // 2^6 times the first wait is more than the longest.
        _ => (10_000 << (failures - 1).min(6)).min(600_000),
    }
}

/// Whether a rule of the success policy is met by these indexes.
fn is_met(rule: &SuccessRule, completed: &[Span]) -> bool {
    let Some(text) = &rule.succeeded_indexes else {
        return rule.succeeded_count.is_some_and(|wanted| count(completed) >= wanted);
    };
    let wanted = spans(text);
    let both = |one: &Span, other: &Span| (one.1.min(other.1) - one.0.max(other.0) + 1).max(0);
    let there: i64 = wanted.iter().flat_map(|one| completed.iter().map(move |other| both(one, other))).sum();
    !wanted.is_empty() && there >= rule.succeeded_count.unwrap_or(count(&wanted))
}
// ANCHOR_END: solution
