//! Tables of workload controllers.

mod clean_up;
mod cron_job;
mod deployment;
mod hpa;
mod job;
mod replica_set;
mod rollout;
mod stage;
mod stateful_set;

use super::{Check, pure};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    let files = [
        clean_up::check,
        cron_job::check,
        deployment::check,
        hpa::check,
        job::check,
        replica_set::check,
        rollout::check,
        stateful_set::check,
    ];
    files.iter().find_map(|check| check(table))
}
