//! An API server for a controller that is looked at one decision at a time.

use kit_api::core::Event;
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_client::cache::Cache;
use kit_client::component::World;
use kit_client::explain::Log;
use kit_server::{Change, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};

/// The controller and its user, as the API server knows them here.
const EVERYBODY: &str = "user";

/// The conditions of a job that ended so, since then; the API server wants the one that announces it as well.
pub fn ended(end: &str, since: &Value) -> Vec<Value> {
    let announced = match end {
        "Complete" => "SuccessCriteriaMet",
        "Failed" => "FailureTarget",
        _ => return Vec::new(),
    };
    let condition = |type_| json!({"type": type_, "status": "True", "lastTransitionTime": since});
    vec![condition(announced), condition(end)]
}

pub struct Stage {
    pub server: Server,
    now: Instant,
}

impl Stage {
    /// A stage whose time begins then.
    pub fn at(epoch: Timestamp) -> Stage {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        Stage { server: Server::new(store, &modules, Random::new(7), epoch), now: Instant::default() }
    }

    /// Moves on to so long after the beginning.
    pub fn enter(&mut self, after: SignedDuration) {
        self.now = Instant { nanos: after.as_nanos() as i64 };
        self.server.enter(self.now, &EVERYBODY.into());
        // Recordings have events as controllers send them, before a client combines similar ones.
        self.server.forget_events_of(EVERYBODY);
    }

    /// The time since the beginning.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Lets a controller work that has seen nothing but what it is given.
    pub fn act<T>(&mut self, f: impl FnOnce(&mut World<'_>) -> T) -> T {
        let (cache, mut log) = (Cache::default(), Log::default());
        f(&mut World { now: self.now, server: &mut self.server, cache: &cache, log: &mut log })
    }

    pub fn changes(&self, begin: usize) -> Vec<Change> {
        (begin..self.server.end()).filter_map(|index| self.server.change(index).ok().flatten().cloned()).collect()
    }

    /// Type, reason and message of the events since `begin`.
    pub fn events(&self, begin: usize) -> Vec<String> {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let changes = self.changes(begin);
        let events = changes.iter().filter_map(|change| change.object.get::<Event>());
        events.map(|event| format!("{} {} {}", of(&event.type_), of(&event.reason), of(&event.message))).collect()
    }
}
