//! Jobs and CronJobs.
//!
//! Source: `pkg/apis/batch/validation/validation.go`.

use super::{cron, pod, workloads::selects};
use crate::server::field::{At, Errors};
use crate::server::go;
use crate::server::schema::named;
use serde_json::json;

const MAX_INDEXED: i64 = 100_000;

pub fn job(e: &mut Errors, job: &At<'_>) {
    generated_selector(e, job);
    let spec = job.get("spec");
    job_spec(e, &spec);
    if !spec.get("selector").is_set() {
        e.required(&spec.get("selector"), "");
    } else {
        super::label_selector(e, &spec.get("selector"));
    }
    let labels = spec.at("template.metadata.labels");
    if selects(&spec.get("selector"), &labels) == Some(false) {
        let why = "`selector` does not match template `labels`";
        e.invalid_as(&labels, &go::string_map(labels.value), why);
    }
}

/// A selector that the server made finds the pods of this job alone.
fn generated_selector(e: &mut Errors, job: &At<'_>) {
    let selector = job.at("spec.selector");
    if job.at("spec.manualSelector").flag() || !selector.is_set() {
        return;
    }
    let (uid, name) = (job.at("metadata.uid"), job.at("metadata.name"));
    let metadata = job.at("spec.template.metadata");
    let expected = [
        ("controller-uid", uid.text()),
        ("job-name", name.text()),
        ("batch.kubernetes.io/controller-uid", uid.text()),
        ("batch.kubernetes.io/job-name", name.text()),
    ];
    for (label, value) in expected {
        let at = metadata.get("labels").key(label);
        match at.text() {
            "" => e.required(&at, &format!("must be '{value}'")),
            text if text != value => e.invalid(&at, &format!("must be '{value}'")),
            _ => {}
        }
    }
    let labels = json!({
        "batch.kubernetes.io/controller-uid": uid.text(), "batch.kubernetes.io/job-name": name.text(),
    });
    if selects(&selector, &At::root(&labels)) == Some(false) {
        let shown = named("meta.LabelSelector").map(|of| go::dump(selector.value, of)).unwrap_or_default();
        e.invalid_as(&selector, &shown, "`selector` not auto-generated");
    }
}

