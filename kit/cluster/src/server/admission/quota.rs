//! ResourceQuotas: a namespace uses no more than it may.
//!
//! The hard limits that count are those in a quota's status, where the quota controller puts them; until then nothing
//! is refused. Sources: `apiserver/pkg/admission/plugin/resourcequota/controller.go`, `pkg/quota/v1/evaluator/core`.

use super::super::{Error, Server};
use super::Verb;
use crate::object::{AsKind, Key, Kind};
use kit_api::Quantity;
use kit_api::core::{Pod, ResourceQuota};
use kit_api::pod_resources::{self, RequestOptions, Text};
use serde_json::Value;
use std::collections::BTreeMap;

type Amounts = BTreeMap<String, Quantity>;

impl Server {
    /// Counts what is asked for, or refuses it.
    pub(super) fn check_quota(
        &mut self,
        verb: Verb,
        key: &Key,
        value: &Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(), Error> {
        let quotas: Vec<ResourceQuota> = self
            .state
            .list_in(Kind::ResourceQuota, &key.namespace)
            .filter_map(|stored| stored.get::<ResourceQuota>().cloned())
            .collect();
        if quotas.is_empty() || key.namespace.is_empty() {
            return Ok(());
        }
        let asked = usage(key.kind, value);
        let before = old.map(|old| usage(key.kind, old)).unwrap_or_default();
        if verb == Verb::Update && key.kind != Kind::Service && key.kind != Kind::PersistentVolumeClaim {
            return Ok(());
        }
        let mut charged = Vec::new();
        for quota in quotas {
            let status = quota.status.clone().unwrap_or_default();
            let hard = amounts(&status.hard);
            let named = |name: &&String| asked.contains_key(*name) || must_say(key.kind, name);
            let counted: Vec<&String> = hard.keys().filter(named).collect();
            if counted.is_empty() || !in_scope(&quota, key.kind, value) {
                continue;
            }
            let name = quota.metadata.name.clone().unwrap_or_default();
            if let Some(missing) = unsaid(key.kind, value, &counted) {
                return Err(Error::forbidden(key, &format!("failed quota: {name}: must specify {missing}")));
            }
            let used = amounts(&status.used);
            let mut next = used.clone();
            let mut over = Vec::new();
            for resource in counted {
                let mut delta = asked.get(resource).cloned().unwrap_or_default();
                delta.sub(before.get(resource).unwrap_or(&Quantity::default()));
                if delta.sign() == 0 {
                    continue;
                }
                let now = next.entry(resource.clone()).or_default();
                now.add(&delta);
                if delta.sign() > 0 && *now > hard[resource] {
                    over.push((resource.clone(), delta));
                }
            }
            if !over.is_empty() {
                let say = |of: &dyn Fn(&String, &Quantity) -> Quantity| -> String {
                    let all: Vec<String> =
                        over.iter().map(|(name, delta)| format!("{name}={}", of(name, delta))).collect();
                    all.join(",")
                };
                let requested = say(&|_, delta| delta.clone());
                let there = say(&|name, _| used.get(name).cloned().unwrap_or_default());
                let most = say(&|name, _| hard[name].clone());
                let why = format!("exceeded quota: {name}, requested: {requested}, used: {there}, limited: {most}");
                return Err(Error::forbidden(key, &why));
            }
            if next != used {
                charged.push((quota, next));
            }
        }
        for (mut quota, used) in charged.into_iter().filter(|_| !dry_run) {
            let used = used.into_iter().map(|(name, amount)| (name, Text(amount.to_string()))).collect();
            quota.status.get_or_insert_default().used = Some(used);
            let mut object = quota.into_object();
            let key = object.key();
            self.write(&key, &mut object)?;
        }
        Ok(())
    }
}

fn amounts(of: &Option<BTreeMap<String, Text>>) -> Amounts {
    of.iter().flatten().filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?))).collect()
}

