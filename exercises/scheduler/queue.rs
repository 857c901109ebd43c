//! # The scheduling queue: who is next, and who waits
//!
//! Pods without a node wait in a queue: some are next, some were refused and wait for a change, some wait for a moment before
//! they are tried again. You decide who is next, and who moves when something happens.
//!
//! About 40 minutes · builds on nothing · book: "The scheduling queue: who is next, and who waits" · stuck? `cargo grade hint scheduler/queue`

use kit::scheduler::{Hint, PendingPod, QueueConfig, SchedulingQueue};

struct Exercise;

impl SchedulingQueue for Exercise {
    /// An empty queue.
    fn new(config: &QueueConfig) -> Self {
        let _ = config;
        todo!("an empty queue")
    }

    /// A pod was created, or its priority or its gates are these now.
    ///
    /// A new pod becomes active, or unschedulable if it is gated. A pod that was gated and isn't any more becomes active.
    /// Any other keeps its place.
    fn add(&mut self, pod: &PendingPod, now: i64) {
        let _ = (pod, now);
        todo!("a new pod, or one with other gates or another priority")
    }

    /// The pod is gone, or has a node now: forget it, wherever it is. If the pod isn't known, nothing happens.
    fn remove(&mut self, pod: &str) {
        let _ = pod;
        todo!("forget it, wherever it is")
    }

    /// The pod to be tried now; it is in flight from then on, and that counts as an attempt. None if there is none.
    ///
    /// First, pods whose backoff is over become active. The next is the active pod with the highest priority. If no pod is active, it
    /// is the one whose backoff ends in the earliest second, and of these the one with the highest priority: there is no
    /// reason to let the scheduler idle. But a pod that came back by an error is never taken early.
    fn pop(&mut self, now: i64) -> Option<String> {
        let _ = now;
        todo!("whose backoff is over? then: who is next?")
    }

    /// The attempt failed: these plugins refused the pod; none if there was an error, such as a failed request. If
    /// the pod is not in flight any more, nothing happens.
    ///
    /// After an error, or if something changed during the attempt that one of these plugins says helps, the pod backs off; else it
    /// is unschedulable. The backoff begins now and takes `initial_backoff` after the first attempt, twice as long after
    /// each further one, at most `max_backoff`. Its end counts in whole seconds, rounded down: it is over when the
    /// clock shows a later second than that.
    fn failed(&mut self, pod: &str, plugins: &[String], now: i64) {
        let _ = (pod, plugins, now);
        todo!("an error, a change that was missed, or unschedulable")
    }

    /// Something changed in the cluster. Each hint says which pods this could help, if the hint's plugin refused them.
    ///
    /// An unschedulable pod that a hint of one of its plugins names backs off, or becomes active if its backoff is over. One in
    /// flight is not moved, but this is remembered until its attempt ends. A gated pod stays where it is.
    fn changed(&mut self, hints: &[Hint], now: i64) {
        let _ = (hints, now);
        todo!("who was refused by a plugin that knows of help?")
    }

    /// Some time has passed. A pod that is unschedulable for longer than `max_unschedulable` since its last attempt
    /// failed is moved as if a hint had named it, since a hint may have been wrong. Gated pods stay.
    fn flush(&mut self, now: i64) {
        let _ = now;
        todo!("who waits for too long?")
    }
}

kit::exercise!(Exercise: SchedulingQueue);
