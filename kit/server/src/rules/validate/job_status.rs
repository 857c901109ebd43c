//! The status of a Job: what may follow on what. A job can be another controller's, so the server holds all to the same rules.
//!
//! Source: `ValidateJobStatusUpdate` of `pkg/apis/batch/validation/validation.go`, and `getStatusValidationOptions` of
//! `pkg/registry/batch/job/strategy.go`: most rules hold only where a write changes what they are about, since a change of the
//! specification may have broken them before.

use crate::field::{At, Errors};
use crate::go;
use kit_api::jiff::Timestamp;
use std::collections::BTreeSet;

/// What a job's status says of its conditions.
struct Status<'a> {
    at: At<'a>,
    complete: bool,
    failed: bool,
    failure_target: bool,
    success_criteria_met: bool,
    suspended: bool,
}

impl<'a> Status<'a> {
    fn of(job: &At<'a>) -> Status<'a> {
        let at = job.get("status");
        let conditions = at.get("conditions").items();
        let holds =
            |type_: &str| conditions.iter().any(|c| c.get("type").text() == type_ && c.get("status").text() == "True");
        Status {
            complete: holds("Complete"),
            failed: holds("Failed"),
            failure_target: holds("FailureTarget"),
            success_criteria_met: holds("SuccessCriteriaMet"),
            suspended: holds("Suspended"),
            at,
        }
    }

    fn finished(&self) -> bool {
        self.complete || self.failed
    }

    fn count(&self, field: &str) -> i64 {
        self.at.get(field).int().unwrap_or(0)
    }

    fn time(&self, field: &str) -> Option<Timestamp> {
        self.at.get(field).text().parse().ok()
    }

    fn uncounted(&self) -> usize {
        let uncounted = self.at.get("uncountedTerminatedPods");
        uncounted.get("succeeded").len() + uncounted.get("failed").len()
    }
}

/// A time as Go prints it.
fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// Says what is wrong with a job's new status.
pub fn job(e: &mut Errors, new: &At<'_>, old: &At<'_>) {
    let (status, before, spec) = (Status::of(new), Status::of(old), new.get("spec"));
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        e.not_negative(&status.at.get(field));
    }
    uncounted(e, &status.at.get("uncountedTerminatedPods"));
    ends(e, &status, &before);
    indexes(e, &status, &before, &spec);
    conditions(e, &status, &before, &spec);
    transitions(e, &status, &before, &spec);
}

fn uncounted(e: &mut Errors, pods: &At<'_>) {
    let mut seen = BTreeSet::new();
    for uid in ["succeeded", "failed"].iter().flat_map(|list| pods.get(list).items()) {
        if uid.text().is_empty() {
            e.invalid(&uid, "must not be empty");
        } else if !seen.insert(uid.text().to_string()) {
            e.duplicate(&uid, &format!("{:?}", uid.text()));
        }
    }
}

/// What an ended job must have, and must not have.
fn ends(e: &mut Errors, status: &Status<'_>, before: &Status<'_>) {
    let changed = |field: &str| status.at.get(field).value != before.at.get(field).value;
    let (conditions, completion) = (status.at.get("conditions"), status.at.get("completionTime"));
    let completes = status.complete != before.complete;
    let finishes = status.finished() != before.finished();
    let fails = status.failed != before.failed;
    if (completes || fails) && status.complete && status.failed {
        e.invalid_at(&conditions, "cannot set Complete=True and Failed=true conditions");
    }
    if (completes || status.failure_target != before.failure_target) && status.complete && status.failure_target {
        e.invalid_at(&conditions, "cannot set Complete=True and FailureTarget=true conditions");
    }
    let (started, completed) = (status.time("startTime"), status.time("completionTime"));
    if completes || changed("completionTime") {
        match completed {
            Some(time) if !status.complete => {
                let why = "cannot set completionTime when there is no Complete=True condition";
                e.invalid_as(&completion, &shown(time), why);
            }
            None if status.complete => e.required(&completion, "completionTime is required for Complete jobs"),
            _ => {}
        }
    }
    if let (true, Some(started), Some(completed)) =
        (changed("startTime") || changed("completionTime"), started, completed)
        && completed < started
    {
        e.invalid_as(&completion, &shown(completed), "completionTime cannot be set before startTime");
    }
    let targets = status.failure_target != before.failure_target;
    if (fails || targets) && status.failed && !status.failure_target {
        let why = "cannot set Failed=True condition without the FailureTarget=true condition";
        e.invalid_at(&conditions, why);
    }
    let meets = status.success_criteria_met != before.success_criteria_met;
    if (completes || meets) && status.complete && !status.success_criteria_met {
        let why = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
        e.invalid_at(&conditions, why);
    }
    if !status.finished() {
        return;
    }
    if (finishes || changed("active")) && status.count("active") > 0 {
        e.invalid(&status.at.get("active"), "active>0 is invalid for finished job");
    }
    if (finishes || changed("startTime")) && started.is_none() {
        e.required(&status.at.get("startTime"), "startTime is required for finished job");
    }
    let uncounted = status.at.get("uncountedTerminatedPods");
    if (finishes || changed("uncountedTerminatedPods")) && status.uncounted() > 0 {
        let shown = go::dump_named(uncounted.value, "batch.UncountedTerminatedPods");
        e.invalid_as(&uncounted, &shown, "uncountedTerminatedPods needs to be empty for finished job");
    }
}

