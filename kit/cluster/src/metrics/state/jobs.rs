//! Work that ends: `job.go` and `cronjob.go`.

use super::{BY_UNIX, CREATED, Of, Row, Table, alpha, condition, flag, list, number, owners, stable, text};
use kit_api::cron::{Schedule, time_zone};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::Kind;
use serde_json::Value;

pub static JOBS: Table = Table {
    kind: Kind::Job,
    labels: &[("namespace", "/metadata/namespace"), ("job_name", "/metadata/name")],
    metrics: &[
        stable("kube_job_info", "Information about job.", Of::Info(&[])),
        stable("kube_job_created", BY_UNIX, CREATED),
        stable(
            "kube_job_spec_parallelism",
            "The maximum desired number of pods the job should run at any given time.",
            Of::Given("/spec/parallelism"),
        ),
        stable(
            "kube_job_spec_completions",
            "The desired number of successfully finished pods the job should be run with.",
            Of::Given("/spec/completions"),
        ),
        stable(
            "kube_job_spec_active_deadline_seconds",
            "The duration in seconds relative to the startTime that the job may be active before the system tries to terminate it.",
            Of::Given("/spec/activeDeadlineSeconds"),
        ),
        stable(
            "kube_job_status_succeeded",
            "The number of pods which reached Phase Succeeded.",
            Of::Number("/status/succeeded"),
        ),
        stable(
            "kube_job_status_failed",
            "The number of pods which reached Phase Failed and the reason for failure.",
            Of::Rows(job_failures),
        ),
        stable("kube_job_status_active", "The number of actively running pods.", Of::Number("/status/active")),
        alpha(
            "kube_job_status_ready",
            "The number of ready pods that belong to this Job.",
            Of::Number("/status/ready"),
        ),
        stable("kube_job_complete", "The job has completed its execution.", Of::Rows(|job| condition(job, "Complete"))),
        stable("kube_job_failed", "The job has failed its execution.", Of::Rows(|job| condition(job, "Failed"))),
        stable(
            "kube_job_status_start_time",
            "StartTime represents time when the job was acknowledged by the Job Manager.",
            Of::Time("/status/startTime"),
        ),
        stable(
            "kube_job_status_completion_time",
            "CompletionTime represents time when the job was completed.",
            Of::Time("/status/completionTime"),
        ),
        stable("kube_job_owner", "Information about the Job's owner.", Of::Rows(owners)),
    ],
};

fn job_failures(job: &Value) -> Vec<Row> {
    let failed = number(job, "/status/failed").unwrap_or(0.0);
    if failed == 0.0 {
        return vec![(Vec::new(), 0.0)];
    }
    const KNOWN: [&str; 3] = ["BackoffLimitExceeded", "DeadlineExceeded", "Evicted"];
    let end = list(job, "/status/conditions").find(|condition| condition["type"] == "Failed");
    let reason = end.map(|end| text(end, "/reason"));
    let row = |of: &str, value: f64| (vec![("reason", of.to_string())], value);
    let known = reason.iter().flat_map(|reason| KNOWN.map(|of| row(of, flag(reason == of))));
    let unknown = !reason.as_deref().is_some_and(|reason| KNOWN.contains(&reason));
    known.chain(unknown.then(|| row("", failed))).collect()
}

pub static CRON_JOBS: Table = Table {
    kind: Kind::CronJob,
    labels: &[("namespace", "/metadata/namespace"), ("cronjob", "/metadata/name")],
    metrics: &[
        stable(
            "kube_cronjob_info",
            "Info about cronjob.",
            Of::Rows(|job| {
                let policy = text(job, "/spec/concurrencyPolicy");
                let zone = text(job, "/spec/timeZone");
                let zone = if zone.is_empty() { "local".into() } else { zone };
                vec![(
                    vec![("schedule", text(job, "/spec/schedule")), ("concurrency_policy", policy), ("timezone", zone)],
                    1.0,
                )]
            }),
        ),
        stable("kube_cronjob_created", BY_UNIX, CREATED),
        stable(
            "kube_cronjob_status_active",
            "Active holds pointers to currently running jobs.",
            Of::Rows(|job| vec![(Vec::new(), list(job, "/status/active").count() as f64)]),
        ),
        stable(
            "kube_cronjob_status_last_schedule_time",
            "LastScheduleTime keeps information of when was the last time the job was successfully scheduled.",
            Of::Time("/status/lastScheduleTime"),
        ),
        stable(
            "kube_cronjob_status_last_successful_time",
            "LastSuccessfulTime keeps information of when was the last time the job was completed successfully.",
            Of::Time("/status/lastSuccessfulTime"),
        ),
        stable(
            "kube_cronjob_spec_suspend",
            "Suspend flag tells the controller to suspend subsequent executions.",
            Of::Flag("/spec/suspend"),
        ),
        stable(
            "kube_cronjob_spec_starting_deadline_seconds",
            "Deadline in seconds for starting the job if it misses scheduled time for any reason.",
            Of::Given("/spec/startingDeadlineSeconds"),
        ),
        stable(
            "kube_cronjob_next_schedule_time",
            "Next time the cronjob should be scheduled. The time after lastScheduleTime, or after the cron job's creation time if it's never been scheduled. Use this to determine if the job is delayed.",
            Of::Rows(next_schedule),
        ),
        alpha(
            "kube_cronjob_spec_successful_job_history_limit",
            "Successful job history limit tells the controller how many completed jobs should be preserved.",
            Of::Given("/spec/successfulJobsHistoryLimit"),
        ),
        alpha(
            "kube_cronjob_spec_failed_job_history_limit",
            "Failed job history limit tells the controller how many failed jobs should be preserved.",
            Of::Given("/spec/failedJobsHistoryLimit"),
        ),
    ],
};

fn next_schedule(job: &Value) -> Vec<Row> {
    let next = || {
        let zone = text(job, "/spec/timeZone");
        let zone = time_zone(if zone.is_empty() { "UTC" } else { &zone }).ok()?;
        let schedule = Schedule::parse(&text(job, "/spec/schedule"), &zone).ok()?;
        let before = job.pointer("/status/lastScheduleTime").or(job.pointer("/metadata/creationTimestamp"));
        schedule.next(before?.as_str()?.parse::<Timestamp>().ok()?)
    };
    let next = next().filter(|_| job.pointer("/spec/suspend") != Some(&Value::Bool(true)));
    next.map(|next| (Vec::new(), next.as_second() as f64)).into_iter().collect()
}
