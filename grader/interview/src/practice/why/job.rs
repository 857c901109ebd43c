//! Jobs.

use super::Asked;
use kit_contract::workloads::job::{
    Backoff, BackoffRequest, Ending, EndingRequest, PendingRequest, PodFailurePolicyRule, Size, SizeRequest, Verdict,
};

pub fn job(asked: &Asked<'_>) -> Option<Vec<String>> {
    Some(vec![match asked.call {
        "size" => size(&asked.arg("request")?, asked.answer()?),
        "completed" => "Numbers go up, and each is there once. Three or more in a row are written as the first and the last with - between; two in a row stay two numbers.".into(),
        "pending" => pending(&asked.arg("request")?, &asked.answer::<Vec<i64>>()?),
        "failure" => failure(&asked.arg::<Vec<PodFailurePolicyRule>>("rules")?, asked.answer()?),
        "backoff" => backoff(&asked.arg("request")?, asked.answer()?),
        _ => ending(&asked.arg("request")?, asked.answer()?),
    }])
}

fn size(request: &SizeRequest, answer: Size) -> String {
    let SizeRequest { parallelism, active, terminating, succeeded, .. } = request;
    if request.suspended {
        return format!("A suspended job has no active pods: all {active} go.");
    }
    let wanted = match request.completions {
        None if *succeeded > 0 => {
            return "A pod of this work queue has succeeded: no new one begins, and those that are active end by themselves.".into();
        }
        None => format!("A work queue wants as many as its parallelism, {parallelism}"),
        Some(completions) => {
            let missing = (completions - succeeded).max(0);
            format!("{missing} of {completions} completions are missing, and no more than {parallelism} run at once")
        }
    };
    let beside = match (request.only_failed, answer.delete) {
        (true, 0) => {
            format!(", {terminating} terminating ones count like active ones here, since only failed pods are replaced")
        }
        _ => String::new(),
    };
    format!("{wanted}; {active} are active{beside}.")
}

fn pending(request: &PendingRequest, answer: &[i64]) -> String {
    let PendingRequest { completions, count, .. } = request;
    let found = answer.len();
    format!(
        "From 0 up to {}, without those that are completed, failed for good, or have a pod, {count} are wanted and {found} found.",
        completions - 1
    )
}

fn failure(rules: &[PodFailurePolicyRule], answer: Verdict) -> String {
    let action = match answer {
        Verdict::FailJob(at) => {
            return format!("The rule at index {at} is the first that matches, and it says FailJob.");
        }
        Verdict::FailIndex => "FailIndex",
        Verdict::Ignore => "Ignore",
        Verdict::Count => "Count",
    };
    let codes = "An exit code of 0 matches nothing, NotIn included.";
    match rules.iter().any(|rule| rule.action == action) {
        true if answer == Verdict::Count => format!("No rule before one with Count matches, or none at all. {codes}"),
        true => format!("The first rule that matches says {action}. {codes}"),
        false => format!("No rule matches, and then a failure counts. {codes}"),
    }
}

fn backoff(request: &BackoffRequest, answer: Backoff) -> String {
    let success = request.ended.iter().filter(|ended| ended.succeeded).map(|ended| ended.at).max();
    let counted = match success {
        Some(at) => {
            format!("The last success, at {at} ms, ends the row: only failures after it count, {}.", answer.failures)
        }
        None => format!("Nothing succeeded, so the new failures are added: {}.", answer.failures),
    };
    match answer.last {
        None => format!("{counted} Without failures nobody waits."),
        Some(last) => format!(
            "{counted} 10 s doubled {} times, and never more than 600 s, from {last} ms on; {} ms of it are over.",
            (answer.failures - 1).max(0),
            request.now - last
        ),
    }
}

fn ending(request: &EndingRequest, answer: Option<Ending>) -> String {
    let EndingRequest { failed, backoff_limit, restarts, succeeded, active, .. } = request;
    match answer {
        None => format!(
            "No rule applies: {failed} failures of {backoff_limit} that may be, {succeeded} have succeeded, {active} are active."
        ),
        Some(Ending::PodFailurePolicy) => "A pod failed to which the policy says FailJob. That comes first.".into(),
        Some(Ending::BackoffLimitExceeded) if failed > backoff_limit => {
            format!("{failed} failures are more than the backoffLimit of {backoff_limit}.")
        }
        Some(Ending::BackoffLimitExceeded) => {
            format!("{restarts} restarts in place are as many as the backoffLimit of {backoff_limit}, or more.")
        }
        Some(Ending::DeadlineExceeded) => {
            "It has been active as long as activeDeadlineSeconds, or longer, and is not suspended.".into()
        }
        Some(Ending::MaxFailedIndexesExceeded) => "More indexes have failed than maxFailedIndexes.".into(),
        Some(Ending::FailedIndexes) => "All indexes are done, one way or the other, and some have failed.".into(),
        Some(Ending::SuccessPolicy(at)) => format!(
            "The rule at index {at} is the first of the success policy that is met; it comes before all completions."
        ),
        Some(Ending::CompletionsReached) => "Enough have succeeded, and no pod is active any more.".into(),
    }
}
