//! The containers of one pod: who is started, who is stopped, how long a crash makes wait, and what the pod's status says.
//!
//! Sources: `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (`computePodActions`, `doBackOff`), `kuberuntime_container.go`
//! (`computeInitContainerActions`), `kuberuntime_termination_order.go`, `pkg/kubelet/kubelet_pods.go` (`getPhase`),
//! `pkg/kubelet/status/generate.go` (conditions), `client-go/util/flowcontrol/backoff.go`.
//!
//! What is left to the kit: the sandbox, images, ephemeral containers, grace periods and hooks, readiness gates, and pods of
//! whose containers nothing is known at all.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

pub use super::probes::RestartPolicy;

// ANCHOR: contract
/// After its first crash but one a container waits so many seconds, and twice as long after each further one,
pub const FIRST_DELAY_SECONDS: i64 = 10;
/// but never longer than this.
pub const LONGEST_DELAY_SECONDS: i64 = 300;
/// A container that ended more than so many seconds after it was let through last begins anew.
pub const FORGOTTEN_AFTER_SECONDS: i64 = 600;

contract! {
    /// What the kubelet decides about the containers of a pod each time it looks at it. It remembers nothing: all that it may
    /// know is in the question.
    ///
    /// A *sidecar* is an init container with `restartPolicy: Always`. A *setup container* is an init container without, and a
    /// *main container* one of `spec.containers`.
    pub trait PodLifecycle {
        /// A container has ended and is to be started again: may it be now?
        ///
        /// 1. If it was never let through before, or ended more than [`FORGOTTEN_AFTER_SECONDS`] after it was let through last,
        ///    it starts now, and its next delay is [`FIRST_DELAY_SECONDS`].
        /// 2. If less than its delay has passed since it ended, it waits; the answer is the whole delay, not what is left of it.
        /// 3. Otherwise it starts now, and its next delay is twice as long, at most [`LONGEST_DELAY_SECONDS`].
        ///
        /// Its exit code doesn't matter. Who starts was let through now.
        fn back_off(&self, crash: &Crash) -> Attempt;

        /// What is to be done for the pod now. All of it is done together, kills first.
        ///
        /// **Setup.** The pod is *set up* if a main container was created or runs, whatever its init containers say, or if it
        /// has no init containers. Otherwise its last init container whose state is known is the *current* one. If no state is
        /// known, the first init container is started, and that is all.
        ///
        /// - *Setup containers* before the current one are through, whatever is known of them, and once the pod is set up, all are: nothing is done for them.
        ///   The current one is started if it was created and didn't start. If it runs, it is left alone. If it ended
        ///   with 0, it is through. If it ended otherwise, it is started again; if nobody knows how it is, it is killed and
        ///   started again. But in either case, if the policy is `Never`, the pod is killed and the answer holds nothing else.
        /// - *Sidecars*, the current one and those before it, or all of them once the pod is set up: one that runs is
        ///   left alone, unless it has a fault: then it is killed and started again. One whose state is
        ///   unknown is killed and started again, and any other is started. The restart policy of the pod doesn't matter.
        /// - The current init container lets the next one start if it is a setup container that is through, or a sidecar that runs and has started, even
        ///   if it has a fault. If there is no next one, the pod is set up now.
        ///
        /// **Main containers**, once the pod is set up:
        ///
        /// - One that was created, or of which no state is known, is started. One whose state is unknown is killed and started.
        /// - One that has ended is started again under `Always`, and under `OnFailure` if its code isn't 0.
        /// - One that runs is left alone, unless it has a fault: then it is killed. It is started again, unless its
        ///   probe has failed and the policy is `Never`.
        ///
        /// If then no main container is left alone and none is started, the pod is killed, and nothing is started,
        /// sidecars included. Who was to be killed is still named.
        fn actions(&self, pod: &Pod) -> Actions;

        /// The pod is being ended: which of the containers that run are sent SIGTERM by now? The kit asks again when one has
        /// ended, and a container that doesn't run (`Running`) has ended.
        ///
        /// Main containers and setup containers are at once. A sidecar is when all main containers have ended, and all sidecars after it.
        fn stop(&self, pod: &Pod) -> BTreeSet<String>;

        /// What the pod's status says, given the statuses of its containers.
        ///
        /// **The phase.** The first that applies:
        ///
        /// 1. `Failed` if the policy is `Never` and a setup container ended with another code than 0 (`Terminated` or `BackingOff`).
        /// 2. `Pending` if a setup container hasn't ended yet, neither now nor before, or if a main container or a sidecar is `Waiting` or nothing is known of it.
        /// 3. `Running` if a main container or a sidecar runs.
        /// 4. If all main containers are `Terminated` with 0: `Succeeded`, unless the policy is `Always` and the pod isn't `ending`.
        /// 5. Otherwise `Failed` if the policy is `Never` or the pod is `ending`.
        /// 6. Otherwise `Running`: they are started again.
        ///
        /// **The condition Initialized.** True with the reason `PodCompleted` if the phase is `Succeeded`. Otherwise it is true if a main container runs or is
        /// `Terminated`, whatever the init containers say. Otherwise it waits for setup containers that aren't `ready`, and sidecars
        /// that haven't `started`; if there are none it is true, or else false with `ContainersNotInitialized`.
        ///
        /// **The condition ContainersReady.** False with the reason `PodCompleted` if the phase is `Succeeded`, and with `PodFailed` if it is `Failed`. Otherwise it waits
        /// for sidecars and main containers that aren't `ready`; if there are none it is true, or else false with `ContainersNotReady`.
        fn status(&self, pod: &Reported) -> Status;
    }
}

