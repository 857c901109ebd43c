//! ResourceQuotas: a namespace uses no more than it may.
//!
//! The hard limits that count are those in a quota's status, where the quota controller puts them; until then nothing
//! is refused. What an object counts for is said here, what follows from it by the module. Sources:
//! `apiserver/pkg/admission/plugin/resourcequota/controller.go`, `pkg/quota/v1/evaluator/core`.

use super::super::{Error, Server, Stored};
use super::view;
use kit_api::Quantity;
use kit_api::core::{Pod, ResourceQuota, ResourceQuotaStatus};
use kit_api::pod_resources::{self, RequestOptions, Text};
use kit_apimachinery::object::{AsKind, Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_contract::control_plane::admission::{Amounts, Quota, ScopeTerm, ValidateRequest};
use serde_json::Value;
use std::collections::BTreeSet;

impl Server {
    /// Asks the module whether there is room for what is asked for, and counts it.
    pub(super) fn check_limits_and_quotas(
        &mut self,
        key: &Key,
        value: &Value,
        old: Option<&Value>,
        dying: bool,
        dry_run: bool,
    ) -> Result<(), Error> {
        let stored = self.state.list_in(Kind::ResourceQuota, &key.namespace);
        let quotas: Vec<ResourceQuota> = stored.filter_map(|stored| stored.get::<ResourceQuota>().cloned()).collect();
        let limited = key.kind == Kind::Pod && !dying;
        let limits = if limited { self.limits_of(&key.namespace) } else { Vec::new() };
        if quotas.is_empty() && limits.is_empty() {
            return Ok(());
        }
        let mut used = usage(key.kind, value);
        let quotas_seen: Vec<Quota> = quotas.iter().map(quota).collect();
        let hard = quotas_seen.iter().flat_map(|quota| quota.hard.keys());
        for name in hard.filter(|name| counts(key.kind, name) && !must_be_said(name)) {
            used.entry(name.clone()).or_default();
        }
        let request = ValidateRequest {
            pod: (key.kind == Kind::Pod).then(|| view::pod(value)),
            usage: used,
            old_usage: old.map(|old| usage(key.kind, old)).unwrap_or_default(),
            limits,
            quotas: quotas_seen,
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
pub const COUNTED: [Kind; 8] = [
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
    pub fn count_quota(&self, quota: &ResourceQuota) -> Option<ResourceQuotaStatus> {
        let hard = view::list(&quota.spec.as_ref()?.hard);
        // What nobody counts keeps the usage that it has.
        let custom = |kind: &Kind| hard.contains_key(&format!("count/{}", kind.resource().qualified()));
        let kinds: BTreeSet<Kind> = COUNTED
            .into_iter()
            .chain(hard.keys().filter_map(|name| kind_of(name)))
            .chain(self.custom_kinds().filter(|kind| kind.namespaced() && custom(kind)))
            .collect();
        let counted = |name: &&String| kinds.iter().any(|kind| counts(*kind, name));
        let mut used: Amounts = hard.keys().filter(counted).map(|name| (name.clone(), Quantity::default())).collect();
        let before = quota.status.as_ref().map(|status| view::list(&status.used)).unwrap_or_default();
        for (name, amount) in before.into_iter().filter(|(name, _)| hard.contains_key(name)) {
            used.entry(name).or_insert(amount);
        }
        let namespace = quota.metadata.namespace.as_deref().unwrap_or_default();
        let seen = self::quota(quota);
        for stored in kinds.into_iter().flat_map(|kind| self.state.list_in(kind, namespace)) {
            let (kind, value) = (stored.object.kind(), stored.to_value());
            if !in_scope(&seen, (kind == Kind::Pod).then(|| view::pod(&value)).as_ref()) {
                continue;
            }
            let gone = kind == Kind::Pod && self.should_be_gone(stored);
            for (name, amount) in usage(kind, &value).into_iter().filter(|(name, _)| !gone || name == "count/pods") {
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

fn one() -> Quantity {
    Quantity::new(1, kit_api::quantity::Format::DecimalSI)
}

/// What must be said where it is counted: the module knows that these count for pods.
fn must_be_said(name: &str) -> bool {
    let name = name.strip_prefix("requests.").or(name.strip_prefix("limits.")).unwrap_or(name);
    ["cpu", "memory"].contains(&name)
}

/// The kind behind `count/deployments.apps`, if it is built in.
fn kind_of(name: &str) -> Option<Kind> {
    let name = name.strip_prefix("count/")?;
    Resource::all().iter().find(|resource| resource.qualified() == name).map(|resource| resource.as_kind())
}

/// Whether a resource has a domain that isn't Kubernetes' own (`IsNativeResource`).
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

/// Whether a resource of a quota is about a kind, as `MatchingResources` of the evaluators say it.
fn counts(kind: Kind, name: &str) -> bool {
    let by_class = |name: &str| CLAIMS.iter().any(|of| name.ends_with(&format!("{BY_CLASS}{of}")));
    name == format!("count/{}", kind.resource().qualified())
        || match kind {
            Kind::Pod => {
                let plain = name.strip_prefix("requests.").or(name.strip_prefix("limits.")).unwrap_or(name);
                let huge = name.strip_prefix("requests.").unwrap_or(name).starts_with("hugepages-");
                let extended = name.strip_prefix("requests.").is_some_and(is_extended);
                name == "pods" || COMPUTE.contains(&plain) || huge || extended
            }
            Kind::Service => ["services", "services.nodeports", "services.loadbalancers"].contains(&name),
            Kind::PersistentVolumeClaim => CLAIMS.contains(&name) || by_class(name),
            Kind::ConfigMap | Kind::Secret | Kind::ResourceQuota => name == kind.plural(),
            Kind::Other(resource) => resource.kind == "ReplicationController" && name == resource.plural,
            _ => false,
        }
}

const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
const CLAIMS: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
const BY_CLASS: &str = ".storageclass.storage.k8s.io/";
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// What an object counts for.
fn usage(kind: Kind, value: &Value) -> Amounts {
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
                let compute = COMPUTE.contains(&name.as_str()) || name.starts_with("hugepages-");
                if compute {
                    usage.insert(name.clone(), amount.clone());
                }
                if compute || is_extended(&name) {
                    usage.insert(format!("requests.{name}"), amount);
                }
            }
            let limits = pod_resources::limits(&pod).into_iter();
            for (name, amount) in limits.filter(|(name, _)| COMPUTE.contains(&name.as_str())) {
                usage.insert(format!("limits.{name}"), amount);
            }
        }
        Kind::Service => {
            usage.insert("services".into(), one());
            let all = || value["spec"]["ports"].as_array().into_iter().flatten();
            let ports = all().count() as i64;
            let chosen = all().filter(|port| port["nodePort"].as_i64().unwrap_or_default() != 0).count() as i64;
            let count = |number| Quantity::new(number, kit_api::quantity::Format::DecimalSI);
            let type_ = value["spec"]["type"].as_str().unwrap_or_default();
            let node_ports = match type_ {
                "NodePort" => ports,
                "LoadBalancer" if value["spec"]["allocateLoadBalancerNodePorts"] == false => chosen,
                "LoadBalancer" => ports,
                _ => 0,
            };
            usage.insert("services.nodeports".into(), count(node_ports));
            usage.insert("services.loadbalancers".into(), count(i64::from(type_ == "LoadBalancer")));
        }
        Kind::PersistentVolumeClaim => {
            usage.insert("persistentvolumeclaims".into(), one());
            // The older way to say the class still goes first (`GetPersistentVolumeClaimClass`).
            let class = value["metadata"]["annotations"][CLASS_ANNOTATION].as_str();
            let class = class.or(value["spec"]["storageClassName"].as_str()).filter(|class| !class.is_empty());
            if let Some(class) = class {
                usage.insert(format!("{class}{BY_CLASS}persistentvolumeclaims"), one());
            }
            let amount = |of: &Value| of["storage"].as_str().and_then(|text| text.parse::<Quantity>().ok());
            let asked = amount(&value["spec"]["resources"]["requests"]);
            let asked = asked.map(|asked| match amount(&value["status"]["allocatedResources"]) {
                Some(allocated) if allocated > asked => allocated,
                _ => asked,
            });
            if let Some(storage) = asked.map(whole_bytes) {
                if let Some(class) = class {
                    usage.insert(format!("{class}{BY_CLASS}requests.storage"), storage.clone());
                }
                usage.insert("requests.storage".into(), storage);
            }
        }
        Kind::ConfigMap | Kind::Secret | Kind::ResourceQuota => _ = usage.insert(kind.plural().into(), one()),
        Kind::Other(resource) if resource.kind == "ReplicationController" => {
            usage.insert("replicationcontrollers".into(), one());
        }
        _ => {}
    }
    usage
}

/// Rounded up, since a quota can't hold parts of a byte.
fn whole_bytes(amount: Quantity) -> Quantity {
    if amount.milli_value() % 1000 == 0 { amount } else { Quantity::new(amount.value(), amount.format()) }
}

impl Server {
    /// Whether a pod that is being deleted is out of time, so that it is not held against the user (`QuotaV1Pod`).
    fn should_be_gone(&self, stored: &Stored) -> bool {
        let meta = stored.object.meta();
        let times = meta.deletion_timestamp.as_ref().zip(meta.deletion_grace_period_seconds);
        times.is_some_and(|(at, grace)| self.time().as_second() > at.0.as_second() + grace)
    }
}
