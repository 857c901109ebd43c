//! A node that was lost with all its containers is back: which of a pod's containers begin anew in another sandbox.
//!
//! [`runtime::actions`] decides.

use super::{INIT, PodWorker, Run, seconds};
use crate::runtime::{self, Known, Sandbox};
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_time::agenda::Instant;

impl PodWorker {
    /// The node has lost its containers, and starts those again that this pod wants.
    pub fn reboot(&mut self, pod: &Pod, now: Instant, time: Timestamp) {
        if self.lose(now, time) {
            return;
        }
        for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
            run.forget_failures();
            run.exit(255, now, time, "Never");
            run.next = None;
        }
        // The sandbox is there, and not ready: what ran in it has ended.
        let lost = (self.held.is_none()).then_some(Sandbox { attempt: 0, ready: false, ip: None });
        if let Some(wanted) = &mut self.live {
            let attempt = self.sandbox.as_ref().map_or(0, |sandbox| sandbox.attempt);
            self.sandbox = lost.map(|lost| Sandbox { attempt, ..lost });
            **wanted = Pod { status: None, ..pod.clone() };
            self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests).for_each(Run::wait_for_turn);
            return self.sync(now, time);
        }
        let statuses = self.containers.iter().filter_map(Run::record).collect();
        let actions = self.ask(pod, &Known { sandboxes: lost.into_iter().collect(), statuses });
        if !actions.create_sandbox {
            return;
        }
        let has_init = !actions.init.is_empty();
        let mut begins = now;
        if has_init {
            for init in &mut self.inits {
                let after = SignedDuration::from_nanos((begins - now).nanos);
                (init.begins, init.at) = (begins, time + after);
                begins = begins + INIT;
            }
            self.init_next = self.inits.first().map(|first| first.begins + INIT);
        }
        let waits = if has_init { "PodInitializing" } else { "ContainerCreating" };
        for (index, run) in self.containers.iter_mut().enumerate() {
            // After init containers it is decided again.
            let later = || run.record().is_none_or(|last| runtime::restarts(&self.policy, last.exit_code));
            if actions.start.contains(&index) || has_init && later() {
                run.forget(waits, false);
                run.next = Some(begins + seconds(run.image.start));
            }
        }
    }
}

#[cfg(test)]
mod tests;
