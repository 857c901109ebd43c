//! Admission: what the API server fills in and what it refuses, by what else there is in the cluster.
//!
//! Sources: `plugin/pkg/admission/limitranger/admission.go`, `plugin/pkg/admission/priority/admission.go`,
//! `plugin/pkg/admission/defaulttolerationseconds/admission.go` and
//! `staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go` with
//! `pkg/quota/v1/evaluator/core/pods.go`.
//!
//! The API server around the module does the rest: defaults come before (where a container has a limit and no request,
//! it has a request by now), then NamespaceLifecycle and ServiceAccount; validation of the object stands between the two
//! calls. It says what an object counts for, writes what the answers say, and puts `pods "web" is forbidden: ` before
//! the reason of a refusal.

use crate::show::unordered;
use crate::{Show, flow};
pub use kit_api::Quantity;
pub use kit_api::core::Toleration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Amounts of resources by their names: `cpu`, `memory`, `requests.cpu`, `pods`.
pub type Amounts = BTreeMap<String, Quantity>;

contract! {
    /// Four plugins of the admission chain: LimitRanger, Priority, DefaultTolerationSeconds and ResourceQuota.
    pub trait Admission {
        /// The pod as it goes on from here, or why it is refused: the plugins that change, in upstream's order.
        ///
        /// **LimitRanger**, for a new pod. Each container and init container gets what the limits of type `Container` have for it and it
        /// doesn't say itself: requests from `default_request`, limits from `default`, resource by resource. Of several
        /// limits that name a resource the last one counts.
        ///
        /// **Priority**, for a new pod. The class is the one that `priority_class_name` names; without a name (or with an empty one) the one with
        /// `global_default`, and of several the one with the lowest value. Its name, value and policy
        /// go into the pod. A pod without a class has priority 0 and the policy `PreemptLowerPriority`, which is
        /// also that of a class without one. The pod is refused
        ///
        /// - if no class has the name: `no PriorityClass with name NAME was found`;
        /// - if it says another priority itself: `the integer value of priority (ASKED) must not be provided in pod
        ///   spec; priority admission controller computed PRIORITY from the given PriorityClass name`;
        /// - if it says another policy itself: `the string value of PreemptionPolicy (ASKED) must not be provided in
        ///   pod spec; priority admission controller computed POLICY from the given PriorityClass name`.
        ///
        /// **DefaultTolerationSeconds**, for each pod, new or not. Unless a toleration covers it, the pod gets one at the end:
        /// key `node.kubernetes.io/not-ready`, operator `Exists`, effect `NoExecute`, 300 seconds; then the same for
        /// `node.kubernetes.io/unreachable`. A toleration covers if its key is empty or the same, and its effect is empty or `NoExecute`;
        /// nothing else of it is looked at.
        fn admit(&self, request: &AdmitRequest) -> Result<Pod, String>;

        /// What is charged to which quotas, or why the object is refused: the plugins that only check.
        ///
        /// **LimitRanger**, if there is a pod. The limits in their order; of one of type `Container` the containers and then the init containers; of
        /// one of type `Pod` the pod as a whole, whose amounts are, resource by resource, the sum of its containers and sidecars or the most that is in
        /// use while it begins, whichever is more. In use is what an init container says and all sidecars before it; with a sidecar, it and those
        /// before it. A resource counts as said if one of them says it. Of each first `min`,
        /// then `max`, then `max_limit_request_ratio`, each by name of the resource. At most one problem each, the first that holds:
        ///
        /// - `minimum NAME usage per TYPE is MIN` and then `.  No request is specified`, or `, but request is REQUEST` if that is less, or
        ///   `, but limit is LIMIT` if there is one and it is less;
        /// - `maximum NAME usage per TYPE is MAX` and then `.  No limit is specified`, or `, but limit is LIMIT` if that is more, or
        ///   `, but request is REQUEST` if there is one and it is more;
        /// - `NAME max limit to request ratio per TYPE is RATIO` and then `, but no request is specified or request is
        ///   0`, or `, but no limit is specified or limit is 0`, or `, but provided ratio is PROVIDED` if that is more: limit by request, with
        ///   six digits after the point.
        ///
        /// The first LimitRange that has problems is the last one that is looked at. What two containers have in common is said once. One problem
        /// is the reason itself; several are `[FIRST, SECOND]`, joined by `, `.
        ///
        /// **ResourceQuota**, after that: all quotas in their order, and the first one that refuses is the reason; but whether all is said and
        /// known (1 and 2) is asked of all quotas before room (3) is asked of any. A quota is *about* the object if it has a resource in `hard` that counts here and if all its scopes match. A resource counts if it is in `usage`, and
        /// for pods also if it is one of `cpu`, `memory`, `requests.cpu`, `requests.memory`, `limits.cpu` and `limits.memory`.
        ///
        /// Scopes stand in `scopes` and in `scope_selector`, and match only pods: `Terminating` if the pod has an `active_deadline_seconds`, `NotTerminating`
        /// if not; `BestEffort` and `NotBestEffort`; `CrossNamespacePodAffinity`; `PriorityClass` in `scopes` if the pod has a class. In the
        /// selector `PriorityClass` goes with an operator, as labels do: `In` and `NotIn` with values, `Exists`, `DoesNotExist`;
        /// `NotIn` matches a pod without a class. Other scopes there are as in `scopes`.
        ///
        /// Of a quota that is about the object,
        ///
        /// 1. of the six resources above, those in `hard` must be said by every container and init container, `cpu` and `memory` meaning
        ///    requests. Otherwise `failed quota: QUOTA: must specify NAME for: CONTAINER,CONTAINER; NAME for: CONTAINER`, sorted and without doubles;
        /// 2. each resource that counts must be in `used`. Otherwise `status unknown for quota: QUOTA, resources: NAME,NAME`, all that count, sorted;
        /// 3. what is charged is `usage` less `old_usage`, of the resources in `hard`, where that is more than 0. If with it `used` is more than
        ///    `hard` for some of them, `exceeded quota: QUOTA, requested: NAME=AMOUNT,NAME=AMOUNT, used: …, limited: …`, of
        ///    those resources only, sorted. What isn't charged may be over its limit.
        ///
        /// An answer holds only quotas to which something is charged.
        fn validate(&self, request: &ValidateRequest) -> Result<Vec<Charge>, String>;
    }
}

