//! Jobs and CronJobs.
//!
//! Source: `pkg/apis/batch/validation/validation.go`.

use super::{job_status, meta, pod, workloads::selects};
use crate::field::{At, Errors};
use crate::go;
use kit_api::cron::{self, Schedule};
use kit_api::jiff::tz::TimeZone;
use kit_api::name;
use serde_json::json;

const MAX_INDEXED: i64 = 100_000;
/// The same where there are more completions than that.
const MAX_OF_MANY: i64 = 10_000;

pub fn job(e: &mut Errors, job: &At<'_>) {
    generated_selector(e, job);
    let spec = job.get("spec");
    job_spec(e, &spec);
    let (name, completions) = (job.at("metadata.name"), spec.get("completions"));
    if let ("Indexed", Some(count @ 1..)) = (spec.get("completionMode").text(), completions.int()) {
        let host = format!("{}-{}", name.text(), count - 1);
        if !name::dns1123_label(&host).is_empty() {
            e.invalid(&name, &format!("will not able to create pod with invalid DNS label: {host}"));
        }
    }
}

/// What a job is to do, and that it finds its pods.
pub fn job_spec(e: &mut Errors, spec: &At<'_>) {
    work(e, spec);
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
        let shown = go::dump_named(selector.value, "meta.LabelSelector");
        e.invalid_as(&selector, &shown, "`selector` not auto-generated");
    }
}

