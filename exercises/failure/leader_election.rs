//! # Leader election: one acts, the others wait
//!
//! Three controller managers run, and one may act. Nothing tells them apart but a Lease that each tries to write: who
//! holds it renews it every two seconds, and who doesn't takes it when it has not changed for fifteen. You write one
//! candidate: what it asks the API server next, when it leads, and when it must stop.
//!
//! About 50 minutes · builds on nothing · book: "Leader election: one acts, the others wait" · stuck? `cargo grade hint failure/leader_election`

use kit::failure::LeaderElection;
use kit::failure::leader_election::{Config, Event, Output, Record};

/// What a candidate remembers: the record that it observed last and when, the version, what it waits for.
struct Exercise {
    config: Config,
    observed: Record,
}

/// Times are milliseconds of the candidate's own clock, which never goes back. Other candidates have other clocks: what a record says
/// of times was written by one of those, and is compared with nothing.
impl LeaderElection for Exercise {
    /// A candidate that knows nothing yet: it has observed no record, and reported nobody.
    fn new(config: &Config) -> Self {
        Exercise { config: config.clone(), observed: Record::default() }
    }

    /// Something happens; the answer is what to do about it, in order.
    ///
    /// All answers but the last end with exactly one thing to wait for: a request, whose outcome is the next event, or a `Wait`, after
    /// which comes `Wake`. Only `Cancel` can come in between, and nothing is heard then of what was waited for. The last
    /// answer ends with `Stopped`, and nothing happens any more: answer events after it with nothing.
    ///
    /// **A try** to get or to keep the lease begins with `Wake`, and goes like this:
    ///
    /// 1. If the observed record names this candidate, is valid, and the version is known: `Update` at once (the fast
    ///    path). If that is not `Written`, go on with 2.
    /// 2. `Get`. If that is `NotFound`: `Create`, with 0 transitions.
    /// 3. If it is `Found`, the record is observed. If it names somebody else, and is valid, the try has failed.
    ///    Otherwise `Update`.
    ///
    /// A write that is `Written` is the success of the try; anything else that wasn't mentioned fails it. A refused write
    /// and one that nobody has heard of are the same to a candidate.
    ///
    /// **Observed** is the record that was found or written last, and when: at the event that told of it. A record that
    /// is found and is equal to the observed one was observed before: its time stays. It is *valid* while less than its
    /// own `lease_duration_seconds` have passed from then to the beginning of the try. One that names nobody binds nobody.
    ///
    /// **Written** are the candidate's name and its `lease_duration_seconds`, and as `renew_time_ms` the beginning of the
    /// try. `acquire_time_ms` and `lease_transitions` stay as they were observed if the record named this candidate
    /// before; otherwise they are the beginning of the try and one more than before. An `Update` names the version that
    /// was found or written last; a `Get` that doesn't find the lease leaves the candidate without one.
    ///
    /// **Waiting for the lease.** After a try that failed: `Wait`, for at least `retry_period_ms` and less than 2.2 times
    /// as long, so that candidates don't keep step. After one that succeeded: `Started`, and the first try to renew
    /// follows at once.
    ///
    /// **Renewing.** Tries to renew come in rounds. A round begins with its first try, and has `renew_deadline_ms`. A try
    /// that succeeds, however late, ends it, and after exactly `retry_period_ms` the next one begins. After one that
    /// failed it waits as long, but not beyond the deadline. When a request or a try would begin at the deadline or
    /// later, the round is lost. Nothing else ends it: a leader that finds somebody else in the record goes on trying.
    ///
    /// **The end.** When a round is lost, or at `Cancel`, a leader whose observed record names it gives the lease back if
    /// `release_on_cancel` says so: `Get`, and if the record that is found names it, `Update` without a holder, with a
    /// duration of 1 s, both times that of the event that found it, and its transitions. Then, whatever came of it, and in all other cases at once:
    /// `Stopped`, also if it never led. A `Cancel` while it gives the lease back changes nothing: no output, and it hears what it waits for.
    ///
    /// **Reports.** `NewLeader` tells whom the observed record names, if that isn't whom it told last (nobody at first):
    /// after each try while waiting for the lease, before `Started` or `Wait`, and while leading only at the end of a
    /// round, before everything else. That nobody holds it any more is told, too. `Cancel` reports nothing.
    ///
    /// **Patience.** A request is waited for half of `renew_deadline_ms`; one of a round at most until its deadline.
    fn step(&mut self, event: &Event, now_ms: i64) -> Vec<Output> {
        let _ = (event, now_ms, &self.config, &self.observed);
        todo!("on the first Wake: look at the lease")
    }
}

kit::exercise!(Exercise: LeaderElection);
