//! A process with all that it started.

#[cfg(unix)]
mod unix {
    use rustix::process::{Pid, Signal, kill_process_group};
    use std::process::Child;

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
    }
}

#[cfg(not(unix))]
pub use elsewhere::Group;
#[cfg(unix)]
pub use unix::Group;

/// Ends a process that was started here, and its group, so that nothing that it started survives it.
pub fn end(child: &mut std::process::Child) {
    Group::of(child).end();
    // It may have left the group.
    let _ = child.kill();
    let _ = child.wait();
}
