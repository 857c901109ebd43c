//! A process with all that it started.

#[cfg(unix)]
mod unix {
    use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
    use std::process::Child;
    use std::time::Duration;

    /// The group that a process leads.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Group(Pid);

    impl Group {
        pub fn of(child: &Child) -> Self {
            Group(Pid::from_child(child))
        }

        /// Ends all processes of the group at once.
        pub fn end(self) {
            let _ = kill_process_group(self.0, Signal::KILL);
        }

        /// How much of the processor those had that are running, and those that they waited for; none where nobody
        /// tells.
        pub fn processor_time(self) -> Option<Duration> {
            let group = self.0.as_raw_nonzero().get().to_string();
            let processes = std::fs::read_dir("/proc").ok()?.flatten();
            let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
            let ticks: Vec<u64> = stats.filter_map(|stat| ticks(&stat, &group)).collect();
            (!ticks.is_empty()).then(|| Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS))
        }
    }

    /// Linux counts in hundredths of a second, whatever the machine (`USER_HZ`).
    const TICKS: u64 = 100;

    /// What `/proc/PID/stat` says of a process of the group: its own time and that of its children, as a user and in
    /// the system (proc_pid_stat(5), fields 14 to 17).
    fn ticks(stat: &str, group: &str) -> Option<u64> {
        // The name before it may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let times = fields.get(11..15).filter(|_| fields.get(2) == Some(&group))?;
        Some(times.iter().filter_map(|field| field.parse::<u64>().ok()).sum())
    }

    /// Whether a process has ended. It stays to be waited for, so that its number is nobody else's yet.
    pub fn has_ended(child: &mut Child) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(Pid::from_child(child)), look), Ok(None))
    }
}

/// Where there are no groups, no module is run.
#[cfg(not(unix))]
mod elsewhere {
    use std::process::Child;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct Group(u32);

    impl Group {
        pub fn of(child: &Child) -> Self {
            Group(child.id())
        }

        pub fn end(self) {}

        pub fn processor_time(self) -> Option<std::time::Duration> {
            None
        }
    }

    pub fn has_ended(child: &mut Child) -> bool {
        !matches!(child.try_wait(), Ok(None))
    }
}

#[cfg(not(unix))]
pub use elsewhere::Group;
#[cfg(not(unix))]
use elsewhere::has_ended;
#[cfg(unix)]
pub use unix::Group;
#[cfg(unix)]
use unix::has_ended;

use crate::verdict::cancel::{self, Running};
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// A process of the run that leads a group. Nothing that it started survives it, however it comes to its end.
pub struct Leader {
    pub child: Child,
    running: Option<Running>,
    status: Option<ExitStatus>,
}

impl Leader {
    pub fn of(child: Child) -> Self {
        let running = Some(cancel::register(&child));
        Leader { child, running, status: None }
    }

    /// Whether it has ended; what it started may live on.
    pub fn has_ended(&mut self) -> bool {
        self.status.is_some() || has_ended(&mut self.child)
    }

    /// How much of the processor it and its group had until now, as far as it is known.
    pub fn processor_time(&self) -> Option<Duration> {
        Group::of(&self.child).processor_time()
    }

    /// Ends the others of its group. Before it is waited for, since from then on its number may be another's.
    pub fn end_others(&self) {
        if self.status.is_none() {
            Group::of(&self.child).end();
        }
    }

    /// Ends it with its group, unless it has ended already: how it did.
    pub fn end(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        self.running = None;
        self.end_others();
        // It may have left the group.
        let _ = self.child.kill();
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
