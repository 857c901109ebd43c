//! A kubelet that begins anew finds the containers of its pods as they were: they run without it.
//!
//! What it finds is what it last said of them in the pod's status. Upstream it asks the runtime
//! (`pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `GetPodStatus`).

use super::{INIT, PodWorker, Run, State, seconds};
use kit_api::core::{ContainerState, ContainerStatus, Pod};
use kit_api::jiff::Timestamp;
use kit_api::meta::Time;
use kit_time::agenda::Instant;

impl PodWorker {
    /// Takes over the containers of a pod that ran before this kubelet did. Of a pod that never ran there are none.
    pub(super) fn adopt(&mut self, pod: &Pod, now: Instant, time: Timestamp) {
        let Some(status) = &pod.status else { return };
        let there = status.container_statuses.as_deref().unwrap_or_default();
        if there.is_empty() {
            return;
        }
        if let Some(ip) = &status.pod_ip {
            self.ip.clone_from(ip);
        }
        if let Some(started) = &status.start_time {
            self.started = started.0;
        }
        let past = |at: Timestamp| ago(at, now, time);
        for run in &mut self.containers {
            if let Some(said) = said_of(&run.name, there) {
                run.adopt(said, now, &past, status.pod_ip.is_some());
            }
        }
        let inits = status.init_container_statuses.as_deref().unwrap_or_default();
        for init in &mut self.inits {
            let Some(at) = said_of(&init.name, inits).and_then(|said| began(said.state.as_ref()?)) else { continue };
            (init.begins, init.at) = (past(at.0), at.0);
        }
        self.init_next = self.inits.iter().map(|init| init.begins + INIT).find(|at| *at > now);
    }

    /// The same for init containers that run as all others do.
    pub(super) fn adopt_setup(&mut self, pod: &Pod, now: Instant, time: Timestamp) {
        let Some(status) = &pod.status else { return };
        let inits = status.init_container_statuses.as_deref().unwrap_or_default();
        for run in &mut self.setup {
            if let Some(said) = said_of(&run.name, inits) {
                run.adopt(said, now, &|at| ago(at, now, time), status.pod_ip.is_some());
            }
        }
    }
}

/// A moment that has passed, on the clock of this process.
fn ago(at: Timestamp, now: Instant, time: Timestamp) -> Instant {
    let since = time.duration_since(at).as_nanos();
    now - Instant { nanos: i64::try_from(since).unwrap_or_default() }
}

fn said_of<'a>(name: &str, statuses: &'a [ContainerStatus]) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

fn began(state: &ContainerState) -> Option<&Time> {
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    running.or_else(|| state.terminated.as_ref().and_then(|ended| ended.started_at.as_ref()))
}

impl Run {
    /// The same for an ephemeral container.
    pub(super) fn adopt_guest(&mut self, pod: &Pod, now: Instant, time: Timestamp) {
        let Some(status) = &pod.status else { return };
        let guests = status.ephemeral_container_statuses.as_deref().unwrap_or_default();
        if let Some(said) = said_of(&self.name, guests) {
            self.adopt(said, now, &|at| ago(at, now, time), status.pod_ip.is_some());
        }
    }

    fn adopt(&mut self, said: &ContainerStatus, now: Instant, past: &impl Fn(Timestamp) -> Instant, had_sandbox: bool) {
        self.restarts = said.restart_count;
        self.last = said.last_state.as_ref().and_then(|last| last.terminated.clone());
        let Some(state) = &said.state else { return };
        if let Some(ended) = &state.terminated {
            (self.state, self.next) = (State::Ended(ended.clone()), None);
        } else if let Some(at) = began(state) {
            let (since, ready) = (past(at.0), said.ready);
            if !said.image.is_empty() {
                // It may be another one than its pod wants now.
                self.image_name.clone_from(&said.image);
            }
            self.state = State::Running { since, at: at.0, ready };
            self.hooks.pass(Some(since));
            let exit = self.end().map(|(after, _)| since + after);
            let ready_at = (!ready).then(|| now + seconds(self.image.ready));
            // What ended while nobody looked is seen now.
            self.next = [exit, ready_at].into_iter().flatten().min().map(|at| at.max(now));
        } else if had_sandbox || self.last.is_some() {
            // It waited: the image is there, unless it never was.
            self.next = Some(now + seconds(self.image.start));
        }
    }
}