/// A pod that somebody writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmitRequest {
    /// Whether it is there already.
    pub operation: Operation,
    /// The pod, with the defaults of the API.
    pub pod: Pod,
    /// All limits of all LimitRanges of the namespace, by name of the LimitRange.
    pub limits: Vec<Limit>,
    /// All PriorityClasses.
    pub priority_classes: Vec<PriorityClass>,
}

/// An object that is complete and valid, and to be counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidateRequest {
    /// The pod, if it is one.
    pub pod: Option<Pod>,
    /// What the object counts for; 0 where its kind is counted and this object needs nothing.
    pub usage: Amounts,
    /// What it counted for before, if it was there.
    pub old_usage: Amounts,
    /// The limits that it is held against.
    pub limits: Vec<Limit>,
    /// The ResourceQuotas of the namespace, by name.
    pub quotas: Vec<Quota>,
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// It is new.
    #[default]
    Create,
    /// It is there already.
    Update,
}

/// What admission looks at in a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// Its containers.
    pub containers: Vec<Container>,
    /// Its init containers.
    pub init_containers: Vec<Container>,
    /// The name of its priority class; an empty one is none.
    pub priority_class_name: Option<String>,
    /// Its priority.
    pub priority: Option<i32>,
    /// `PreemptLowerPriority` or `Never`.
    pub preemption_policy: Option<String>,
    /// What it tolerates.
    pub tolerations: Vec<Toleration>,
    /// How long it may be active.
    pub active_deadline_seconds: Option<i64>,
    /// Whether its class of quality of service is `BestEffort`. Only `validate` knows.
    pub best_effort: bool,
    /// Whether its pod affinity looks into other namespaces.
    pub cross_namespace_affinity: bool,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub requests: Amounts,
    /// The most that it may use.
    pub limits: Amounts,
    /// Whether it is an init container that goes on beside the others (`restartPolicy: Always`).
    pub sidecar: bool,
}

/// One entry of a LimitRange (`LimitRangeItem`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limit {
    /// The name of the LimitRange that it stands in. Those of one stand together.
    pub range: String,
    /// `Container`, `Pod` or another type, which is no business of the module.
    #[serde(rename = "type")]
    pub type_: String,
    /// The limits of a container that has none.
    pub default: Amounts,
    /// The requests of a container that has none.
    pub default_request: Amounts,
    /// The least that may be asked for.
    pub min: Amounts,
    /// The most.
    pub max: Amounts,
    /// How many times a request its limit may be.
    pub max_limit_request_ratio: Amounts,
}

/// A priority with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityClass {
    /// Its name.
    pub name: String,
    /// The priority.
    pub value: i32,
    /// Whether it is for pods that name none.
    pub global_default: bool,
    /// `PreemptLowerPriority` or `Never`.
    pub preemption_policy: Option<String>,
}

