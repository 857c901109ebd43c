//! The controller of aggregated roles: a ClusterRole with an `aggregationRule` has the rules of all that its selectors
//! choose.
//!
//! Source: `pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`.

use kit_api::meta::LabelSelector;
use kit_api::selector::Selector;
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, Error, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::sync::LazyLock;

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    Resource::all().iter().filter(|resource| resource.kind == "ClusterRole").map(Resource::as_kind).collect()
});

/// Keeps the rules of aggregated roles.
#[derive(Default)]
pub struct ClusterRoleAggregation {
    /// Names of roles.
    queue: WorkQueue<String>,
}

fn sync(name: &str, world: &mut World<'_>) -> Result<(), Error> {
    let Some(&kind) = KINDS.first() else { return Ok(()) };
    let key = Key::new(kind, "", name);
    let Some(role) = world.cache.get(&key).map(|role| role.to_value()) else { return Ok(()) };
    let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else { return Ok(()) };
    let selectors = selectors.iter().filter_map(|selector| {
        let selector: LabelSelector = serde_json::from_value(selector.clone()).ok()?;
        Selector::try_from(Some(&selector)).ok()
    });
    let mut rules: Vec<Value> = Vec::new();
    for selector in selectors {
        // A cache lists by name.
        for other in world.cache.stored(kind).filter(|other| *other.key.name != *name) {
            let empty = Default::default();
            if !selector.matches(other.object.meta().labels.as_ref().unwrap_or(&empty)) {
                continue;
            }
            for rule in other.to_value()["rules"].as_array().into_iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    if role["rules"].as_array().is_some_and(|there| *there == rules) || (role["rules"].is_null() && rules.is_empty()) {
        return Ok(());
    }
    Error::ignore_not_found(world.server.patch(&key, &Patch::Merge(json!({"rules": rules})), false))
}

impl Component for ClusterRoleAggregation {
    fn name(&self) -> &'static str {
        "clusterrole-aggregation-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &KINDS
    }

    /// Any role may be what another gathers: all of those are looked at.
    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        for role in world.cache.stored(change.object.key.kind) {
            if role.to_value()["aggregationRule"].is_object() {
                self.queue.add(role.key.name.to_string(), world.now);
            }
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let done = sync(&name, world);
            self.queue.done(name, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use kit_server::DeleteOptions;

    fn verbs(bench: &Bench, name: &str) -> String {
        let role = bench.server.get(&Key::new(KINDS[0], "", name)).expect("it is there").to_value();
        let rules = role["rules"].as_array().cloned().unwrap_or_default();
        rules.iter().map(|rule| rule["verbs"][0].as_str().unwrap_or_default()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_role_has_the_rules_of_those_that_it_gathers() {
        let mut bench = Bench::new(ClusterRoleAggregation::default());
        let mut make = |name: &str, labels: Value, more: Value| {
            let mut role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": name, "labels": labels}});
            for (field, value) in more.as_object().expect("fields") {
                role[field] = value.clone();
            }
            let object = kit_apimachinery::object::Object::from_value(KINDS[0], role).expect("a role");
            bench.server.create(object).expect("it can be made");
        };
        let rule = |verb: &str| json!({"rules": [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]});
        let from = |label: &str| json!({"rules": [], "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}});
        make("small", json!({"to-big": "true"}), from("to-small"));
        make("big", json!({}), from("to-big"));
        make("a", json!({"to-small": "true"}), rule("get"));
        make("b", json!({"to-big": "true"}), rule("delete"));
        make("c", json!({"to-small": "true", "to-big": "true"}), rule("get"));
        make("other", json!({}), rule("list"));
        bench.settle();
        assert_eq!((verbs(&bench, "small").as_str(), verbs(&bench, "big").as_str()), ("get", "delete get"));
        bench.server.delete(&Key::new(KINDS[0], "", "b"), &DeleteOptions::default()).expect("it is there");
        bench.settle();
        assert_eq!(verbs(&bench, "big"), "get");
    }
}
