//! Graceful shutdown of a node: pods end in groups, the less important ones first.
//!
//! Source: `pkg/kubelet/nodeshutdown/nodeshutdown_manager.go`.

use kit_api::qos::SYSTEM_CRITICAL_PRIORITY;

/// How long pods of a priority, and of higher ones up to the next group's, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The lowest priority.
    pub priority: i32,
    /// Seconds (`shutdownGracePeriodSeconds`).
    pub seconds: i64,
}

/// The groups of `shutdownGracePeriod` and `shutdownGracePeriodCriticalPods`; none where nodes end at once (`migrateConfig`).
pub fn two_groups(all: i64, critical: i64) -> Vec<Group> {
    match all {
        0 => Vec::new(),
        _ => vec![
            Group { priority: 0, seconds: all - critical },
            Group { priority: SYSTEM_CRITICAL_PRIORITY, seconds: critical },
        ],
    }
}

/// Which of the groups, in order of their priority, each pod belongs to (`groupByPriority`). Who is below all groups
/// goes with the first.
pub fn group_of(groups: &[Group], priority: i32) -> usize {
    groups.partition_point(|group| group.priority <= priority).saturating_sub(1)
}

/// The grace period of a pod: its own, if that is shorter than its group's.
pub fn grace(group: Group, own: Option<i64>) -> i64 {
    own.filter(|own| *own <= group.seconds).unwrap_or(group.seconds)
}

/// For how many seconds the machine's own shutdown has to be put off: pods of all groups may take all their time.
pub fn delay(groups: &[Group]) -> i64 {
    groups.iter().map(|group| group.seconds).sum()
}