/// A ResourceQuota.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Its name.
    pub name: String,
    /// How much there may be (`status.hard`).
    pub hard: Amounts,
    /// How much there is (`status.used`).
    pub used: Amounts,
    /// Which objects it is about.
    pub scopes: Vec<String>,
    /// The same, with operators.
    pub scope_selector: Vec<ScopeTerm>,
}

/// One requirement of a scope selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScopeTerm {
    /// The scope.
    pub scope_name: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Names of priority classes.
    pub values: Vec<String>,
}

/// What is added to the usage of one quota.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// The quota.
    pub quota: String,
    /// How much more of what is used.
    pub add: Amounts,
}

/// `cpu=100m,memory=1Gi`.
fn amounts(amounts: &Amounts) -> String {
    let all: Vec<_> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    if all.is_empty() { "nothing".into() } else { all.join(",") }
}

impl Show for Vec<Charge> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.iter().map(|charge| format!("charged to {}: {}", flow(&charge.quota), amounts(&charge.add))).collect();
        lines.sort();
        if lines.is_empty() { vec!["admitted".into()] } else { lines }
    }
    fn meaning(&self) -> String {
        unordered(self)
    }
}

impl Show for Pod {
    fn lines(&self) -> Vec<String> {
        let containers = self.containers.iter().map(|container| ("container", container));
        let containers = containers.chain(self.init_containers.iter().map(|container| ("init container", container)));
        let mut lines: Vec<String> = containers
            .map(|(title, Container { name, requests, limits, sidecar })| {
                let title = if *sidecar { "sidecar" } else { title };
                format!("{title} {}: requests {}, limits {}", flow(name), amounts(requests), amounts(limits))
            })
            .collect();
        let said = |field: &Option<String>| field.as_ref().map_or("none".into(), flow);
        if self.priority_class_name.is_some() || self.priority.is_some() || self.preemption_policy.is_some() {
            let priority = self.priority.map_or("none".into(), |priority| priority.to_string());
            let (class, policy) = (said(&self.priority_class_name), said(&self.preemption_policy));
            lines.push(format!("class {class}, priority {priority}, policy {policy}"));
        }
        lines.extend(self.tolerations.iter().map(|toleration| format!("tolerates {}", flow(toleration))));
        lines.extend(self.active_deadline_seconds.map(|seconds| format!("active for at most {seconds}s")));
        lines.extend(self.best_effort.then(|| "BestEffort".to_string()));
        lines.extend(self.cross_namespace_affinity.then(|| "affinity to pods in other namespaces".to_string()));
        lines
    }
}

impl Show for Limit {
    fn lines(&self) -> Vec<String> {
        let all = [
            ("default", &self.default),
            ("defaultRequest", &self.default_request),
            ("min", &self.min),
            ("max", &self.max),
            ("maxLimitRequestRatio", &self.max_limit_request_ratio),
        ];
        let said = all.iter().filter(|(_, of)| !of.is_empty());
        let said: Vec<_> = said.map(|(name, of)| format!("{name} {}", amounts(of))).collect();
        let range = if self.range.is_empty() { String::new() } else { format!("{}, ", flow(&self.range)) };
        vec![format!("{range}limit per {}: {}", flow(&self.type_), said.join(", "))]
    }
}

impl Show for Quota {
    fn lines(&self) -> Vec<String> {
        let Quota { name, hard, used, scopes, scope_selector } = self;
        let mut text = format!("quota {}: hard {}, used {}", flow(name), amounts(hard), amounts(used));
        if !scopes.is_empty() {
            text += &format!(", scopes {}", flow(scopes));
        }
        for term in scope_selector {
            text += &format!(", {} {} {}", flow(&term.scope_name), flow(&term.operator), flow(&term.values));
        }
        vec![text]
    }
}

impl Show for AdmitRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:?}", self.operation)];
        lines.extend(self.pod.lines());
        lines.extend(self.limits.iter().flat_map(Show::lines));
        lines.extend(self.priority_classes.iter().map(|class| {
            let default = if class.global_default { ", the default" } else { "" };
            let policy = class.preemption_policy.as_deref().map_or(String::new(), |policy| format!(", {policy}"));
            format!("priority class {}: {}{policy}{default}", flow(&class.name), class.value)
        }));
        lines
    }
}

impl Show for ValidateRequest {
    fn lines(&self) -> Vec<String> {
        let mut lines = self.pod.as_ref().map_or_else(|| vec!["no pod".into()], Show::lines);
        if !self.usage.is_empty() {
            lines.push(format!("counts for {}", amounts(&self.usage)));
        }
        if !self.old_usage.is_empty() {
            lines.push(format!("counted for {}", amounts(&self.old_usage)));
        }
        lines.extend(self.limits.iter().flat_map(Show::lines));
        lines.extend(self.quotas.iter().flat_map(Show::lines));
        lines
    }
}
