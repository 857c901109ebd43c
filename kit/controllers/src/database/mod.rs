//! An operator of databases: what a custom resource asks for becomes pods, claims and Services, and one primary at a time.
//!
//! What is decided is the module's business ([`kit_contract::failure::DatabaseOperator`]). Around it, [`view`] shows it a database,
//! [`objects`] says what things look like, and [`hands`] does what it has decided. Modelled on CloudNativePG
//! (`internal/controller/cluster_controller.go`), under names of an own group; there is no TLS, no users, and no SQL.

mod backup;
mod hands;
mod objects;
mod view;

use hands::Hands;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::database::{API_VERSION, KIND, Reports};
use kit_contract::Modules;
use kit_contract::failure::DatabaseOperator as Module;
use kit_contract::failure::database_operator::{Action, Database};
use kit_server::{Change, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often it asks the instances how they are.
const PERIOD: Instant = Instant::seconds(1);

/// Looks after all databases of a cluster.
pub struct DatabaseOperator {
    module: Box<dyn Module>,
    reports: Reports,
    memory: BTreeMap<Key, Memory>,
    next: Instant,
    installed: bool,
}

/// What it remembers of a database between two looks.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// Since when the current primary isn't healthy.
    failing: Option<Instant>,
    /// Since when instances don't answer, by name.
    silent: BTreeMap<String, Instant>,
    primary_lsn: u64,
    /// What can be said of it.
    shown: String,
}

impl DatabaseOperator {
    /// An operator with the module of the slot, and what instances answer.
    pub fn new(modules: &Modules, reports: Reports) -> Self {
        let module = modules.database_operator.make(&());
        DatabaseOperator { module, reports, memory: BTreeMap::new(), next: Instant::default(), installed: false }
    }

    /// Its kind, as soon as the server serves it.
    fn kind(&mut self, world: &mut World<'_>) -> Option<Kind> {
        if !self.installed {
            let kind = Kind::named("customresourcedefinitions")?;
            let object = Object::from_value(kind, objects::definition()).ok()?;
            self.installed = world.server.create(object).map_or_else(|error| error.reason == "AlreadyExists", |_| true);
        }
        world.server.kind_of(API_VERSION, KIND)
    }

    fn sync(&mut self, key: &Key, object: &Value, world: &mut World<'_>) {
        let memory = self.memory.entry(key.clone()).or_default();
        if object["metadata"]["deletionTimestamp"].is_string() {
            return;
        }
        let mut hands = Hands { key, object, world };
        if object["status"]["targetPrimary"].is_null() {
            let first = format!("{}-1", key.name);
            return hands.status(json!({"targetPrimary": first, "phase": "Setting up primary"}));
        }
        hands.surroundings();
        let database = view::database(key, object, hands.world, &self.reports.borrow(), memory);
        for change in self.module.roles(&database) {
            hands.label(&change);
        }
        let action = self.module.next(&database);
        if let Some(action) = &action {
            hands.act(action, &database);
        }
        // The target is what was decided, and no news of others is written over it.
        if !matches!(action, Some(Action::Target(_))) {
            hands.tell_status(&database, action.as_ref());
        }
        backup::sync(&mut hands, &database, &self.reports.borrow(), self.module.as_ref());
        memory.shown = shown(&database, object);
    }
}

fn shown(database: &Database, object: &Value) -> String {
    let status = &database.status;
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
    let (current, target) = (name(&status.current_primary), name(&status.target_primary));
    let target = if target == current { String::new() } else { format!(", target {target}") };
    let ready = database.instances.iter().filter(|it| it.pod.as_ref().is_some_and(|pod| pod.ready)).count();
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    format!("{phase}; primary {current}{target}, {ready} of {} ready", database.spec.instances)
}

impl Component for DatabaseOperator {
    fn name(&self) -> &'static str {
        "database-operator"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Pod, Kind::PersistentVolumeClaim, Kind::Node, Kind::Service]
    }

    fn watches_custom(&self) -> bool {
        true
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        // Nodes renew what they say of themselves; that is no reason to look.
        if change.object.key.kind != Kind::Node {
            self.next = self.next.min(world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.next {
            return;
        }
        self.next = world.now + PERIOD;
        let Some(kind) = self.kind(world) else { return };
        let databases: Vec<(Key, Value)> =
            world.cache.stored(kind).map(|stored| (stored.key.clone(), stored.to_value())).collect();
        self.memory.retain(|key, _| databases.iter().any(|(there, _)| there == key));
        for (key, object) in &databases {
            self.sync(key, object, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        (!self.memory.is_empty() || !self.installed).then_some(self.next)
    }

    fn shows(&self) -> Vec<(String, String)> {
        self.memory.iter().map(|(key, memory)| (format!("database/{}", key.name), memory.shown.clone())).collect()
    }
}

/// A change of the status of an object, unless somebody has changed it since it was seen.
fn if_unchanged(object: &Value, status: Value) -> Patch {
    let version = &object["metadata"]["resourceVersion"];
    Patch::Merge(json!({"metadata": {"resourceVersion": version}, "status": status}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    fn database(spec: &Value) -> Value {
        let mut spec = spec.clone();
        spec["image"] = "database:17.4".into();
        json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "orders", "namespace": "default"}, "spec": spec})
    }

    #[test]
    fn a_new_database_gets_services_and_its_first_instance() {
        let mut bench = Bench::new(DatabaseOperator::new(&solutions::modules(), Reports::default()));
        bench.run_until(Instant::seconds(1));
        let kind = bench.server.kind_of(API_VERSION, KIND).expect("it is defined");
        let object = Object::from_value(kind, database(&json!({"instances": 3}))).expect("a database");
        bench.server.create(object).expect("a good database");
        bench.run_until(Instant::seconds(5));
        let names = |kind| bench.server.snapshot().list(kind).map(|it| it.key.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(Kind::Service), ["orders-r", "orders-ro", "orders-rw"]);
        assert_eq!(names(Kind::Pod), ["orders-1"]);
        let key = Key::new(kind, "default", "orders");
        let there = bench.server.get(&key).expect("it is there").to_value();
        assert_eq!(there["status"]["targetPrimary"], "orders-1");
    }

    #[test]
    fn a_database_without_an_image_is_refused() {
        let mut bench = Bench::new(DatabaseOperator::new(&solutions::modules(), Reports::default()));
        bench.run_until(Instant::seconds(1));
        let kind = bench.server.kind_of(API_VERSION, KIND).expect("it is defined");
        let mut wrong = database(&json!({"instances": 3}));
        wrong["spec"]["image"] = Value::Null;
        let object = Object::from_value(kind, wrong).expect("an object");
        assert!(bench.server.create(object).is_err_and(|error| error.message.contains("spec.image")));
    }
}