fn work(e: &mut Errors, spec: &At<'_>) {
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
    let failed = spec.get("maxFailedIndexes");
    let (per_index, manager) = (spec.get("backoffLimitPerIndex"), spec.get("managedBy"));
    if failed.is_set() && !per_index.is_set() {
        e.required(&per_index, "when maxFailedIndexes is specified");
    }
    if manager.is_set() {
        meta::domain_prefixed_path(e, &manager);
        if manager.text().len() > 63 {
            e.too_long(&manager, 63);
        }
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
        if indexed {
            failed_indexes(e, spec);
        }
    }
    if !indexed {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if spec.get(field).is_set() {
                e.invalid(&spec.get(field), "requires indexed completion mode");
            }
        }
    }
    let policy = spec.get("podFailurePolicy");
    if policy.is_set() {
        failure_policy(e, &policy, spec);
    }
    let success = spec.get("successPolicy");
    if success.is_set() && indexed {
        success_policy(e, &success, &completions);
    } else if success.is_set() {
        let shown = go::dump_named(success.value, "batch.SuccessPolicy");
        e.invalid_as(&success, &shown, "requires indexed completion mode");
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

/// How many indexes of a job may fail, where each has its own limit.
fn failed_indexes(e: &mut Errors, spec: &At<'_>) {
    let (completions, parallelism) = (spec.get("completions"), spec.get("parallelism"));
    let failed = spec.get("maxFailedIndexes");
    if failed.int().zip(completions.int()).is_some_and(|(failed, all)| failed > all) {
        e.invalid(&failed, "must be less than or equal to completions");
    }
    if failed.int().is_some_and(|failed| failed > MAX_INDEXED) {
        e.invalid(&failed, &format!("must be less than or equal to {MAX_INDEXED}"));
    }
    let many = completions.int().is_some_and(|completions| completions > MAX_INDEXED);
    if !many || !spec.get("backoffLimitPerIndex").is_set() {
        return;
    }
    if !failed.is_set() {
        e.required(&failed, &format!("must be specified when completions is above {MAX_INDEXED}"));
    }
    for at in [parallelism, failed].iter().filter(|at| at.int().is_some_and(|count| count > MAX_OF_MANY)) {
        let why = format!(
            "must be less than or equal to {MAX_OF_MANY} when completions are above {MAX_INDEXED} and used with \
             backoff limit per index"
        );
        e.invalid(at, &why);
    }
}

fn success_policy(e: &mut Errors, policy: &At<'_>, completions: &At<'_>) {
    let rules = policy.get("rules");
    if rules.is_empty() {
        e.required(&rules, "at least one rules must be specified when the successPolicy is specified");
    }
    if rules.len() > 20 {
        e.too_many(&rules, rules.len(), 20);
    }
    for rule in rules.items() {
        let (count, indexes) = (rule.get("succeededCount"), rule.get("succeededIndexes"));
        if !count.is_set() && !indexes.is_set() {
            e.required(&rule, "at least one of succeededCount or succeededIndexes must be specified");
        }
        let all = completions.int().unwrap_or(0);
        let spans = job_status::intervals(indexes.text(), all);
        if let Err(why) = &spans {
            e.invalid(&indexes, &format!("error parsing succeededIndexes: {why}"));
        }
        let named: i64 = spans.iter().flatten().map(|(first, last)| last - first + 1).sum();
        e.not_negative(&count);
        let limits = [
            (completions.is_set(), all, "the number of specified completions"),
            (indexes.is_set(), named, "the number of indexes in the specified succeededIndexes field"),
        ];
        for (_, most, what) in limits.iter().filter(|(given, most, _)| *given && count.int() > Some(*most)) {
            e.invalid(&count, &format!("must be less than or equal to {most} ({what})"));
        }
    }
}

/// Values as `%q` lists them.
fn valid_values(values: &[&str]) -> String {
    format!("valid values: {values:?}").replace(", ", " ")
}

/// A field that must be one of some, which are told when it is missing.
fn one_of(e: &mut Errors, at: &At<'_>, values: &[&str]) {
    match at.text() {
        "" => e.required(at, &valid_values(values)),
        text if values.contains(&text) => {}
        _ => e.not_supported(at, values),
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
            "FailIndex" if !spec.get("backoffLimitPerIndex").is_set() => {
                e.invalid(&action, "requires the backoffLimitPerIndex to be set");
            }
            _ => one_of(e, &action, &actions),
        }
        let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
        if codes.is_set() {
            exit_codes(e, &codes, &containers);
        }
        if conditions.len() > 20 {
            e.too_many(&conditions, conditions.len(), 20);
        }
        for pattern in conditions.items() {
            let type_ = pattern.get("type");
            name::qualified_name(type_.text()).iter().for_each(|problem| e.invalid_text(&type_, problem));
            one_of(e, &pattern.get("status"), &["False", "True", "Unknown"]);
        }
        match (codes.is_set(), !conditions.is_empty()) {
            (true, true) => e.invalid_at(&rule, "specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => e.invalid_at(&rule, "specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes(e: &mut Errors, codes: &At<'_>, containers: &[&str]) {
    one_of(e, &codes.get("operator"), &["In", "NotIn"]);
    let name = codes.get("containerName");
    if name.is_set() && !containers.contains(&name.text()) {
        e.invalid(&name, "must be one of the container or initContainer names in the pod template");
    }
    let values = codes.get("values");
    let shown = || {
        let numbers: Vec<String> = values.items().iter().map(|value| value.value.to_string()).collect();
        if values.is_set() { format!("[]int32{{{}}}", numbers.join(", ")) } else { "[]int32(nil)".into() }
    };
    if values.is_empty() {
        e.invalid_as(&values, &shown(), "at least one value is required");
    } else if values.len() > 255 {
        e.too_many(&values, values.len(), 255);
    }
    let mut seen = std::collections::BTreeSet::new();
    for value in values.items() {
        if codes.get("operator").text() == "In" && value.int() == Some(0) {
            e.invalid(&value, "must not be 0 for the In operator");
        }
        if !seen.insert(value.int()) {
            e.duplicate(&value, &value.value.to_string());
        }
    }
    if !values.items().is_sorted_by_key(At::int) {
        e.invalid_as(&values, &shown(), "must be ordered");
    }
}

pub fn cron_job(e: &mut Errors, job: &At<'_>) {
    let spec = job.get("spec");
    let schedule = spec.get("schedule");
    match schedule.text() {
        "" => e.required(&schedule, ""),
        text => {
            if let Err(problem) = Schedule::parse(text, &TimeZone::UTC) {
                e.invalid(&schedule, &problem);
            }
            if text.contains("TZ") {
                e.invalid(&schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
            }
        }
    }
    e.not_negative(&spec.get("startingDeadlineSeconds"));
    let zone = spec.get("timeZone");
    if zone.is_set() {
        time_zone(e, &zone);
    }
    e.one_of(&spec.get("concurrencyPolicy"), &["Allow", "Forbid", "Replace"]);
    let template = spec.at("jobTemplate.spec");
    work(e, &template);
    if template.get("selector").is_set() {
        let shown = go::dump_named(template.get("selector").value, "meta.LabelSelector");
        e.invalid_as(&template.get("selector"), &shown, "`selector` will be auto-generated");
    }
    if template.get("manualSelector").flag() {
        e.not_supported(&template.get("manualSelector"), &["nil", "false"]);
    }
    for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        e.not_negative(&spec.get(field));
    }
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
    if let Err(problem) = cron::time_zone(zone.text()) {
        e.invalid(zone, &problem);
    }
}
