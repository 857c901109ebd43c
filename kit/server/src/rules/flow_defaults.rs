//! The flow schemas and priority levels of every cluster, made of the table `flow_control.yaml`.

use serde_json::{Value, json};
use std::sync::OnceLock;

/// Those that must be as they are.
pub const MANDATORY: [&str; 2] = ["exempt", "catch-all"];

/// All of them, levels first.
pub fn all() -> &'static [Value] {
    static ALL: OnceLock<Vec<Value>> = OnceLock::new();
    ALL.get_or_init(|| {
        let table: Value = serde_yaml::from_str(include_str!("flow_control.yaml")).unwrap_or_default();
        let entries = |field: &str| table[field].as_object().cloned().unwrap_or_default();
        let levels = entries("levels")
            .into_iter()
            .map(|(name, of)| object("PriorityLevelConfiguration", &name, level(&name, &of)));
        let schemas = entries("schemas").into_iter().map(|(name, of)| object("FlowSchema", &name, schema(&of)));
        levels.chain(schemas).collect()
    })
}

/// One of them.
pub fn named(kind: &str, name: &str) -> Option<&'static Value> {
    all().iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind, "spec": spec,
        "metadata": {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}},
    })
}

fn level(name: &str, of: &Value) -> Value {
    let mut limits = json!({"nominalConcurrencyShares": of[0], "lendablePercent": of[1]});
    if name == "exempt" {
        return json!({"type": "Exempt", "exempt": limits});
    }
    limits["limitResponse"] = match of[2].is_null() {
        true => json!({"type": "Reject"}),
        false => json!({"type": "Queue", "queuing": {"queues": of[2], "handSize": of[3], "queueLengthLimit": 50}}),
    };
    json!({"type": "Limited", "limited": limits})
}

fn schema(of: &Value) -> Value {
    let list = |field: &str| of[field].as_array().into_iter().flatten();
    let users = list("users").map(|name| json!({"kind": "User", "user": {"name": name}}));
    let groups = list("groups").map(|name| json!({"kind": "Group", "group": {"name": name}}));
    let accounts = list("accounts")
        .map(|name| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}}));
    let subjects: Vec<Value> = users.chain(groups).chain(accounts).collect();
    let rule = |verbs: &Value, groups: Value, resources: &Value, cluster: bool| {
        let mut rule = json!({"verbs": verbs, "apiGroups": groups, "resources": resources});
        if cluster {
            rule["clusterScope"] = true.into();
        }
        rule["namespaces"] = json!(["*"]);
        rule
    };
    let own = |of: &Value| rule(&of["verbs"], json!([of["group"]]), &of["resources"], of["cluster"] == true);
    let all = json!(["*"]);
    let rules = match (of["rules"].is_null(), of["urls"].is_null()) {
        (true, true) => json!({
            "subjects": subjects, "resourceRules": [rule(&all, all.clone(), &all, true)],
            "nonResourceRules": [{"verbs": all, "nonResourceURLs": all}],
        }),
        (true, false) => {
            json!({"subjects": subjects, "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": of["urls"]}]})
        }
        (false, _) => json!({"subjects": subjects, "resourceRules": list("rules").map(own).collect::<Vec<_>>()}),
    };
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": of["level"]}, "matchingPrecedence": of["precedence"], "rules": [rules],
    });
    if !of["by"].is_null() {
        spec["distinguisherMethod"] = json!({"type": of["by"]});
    }
    spec
}