fn job_spec(e: &mut Errors, spec: &At<'_>) {
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for field in counts {
        e.not_negative(&spec.get(field));
    }
    let (mode, completions) = (spec.get("completionMode"), spec.get("completions"));
    let indexed = mode.text() == "Indexed";
    if mode.is_set() {
        if !["NonIndexed", "Indexed"].contains(&mode.text()) {
            e.not_supported(&mode, &["NonIndexed", "Indexed"]);
        }
        if indexed && !completions.is_set() {
            e.required(&completions, "when completion mode is Indexed");
        }
        if indexed && spec.get("parallelism").int().is_some_and(|n| n > MAX_INDEXED) {
            let why = "must be less than or equal to 100000 when completion mode is Indexed";
            e.invalid(&spec.get("parallelism"), why);
        }
    }
    if !indexed {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if spec.get(field).is_set() {
                e.invalid(&spec.get(field), "requires indexed completion mode");
            }
        }
    }
    if spec.get("maxFailedIndexes").is_set() && !spec.get("backoffLimitPerIndex").is_set() {
        e.required(&spec.get("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    let policy = spec.get("podFailurePolicy");
    if policy.is_set() {
        failure_policy(e, &policy, spec);
    }
    if spec.get("successPolicy").is_set() && !indexed {
        let shown = named("batch.SuccessPolicy").map(|of| go::dump(spec.get("successPolicy").value, of));
        e.invalid_as(&spec.get("successPolicy"), &shown.unwrap_or_default(), "requires indexed completion mode");
    }
    let replacement = spec.get("podReplacementPolicy");
    let known: &[&str] = if policy.is_set() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if replacement.is_set() && !known.contains(&replacement.text()) {
        e.not_supported(&replacement, known);
    }
    pod::template(e, &spec.get("template"));
    let restart = spec.at("template.spec.restartPolicy");
    match restart.text() {
        "" | "Always" => e.required(&restart, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if policy.is_set() => {
            e.invalid(&restart, "only \"Never\" is supported when podFailurePolicy is specified");
        }
        "OnFailure" | "Never" => {}
        _ => e.not_supported(&restart, &["OnFailure", "Never"]),
    }
}

fn failure_policy(e: &mut Errors, policy: &At<'_>, spec: &At<'_>) {
    let rules = policy.get("rules");
    if rules.len() > 20 {
        e.too_many(&rules, rules.len(), 20);
    }
    let containers = ["containers", "initContainers"].map(|list| spec.at("template.spec").get(list).items());
    let containers: Vec<&str> = containers.iter().flatten().map(|container| container.get("name").text()).collect();
    for rule in rules.items() {
        let action = rule.get("action");
        let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
        match action.text() {
            "" => e.required(&action, &format!("valid values: {actions:?}").replace(['[', ']'], "")),
            text if actions.contains(&text) => {}
            _ => e.not_supported(&action, &actions),
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() && !conditions.is_empty() {
            e.invalid_as(
                &rule,
                "field.omitValueType{}",
                "specifying both OnExitCodes and OnPodConditions is not supported",
            );
        }
        if !codes.is_set() && conditions.is_empty() {
            e.invalid_as(
                &rule,
                "field.omitValueType{}",
                "specifying one of OnExitCodes and OnPodConditions is required",
            );
        }
        if codes.is_set() {
            e.one_of(&codes.get("operator"), &["In", "NotIn"]);
            let name = codes.get("containerName");
            if name.is_set() && !containers.contains(&name.text()) {
                e.invalid(&name, "must be one of the container or initContainer names in the pod template");
            }
            let values = codes.get("values");
            if values.is_empty() {
                e.invalid_as(&values, "[]int32{}", "at least one value is required");
            }
            for value in values.items() {
                if codes.get("operator").text() == "In" && value.int() == Some(0) {
                    e.invalid(&value, "must not be 0 for the In operator");
                }
            }
        }
        for pattern in conditions.items() {
            if !["False", "True", "Unknown"].contains(&pattern.get("status").text()) {
                e.not_supported(&pattern.get("status"), &["False", "True", "Unknown"]);
            }
        }
    }
}

pub fn cron_job(e: &mut Errors, job: &At<'_>) {
    let spec = job.get("spec");
    let schedule = spec.get("schedule");
    match schedule.text() {
        "" => e.required(&schedule, ""),
        text => {
            if let Err(problem) = cron::schedule(text) {
                e.invalid(&schedule, &problem);
            }
            if text.contains("TZ") {
                e.invalid(&schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
            }
        }
    }
    e.not_negative(&spec.get("startingDeadlineSeconds"));
    e.one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    let zone = spec.get("timeZone");
    if zone.is_set() {
        time_zone(e, &zone);
    }
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        e.not_negative(&spec.get(field));
    }
    let template = spec.at("jobTemplate.spec");
    if template.get("manualSelector").flag() {
        e.not_supported(&template.get("manualSelector"), &["nil", "false"]);
    }
    if template.get("selector").is_set() {
        let shown = named("meta.LabelSelector").map(|of| go::dump(template.get("selector").value, of));
        e.invalid_as(&template.get("selector"), &shown.unwrap_or_default(), "`selector` will be auto-generated");
    }
    job_spec(e, &template);
    if job.at("metadata.name").text().len() > 52 {
        e.invalid(&job.at("metadata.name"), "must be no more than 52 characters");
    }
}

fn time_zone(e: &mut Errors, zone: &At<'_>) {
    if zone.text().is_empty() {
        return e.invalid(zone, "timeZone must be nil or non-empty string");
    }
    if zone.text().eq_ignore_ascii_case("local") {
        return e.invalid(zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    if kit_api::jiff::tz::TimeZone::get(zone.text()).is_err() {
        e.invalid(zone, &format!("unknown time zone {}", zone.text()));
    }
}
