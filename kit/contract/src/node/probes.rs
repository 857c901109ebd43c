//! The probes of one container: when they are done, what their outcomes mean, and what the kubelet does about it.
//!
//! Sources: `pkg/kubelet/prober/worker.go` (`doProbe`), `prober_manager.go` (`UpdatePodStatus`),
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (`computePodActions`), `kuberuntime_container.go`
//! (`setTerminationGracePeriod`). There, each probe has a goroutine that blocks while its probe runs. Here nothing blocks: the
//! module says which probes are to be done, and is told what came of them.
//!
//! One thing is left open upstream and has a rule here: if a tick and a sync both came while a probe ran, the worker
//! deals with both at once, as with a sync.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

// ANCHOR: contract
contract! {
    /// The probes of one container, with a *worker* for each. Times are milliseconds since the pod began on its node.
    pub trait Prober {
        /// The pod begins. There is no container yet.
        fn new(config: &Config) -> Self;

        /// The kubelet looks at the container: when one has started or ended, when a result was set, when the pod is
        /// deleted, and now and then without a reason. It is never asked before there was a container.
        ///
        /// **The status.** A result belongs to one container (one `run`), and says nothing about another.
        ///
        /// - `started`: it runs, and the startup worker, if there is one, has the result `Success` for it.
        /// - `ready`: it has started, and the readiness worker, if there is one, has the result `Success` for it.
        ///
        /// **The kill.** A container that runs is killed if the liveness worker, or else the startup worker, has the
        /// result `Failure` for it. It is said as often as the kubelet looks. The grace period is that of the probe if it has one, or else that of the pod,
        /// and at least 2 seconds. It `restarts` unless the policy is `Never`.
        ///
        /// **Readiness at once.** If it has started but isn't ready, the readiness worker [looks](Prober::wake) now, after
        /// all this, and its ticker begins anew: it ticks next one period from now.
        ///
        /// When the pod is being deleted, the workers of liveness and startup end, before anything else.
        fn sync(&mut self, container: &Container, now_ms: i64) -> Synced;

        /// Some time has passed. The kit asks at the time that the last answer named, or later.
        ///
        /// **Tickers.** The ticker of a worker first ticks `period_seconds` after the pod began, and then once in each period, whether
        /// there is something to do or not. At a tick the worker looks; several that have passed are one.
        ///
        /// **A look** is at the container, and whether it had started, as the last sync saw both. Before the first sync there is
        /// nothing to see. The first that applies:
        ///
        /// 1. A container that the worker hasn't seen yet gets a first result: `Unknown` for startup, `Success` for liveness,
        ///    `Failure` for readiness. The worker is no longer on hold. Go on with the next.
        /// 2. A worker on hold does nothing.
        /// 3. If the container doesn't run, the result becomes `Failure`. If the policy is `Never`, the worker ends.
        /// 4. While it has run for less than `initial_delay_seconds`, nothing is done.
        /// 5. The startup probe is for a container that hasn't started, the others for one that has. For any other nothing is done.
        /// 6. The probe is done: it is named in `probe`, and the worker is busy until its outcome is there.
        ///
        /// A busy worker doesn't look. If its ticker ticks, or a sync wants it to look, it looks as soon as it has dealt with the outcome; after a
        /// sync its ticker begins anew then. A worker that has ended has no ticker and no result any more, and counts as if the
        /// container had no such probe.
        fn wake(&mut self, now_ms: i64) -> Answer;

        /// A probe was done.
        ///
        /// `Passed` and `Warned` are successes, `Failed` and `TimedOut` are failures, and `Errored` is thrown away. The worker counts how
        /// many in a row were alike, whatever container they were about. If they are at least `success_threshold`, or `failure_threshold`, that is the result for the container
        /// that was probed; with fewer the result stays.
        ///
        /// A liveness worker that comes to `Failure`, and a startup worker that comes to either, is on hold until there is
        /// another container, and counts from 0 again.
        ///
        /// An outcome for a worker that has ended changes nothing.
        fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer;
    }
}

/// The probes of a container, and what its pod says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `startupProbe`
    pub startup: Option<Probe>,
    /// `livenessProbe`
    pub liveness: Option<Probe>,
    /// `readinessProbe`
    pub readiness: Option<Probe>,
    /// The `restartPolicy` that holds for the container: that of its pod, or `Always` for a sidecar.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds` of the pod.
    pub termination_grace_period_seconds: i64,
}

/// When and how often a container is probed. What is probed, and for how long (`timeoutSeconds`), is the kit's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// `initialDelaySeconds`: nothing is done before the container is so old.
    pub initial_delay_seconds: i64,
    /// `periodSeconds`, at least 1.
    pub period_seconds: i64,
    /// `successThreshold`: so many successes in a row are a `Success`.
    pub success_threshold: i64,
    /// `failureThreshold`: so many failures in a row are a `Failure`.
    pub failure_threshold: i64,
    /// `terminationGracePeriodSeconds` of the probe, which a readiness probe can't have.
    pub termination_grace_period_seconds: Option<i64>,
}

/// `restartPolicy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Whatever has ended is started again.
    #[default]
    Always,
    /// What has failed is started again.
    OnFailure,
    /// Nothing is started again.
    Never,
}

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whether the container has come up; until then the others wait.
    Startup,
    /// Whether it still works, or has to be killed.
    Liveness,
    /// Whether it can be sent requests.
    Readiness,
}

