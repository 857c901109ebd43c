//! Passes: half-open ranges in a map, and a chain of options.

use kit::workloads::JobController;
use kit::workloads::job::{
    Backoff, BackoffRequest, Ending, EndingRequest, FailedPod, PendingRequest, PodFailurePolicyRule, Size, SizeRequest,
    Verdict,
};
use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Default)]
struct Exercise;

/// Ranges by where they begin. None of them touches another.
#[derive(Default)]
struct Indexes(BTreeMap<i64, i64>);

impl Indexes {
    fn of(text: &str) -> Indexes {
        let mut all = Indexes::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            match part.split_once('-') {
                Some((first, last)) => all.add(first.parse().unwrap_or(0)..last.parse::<i64>().unwrap_or(0) + 1),
                None => all.add_one(part.parse().unwrap_or(0)),
            }
        }
        all
    }

    fn add_one(&mut self, index: i64) {
        self.add(index..index + 1);
    }

    fn add(&mut self, range: Range<i64>) {
        let (mut from, mut to) = (range.start, range.end);
        let touching: Vec<i64> =
            self.0.range(..=to).filter(|(_, end)| **end >= from).map(|(start, _)| *start).collect();
        for start in touching {
            let end = self.0.remove(&start).unwrap_or(start);
            from = from.min(start);
            to = to.max(end);
        }
        self.0.insert(from, to);
    }

    fn len(&self) -> i64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    fn common(&self, other: &Indexes) -> i64 {
        let mut common = 0;
        for (from, to) in &self.0 {
            for (start, end) in other.0.range(..to) {
                common += 0.max(*to.min(end) - *from.max(start));
            }
        }
        common
    }
}

impl std::fmt::Display for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut comma = "";
        for (from, to) in &self.0 {
            let last = to - 1;
            match to - from {
                1 => write!(f, "{comma}{from}")?,
                2 => write!(f, "{comma}{from},{last}")?,
                _ => write!(f, "{comma}{from}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl JobController for Exercise {
    fn size(&self, request: &SizeRequest) -> Size {
        let waiting = if request.only_failed { request.terminating } else { 0 };
        let wanted = match (request.suspended, request.completions, request.succeeded) {
            (true, ..) => 0,
            (_, Some(completions), succeeded) => (completions - succeeded).clamp(0, request.parallelism),
            (_, None, 0) => request.parallelism,
            (_, None, _) => request.active,
        };
        let create = if request.suspended { 0 } else { (wanted - request.active - waiting).max(0) };
        Size { create, delete: (request.active - wanted).max(0) }
    }

    fn completed(&self, before: &str, succeeded: &[i64]) -> String {
        let mut all = Indexes::of(before);
        succeeded.iter().for_each(|index| all.add_one(*index));
        all.to_string()
    }

    fn pending(&self, request: &PendingRequest) -> Vec<i64> {
        let mut settled = Indexes::of(&request.completed);
        for (from, to) in Indexes::of(&request.failed).0 {
            settled.add(from..to);
        }
        request.taken.iter().for_each(|index| settled.add_one(*index));
        let mut next = 0;
        let mut free = std::iter::from_fn(|| {
            if let Some((_, to)) = settled.0.range(..=next).next_back().filter(|(_, to)| **to > next) {
                next = *to;
            }
            next += 1;
            (next <= request.completions).then_some(next - 1)
        });
        (0..request.count).map_while(|_| free.next()).collect()
    }

    fn failure(&self, rules: &[PodFailurePolicyRule], pod: &FailedPod) -> Verdict {
        let by_code = |rule: &PodFailurePolicyRule| {
            let codes = rule.on_exit_codes.as_ref()?;
            pod.containers.iter().find(|container| {
                let code = container.exit_code.unwrap_or(0);
                let is_in = codes.values.iter().any(|value| *value == code);
                let name = codes.container_name.as_deref().unwrap_or(&container.name);
                code != 0 && name == container.name && if codes.operator == "In" { is_in } else { !is_in }
            })
        };
        let by_condition = |rule: &PodFailurePolicyRule| {
            let mut patterns = rule.on_pod_conditions.iter().flatten();
            patterns.any(|one| pod.conditions.iter().any(|c| c.type_ == one.type_ && c.status == one.status))
        };
        let index = rules.iter().position(|rule| by_code(rule).is_some() || by_condition(rule));
        let Some(index) = index else { return Verdict::Count };
        match &*rules[index].action {
            "FailJob" => Verdict::FailJob(index as i64),
            "FailIndex" => Verdict::FailIndex,
            "Ignore" => Verdict::Ignore,
            _ => Verdict::Count,
        }
    }

    fn backoff(&self, request: &BackoffRequest) -> Backoff {
        let (good, bad): (Vec<_>, Vec<_>) = request.ended.iter().partition(|ended| ended.succeeded);
        let forgiven = good.iter().map(|ended| ended.at).max();
        let mut times: Vec<i64> = bad.iter().map(|ended| ended.at).filter(|at| Some(*at) > forgiven).collect();
        times.sort_unstable();
        let (before, earlier) = forgiven.map_or((request.failures, request.last), |_| (0, None));
        let failures = before + times.len() as i64;
        let last = times.pop().or(earlier);
        let delays = [0, 10, 20, 40, 80, 160, 320, 600];
        let delay = 1000 * delays[failures.clamp(0, 7) as usize];
        Backoff { failures, last, wait: last.map_or(0, |last| 0.max(last + delay - request.now)) }
    }

    fn ending(&self, request: &EndingRequest) -> Option<Ending> {
        let when = |holds: bool, ending: Ending| holds.then_some(ending);
        let completed = Indexes::of(&request.completed);
        let failure = when(request.fails_job, Ending::PodFailurePolicy)
            .or_else(|| when(request.failed > request.backoff_limit, Ending::BackoffLimitExceeded))
            .or_else(|| when(request.restarts >= 1.max(request.backoff_limit), Ending::BackoffLimitExceeded))
            .or_else(|| {
                let left = request.deadline_seconds? * 1000 - request.active_ms?;
                when(left <= 0 && !request.suspended, Ending::DeadlineExceeded)
            })
            .or_else(|| when(request.failed_indexes? > request.max_failed_indexes?, Ending::MaxFailedIndexesExceeded))
            .or_else(|| {
                let failed = request.failed_indexes.filter(|failed| *failed > 0)?;
                when(failed + completed.len() >= request.completions?.into(), Ending::FailedIndexes)
            });
        let policy = || {
            request.success_rules.iter().enumerate().find_map(|(place, rule)| {
                let wanted = rule.succeeded_indexes.as_deref().map(Indexes::of);
                if wanted.as_ref().is_some_and(|wanted| wanted.len() == 0) {
                    return None;
                }
                let there = wanted.as_ref().map_or(completed.len(), |wanted| wanted.common(&completed));
                let enough = rule.succeeded_count.or(wanted.map(|wanted| wanted.len()))?;
                when(there >= enough && completed.len() > 0, Ending::SuccessPolicy(place as i64))
            })
        };
        let complete = || {
            let enough = request.completions.unwrap_or(1);
            when(request.succeeded >= enough && request.active == 0, Ending::CompletionsReached)
        };
        failure.or_else(policy).or_else(complete)
    }
}

kit::exercise!(Exercise: JobController);
