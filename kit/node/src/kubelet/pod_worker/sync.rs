//! What a kubelet does whenever it looks at a pod: it asks what is to be done now, and does it.
//!
//! It looks when a pod is new or another, when a container has ended, when a probe has a result, and when one of its errors was
//! long enough ago. Upstream carries out a whole sync before it looks again; here containers are pulled and started beside each other, and one
//! that is under way isn't started twice. Sources: `SyncPod` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`,
//! `pkg/kubelet/kubelet.go` (`SyncPod`: a pod whose phase is final is ended).

use super::{PodWorker, Run, State};
use crate::runtime::{self, Actions, Found, Known, Sandbox, Status, Why};
use crate::termination;
use kit_api::core::Pod;
use kit_api::jiff::Timestamp;
use kit_contract::node::probes::Kind;
use kit_time::agenda::Instant;

impl PodWorker {
    /// What is to be done for a pod now. This is the one place where pod workers ask.
    pub(super) fn ask(&self, pod: &Pod, known: &Known) -> Actions {
        runtime::actions(pod, known, &*self.lifecycle)
    }

    /// The kubelet looks at the pod.
    pub(super) fn sync(&mut self, now: Instant, time: Timestamp) {
        if self.stops_at.is_some() {
            return;
        }
        if self.is_final() {
            return self.finish(now, time);
        }
        let Some(pod) = &self.live else { return };
        let actions = self.ask(pod, &self.known());
        if actions.kill_pod {
            self.finish(now, time);
        }
        if actions.create_sandbox {
            self.renew_sandbox(&actions);
        }
        let kill_of = |run: &Run| actions.kill.iter().find(|kill| kill.name == run.name);
        let inits = self.setup.iter_mut().enumerate().map(|(index, run)| (actions.init.contains(&index), run));
        let mains = self.containers.iter_mut().enumerate().map(|(index, run)| (actions.start.contains(&index), run));
        let guests = self.guests.iter_mut().enumerate().map(|(index, run)| (actions.ephemeral.contains(&index), run));
        for (starts, run) in inits.chain(mains).chain(guests) {
            if let Some(kill) = kill_of(run) {
                let grace = run.grace(matches!(kill.reason, Some(Why::Probe(_))));
                let began = run.begin_kill(now, time, grace, starts);
                self.news.extend(began.then(|| ("Normal", "Killing", kill.message.clone())));
            }
            if starts {
                run.begin(now);
            }
        }
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.setup.iter().chain(&self.containers).chain(&self.guests)
    }

    pub(super) fn runs_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests)
    }

    /// What the runtime knows of the pod.
    pub(super) fn known(&self) -> Known {
        let statuses = self.runs().filter_map(Run::record).collect();
        Known { sandboxes: self.sandbox.iter().cloned().collect(), statuses }
    }

    /// The pod gets a new sandbox; of what ran in the last one only containers are remembered that aren't for its beginning.
    fn renew_sandbox(&mut self, actions: &Actions) {
        if self.sandbox.is_some() {
            let told = "Pod sandbox changed, it will be killed and re-created.";
            self.news.push(("Normal", "SandboxChanged", told.into()));
        }
        self.forget_processes();
        self.sandbox = Some(Sandbox { attempt: actions.attempt, ready: true, ip: None });
        self.ends = None;
        let has_init = !actions.init.is_empty();
        if has_init {
            self.setup.iter_mut().for_each(|run| run.forget("PodInitializing", true));
        }
        let waits = if has_init { "PodInitializing" } else { "ContainerCreating" };
        for (index, run) in self.containers.iter_mut().enumerate() {
            // After init containers it is decided again.
            let later = || run.record().is_none_or(|last| runtime::restarts(&self.policy, last.exit_code));
            if actions.start.contains(&index) || has_init && later() {
                run.forget(waits, false);
            }
        }
    }

    /// Nothing is left to be done: what still runs ends, sidecars last, and nothing begins any more.
    fn finish(&mut self, now: Instant, time: Timestamp) {
        let runs = |run: &&mut Run| matches!(run.state, State::Running { .. });
        self.runs_mut().filter(|run| !runs(run)).for_each(|run| run.wait_for_turn());
        if self.ends.is_some() || !self.runs_mut().any(|run| runs(&run)) {
            return;
        }
        self.announce_stop();
        let grace = self.live.as_deref().map_or(Instant::default(), super::grace);
        self.begin_ending(now, grace);
        self.go_on_ending(now, time);
    }
}

impl Run {
    /// What the runtime knows of it; nothing if it never ran. What has just ended still runs for all that the kubelet knows.
    pub(super) fn record(&self) -> Option<Status> {
        let status = |state: runtime::State| Status {
            name: self.name.clone(),
            state,
            exit_code: 0,
            reason: String::new(),
            changed: self.renewal.is_some(),
            liveness: None,
            startup: None,
        };
        let ended = match &self.state {
            State::Running { since, .. } => {
                let failed = |kind| (self.unwell() == Some(kind)).then_some(Found::Failure);
                let started = super::probes::has_started(self.probes(), *since).then_some(Found::Success);
                return Some(Status {
                    liveness: failed(Kind::Liveness),
                    startup: failed(Kind::Startup).or(started),
                    ..status(runtime::State::Running)
                });
            }
            _ if self.is_ordered() => return Some(status(runtime::State::Created)),
            State::Ended(_) if self.is_unseen() => return Some(status(runtime::State::Running)),
            State::Ended(ended) => ended,
            State::Waiting(_) => self.last.as_ref().filter(|_| !self.is_forgotten())?,
        };
        let reason = ended.reason.clone().unwrap_or_default();
        Some(Status { exit_code: ended.exit_code, reason, ..status(runtime::State::Exited) })
    }

    /// How long it has to end before its pod does; a probe that failed may say it.
    pub(super) fn grace(&self, probe: bool) -> Instant {
        let Some(live) = &self.live else { return Instant::default() };
        let said = live.unwell.as_ref().filter(|_| probe).map(|kill| termination::time(kill.grace_seconds));
        said.unwrap_or(live.grace)
    }
}

#[cfg(test)]
mod tests;
