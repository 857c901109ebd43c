//! # The work queue: each key once, and later after a failure
//!
//! Handlers of a controller put keys in, workers take them out. The queue sees to it that no key is there twice, that no two workers have
//! the same one, that no change is lost, and that what fails is tried again later and later.
//!
//! About 30 minutes · builds on nothing · book: "The work queue: each key once, and later after a failure" · stuck? `cargo grade hint control_plane/work_queue`

use kit::control_plane::{Next, RateLimits, WorkQueue};

struct Exercise;

impl WorkQueue for Exercise {
    /// An empty queue.
    fn new(config: &RateLimits) -> Self {
        let _ = config;
        todo!("an empty queue")
    }

    /// Something about the key changed: it is to be reconciled.
    ///
    /// A key that is queued already keeps its place. A key that a worker is processing is queued when it is done, once, however often it was
    /// added. Any other goes to the end of the queue. After a shut-down nothing is added.
    fn add(&mut self, key: &str, now: i64) {
        let _ = (key, now);
        todo!("is it queued already? is it being processed?")
    }

    /// Adds the key when `delay` milliseconds have passed; at once if `delay` isn't positive.
    ///
    /// A key waits once: of several times the earliest counts. Nothing but its time ends the wait: a key that is added meanwhile
    /// comes again when its delay is over. After a shut-down nothing waits any more, and nothing is added.
    fn add_after(&mut self, key: &str, delay: i64, now: i64) {
        let _ = (key, delay, now);
        todo!("when is it due, and does it wait already?")
    }

    /// Adds the key after a failure: `add_after` with the longer of two delays.
    ///
    /// The key's own: `base_delay` for its first failure, twice as long for each further one, at most `max_delay`. And the one of a bucket of
    /// tokens that all keys share. It begins with `burst` tokens, gains `qps` of them a second, steadily, and never holds more than `burst`. Each
    /// call takes one, whatever comes of it, also if there is none: then the bucket owes it, and the delay is the time until it has
    /// gained all that it owes, rounded up to a millisecond.
    ///
    /// After a shut-down the failure and the token count, but nothing is added.
    fn add_rate_limited(&mut self, key: &str, now: i64) {
        let _ = (key, now);
        todo!("the longer of two delays")
    }

    /// The key was reconciled: its next failure is its first. A key that waits goes on waiting.
    fn forget(&mut self, key: &str) {
        let _ = key;
        todo!("its failures are over")
    }

    /// How many failures of the key count.
    fn num_requeues(&mut self, key: &str) -> u32 {
        let _ = key;
        todo!("how often did it fail in a row?")
    }

    /// What a worker that has nothing to do is to do now.
    ///
    /// The key that is handed out is being processed until it is done. It isn't in the queue then, and no other worker gets it.
    fn get(&mut self, now: i64) -> Next {
        let _ = now;
        todo!("who is next, and is the queue at its end?")
    }

    /// A worker has ended with the key that it got, whether that went well or not. If the key was added meanwhile, it goes to the end of
    /// the queue now, also after a shut-down. Only workers that got the key call this.
    fn done(&mut self, key: &str, now: i64) {
        let _ = (key, now);
        todo!("was it added meanwhile?")
    }

    /// How many keys are queued: neither those that wait for their time nor those that are being processed.
    fn len(&mut self, now: i64) -> u32 {
        let _ = now;
        todo!("only what is queued")
    }

    /// Ends the queue: nothing comes in any more, and what waits never comes. What is queued is still handed out.
    /// With `drain`, whoever calls this waits for the workers (see `drained`); a later call without it ends that
    /// wait.
    fn shut_down(&mut self, drain: bool) {
        let _ = drain;
        todo!("nothing comes in any more")
    }

    /// Whether whoever shut the queue down may go on. Before a shut-down: no. After one without `drain`: yes. After
    /// one with `drain`: yes while no key is being processed, even if keys are still queued; when a worker gets one
    /// of these, the answer is no again. Of several shut-downs the last one counts.
    fn drained(&mut self) -> bool {
        todo!("is anybody still working?")
    }
}

kit::exercise!(Exercise: WorkQueue);
