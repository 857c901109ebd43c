//! Tables of workload controllers.

mod budget;
mod clean_up;
mod cron_job;
mod daemon_set;
mod deployment;
mod hpa;
mod hpa_reconcile;
mod job;
mod replica_set;
mod revisions;
mod rollout;
mod stage;
mod stateful_set;
mod vpa;

use super::{Check, pure};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    let files = [
        budget::check,
        clean_up::check,
        cron_job::check,
        daemon_set::check,
        deployment::check,
        hpa::check,
        hpa_reconcile::check,
        job::check,
        replica_set::check,
        revisions::check,
        rollout::check,
        stateful_set::check,
        vpa::check,
    ];
    files.iter().find_map(|check| check(table))
}
