//! Tables of workload controllers.

mod deployment;
mod hpa;
mod replica_set;
mod rollout;

use super::{Check, pure};

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    [deployment::check, hpa::check, replica_set::check, rollout::check].iter().find_map(|check| check(table))
}
