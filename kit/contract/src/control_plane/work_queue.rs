//! The work queue of a controller: which key a worker takes next, and which ones wait.
//!
//! Between the watch of a controller and its workers stands this queue. Handlers put keys in, workers take them out,
//! reconcile and say that they are done. Source: `queue.go`, `delaying_queue.go`, `rate_limiting_queue.go` and
//! `default_rate_limiters.go` in `client-go/util/workqueue`, and `rate.go` in `golang.org/x/time/rate`.
//!
//! Upstream, a worker blocks in `Get` and a goroutine moves keys whose delay is over. Here nothing blocks and nothing runs by
//! itself: the caller gives the time, and asks again at the time that the queue names.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Holds the keys that are to be reconciled, each once.
    ///
    /// Keys go by `namespace/name`. Times are milliseconds of a clock that never goes back; no time and no delay is so
    /// late that 64 bits don't hold it. A call that is given the time first adds
    /// the keys whose delay is over by then (at `due` or later), as `add` would: the one that was due first comes first, and of
    /// those that were due together the first by name.
    pub trait WorkQueue {
        /// An empty queue.
        fn new(config: &RateLimits) -> Self;

        /// Something about the key changed: it is to be reconciled.
        ///
        /// A key that is queued already keeps its place. A key that a worker is processing is queued when it is done, once, however often it was
        /// added. Any other goes to the end of the queue. After a shut-down nothing is added.
        fn add(&mut self, key: &str, now: i64) -> ();

        /// Adds the key when `delay` milliseconds have passed; at once if `delay` isn't positive.
        ///
        /// A key waits once: of several times the earliest counts. Nothing but its time ends the wait: a key that is added meanwhile
        /// comes again when its delay is over. After a shut-down nothing waits any more, and nothing is added.
        fn add_after(&mut self, key: &str, delay: i64, now: i64) -> ();

        /// Adds the key after a failure: `add_after` with the longer of two delays.
        ///
        /// The key's own: `base_delay` for its first failure, twice as long for each further one, at most `max_delay`. And the one of a bucket of
        /// tokens that all keys share. It begins with `burst` tokens, gains `qps` of them a second, steadily, and never holds more than `burst`. Each
        /// call takes one, whatever comes of it, also if there is none: then the bucket owes it, and the delay is the time until it has
        /// gained all that it owes, rounded up to a millisecond.
        ///
        /// After a shut-down the failure and the token count, but nothing is added.
        fn add_rate_limited(&mut self, key: &str, now: i64) -> ();

        /// The key was reconciled: its next failure is its first. A key that waits goes on waiting.
        fn forget(&mut self, key: &str) -> ();

        /// How many failures of the key count.
        fn num_requeues(&mut self, key: &str) -> u32;

        /// What a worker that has nothing to do is to do now.
        ///
        /// The key that is handed out is being processed until it is done. It isn't in the queue then, and no other worker gets it.
        fn get(&mut self, now: i64) -> Next;

        /// A worker has ended with the key that it got, whether that went well or not. If the key was added meanwhile, it goes to the end of
        /// the queue now, also after a shut-down. Only workers that got the key call this.
        fn done(&mut self, key: &str, now: i64) -> ();

        /// How many keys are queued: neither those that wait for their time nor those that are being processed.
        fn len(&mut self, now: i64) -> u32;

        /// Ends the queue: nothing comes in any more, and what waits never comes. What is queued is still handed out.
        /// With `drain`, whoever calls this waits for the workers (see `drained`); a later call without it ends that
        /// wait.
        fn shut_down(&mut self, drain: bool) -> ();

        /// Whether whoever shut the queue down may go on. Before a shut-down: no. After one without `drain`: yes.
        /// After one with `drain`: yes while no key is being processed, even if keys are still queued; when a worker
        /// gets one of these, the answer is no again. Of several shut-downs the last one counts.
        fn drained(&mut self) -> bool;
    }
}

/// How failures are slowed down (`DefaultTypedControllerRateLimiter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// After the first failure of a key, in milliseconds (5 ms).
    pub base_delay: i64,
    /// At most, in milliseconds (1000 s); also after the first failure, if that is less than `base_delay`.
    pub max_delay: i64,
    /// Tokens that the bucket gains in a second, at least 1 (10).
    pub qps: i64,
    /// Tokens that it holds at most, at least 1 (100).
    pub burst: i64,
}

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Reconcile this key.
    Key(String),
    /// Ask again: when something was added or done, or at this time, when the first delay is over; none if no key waits.
    Wait(Option<i64>),
    /// Stop: the queue was shut down and is empty.
    ShutDown,
}
// ANCHOR_END: contract

impl Default for RateLimits {
    fn default() -> Self {
        RateLimits { base_delay: 5, max_delay: 1_000_000, qps: 10, burst: 100 }
    }
}

impl Show for RateLimits {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Next {
    fn lines(&self) -> Vec<String> {
        match self {
            Next::Key(key) => vec![format!("key {}", flow(key))],
            Next::Wait(None) => vec!["wait until something is added".into()],
            Next::Wait(Some(due)) => vec![format!("wait, at most until {due}")],
            Next::ShutDown => vec!["shut down".into()],
        }
    }
}