/// What an object counts for.
fn usage(kind: Kind, value: &Value) -> Amounts {
    let one = || Quantity::new(1, kit_api::quantity::Format::DecimalSI);
    let mut usage = Amounts::new();
    usage.insert(format!("count/{}", kind.resource().qualified()), one());
    match kind {
        Kind::Pod => {
            let pod: Pod = serde_json::from_value(value.clone()).unwrap_or_default();
            if kit_api::pod::is_finished(&pod) {
                return Amounts::from([("count/pods".to_string(), one())]);
            }
            usage.insert("pods".into(), one());
            for (name, amount) in pod_resources::requests(&pod, &RequestOptions::default()) {
                if ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) {
                    usage.insert(name.clone(), amount.clone());
                }
                usage.insert(format!("requests.{name}"), amount);
            }
            for (name, amount) in pod_resources::limits(&pod) {
                usage.insert(format!("limits.{name}"), amount);
            }
        }
        Kind::Service => {
            usage.insert("services".into(), one());
            let ports = value["spec"]["ports"].as_array().map_or(0, Vec::len) as i64;
            let count = |number| Quantity::new(number, kit_api::quantity::Format::DecimalSI);
            let type_ = value["spec"]["type"].as_str().unwrap_or_default();
            let node_ports = match type_ {
                "NodePort" => ports,
                "LoadBalancer" if value["spec"]["allocateLoadBalancerNodePorts"] != false => ports,
                _ => 0,
            };
            usage.insert("services.nodeports".into(), count(node_ports));
            usage.insert("services.loadbalancers".into(), count(i64::from(type_ == "LoadBalancer")));
        }
        Kind::PersistentVolumeClaim => {
            usage.insert("persistentvolumeclaims".into(), one());
            let storage = value["spec"]["resources"]["requests"]["storage"].as_str().and_then(|text| text.parse().ok());
            let storage: Quantity = storage.unwrap_or_default();
            if let Some(class) = value["spec"]["storageClassName"].as_str() {
                usage.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
                usage.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage.clone());
            }
            usage.insert("requests.storage".into(), storage);
        }
        Kind::ConfigMap | Kind::Secret | Kind::ResourceQuota => _ = usage.insert(kind.plural().into(), one()),
        Kind::Other(resource) if resource.kind == "ReplicationController" => {
            usage.insert("replicationcontrollers".into(), one());
        }
        _ => {}
    }
    usage
}

/// Whether pods must say how much of this they want, once a quota counts it.
fn must_say(kind: Kind, name: &str) -> bool {
    kind == Kind::Pod
        && ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"].contains(&name)
}

/// Which containers don't say what they must (`Constraints` of the pod evaluator).
fn unsaid(kind: Kind, value: &Value, counted: &[&String]) -> Option<String> {
    let needed = counted.iter().filter(|name| must_say(kind, name));
    let mut missing: Vec<String> = Vec::new();
    for name in needed {
        let (list, resource) = match name.split_once('.') {
            Some((list, resource)) => (list, resource),
            None => ("requests", name.as_str()),
        };
        let containers = ["containers", "initContainers"].map(|field| value["spec"][field].as_array());
        let without: Vec<&str> = (containers.into_iter().flatten().flatten())
            .filter(|container| container["resources"][list].get(resource).is_none())
            .filter_map(|container| container["name"].as_str())
            .collect();
        if !without.is_empty() {
            missing.push(format!("{name} for: {}", without.join(",")));
        }
    }
    (!missing.is_empty()).then(|| missing.join("; "))
}

/// Whether a quota is about objects like this one.
fn in_scope(quota: &ResourceQuota, kind: Kind, value: &Value) -> bool {
    let spec = quota.spec.clone().unwrap_or_default();
    let scopes = spec.scopes.unwrap_or_default();
    let selected = spec.scope_selector.and_then(|selector| selector.match_expressions).unwrap_or_default();
    if scopes.is_empty() && selected.is_empty() {
        return true;
    }
    let (best_effort, terminating) =
        (value["status"]["qosClass"] == "BestEffort", value["spec"]["activeDeadlineSeconds"].as_i64().is_some());
    let class = value["spec"]["priorityClassName"].as_str().unwrap_or_default();
    let plain = scopes.iter().all(|scope| match scope.as_str() {
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "PriorityClass" => !class.is_empty(),
        _ => false,
    });
    let by_class = selected.iter().filter(|term| term.scope_name == "PriorityClass").all(|term| {
        let values = term.values.clone().unwrap_or_default();
        match term.operator.as_str() {
            "In" => values.iter().any(|value| value == class),
            "NotIn" => !values.iter().any(|value| value == class),
            "Exists" => !class.is_empty(),
            _ => class.is_empty(),
        }
    });
    kind == Kind::Pod && plain && by_class
}