/// A container that has ended and is to be started again. Times are milliseconds of one clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crash {
    /// What the answer was when it was let through last; none if it never was.
    #[serde(default)]
    pub before: Option<BackOff>,
    /// When it ended.
    pub ended_ms: i64,
    /// When it is asked.
    pub now_ms: i64,
}

/// What is kept for a container that was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackOff {
    /// How long it has to wait after its next end.
    pub delay_seconds: i64,
    /// When it was let through.
    pub since_ms: i64,
}

/// Whether a container may be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Now, and this is kept.
    Start(BackOff),
    /// Not before so many seconds after its end: `CrashLoopBackOff`.
    Wait(i64),
}

/// A pod as the container runtime knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// `restartPolicy`
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// `initContainers`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init: Vec<Container>,
    /// `containers`, in their order; at least one. Only `stop` may be shown a pod without those that had ended before.
    pub containers: Vec<Container>,
}

/// One container of a pod and its last run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// No two of a pod have the same name.
    pub name: String,
    /// Of init containers: whether it is a sidecar.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sidecar: bool,
    /// How its last run is; none if the runtime knows of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why one that runs, and is no setup container, can't go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Of a sidecar that runs: whether it has come up, by its startup probe if it has one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub started: bool,
}

/// What the runtime says of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was made, and not started.
    Created,
    /// It runs.
    Running,
    /// It has ended with this code. Who was killed for its memory never has 0 here.
    Exited(i32),
    /// The runtime doesn't know. It may run.
    Unknown,
}

/// Why a container can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its spec is another one than when it was made.
    Changed,
    /// Its liveness or startup probe has failed.
    Probe,
}

/// What is to be done for a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Actions {
    /// All containers are stopped, and the pod ends.
    pub kill_pod: bool,
    /// These containers are stopped.
    pub kill: BTreeSet<String>,
    /// These are started one after the other: init containers first, each kind in the order of the spec.
    pub start: Vec<String>,
}

/// A pod as the statuses of its containers show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// `restartPolicy`
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// Whether nothing of it is started any more, since it is being deleted or was evicted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ending: bool,
    /// `initContainers`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init: Vec<ContainerStatus>,
    /// `containers`, in their order; at least one.
    pub containers: Vec<ContainerStatus>,
}

/// What the pod's status says of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerStatus {
    /// No two of a pod have the same name.
    pub name: String,
    /// Of init containers: whether it is a sidecar.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sidecar: bool,
    /// `state`, with what matters of `lastState`; none if nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Seen>,
    /// `started`
    #[serde(default, skip_serializing_if = "is_false")]
    pub started: bool,
    /// `ready`; of a setup container, that it is through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ready: bool,
}

/// `state` of a container's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// `waiting`, and it never ran.
    Waiting,
    /// `running`
    Running,
    /// `terminated`, with this code.
    Terminated(i32),
    /// `waiting` to be started again; it ended with this code.
    BackingOff(i32),
}

/// What a pod's status says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// `phase`
    pub phase: Phase,
    /// The condition `Initialized`.
    pub initialized: Condition,
    /// The condition `ContainersReady`.
    pub containers_ready: Condition,
}

/// `phase`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not all of it has begun.
    Pending,
    /// It runs, or will again.
    Running,
    /// It has ended well.
    Succeeded,
    /// It has ended, and not well.
    Failed,
}

/// What a condition says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Condition {
    /// `True` or `False`.
    pub status: bool,
    /// Why.
    pub reason: Option<Reason>,
    /// The containers that keep it from being true, in the order of the spec: init containers first.
    pub waits_for: Vec<String>,
}

