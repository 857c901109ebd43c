//! Which time of a schedule is the last that has come, and how long it is to the next.
//!
//! Source: `pkg/controller/cronjob/utils.go`.

use kit_api::batch::CronJob;
use kit_api::cron::Schedule;
use kit_api::jiff::{SignedDuration, Timestamp};

/// A little later than the schedule says, for clocks that differ (`nextScheduleDelta`).
const LATER: SignedDuration = SignedDuration::from_millis(100);
/// More missed times than this are worth a warning.
const MANY: i64 = 100;

/// The times that have come since the last job.
pub struct Missed {
    /// Since when times were looked for.
    since: Timestamp,
    /// The last one, if any.
    pub latest: Option<Timestamp>,
    /// There was at least one.
    any: bool,
    /// There were more than a hundred, roughly.
    pub many: bool,
}

/// The last time that has come (`mostRecentScheduleTime`). With `deadline` only those count for which a job may still
/// be started.
///
/// # Errors
///
/// The schedule has no times that follow each other.
pub fn most_recent(cron: &CronJob, now: Timestamp, schedule: &Schedule, deadline: bool) -> Result<Missed, String> {
    let created = cron.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref()).map(|time| time.0);
    let mut since = last.or(created).unwrap_or_default();
    let seconds = cron.spec.as_ref().and_then(|spec| spec.starting_deadline_seconds).filter(|_| deadline);
    if let Some(earliest) = seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok()) {
        since = since.max(earliest);
    }
    let never = || "time difference between two schedules is less than 1 second".to_string();
    let none = Missed { since, latest: None, any: false, many: false };
    let first = schedule.next(since).ok_or_else(never)?;
    if now < first {
        return Ok(none);
    }
    let second = schedule.next(first).ok_or_else(never)?;
    if now < second {
        return Ok(Missed { latest: Some(first), ..none });
    }
    let between = second.as_second() - first.as_second();
    if between < 1 {
        return Err(never());
    }
    // How many there were is guessed from the first two; the last one is looked for near the end.
    let count = now.duration_since(first).as_secs() / between + 1;
    let near = first.checked_add(SignedDuration::from_secs((count - 2) * between)).map_err(|_| never())?;
    let following = |at: &Timestamp| schedule.next(*at).filter(|next| *next <= now);
    let latest = std::iter::successors(following(&near), following).last();
    Ok(Missed { since, latest, any: count > 0, many: count > MANY })
}

/// How long it is to the next time; none if there is no next time (`nextScheduleTimeDuration`).
pub fn until_next(cron: &CronJob, now: Timestamp, schedule: &Schedule) -> Option<SignedDuration> {
    let from = match most_recent(cron, now, schedule, false) {
        Err(_) => now,
        Ok(missed) => missed.latest.unwrap_or(if missed.any { now } else { missed.since }),
    };
    Some(schedule.next(from)?.duration_since(now) + LATER)
}
