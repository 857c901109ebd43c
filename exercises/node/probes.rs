//! # Probes: who is ready, who is restarted
//!
//! A container that runs isn't one that works. Three probes ask it: has it come up, does it still work, can it be sent
//! requests? You write the workers that decide when to ask, count the answers, and say what the kubelet does about them.
//!
//! About 45 minutes · builds on nothing · book: "Probes: who is ready, who is restarted" · stuck? `cargo grade hint node/probes`
//!
//! Given to you:
//!
//! - `Config::probe: fn(&Config, kit::node::probes::Kind) -> Option<&kit::node::probes::Probe>`: the probe of a kind, if the container has it
//! - `kit::node::probes::Kind::ALL: [kit::node::probes::Kind; 3]`: startup, liveness, readiness
//!
//! `Kind`, `Verdict`, `Outcome`, `RestartPolicy`, `Probe` and `Kill` are in `kit::node::probes`, too.

use kit::node::Prober;
use kit::node::probes::{Answer, Config, Container, Done, Synced};

/// What the workers remember: of each when it ticks next, which container its result is about, how many outcomes in a row
/// were alike, whether it is busy or on hold. And what the last sync saw.
struct Exercise {
    config: Config,
}

impl Prober for Exercise {
    /// The pod begins, at 0 ms. There is no container yet. A container has a worker for each of its probes.
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone() }
    }

    /// The kubelet looks at the container: when one has started or ended, when a result was set, when the pod is
    /// deleted, and now and then without a reason. It is never asked before there was a container.
    ///
    /// **The status.** A result belongs to one container (one `run`), and says nothing about another.
    ///
    /// - `started`: it runs, and the startup worker, if there is one, has the result `Success` for it.
    /// - `ready`: it has started, and the readiness worker, if there is one, has the result `Success` for it.
    ///
    /// **The kill.** A container that runs is killed if the liveness worker, or else the startup worker, has the result
    /// `Failure` for it. It is said as often as the kubelet looks. The grace period is that of the probe if it has one,
    /// or else that of the pod, and at least 2 seconds. It `restarts` unless the policy is `Never`.
    ///
    /// **Readiness at once.** If it has started but isn't ready, the readiness worker looks (see `wake`) now, after all
    /// this, and its ticker begins anew: it ticks next one period from now.
    ///
    /// When the pod is being deleted, the workers of liveness and startup end, before anything else.
    fn sync(&mut self, container: &Container, now_ms: i64) -> Synced {
        let _ = (container, now_ms, &self.config);
        todo!("begin with a container that has no probes: it is started and ready while it runs")
    }

    /// Some time has passed. The kit asks at the time that the last answer named, or later.
    ///
    /// **Tickers.** The ticker of a worker first ticks `period_seconds` after the pod began, and then once in each
    /// period, whether there is something to do or not. At a tick the worker looks; several that have passed are one.
    ///
    /// **A look** is at the container, and whether it had started, as the last sync saw both. Before the first sync
    /// there is nothing to see. The first that applies:
    ///
    /// 1. A container that the worker hasn't seen yet gets a first result: `Unknown` for startup, `Success` for
    ///    liveness, `Failure` for readiness. The worker is no longer on hold. Go on with the next.
    /// 2. A worker on hold does nothing.
    /// 3. If the container doesn't run, the result becomes `Failure`. If the policy is `Never`, the worker ends.
    /// 4. While it has run for less than `initial_delay_seconds`, nothing is done.
    /// 5. The startup probe is for a container that hasn't started, the others for one that has. For any other nothing
    ///    is done.
    /// 6. The probe is done: it is named in `probe`, and the worker is busy until its outcome is there.
    ///
    /// A busy worker doesn't look. If its ticker ticks, or a sync wants it to look, it looks as soon as it has dealt with
    /// the outcome; after a sync its ticker begins anew then. A worker that has ended has no ticker and no result any
    /// more, and counts as if the container had no such probe.
    fn wake(&mut self, now_ms: i64) -> Answer {
        let _ = now_ms;
        todo!("whose ticker has ticked? let each of these look")
    }

    /// A probe was done.
    ///
    /// `Passed` and `Warned` are successes, `Failed` and `TimedOut` are failures, and `Errored` is thrown away. The
    /// worker counts how many in a row were alike, whatever container they were about. If they are at least
    /// `success_threshold`, or `failure_threshold`, that is the result for the container that was probed; with fewer the
    /// result stays.
    ///
    /// A liveness worker that comes to `Failure`, and a startup worker that comes to either, is on hold until there is
    /// another container, and counts from 0 again.
    ///
    /// An outcome for a worker that has ended changes nothing.
    fn outcome(&mut self, done: &Done, now_ms: i64) -> Answer {
        let _ = (done, now_ms);
        todo!("count it; has the count reached its threshold?")
    }
}

kit::exercise!(Exercise: Prober);
