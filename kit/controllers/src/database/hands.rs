//! Does what was decided, and tells of it.

use super::{if_unchanged, objects};
use kit_api::core::Pod;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::World;
use kit_client::database::ROLE;
use kit_contract::failure::database_operator::{Action, Database, Role, RoleChange};
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};

/// What stands for no target (`PendingFailoverMarker`).
pub const PENDING: &str = "pending";

/// The hands of one look at a database. What fails is tried again at the next one.
pub struct Hands<'h, 'w> {
    pub key: &'h Key,
    pub object: &'h Value,
    pub world: &'h mut World<'w>,
}

impl Hands<'_, '_> {
    /// Makes what every database has beside its instances.
    pub fn surroundings(&mut self) {
        let all = objects::services(self.object).into_iter().chain([objects::budget(self.object)]);
        all.for_each(|object| self.make(&object));
    }

    /// Makes an object, unless it is there.
    fn make(&mut self, object: &Value) {
        let Some(kind) = object["kind"].as_str().and_then(Kind::named) else { return };
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if self.world.server.snapshot().get(&Key::new(kind, &self.key.namespace, name)).is_some() {
            return;
        }
        if let Ok(object) = Object::from_value(kind, object.clone()) {
            _ = self.world.server.create(object);
        }
    }

    /// Writes parts of the status, unless they are so already.
    pub fn status(&mut self, status: Value) {
        let there = &self.object["status"];
        let is_so = status.as_object().is_some_and(|all| all.iter().all(|(field, value)| there[field] == *value));
        if !is_so {
            _ = self.world.server.patch(self.key, &if_unchanged(self.object, status), true);
        }
    }

    pub fn label(&mut self, change: &RoleChange) {
        let role = match change.role {
            Some(Role::Primary) => json!("primary"),
            Some(Role::Replica) => json!("replica"),
            None => Value::Null,
        };
        let key = Key::new(Kind::Pod, &self.key.namespace, &change.name);
        let patch = Patch::Merge(json!({"metadata": {"labels": {ROLE: role}}}));
        _ = self.world.server.patch(&key, &patch, false);
    }

    pub fn act(&mut self, action: &Action, database: &Database) {
        let current = database.status.current_primary.as_deref().unwrap_or_default();
        match action {
            Action::Create(name) => {
                objects::claim(self.object, name).into_iter().for_each(|claim| self.make(&claim));
                self.make(&objects::pod(self.object, name));
            }
            Action::Remove(name) => {
                self.delete_pod(name);
                let claim = Key::new(Kind::PersistentVolumeClaim, &self.key.namespace, name);
                _ = self.world.server.delete(&claim, &DeleteOptions::default());
            }
            Action::Restart(name) => {
                self.delete_pod(name);
                self.tell("UpgradingInstance", &format!("Restarting instance {name}, because: pod image is outdated"));
            }
            Action::Target(None) => {
                self.status(json!({"targetPrimary": PENDING, "phase": "Failing over"}));
                let message = format!("Current primary isn't healthy, initiating a failover from {current}");
                self.tell("FailingOver", &message);
            }
            Action::Target(Some(name)) if database.status.target_primary.is_none() => {
                self.status(json!({"targetPrimary": name}));
                self.tell("FailoverTarget", &format!("Failing over from {current} to {name}"));
            }
            Action::Target(Some(name)) => {
                self.status(json!({"targetPrimary": name, "phase": "Switchover in progress"}));
                self.tell("SwitchingOver", &format!("Switching over from {current} to {name}"));
            }
        }
    }

    /// Deletes the very pod that was seen.
    fn delete_pod(&mut self, name: &str) {
        let uid = self.world.cache.fetch::<Pod>(&self.key.namespace, name).and_then(|pod| pod.metadata.uid.clone());
        let key = Key::new(Kind::Pod, &self.key.namespace, name);
        _ = self.world.server.delete(&key, &DeleteOptions { uid, ..DeleteOptions::default() });
    }

    fn tell(&mut self, reason: &str, message: &str) {
        if let Ok(stored) = self.world.server.get(self.key).cloned() {
            self.world.server.record(&stored.object, "Normal", reason, message);
        }
    }

    /// Says how the database is.
    pub fn tell_status(&mut self, database: &Database, action: Option<&Action>) {
        let status = &database.status;
        let there = &self.object["status"];
        let before = there["phase"].as_str().unwrap_or_default();
        let ready = database.instances.iter().filter(|it| it.pod.as_ref().is_some_and(|pod| pod.ready)).count();
        let outdated = |image: &str| image != database.spec.image;
        let is_upgrade = database.instances.iter().filter_map(|it| it.pod.as_ref()).any(|pod| outdated(&pod.image));
        let phase = match (&status.current_primary, &status.target_primary) {
            (None, _) => "Setting up primary",
            (current, target) if current != target && before == "Switchover in progress" => before,
            (current, target) if current != target => "Failing over",
            _ if is_upgrade && action.is_none() || matches!(action, Some(Action::Restart(_))) => "Upgrading cluster",
            _ if ready < database.spec.instances as usize => "Waiting for the instances to become active",
            _ => "Cluster in healthy state",
        };
        let is_ready = phase == "Cluster in healthy state";
        let (value, reason) = if is_ready { ("True", "ClusterIsReady") } else { ("False", "ClusterIsNotReady") };
        let same = there["conditions"][0]["status"] == value;
        let since = if same { there["conditions"][0]["lastTransitionTime"].clone() } else { self.now() };
        let condition = json!({"type": "Ready", "status": value, "reason": reason, "lastTransitionTime": since});
        self.status(json!({
            "phase": phase, "instances": database.instances.len(), "readyInstances": ready, "conditions": [condition],
        }));
    }

    fn now(&self) -> Value {
        let seconds = self.world.time().as_second();
        json!(kit_api::jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string())
    }
}
