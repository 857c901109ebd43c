//! One controller and an API server, for tests: what the engine does, without its delays.

use kit_apimachinery::object::{Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_server::{Server, Stored};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::Value;
use std::sync::Arc;

pub struct Bench {
    pub server: Server,
    pub now: Instant,
    pub component: Box<dyn Component>,
    cache: Cache,
    log: Log,
    /// The next change to be shown.
    cursor: usize,
}

impl Bench {
    pub fn new(component: impl Component + 'static) -> Bench {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        let epoch = kit_api::jiff::Timestamp::from_second(1_748_779_200).expect("a time");
        let server = Server::new(store, &modules, Random::new(1), epoch);
        let component: Box<dyn Component> = Box::new(component);
        let (now, log) = (Instant::default(), Log::default());
        Bench { server, now, component, cache: Cache::default(), log, cursor: 0 }
    }

    /// An object, with its status.
    pub fn create(&mut self, json: Value) -> Arc<Stored> {
        let kind = Kind::named(json["kind"].as_str().unwrap_or_default()).expect("a kind");
        let object = Object::from_value(kind, json.clone()).expect("a good object");
        let stored = self.server.create(object).expect("it can be made");
        if json["status"].is_null() {
            return stored;
        }
        let mut value = stored.to_value();
        value["status"] = json["status"].clone();
        let object = Object::from_value(kind, value).expect("a good object");
        self.server.update_status(object).expect("it has a status")
    }

    /// Shows the component what has changed and lets it work, until there is nothing more to do now.
    pub fn settle(&mut self) {
        loop {
            self.server.enter(self.now, &self.component.name().into());
            let before = self.server.end();
            while let Ok(Some(change)) = self.server.change(self.cursor) {
                self.cursor += 1;
                let change = change.clone();
                let kind = change.object.key.kind;
                let is_custom = self.component.watches_custom() && kind.resource().custom;
                if is_custom || self.component.watches().contains(&kind) {
                    self.cache.apply(&change);
                    let Bench { server, now, component, cache, log, .. } = self;
                    component.observe(&change, &mut World { now: *now, server, cache, log });
                }
            }
            let Bench { server, now, component, cache, log, .. } = self;
            component.run(&mut World { now: *now, server, cache, log });
            if self.server.end() == before && self.cursor == before {
                return;
            }
        }
    }

    /// Lets time pass up to here, and the component work whenever it wants to.
    pub fn run_until(&mut self, until: Instant) {
        self.settle();
        while let Some(wake) = self.component.next_wake().filter(|wake| *wake <= until) {
            self.now = wake.max(self.now);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// Type, reason and message of all events.
    pub fn events(&self) -> Vec<String> {
        let events = self.server.snapshot().list(Kind::Event).map(|stored| stored.to_value());
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_string();
        let tell = |event: Value| ["type", "reason", "message"].map(|field| text(&event, field)).join(" ");
        events.map(tell).collect()
    }
}
