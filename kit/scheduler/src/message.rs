//! What the event FailedScheduling and the condition PodScheduled say.
//!
//! Source: `FitError.Error` in `pkg/scheduler/framework/types.go`.

use std::collections::BTreeMap;

/// Where there is no node at all.
pub const NO_NODES: &str = "no nodes available to schedule pods";

/// `0/4 nodes are available: 1 Insufficient cpu, 3 node(s) were unschedulable.`
pub fn fit_error<'a>(nodes: usize, reasons: impl IntoIterator<Item = (&'a str, usize)>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, count) in reasons {
        *counts.entry(reason).or_default() += count;
    }
    let mut lines: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    // As texts: 10 comes before 2.
    lines.sort();
    let head = format!("0/{nodes} nodes are available:");
    if lines.is_empty() { head } else { format!("{head} {}.", lines.join(", ")) }
}
