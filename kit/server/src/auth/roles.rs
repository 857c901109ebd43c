//! The roles and bindings that every cluster begins with.
//!
//! A live cluster keeps them as objects, which people may read and change; a cluster without them in its store goes by
//! the same table. Source: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`.

use crate::Server;
use crate::canonical;
use crate::write::WriteOptions;
use serde_json::{Value, json};
use std::sync::OnceLock;

const GROUP: &str = "rbac.authorization.k8s.io";
const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// Roles, and bindings of roles, as objects.
#[derive(Default)]
pub(super) struct Defaults {
    pub roles: Vec<Value>,
    pub bindings: Vec<Value>,
}

/// Those of the table.
pub(super) fn defaults() -> &'static Defaults {
    static DEFAULTS: OnceLock<Defaults> = OnceLock::new();
    DEFAULTS.get_or_init(|| {
        let mut defaults = read(include_str!("roles.txt"));
        gather(&mut defaults.roles);
        defaults
    })
}

fn read(table: &str) -> Defaults {
    let mut defaults = Defaults::default();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words {
            ["role", name, ref rest @ ..] => defaults.roles.push(role(name, rest)),
            ["bind", name, role, groups] => {
                let subjects = groups.split(',').map(|name| json!({"kind": "Group", "apiGroup": GROUP, "name": name}));
                defaults.bindings.push(json!({
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta(name),
                    "subjects": subjects.collect::<Vec<_>>(),
                    "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
                }));
            }
            ["rule", verbs, group, resources] => {
                let group = if group == "core" { "" } else { group };
                add(&mut defaults, json!({"verbs": list(verbs), "apiGroups": [group], "resources": list(resources)}));
            }
            ["urls", verbs, paths] => add(&mut defaults, json!({"verbs": list(verbs), "nonResourceURLs": list(paths)})),
            _ => {}
        }
    }
    defaults
}

fn list(words: &str) -> Vec<&str> {
    words.split(',').collect()
}

fn meta(name: &str) -> Value {
    json!({
        "name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    })
}

fn role(name: &str, rest: &[&str]) -> Value {
    let mut role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta(name), "rules": [],
    });
    let mut rest = rest.iter();
    while let Some(label) = rest.next() {
        match *label {
            "from" => {
                let from = rest.next().copied().unwrap_or_default();
                role["aggregationRule"] =
                    json!({"clusterRoleSelectors": [{"matchLabels": {format!("{AGGREGATE}{from}"): "true"}}]});
            }
            label => role["metadata"]["labels"][format!("{AGGREGATE}{label}")] = "true".into(),
        }
    }
    role
}

fn add(defaults: &mut Defaults, rule: Value) {
    let rules = defaults.roles.last_mut().and_then(|role| role["rules"].as_array_mut());
    rules.into_iter().for_each(|rules| rules.push(rule.clone()));
}

/// Fills roles that gather others, as the controller of aggregation does once the roles are there
/// (`pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go`).
fn gather(roles: &mut [Value]) {
    // Each pass can fill a role that gathers one which the pass before has filled: `admin` has `edit`, and that has `view`.
    for _ in 0..roles.len() {
        let before = roles.to_vec();
        for role in roles.iter_mut() {
            let wanted = &role["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"];
            let Some(wanted) = wanted.as_object().cloned() else { continue };
            let name = role["metadata"]["name"].clone();
            let has = |other: &&Value| {
                other["metadata"]["name"] != name
                    && wanted.iter().all(|(label, value)| other["metadata"]["labels"][label] == *value)
            };
            let mut rules: Vec<Value> = Vec::new();
            for rule in before.iter().filter(has).filter_map(|other| other["rules"].as_array()).flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
            role["rules"] = rules.into();
        }
        if before == roles {
            return;
        }
    }
}

impl Server {
    /// Keeps the default roles as objects from now on. Scenarios do without them.
    pub fn keep_roles(&mut self) {
        self.state.keeps_roles = true;
        let Defaults { roles, bindings } = defaults();
        for value in roles.iter().chain(bindings) {
            let Some(kind) = value["kind"].as_str().and_then(|kind| self.kind_of("rbac.authorization.k8s.io/v1", kind))
            else {
                continue;
            };
            _ = self.create_value(kind, canonical(kind, value.clone()), &WriteOptions::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_gathers_others_has_their_rules_too() {
        let count = |name: &str| {
            let role =
                defaults().roles.iter().find(|role| role["metadata"]["name"] == name).expect("it is in the table");
            role["rules"].as_array().map_or(0, Vec::len)
        };
        let (view, edit, admin) =
            (count("system:aggregate-to-view"), count("system:aggregate-to-edit"), count("system:aggregate-to-admin"));
        assert_eq!((count("view"), count("edit"), count("admin")), (view, view + edit, view + edit + admin));
        assert!(view > 5 && edit > 5 && admin > 1);
    }
}