/// Completed and failed indexes.
fn indexes(e: &mut Errors, status: &Status<'_>, before: &Status<'_>, spec: &At<'_>) {
    let changed = |field: &str| status.at.get(field).value != before.at.get(field).value;
    let (completed, failed) = (status.at.get("completedIndexes"), status.at.get("failedIndexes"));
    let (completions, per_index) = (spec.get("completions").int(), spec.get("backoffLimitPerIndex").is_set());
    let (new_completed, new_failed) = (changed("completedIndexes"), changed("failedIndexes"));
    for (at, name, check) in
        [(&completed, "completedIndexes", new_completed), (&failed, "failedIndexes", new_failed && per_index)]
    {
        if let (true, Some(Err(why))) = (check, completions.map(|all| intervals(at.text(), all))) {
            e.invalid(at, &format!("error parsing {name}: {why}"));
        }
    }
    if new_completed && !completed.text().is_empty() && spec.get("completionMode").text() != "Indexed" {
        e.invalid(&completed, "cannot set non-empty completedIndexes when non-indexed completion mode");
    }
    if new_failed && failed.is_set() && !per_index {
        e.invalid(&failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
    }
    let both = completions.map(|all| (intervals(completed.text(), all), intervals(failed.text(), all)));
    if let (true, Some((Ok(completed), Ok(broken)))) = (new_completed || new_failed, both) {
        let overlap = |span: &(i64, i64)| {
            let other = broken.iter().find(|other| span.0 <= other.1 && other.0 <= span.1)?;
            Some(span.0.max(other.0))
        };
        if let Some(index) = completed.iter().find_map(overlap) {
            e.invalid(&failed, &format!("failedIndexes and completedIndexes overlap at index: {index}"));
        }
    }
}

/// Indexes as spans, both ends included (`validateIndexesFormat`).
///
/// # Errors
///
/// What is wrong, as upstream says it.
pub fn intervals(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let number = |text: &str| {
            text.parse::<i64>().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))
        };
        let (one, two) = part.split_once('-').map_or((part, None), |(one, two)| (one, Some(two)));
        if two.is_some_and(|two| two.contains('-')) {
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index interval can have at most two parts \
                 separated by '-'"
            ));
        }
        let first = number(one)?;
        if first >= completions {
            return Err(format!("too large index: {one:?}"));
        }
        let last = two.map_or(Ok(first), number)?;
        if last >= completions {
            return Err(format!("too large index: {:?}", two.unwrap_or(one)));
        }
        if two.is_some() && first >= last {
            return Err(format!("non-increasing order, previous: {first}, current: {last}"));
        }
        if let Some((_, previous)) = spans.last().filter(|(_, previous)| *previous >= first) {
            return Err(format!("non-increasing order, previous: {previous}, current: {first}"));
        }
        spans.push((first, last));
    }
    Ok(spans)
}

fn conditions(e: &mut Errors, status: &Status<'_>, before: &Status<'_>, spec: &At<'_>) {
    let conditions = status.at.get("conditions");
    let changed = |field: &str| status.at.get(field).value != before.at.get(field).value;
    let finishes = status.finished() != before.finished();
    if (finishes || changed("terminating")) && status.finished() && status.count("terminating") > 0 {
        e.invalid(&status.at.get("terminating"), "terminating>0 is invalid for finished job");
    }
    if (changed("ready") || changed("active")) && status.count("ready") > status.count("active") {
        e.invalid(&status.at.get("ready"), "cannot set more ready pods than active");
    }
    if status.success_criteria_met && status.failed {
        e.invalid_at(&conditions, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
    }
    if status.success_criteria_met && status.failure_target {
        e.invalid_at(&conditions, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
    }
    if spec.get("successPolicy").is_set() && !status.success_criteria_met && status.complete {
        let why = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
        e.invalid_at(&conditions, why);
    }
}

/// What can't be taken back.
fn transitions(e: &mut Errors, status: &Status<'_>, before: &Status<'_>, spec: &At<'_>) {
    let conditions = status.at.get("conditions");
    let ends = [
        ("Failed", status.failed, before.failed),
        ("Complete", status.complete, before.complete),
        ("FailureTarget", status.failure_target, before.failure_target),
    ];
    for (type_, _, _) in ends.iter().filter(|(_, now, before)| *before && !now) {
        e.invalid_at(&conditions, &format!("cannot disable the terminal {type_}=True condition"));
    }
    // An Indexed job that grows and shrinks with its parallelism may lose completed indexes.
    let elastic = spec.get("completionMode").text() == "Indexed"
        && spec.get("completions").int() == spec.get("parallelism").int();
    for (field, check) in [("failed", true), ("succeeded", !elastic)] {
        if check && status.count(field) < before.count(field) {
            e.invalid_as(
                &status.at.get(field),
                &status.count(field).to_string(),
                &format!("cannot decrease the {field} counter"),
            );
        }
    }
    if let (Some(now), Some(then)) = (status.time("completionTime"), before.time("completionTime"))
        && now != then
    {
        e.invalid_as(&status.at.get("completionTime"), &shown(now), "completionTime cannot be mutated");
    }
    let (now, then) = (status.time("startTime"), before.time("startTime"));
    // A job that goes on begins anew. Early patches of 1.33 refused that, too (kubernetes#134769, backported by #135129).
    let resumes = before.suspended && !status.suspended;
    if then.is_some() && now != then && !spec.get("suspend").flag() && !resumes {
        e.required(&status.at.get("startTime"), "startTime cannot be removed for unsuspended job");
    }
    if before.success_criteria_met && !status.success_criteria_met {
        e.invalid_at(&conditions, "cannot disable the SuccessCriteriaMet=True condition");
    }
    if before.complete && !before.success_criteria_met && status.success_criteria_met {
        let why = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
        e.invalid_at(&conditions, why);
    }
}
