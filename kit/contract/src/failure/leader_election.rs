//! Leader election by a Lease: of several candidates one acts, and the others wait until it has fallen silent.
//!
//! Sources: `client-go/tools/leaderelection/leaderelection.go` and `resourcelock/leaselock.go`. There, a goroutine loops
//! and blocks. Here nothing blocks: the module says what it wants next, and the kit tells it what came of it and what its
//! own clock shows then.
//!
//! Two things are left open upstream or go by accident of the code, and have a rule here: waiting begins when a try has
//! ended (client-go counts from its beginning while a leader fails to renew), and a candidate that gives its lease back
//! looks first whether it still is its own.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// One candidate.
    ///
    /// Times are milliseconds of the candidate's own clock, which never goes back. Other candidates have other clocks:
    /// what a record says of times was written by one of those, and is compared with nothing.
    pub trait LeaderElection {
        /// A candidate that knows nothing yet: it has observed no record, and reported nobody.
        fn new(config: &Config) -> Self;

        /// Something happens; the answer is what to do about it, in order.
        ///
        /// All answers but the last end with exactly one thing to wait for: a request, whose outcome is the next event,
        /// or a `Wait`, after which comes `Wake`. Only `Cancel` can come in between, and nothing is heard then of what
        /// was waited for. The last answer ends with `Stopped`, and nothing happens any more.
        ///
        /// **A try** to get or to keep the lease begins with `Wake`, and goes like this:
        ///
        /// 1. If the observed record names this candidate, is valid, and the version is known: `Update` at once (the fast
        ///    path). If that is not `Written`, go on with 2.
        /// 2. `Get`. If that is `NotFound`: `Create`, with 0 transitions.
        /// 3. If it is `Found`, the record is observed. If it names somebody else, and is valid, the try has failed.
        ///    Otherwise `Update`.
        ///
        /// A write that is `Written` is the success of the try; anything else that wasn't mentioned fails it. A refused
        /// write and one that nobody has heard of are the same to a candidate.
        ///
        /// **Observed** is the record that was found or written last, and when: at the event that told of it. A record that is found
        /// and is equal to the observed one was observed before: its time stays. It is *valid* while less than its own
        /// `lease_duration_seconds` have passed from then to the beginning of the try. One that names nobody binds
        /// nobody.
        ///
        /// **Written** are the candidate's name and its `lease_duration_seconds`, and as `renew_time_ms` the beginning of
        /// the try. `acquire_time_ms` and `lease_transitions` stay as they were observed if the record named this candidate before; otherwise they are
        /// the beginning of the try and one more than before. An `Update` names the version that was found or written
        /// last; a `Get` that doesn't find the lease leaves the candidate without one.
        ///
        /// **Waiting for the lease.** After a try that failed: `Wait`, for at least `retry_period_ms` and less than 2.2 times
        /// as long, so that candidates don't keep step. After one that succeeded: `Started`, and the first try to renew follows at once.
        ///
        /// **Renewing.** Tries to renew come in rounds. A round begins with its first try, and has `renew_deadline_ms`. A try
        /// that succeeds, however late, ends it, and after exactly `retry_period_ms` the next one begins. After one that failed it waits as long, but not
        /// beyond the deadline. When a request or a try would begin at the deadline or later, the round is lost. Nothing
        /// else ends it: a leader that finds somebody else in the record goes on trying.
        ///
        /// **The end.** When a round is lost, or at `Cancel`, a leader whose observed record names it gives the lease back if
        /// `release_on_cancel` says so: `Get`, and if the record that is found names it, `Update` without a holder, with a duration of 1 s, both times that of
        /// the event that found it, and its transitions. Then, whatever came of it, and in all other cases at once:
        /// `Stopped`, also if it never led. A `Cancel` while it gives the lease back changes nothing: no output, and it hears what it waits for.
        ///
        /// **Reports.** `NewLeader` tells whom the observed record names, if that isn't whom it told last (nobody at first): after each try while waiting for the lease, before
        /// `Started` or `Wait`, and while leading only at the end of a round, before everything else. That nobody holds
        /// it any more is told, too. `Cancel` reports nothing.
        ///
        /// **Patience.** A request is waited for half of `renew_deadline_ms`; one of a round at most until its deadline.
        fn step(&mut self, event: &Event, now_ms: i64) -> Vec<Output>;
    }
}

