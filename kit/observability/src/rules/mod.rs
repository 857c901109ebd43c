//! Rules: expressions that are evaluated again and again, and what becomes of their results.
//!
//! A [`Group`] evaluates its rules in order at each interval. A recording rule writes its result as a series; an
//! [`AlertingRule`] turns each sample of its result into an alert, which is pending until it has held long enough.

pub mod alerting;
pub mod file;
mod group;
pub mod template;

pub use alerting::{Alert, AlertingRule, Said, State};
pub use group::{Group, RecordingRule, Rule};
