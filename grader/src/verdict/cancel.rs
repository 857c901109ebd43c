//! Ends a run in the middle: `watch` does so when a file is saved again before the verdict is there.
//!
//! Whoever starts a process for the run registers it. One run at a time is going on in a grader, so that the list is
//! one for the whole process.

use crate::module::process::Group;
use std::process::Child;
use std::sync::Mutex;

static RUN: Mutex<Run> = Mutex::new(Run { cancelled: false, groups: Vec::new() });

struct Run {
    cancelled: bool,
    groups: Vec<Group>,
}

/// A process of the run that leads a group of its own. Drop this before the process is waited for: from then on its
/// number may be another's.
#[must_use]
pub struct Running(Group);

/// Counts `child` and its group to the run. If the run is cancelled already, they are ended at once.
pub fn register(child: &Child) -> Running {
    let group = Group::of(child);
    let mut run = lock();
    run.groups.push(group);
    if run.cancelled {
        group.end();
    }
    Running(group)
}

impl Drop for Running {
    fn drop(&mut self) {
        lock().groups.retain(|group| *group != self.0);
    }
}

/// Ends all processes of the run; what they said until then means nothing.
pub fn cancel() {
    let mut run = lock();
    run.cancelled = true;
    for group in &run.groups {
        group.end();
    }
}

pub fn is_cancelled() -> bool {
    lock().cancelled
}

/// Lets the next run begin.
pub fn reset() {
    lock().cancelled = false;
}

fn lock() -> std::sync::MutexGuard<'static, Run> {
    RUN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
