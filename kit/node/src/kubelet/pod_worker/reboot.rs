//! A node that was lost with all its containers is back: which of a pod's containers begin anew in another sandbox.
//!
//! [`runtime::actions`] decides.

use super::{INIT, PodWorker, Run, State, seconds};
use crate::runtime::{self, Known, Sandbox, Status};
use kit_api::core::Pod;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_time::agenda::Instant;

impl PodWorker {
    /// The node has lost its containers, and starts those again that this pod wants.
    pub fn reboot(&mut self, pod: &Pod, now: Instant, time: Timestamp) {
        if self.lose(now, time) {
            return;
        }
        for run in self.setup.iter_mut().chain(&mut self.containers) {
            run.forget_failures();
            run.exit(255, now, time, "Never");
            run.next = None;
        }
        // The sandbox is there, and not ready: what ran in it has ended.
        let lost = Sandbox { attempt: 0, ready: false, ip: None };
        let statuses = self.setup.iter().chain(&self.containers).filter_map(Run::record).collect();
        let known = Known { sandboxes: if self.held.is_some() { Vec::new() } else { vec![lost] }, statuses };
        let actions = runtime::actions(pod, &known);
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
            self.setup.iter_mut().for_each(|run| run.begin_anew("PodInitializing"));
        }
        let waits = if has_init { "PodInitializing" } else { "ContainerCreating" };
        for (index, run) in self.containers.iter_mut().enumerate() {
            // After init containers it is decided again.
            let later = || run.record().is_none_or(|last| runtime::restarts(&self.policy, last.exit_code));
            if actions.start.contains(&index) || has_init && later() {
                run.begin_anew(waits);
                run.next = (!self.live).then(|| begins + seconds(run.image.start));
            }
        }
        if self.live {
            self.proceed(now);
        }
    }
}

impl Run {
    /// What the runtime knows of it when none of the pod's containers runs.
    fn record(&self) -> Option<Status> {
        let ended = match &self.state {
            State::Ended(ended) => ended,
            _ => self.last.as_ref()?,
        };
        Some(Status {
            name: self.name.clone(),
            state: runtime::State::Exited,
            exit_code: ended.exit_code,
            reason: ended.reason.clone().unwrap_or_default(),
            changed: false,
            liveness: None,
            startup: None,
        })
    }

    fn begin_anew(&mut self, waits: &'static str) {
        if let State::Ended(ended) = std::mem::replace(&mut self.state, State::Waiting(Some((waits, String::new())))) {
            self.last = Some(ended);
        }
        self.live.iter_mut().for_each(|live| live.wait_for_turn());
    }
}

#[cfg(test)]
mod tests;