/// The container as the kubelet sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// Which one it is: each restart makes another container with another number.
    pub run: u32,
    /// While it runs: since when, as its status says it, in whole seconds. None when it has ended.
    pub started_at_ms: Option<i64>,
    /// Whether its pod is being deleted.
    pub deleting: bool,
}

/// What a worker knows about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet.
    Unknown,
    /// It is as it should be.
    Success,
    /// It isn't.
    Failure,
}

/// A probe that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// Which one.
    pub probe: Kind,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Exit code 0, a status from 200 to 399, a connection.
    Passed,
    /// A redirect to another host, which isn't followed.
    Warned,
    /// Another exit code or status, or no connection.
    Failed,
    /// Nothing within `timeoutSeconds`.
    TimedOut,
    /// It could not be tried, not even at the third attempt.
    Errored,
}

/// What follows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// The results that this call has set, each of them only if it differs from the one before it; a container's first result is always told.
    /// If one worker has set two, the last.
    pub results: BTreeMap<Kind, Verdict>,
    /// The probes to be done now.
    pub probe: BTreeSet<Kind>,
    /// The next tick of all workers that are not busy.
    pub wake_at_ms: Option<i64>,
}

/// What the kubelet does when it has looked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synced {
    /// `started` in the container's status.
    pub started: bool,
    /// `ready` in the container's status.
    pub ready: bool,
    /// Whether it has to be killed.
    pub kill: Option<Kill>,
    /// What follows.
    pub answer: Answer,
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Whose probe has failed.
    pub because: Kind,
    /// How long it has to end by itself.
    pub grace_seconds: i64,
    /// Whether another one is started then.
    pub restarts: bool,
}

impl Config {
    /// The probe of this kind, if the container has it.
    pub fn probe(&self, kind: Kind) -> Option<&Probe> {
        match kind {
            Kind::Startup => self.startup.as_ref(),
            Kind::Liveness => self.liveness.as_ref(),
            Kind::Readiness => self.readiness.as_ref(),
        }
    }
}

impl Kind {
    /// All three.
    pub const ALL: [Kind; 3] = [Kind::Startup, Kind::Liveness, Kind::Readiness];
}
// ANCHOR_END: contract

impl Default for Probe {
    /// The defaults of the API (`pkg/apis/core/v1/defaults.go`, `SetDefaults_Probe`).
    fn default() -> Self {
        Probe {
            initial_delay_seconds: 0,
            period_seconds: 10,
            success_threshold: 1,
            failure_threshold: 3,
            termination_grace_period_seconds: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            startup: None,
            liveness: None,
            readiness: None,
            restart_policy: RestartPolicy::Always,
            termination_grace_period_seconds: 30,
        }
    }
}

fn seconds(ms: i64) -> String {
    format!("{}s", ms as f64 / 1000.0)
}

impl Show for Config {
    fn lines(&self) -> Vec<String> {
        let probes = Kind::ALL.into_iter().filter_map(|kind| {
            let probe = self.probe(kind)?;
            let mut line = format!("{}: every {}s", flow(&kind), probe.period_seconds);
            if probe.initial_delay_seconds > 0 {
                line += &format!(", not before {}s", probe.initial_delay_seconds);
            }
            line += &format!(", {} to succeed, {} to fail", probe.success_threshold, probe.failure_threshold);
            if let Some(grace) = probe.termination_grace_period_seconds {
                line += &format!(", grace {grace}s");
            }
            Some(line)
        });
        let pod = format!("restart {:?}, grace {}s", self.restart_policy, self.termination_grace_period_seconds);
        probes.chain([pod]).collect()
    }
}

impl Show for Container {
    fn lines(&self) -> Vec<String> {
        let state = match self.started_at_ms {
            Some(since) => format!("running since {}", seconds(since)),
            None => "ended".into(),
        };
        let deleting = if self.deleting { ", the pod is being deleted" } else { "" };
        vec![format!("container {}: {state}{deleting}", self.run)]
    }
}

impl Show for Done {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} {}", flow(&self.probe), flow(&self.outcome).replace('_', " "))]
    }
}

impl Show for Answer {
    fn lines(&self) -> Vec<String> {
        let results = self.results.iter().map(|(kind, verdict)| format!("result {}: {}", flow(kind), flow(verdict)));
        let probes = self.probe.iter().map(|kind| format!("probe {}", flow(kind)));
        let wake = match self.wake_at_ms {
            Some(at) => format!("wake at {}", seconds(at)),
            None => "no tick to wait for".into(),
        };
        results.chain(probes).chain([wake]).collect()
    }
}

impl Show for Synced {
    fn lines(&self) -> Vec<String> {
        let status = match (self.started, self.ready) {
            (false, false) => "not started, not ready",
            (false, true) => "not started, but ready",
            (true, false) => "started, not ready",
            (true, true) => "started, ready",
        };
        let kill = self.kill.iter().map(|Kill { because, grace_seconds, restarts }| {
            let after = if *restarts { "then restart" } else { "no restart" };
            format!("kill for {}, grace {grace_seconds}s, {after}", flow(because))
        });
        [status.to_string()].into_iter().chain(kill).chain(self.answer.lines()).collect()
    }
}
