//! # The life of a pod: set up, crash, back off, end
//!
//! A pod is a handful of containers with an order and a policy. Each time the kubelet looks at one it asks four
//! questions: may what crashed start again, who is started or killed now, who may be told to end, and what does the
//! status say? You answer them.
//!
//! About 60 minutes · builds on nothing · book: "The life of a pod: set up, crash, back off, end" · stuck? `cargo grade hint node/pod_lifecycle`
//!
//! Given to you:
//!
//! - `kit::node::pod_lifecycle::FIRST_DELAY_SECONDS: i64`: 10
//! - `kit::node::pod_lifecycle::LONGEST_DELAY_SECONDS: i64`: 300
//! - `kit::node::pod_lifecycle::FORGOTTEN_AFTER_SECONDS: i64`: 600
//! - `Actions::default: fn() -> Actions`: nothing to do
//! - `kit::node::pod_lifecycle::Condition::default: fn() -> kit::node::pod_lifecycle::Condition`: false, and nobody says why
//!
//! What is asked has `BackOff`, `Container`, `State`, `Fault`, `RestartPolicy`, `ContainerStatus` and `Seen`, and
//! answers have `Phase`, `Condition` and `Reason`, all in `kit::node::pod_lifecycle`. A *sidecar* is an init container
//! with `restartPolicy: Always` (`sidecar`). A *setup container* is an init container without, and a *main container*
//! one of `containers`.

use kit::node::PodLifecycle;
use kit::node::pod_lifecycle::{Actions, Attempt, Crash, Pod, Reported, Status};
use std::collections::BTreeSet;

/// It remembers nothing: all that it may know is in the question.
#[derive(Default)]
struct Exercise;

impl PodLifecycle for Exercise {
    /// A container has ended and is to be started again: may it be now?
    ///
    /// 1. If it was never let through before, or ended more than `FORGOTTEN_AFTER_SECONDS` after it was let through
    ///    last, it starts now, and its next delay is `FIRST_DELAY_SECONDS`.
    /// 2. If less than its delay has passed since it ended, it waits; the answer is the whole delay, not what is left
    ///    of it.
    /// 3. Otherwise it starts now, and its next delay is twice as long, at most `LONGEST_DELAY_SECONDS`.
    ///
    /// Its exit code doesn't matter. Who starts was let through now.
    fn back_off(&self, crash: &Crash) -> Attempt {
        let _ = crash;
        todo!("begin with a container that was never let through before")
    }

    /// What is to be done for the pod now. All of it is done together, kills first. `start` has init containers first,
    /// each kind in the order of the spec.
    ///
    /// **Setup.** The pod is *set up* if a main container was created or runs, whatever its init containers say, or if
    /// it has no init containers. Otherwise its last init container whose state is known is the *current* one. If no
    /// state is known, the first init container is started, and that is all.
    ///
    /// - *Setup containers* before the current one are through, whatever is known of them, and once the pod is set up,
    ///   all are: nothing is done for them. The current one is started if it was created and didn't start. If it runs,
    ///   it is left alone. If it ended with 0, it is through. If it ended otherwise, it is started again; if nobody
    ///   knows how it is, it is killed and started again. But in either case, if the policy is `Never`, the pod is
    ///   killed and the answer holds nothing else.
    /// - *Sidecars*, the current one and those before it, or all of them once the pod is set up: one that runs is left
    ///   alone, unless it has a fault: then it is killed and started again. One whose state is unknown is killed and
    ///   started again, and any other is started. The restart policy of the pod doesn't matter.
    /// - The current init container lets the next one start if it is a setup container that is through, or a sidecar
    ///   that runs and has started, even if it has a fault. If there is no next one, the pod is set up now.
    ///
    /// **Main containers**, once the pod is set up:
    ///
    /// - One that was created, or of which no state is known, is started. One whose state is unknown is killed and
    ///   started.
    /// - One that has ended is started again under `Always`, and under `OnFailure` if its code isn't 0.
    /// - One that runs is left alone, unless it has a fault: then it is killed. It is started again, unless its probe
    ///   has failed and the policy is `Never`.
    ///
    /// If then no main container is left alone and none is started, the pod is killed, and nothing is started,
    /// sidecars included. Who was to be killed is still named.
    fn actions(&self, pod: &Pod) -> Actions {
        let _ = pod;
        todo!("begin with a pod that has main containers only; then find the current init container")
    }

    /// The pod is being ended: which of the containers that run are sent SIGTERM by now? The kit asks again when one has
    /// ended, and a container that doesn't run (`Running`) has ended.
    ///
    /// Main containers and setup containers are at once. A sidecar is when all main containers have ended, and all
    /// sidecars after it.
    fn stop(&self, pod: &Pod) -> BTreeSet<String> {
        let _ = pod;
        todo!("who of the sidecars has nobody to wait for?")
    }

    /// What the pod's status says, given the statuses of its containers.
    ///
    /// **The phase.** The first that applies:
    ///
    /// 1. `Failed` if the policy is `Never` and a setup container ended with another code than 0 (`Terminated` or
    ///    `BackingOff`).
    /// 2. `Pending` if a setup container hasn't ended yet, neither now nor before, or if a main container or a sidecar
    ///    is `Waiting` or nothing is known of it.
    /// 3. `Running` if a main container or a sidecar runs.
    /// 4. If all main containers are `Terminated` with 0: `Succeeded`, unless the policy is `Always` and the pod isn't
    ///    `ending`.
    /// 5. Otherwise `Failed` if the policy is `Never` or the pod is `ending`.
    /// 6. Otherwise `Running`: they are started again.
    ///
    /// **The condition Initialized.** True with the reason `PodCompleted` if the phase is `Succeeded`. Otherwise it is
    /// true if a main container runs or is `Terminated`, whatever the init containers say. Otherwise it waits for setup
    /// containers that aren't `ready`, and sidecars that haven't `started`; if there are none it is true, or else false
    /// with `ContainersNotInitialized`.
    ///
    /// **The condition ContainersReady.** False with the reason `PodCompleted` if the phase is `Succeeded`, and with
    /// `PodFailed` if it is `Failed`. Otherwise it waits for sidecars and main containers that aren't `ready`; if there
    /// are none it is true, or else false with `ContainersNotReady`.
    ///
    /// Those that a condition waits for are named in the order of the spec, init containers first.
    fn status(&self, pod: &Reported) -> Status {
        let _ = pod;
        todo!("the phase first; both conditions ask for it")
    }
}

kit::exercise!(Exercise: PodLifecycle);
