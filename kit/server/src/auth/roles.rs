//! The roles and bindings that every cluster begins with.
//!
//! A live cluster keeps them as objects, which people may read and change; a cluster without them in its store goes by
//! the same table. Source: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`.

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
            ["controller", account] => {
                let name = format!("system:controller:{account}");
                defaults.roles.push(role(&name, &[]));
                defaults.bindings.push(binding(&name, &name, &format!("account={account}")));
            }
            ["bind", name, role] => defaults.bindings.push(binding(name, role, "")),
            ["bind", name, role, subjects] => defaults.bindings.push(binding(name, role, subjects)),
            ["rule", verbs, groups, resources] => add(&mut defaults, rule(verbs, groups, resources)),
            ["rule", verbs, groups, resources, names] => {
                let mut rule = rule(verbs, groups, resources);
                rule["resourceNames"] = list(names).into();
                add(&mut defaults, rule);
            }
            ["events"] => add(&mut defaults, rule("create,patch,update", "core,events.k8s.io", "events")),
            ["urls", verbs, paths] => add(&mut defaults, json!({"verbs": list(verbs), "nonResourceURLs": list(paths)})),
            _ => {}
        }
    }
    defaults
}

fn list(words: &str) -> Vec<&str> {
    words.split(',').collect()
}

fn rule(verbs: &str, groups: &str, resources: &str) -> Value {
    let groups = list(groups).into_iter().map(|group| if group == "core" { "" } else { group });
    json!({"verbs": list(verbs), "apiGroups": groups.collect::<Vec<_>>(), "resources": list(resources)})
}

/// An object of the kind that has this name, or of that in a namespace, which stands before the name.
fn object(kinds: [&str; 2], name: &str) -> Value {
    let (kind, name, namespace) = match name.split_once('/') {
        Some((namespace, name)) => (kinds[1], name, Some(namespace)),
        None => (kinds[0], name, None),
    };
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
    });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

fn role(name: &str, rest: &[&str]) -> Value {
    let mut role = object(["ClusterRole", "Role"], name);
    role["rules"] = json!([]);
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

fn binding(name: &str, role: &str, subjects: &str) -> Value {
    let subject = |subject: &str| match subject.split_once('=') {
        Some(("account", name)) => json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}),
        Some((_, name)) => json!({"kind": "User", "apiGroup": GROUP, "name": name}),
        None => json!({"kind": "Group", "apiGroup": GROUP, "name": subject}),
    };
    let subjects = subjects.split(',').filter(|subject| !subject.is_empty()).map(subject);
    let mut binding = object(["ClusterRoleBinding", "RoleBinding"], name);
    if subjects.clone().next().is_some() {
        binding["subjects"] = subjects.collect();
    }
    let kind = if name.contains('/') { "Role" } else { "ClusterRole" };
    binding["roleRef"] = json!({"apiGroup": GROUP, "kind": kind, "name": role});
    binding
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

    #[test]
    fn each_binding_has_its_role() {
        let Defaults { roles, bindings } = defaults();
        for binding in bindings {
            let (of, at) = (&binding["roleRef"], &binding["metadata"]["namespace"]);
            let is_meant = |role: &&Value| {
                role["kind"] == of["kind"]
                    && role["metadata"]["name"] == of["name"]
                    && (of["kind"] == "ClusterRole" || role["metadata"]["namespace"] == *at)
            };
            assert_eq!(roles.iter().filter(is_meant).count(), 1, "{binding:#}");
        }
        let bound = |name: &str| bindings.iter().any(|binding| binding["roleRef"]["name"] == name);
        // Those of controllers are bound by themselves; nodes have an authorizer of their own.
        assert!(bound("system:controller:job-controller") && bound("system:node"));
    }
}
