//! # Optimistic concurrency: conflicts, patches and field managers
//!
//! You are one of several clients that write to the same Deployment at the same time. You get one intent, and say which requests you send to the
//! API server, one after the other, so that in the end it is carried out and nothing of what the others wrote is lost.
//!
//! About 40 minutes · builds on nothing · book: "Optimistic concurrency: conflicts, patches and field managers" · stuck? `cargo grade hint control_plane/concurrency`

#[allow(unused_imports)] // Until you need them.
use kit::control_plane::{ApiRequest, ApiVerb, Reason};
use kit::control_plane::{ClientConfig, Concurrency, Intent, Move, ServerAnswer};
use kit::serde_json::Value;
#[allow(unused_imports)] // Builds JSON: `json!({"metadata": {"annotations": {name: value}}})`.
use kit::serde_json::json;

struct Exercise;

impl Concurrency for Exercise {
    /// A client with nothing to do yet.
    fn new(config: &ClientConfig) -> Self {
        let _ = config;
        todo!("a client with nothing to do")
    }

    /// What the client is to do, and the object as its cache has it; that may be old, or miss what is there since. The answer is its first
    /// move. This is asked once.
    fn begin(&mut self, intent: &Intent, cached: &Value) -> Move {
        let _ = (intent, cached);
        todo!("which request comes first?")
    }

    /// What the server answered to the last request. The answer is the next move.
    ///
    /// Any requests will do, as long as
    ///
    /// - nothing of what others write is lost, and nothing is changed that isn't part of the intent;
    /// - the intent is carried out once, on the object as it is then, and not on what the cache believed;
    /// - a write that was refused with a conflict (409, `Conflict`) is made again from a fresh object, 10 ms later, unless the
    ///   intent itself says what a conflict means; no more than five writes are tried (`retry.DefaultRetry`), then it gives up with `Conflict`;
    /// - any other refusal is not tried again: it gives up with `NotFound` where there is no object (404), and else with `Refused`;
    /// - it takes no more requests than it needs. An apply is one request, without a read. Before each other write
    ///   there may be one read, also before the first one and before a delete. And the client may begin with a write
    ///   that is made from the cache, without a read.
    fn answered(&mut self, answer: &ServerAnswer) -> Move {
        let _ = answer;
        todo!("a conflict, another refusal, or the object to be changed")
    }
}

kit::exercise!(Exercise: Concurrency);
