//! The scheduling queue: which pod is tried next, and which ones wait for what.
//!
//! Source: `scheduling_queue.go`, `active_queue.go` and `backoff_queue.go` in `pkg/scheduler/backend/queue`, with the feature gates
//! SchedulerQueueingHints and SchedulerPopFromBackoffQ on, as they are by default in 1.33.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Holds the pods that have no node yet.
    ///
    /// A pod is in one of four places: *active* (to be tried), *backing off* (to be tried after a while), *unschedulable* (waiting
    /// for something to change), or *in flight* (popped, and being tried). Pods go by `namespace/name`; times are milliseconds of
    /// a clock that never goes back. Among equals the pod comes first that joined the queue first, where a pod joins when it
    /// is added and again when it comes back from an attempt that failed.
    pub trait SchedulingQueue {
        /// An empty queue.
        fn new(config: &QueueConfig) -> Self;

        /// A pod was created, or its priority or its gates are these now.
        ///
        /// A new pod becomes active, or unschedulable if it is gated. A pod that was gated and isn't any more becomes active.
        /// Any other keeps its place.
        fn add(&mut self, pod: &PendingPod, now: i64) -> ();

        /// The pod is gone, or has a node now: forget it, wherever it is. If the pod isn't known, nothing happens.
        fn remove(&mut self, pod: &str) -> ();

        /// The pod to be tried now; it is in flight from then on, and that counts as an attempt. None if there is none.
        ///
        /// First, pods whose backoff is over become active. The next is the active pod with the highest priority. If no pod is active, it
        /// is the one whose backoff ends in the earliest second, and of these the one with the highest priority: there is no
        /// reason to let the scheduler idle. But a pod that came back by an error is never taken early.
        fn pop(&mut self, now: i64) -> Option<String>;

        /// The attempt failed: these plugins refused the pod; none if there was an error, such as a failed request.
        /// If the pod is not in flight any more, nothing happens.
        ///
        /// After an error, or if something changed during the attempt that one of these plugins says helps, the pod backs off; else it
        /// is unschedulable. The backoff begins now and takes `initial_backoff` after the first attempt, twice as long after
        /// each further one, at most `max_backoff`. Its end counts in whole seconds, rounded down: it is over when the
        /// clock shows a later second than that.
        fn failed(&mut self, pod: &str, plugins: &[String], now: i64) -> ();

        /// Something changed in the cluster. Each hint says which pods this could help, if the hint's plugin refused them.
        ///
        /// An unschedulable pod that a hint of one of its plugins names backs off, or becomes active if its backoff is over. One in
        /// flight is not moved, but this is remembered until its attempt ends. A gated pod stays where it is.
        fn changed(&mut self, hints: &[Hint], now: i64) -> ();

        /// Some time has passed. A pod that is unschedulable for longer than `max_unschedulable` since its last attempt
        /// failed is moved as if a hint had named it, since a hint may have been wrong. Gated pods stay.
        fn flush(&mut self, now: i64) -> ();
    }
}

/// How long pods wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// After the first attempt, in milliseconds (`podInitialBackoffSeconds`: 1 s).
    pub initial_backoff: i64,
    /// At most, in milliseconds (`podMaxBackoffSeconds`: 10 s).
    pub max_backoff: i64,
    /// For something to change, in milliseconds (5 min).
    pub max_unschedulable: i64,
}

/// A pod that has no node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingPod {
    /// `namespace/name`.
    pub name: String,
    /// Greater goes first.
    #[serde(default)]
    pub priority: i32,
    /// Whether it has scheduling gates: then it is not to be tried.
    #[serde(default)]
    pub gated: bool,
}

/// What a plugin makes of a change in the cluster (`QueueingHintFn`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// The plugin.
    pub plugin: String,
    /// The pods that may fit now, as far as the plugin can say, by `namespace/name`.
    pub pods: Vec<String>,
}
// ANCHOR_END: contract

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig { initial_backoff: 1_000, max_backoff: 10_000, max_unschedulable: 300_000 }
    }
}

impl Show for PendingPod {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for Hint {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