/// `reason` of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The pod has ended well.
    PodCompleted,
    /// The pod has failed.
    PodFailed,
    /// Some containers aren't ready.
    ContainersNotReady,
    /// Some init containers aren't through.
    ContainersNotInitialized,
}
// ANCHOR_END: contract

fn is_false(flag: &bool) -> bool {
    !flag
}

fn seconds(ms: i64) -> String {
    format!("{}s", ms as f64 / 1000.0)
}

impl Show for Crash {
    fn lines(&self) -> Vec<String> {
        let before = match &self.before {
            None => "never started again before".into(),
            Some(BackOff { delay_seconds, since_ms }) => {
                format!("started again at {}, next delay {delay_seconds}s", seconds(*since_ms))
            }
        };
        vec![format!("{before}; ended at {}; now {}", seconds(self.ended_ms), seconds(self.now_ms))]
    }
}

impl Show for Attempt {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Attempt::Start(next) => {
                format!("starts; next delay {}s, since {}", next.delay_seconds, seconds(next.since_ms))
            }
            Attempt::Wait(delay) => format!("CrashLoopBackOff: back-off {delay}s"),
        }]
    }
}

fn kind(is_init: bool, sidecar: bool) -> &'static str {
    match (is_init, sidecar) {
        (true, true) => "sidecar",
        (true, false) => "setup",
        (false, _) => "main",
    }
}

/// Init containers and main containers, each with what it is.
fn all<'a, T>(init: &'a [T], main: &'a [T]) -> impl Iterator<Item = (bool, &'a T)> {
    init.iter().map(|it| (true, it)).chain(main.iter().map(|it| (false, it)))
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let line = |(is_init, it): (bool, &Container)| {
            let mut line = format!("{} {}: ", kind(is_init, it.sidecar), it.name);
            line += &match it.state {
                None => "nothing known".to_string(),
                Some(State::Created) => "created".into(),
                Some(State::Running) if it.sidecar && is_init && !it.started => "runs, not started".into(),
                Some(State::Running) => "runs".into(),
                Some(State::Exited(code)) => format!("exited {code}"),
                Some(State::Unknown) => "state unknown".into(),
            };
            line += match it.fault {
                None => "",
                Some(Fault::Changed) => ", its spec has changed",
                Some(Fault::Probe) => ", its probe has failed",
            };
            line
        };
        let policy = format!("restart {:?}", self.restart_policy);
        [policy].into_iter().chain(all(&self.init, &self.containers).map(line)).collect()
    }
}

impl Show for Actions {
    fn lines(&self) -> Vec<String> {
        let pod = self.kill_pod.then(|| "kill the pod".to_string());
        let kill = self.kill.iter().map(|name| format!("kill {name}"));
        let start = self.start.iter().map(|name| format!("start {name}"));
        let lines: Vec<String> = pod.into_iter().chain(kill).chain(start).collect();
        if lines.is_empty() { vec!["nothing to do".into()] } else { lines }
    }
}

impl Show for Reported {
    fn lines(&self) -> Vec<String> {
        let line = |(is_init, it): (bool, &ContainerStatus)| {
            let mut line = format!("{} {}: ", kind(is_init, it.sidecar), it.name);
            line += &match it.state {
                None => "nothing known".to_string(),
                Some(Seen::Waiting) => "waiting".into(),
                Some(Seen::Running) => "running".into(),
                Some(Seen::Terminated(code)) => format!("terminated {code}"),
                Some(Seen::BackingOff(code)) => format!("waiting, terminated {code} before"),
            };
            line += if is_init && it.sidecar && it.started { ", started" } else { "" };
            line += if it.ready { ", ready" } else { "" };
            line
        };
        let ending = if self.ending { ", the pod is ending" } else { "" };
        let policy = format!("restart {:?}{ending}", self.restart_policy);
        [policy].into_iter().chain(all(&self.init, &self.containers).map(line)).collect()
    }
}

impl Show for Status {
    fn lines(&self) -> Vec<String> {
        let line = |type_: &str, condition: &Condition| {
            let mut line = format!("{type_} {}", if condition.status { "True" } else { "False" });
            line += &condition.reason.map(|reason| format!(", {reason:?}")).unwrap_or_default();
            if !condition.waits_for.is_empty() {
                line += &format!(": {}", flow(&condition.waits_for));
            }
            line
        };
        vec![
            format!("{:?}", self.phase),
            line("Initialized", &self.initialized),
            line("ContainersReady", &self.containers_ready),
        ]
    }
}
