//! What a pod's status says of a container, from what the runtime remembers of its runs.
//!
//! Source: `convertToAPIContainerStatuses` of `pkg/kubelet/kubelet_pods.go`.

use super::State;
use kit_api::core::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use kit_api::meta::Time;

/// One run of a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// What the runtime calls it.
    pub id: String,
    /// Whether it goes on.
    pub state: State,
    /// Since when, if it does.
    pub since: Option<Time>,
    /// How it ended, if it has.
    pub ended: ContainerStateTerminated,
    /// How many runs there were before.
    pub restarts: i32,
}

/// What is known of a container's pod.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// `restartPolicy`
    pub policy: &'a str,
    /// Whether the pod is being deleted.
    pub deleting: bool,
    /// Whether the pod has init containers.
    pub has_init: bool,
    /// Whether this container is one of them.
    pub is_init: bool,
}

/// The reason and the message of the last attempt to start a container, if it failed.
pub type Failure = (String, String);

/// With which code a container counts as ended of which nobody knows how it did.
const LOST: i32 = 137;
const LOST_REASON: &str = "ContainerStatusUnknown";

/// What is said of a container after these runs, the newest first; `before` is what was said last.
pub fn status(
    container: &Container,
    of: Of<'_>,
    runs: &[Ran],
    before: Option<&ContainerStatus>,
    failure: Option<Failure>,
) -> ContainerStatus {
    let mut status = match runs.split_first() {
        Some((newest, older)) => {
            let mut status = said(container, newest, before);
            status.last_state = older.first().and_then(|run| said(container, run, before).state);
            status
        }
        None => without_runs(container, of, before),
    };
    let is_through =
        of.is_init && runs.first().is_some_and(|run| run.state == State::Exited && run.ended.exit_code == 0);
    let newest = runs.first().map(|run| (run.state, run.ended.exit_code));
    if let Some((reason, message)) =
        failure.filter(|_| !is_through && !of.deleting && super::is_started_again(of.policy, newest))
    {
        if status.state.as_ref().is_some_and(|state| state.terminated.is_some()) {
            status.last_state = status.state.take();
        }
        status.state = Some(waiting(Some(reason), Some(message).filter(|message| !message.is_empty())));
    }
    status
}

fn waiting(reason: Option<String>, message: Option<String>) -> ContainerState {
    ContainerState { waiting: Some(ContainerStateWaiting { reason, message }), ..ContainerState::default() }
}

fn ended(ended: ContainerStateTerminated) -> ContainerState {
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

fn lost(message: &str) -> ContainerState {
    ended(ContainerStateTerminated {
        exit_code: LOST,
        reason: Some(LOST_REASON.into()),
        message: Some(message.into()),
        ..ContainerStateTerminated::default()
    })
}

fn named(container: &Container) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        ..ContainerStatus::default()
    }
}

/// What one run is worth.
fn said(container: &Container, run: &Ran, before: Option<&ContainerStatus>) -> ContainerStatus {
    let was_running = before.filter(|before| before.state.as_ref().is_some_and(|state| state.running.is_some()));
    let (state, restart_count) = match (run.state, was_running) {
        (State::Running, _) => {
            let running = Some(ContainerStateRunning { started_at: run.since.clone() });
            (ContainerState { running, ..ContainerState::default() }, run.restarts)
        }
        (State::Exited, _) => (ended(run.ended.clone()), run.restarts),
        // It ran, so it isn't waiting to begin, or what runs once would run twice.
        (State::Unknown, Some(before)) => {
            (lost("The container could not be located when the pod was terminated"), before.restart_count + 1)
        }
        (State::Created | State::Unknown, _) => (waiting(None, None), run.restarts),
    };
    ContainerStatus {
        container_id: Some(run.id.clone()).filter(|id| !id.is_empty()),
        restart_count,
        state: Some(state),
        ..named(container)
    }
}

/// The runtime remembers none of its runs, whether there were some or not.
fn without_runs(container: &Container, of: Of<'_>, before: Option<&ContainerStatus>) -> ContainerStatus {
    let reason = if of.has_init { "PodInitializing" } else { "ContainerCreating" };
    let mut status = ContainerStatus { state: Some(waiting(Some(reason.into()), None)), ..named(container) };
    let Some(before) = before else { return status };
    let was = before.state.clone().unwrap_or_default();
    if was.terminated.is_some() {
        return before.clone();
    }
    (status.restart_count, status.last_state) = (before.restart_count, before.last_state.clone());
    let has_ended = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    if was.running.is_some() && !has_ended {
        let message = "The container could not be located when the pod was deleted.  The container used to be Running";
        status.last_state = Some(lost(message));
        status.restart_count += i32::from(!of.deleting);
    }
    status
}
