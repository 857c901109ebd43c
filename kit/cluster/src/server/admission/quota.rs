//! ResourceQuotas: a namespace uses no more than it may.
//!
//! The hard limits that count are those in a quota's status, where the quota controller puts them; until then nothing
//! is refused. What an object counts for is said here, what follows from it by the module. Sources:
//! `apiserver/pkg/admission/plugin/resourcequota/controller.go`, `pkg/quota/v1/evaluator/core`.

use super::super::{Error, Server};
use super::{Verb, view};
use crate::object::{AsKind, Key, Kind};
use kit_api::Quantity;
use kit_api::core::{Pod, ResourceQuota, ResourceQuotaStatus};
use kit_api::pod_resources::{self, RequestOptions, Text};
use kit_contract::control_plane::admission::{Amounts, Quota, ScopeTerm, ValidateRequest};
use serde_json::Value;

impl Server {
    /// Asks the module whether there is room for what is asked for, and counts it.
    pub(super) fn check_limits_and_quotas(
        &mut self,
        verb: Verb,
        key: &Key,
        value: &Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(), Error> {
        // Of most kinds only new objects are counted (`Handles` of the evaluators).
        let counted = verb == Verb::Create || matches!(key.kind, Kind::Service | Kind::PersistentVolumeClaim);
        if !counted || key.namespace.is_empty() {
            return Ok(());
        }
        let stored = self.state.list_in(Kind::ResourceQuota, &key.namespace);
        let quotas: Vec<ResourceQuota> = stored.filter_map(|stored| stored.get::<ResourceQuota>().cloned()).collect();
        let limits = if key.kind == Kind::Pod { self.limits_of(&key.namespace) } else { Vec::new() };
        if quotas.is_empty() && limits.is_empty() {
            return Ok(());
        }
        let request = ValidateRequest {
            pod: (key.kind == Kind::Pod).then(|| view::pod(value)),
            usage: usage(key.kind, value),
            old_usage: old.map(|old| usage(key.kind, old)).unwrap_or_default(),
            limits,
            quotas: quotas.iter().map(quota).collect(),
        };
        let charges = self.admission.validate(&request).map_err(|why| Error::forbidden(key, &why))?;
        for charge in charges.into_iter().filter(|_| !dry_run) {
            // A module may name quotas that don't exist.
            let named = |quota: &&ResourceQuota| quota.metadata.name.as_deref() == Some(&charge.quota);
            let Some(mut quota) = quotas.iter().find(named).cloned() else { continue };
            let status = quota.status.get_or_insert_default();
            let mut used = view::list(&status.used);
            for (name, more) in &charge.add {
                used.entry(name.clone()).or_default().add(more);
            }
            status.used = Some(used.into_iter().map(|(name, amount)| (name, Text(amount.to_string()))).collect());
            let object = quota.into_object();
            let key = object.key();
            self.write(&key, object)?;
        }
        Ok(())
    }
}

/// What is counted for quotas, beside the requests.
pub(crate) const COUNTED: [Kind; 8] = [
    Kind::Pod,
    Kind::Service,
    Kind::PersistentVolumeClaim,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::ResourceQuota,
];

impl Server {
    /// The status that a quota has when everything in its namespace is counted (`CalculateUsage`).
    pub(crate) fn count_quota(&self, quota: &ResourceQuota) -> Option<ResourceQuotaStatus> {
        let hard = view::list(&quota.spec.as_ref()?.hard);
        let mut used: Amounts = hard.keys().map(|name| (name.clone(), Quantity::default())).collect();
        let namespace = quota.metadata.namespace.as_deref().unwrap_or_default();
        let seen = self::quota(quota);
        for stored in COUNTED.into_iter().flat_map(|kind| self.state.list_in(kind, namespace)) {
            let (kind, value) = (stored.object.kind(), stored.to_value());
            if !in_scope(&seen, (kind == Kind::Pod).then(|| view::pod(&value)).as_ref()) {
                continue;
            }
            for (name, amount) in usage(kind, &value) {
                used.entry(name).and_modify(|there| there.add(&amount));
            }
        }
        let text = |of: Amounts| Some(of.into_iter().map(|(name, amount)| (name, Text(amount.to_string()))).collect());
        Some(ResourceQuotaStatus { hard: text(hard), used: text(used) })
    }
}

/// Whether a quota counts an object. The controller must not depend on the module that admits, so it has a view of its own.
fn in_scope(quota: &Quota, pod: Option<&view::Pod>) -> bool {
    let Some(pod) = pod else { return quota.scopes.is_empty() && quota.scope_selector.is_empty() };
    let class = pod.priority_class_name.as_deref().unwrap_or_default();
    let plain = |scope: &str| match scope {
        "Terminating" => pod.active_deadline_seconds.is_some(),
        "NotTerminating" => pod.active_deadline_seconds.is_none(),
        "BestEffort" => pod.best_effort,
        "NotBestEffort" => !pod.best_effort,
        "CrossNamespacePodAffinity" => pod.cross_namespace_affinity,
        _ => !class.is_empty(),
    };
    let selected = |term: &ScopeTerm| match (term.scope_name.as_str(), term.operator.as_str()) {
        ("PriorityClass", "In") => term.values.iter().any(|value| value == class),
        ("PriorityClass", "NotIn") => !term.values.iter().any(|value| value == class),
        ("PriorityClass", "DoesNotExist") => class.is_empty(),
        (scope, _) => plain(scope),
    };
    quota.scopes.iter().all(|scope| plain(scope)) && quota.scope_selector.iter().all(selected)
}

/// A quota as the module sees it.
fn quota(quota: &ResourceQuota) -> Quota {
    let status = quota.status.clone().unwrap_or_default();
    let spec = quota.spec.clone().unwrap_or_default();
    let terms = spec.scope_selector.and_then(|selector| selector.match_expressions).unwrap_or_default();
    let term = |term: kit_api::core::ScopedResourceSelectorRequirement| ScopeTerm {
        scope_name: term.scope_name,
        operator: term.operator,
        values: term.values.unwrap_or_default(),
    };
    Quota {
        name: quota.metadata.name.clone().unwrap_or_default(),
        hard: view::list(&status.hard),
        used: view::list(&status.used),
        scopes: spec.scopes.unwrap_or_default(),
        scope_selector: terms.into_iter().map(term).collect(),
    }
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