/// Who it is, and how patient. The times are the defaults of kube-controller-manager and kube-scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its name among the candidates; nobody else has it at the same time.
    pub identity: String,
    /// How long others wait after the last change that they saw (`--leader-elect-lease-duration`).
    pub lease_duration_seconds: i64,
    /// How long a leader tries to renew before it gives up (`--leader-elect-renew-deadline`).
    pub renew_deadline_ms: i64,
    /// From one try to the next (`--leader-elect-retry-period`).
    pub retry_period_ms: i64,
    /// Whether the lease is given back in the end (`ReleaseOnCancel`): kube-scheduler does, kube-controller-manager doesn't.
    pub release_on_cancel: bool,
}

/// What a Lease says: `spec.holderIdentity` and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Who leads; empty if nobody does.
    pub holder_identity: String,
    /// How long others have to wait.
    pub lease_duration_seconds: i64,
    /// Since when it leads, by the clock of who wrote it.
    pub acquire_time_ms: i64,
    /// When it last said so, by the same clock.
    pub renew_time_ms: i64,
    /// How often the leader has changed.
    pub lease_transitions: i64,
}

/// What happens to a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// It starts, or the wait is over, now or long ago: a process can stand still.
    Wake,
    /// There is a lease.
    Found {
        /// Its `resourceVersion`.
        version: String,
        /// What it says.
        record: Record,
    },
    /// There is none.
    NotFound,
    /// It was written.
    Written {
        /// Its `resourceVersion` now.
        version: String,
    },
    /// 409: somebody else was faster. The lease has another version, or is there already.
    Refused,
    /// No answer, or an error of the server. Whether it was written nobody knows.
    Lost,
    /// The process is asked to stop.
    Cancel,
}

/// What a candidate does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Reads the lease.
    Get {
        /// How long it waits for the answer.
        timeout_ms: i64,
    },
    /// Creates it.
    Create {
        /// What it says.
        record: Record,
        /// How long it waits for the answer.
        timeout_ms: i64,
    },
    /// Writes it, if it still has this version.
    Update {
        /// The `resourceVersion`.
        version: String,
        /// What it says.
        record: Record,
        /// How long it waits for the answer.
        timeout_ms: i64,
    },
    /// Waits; how long exactly is drawn between these two.
    Wait {
        /// At least so long.
        least_ms: i64,
        /// Less than so long, or exactly so long if both are the same.
        most_ms: i64,
    },
    /// Tells who leads (`OnNewLeader`).
    NewLeader {
        /// Its name; empty if nobody does.
        identity: String,
    },
    /// Leads from now on (`OnStartedLeading`).
    Started,
    /// Leads no more, and is at its end (`OnStoppedLeading`).
    Stopped,
}
// ANCHOR_END: contract

impl Default for Config {
    fn default() -> Self {
        Config {
            identity: "a".into(),
            lease_duration_seconds: 15,
            renew_deadline_ms: 10_000,
            retry_period_ms: 2_000,
            release_on_cancel: false,
        }
    }
}

impl Record {
    fn line(&self) -> String {
        let holder = match self.holder_identity.as_str() {
            "" => "nobody".to_string(),
            holder => flow(&holder),
        };
        let Record { lease_duration_seconds, acquire_time_ms, renew_time_ms, lease_transitions, .. } = self;
        format!(
            "{holder} holds it for {lease_duration_seconds}s, acquired {acquire_time_ms}, renewed {renew_time_ms}, \
             transitions {lease_transitions}"
        )
    }
}

impl Show for Config {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Event {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Event::Wake => "wake".into(),
            Event::Found { version, record } => format!("found version {}: {}", flow(version), record.line()),
            Event::NotFound => "not found".into(),
            Event::Written { version } => format!("written as version {}", flow(version)),
            Event::Refused => "refused".into(),
            Event::Lost => "lost".into(),
            Event::Cancel => "cancel".into(),
        }]
    }
}

impl Show for Output {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Output::Get { timeout_ms } => format!("get, within {timeout_ms} ms"),
            Output::Create { record, timeout_ms } => format!("create, within {timeout_ms} ms: {}", record.line()),
            Output::Update { version, record, timeout_ms } => {
                format!("update version {}, within {timeout_ms} ms: {}", flow(version), record.line())
            }
            Output::Wait { least_ms, most_ms } if least_ms == most_ms => format!("wait {least_ms} ms"),
            Output::Wait { least_ms, most_ms } => format!("wait {least_ms} to {most_ms} ms"),
            Output::NewLeader { identity } if identity.is_empty() => "new leader: nobody".into(),
            Output::NewLeader { identity } => format!("new leader: {}", flow(identity)),
            Output::Started => "started leading".into(),
            Output::Stopped => "stopped".into(),
        }]
    }
}
