//! Pods as the scheduler sees them.
//!
//! Pods of one template are alike in all that scheduling looks at: they share a [`Class`], which is worked out once. So a rule
//! that holds between two pods is asked once for each pair of classes, and a node counts classes, not pods.

use kit_api::core::{Affinity, Pod as ApiPod, PodAffinityTerm, PodSpec, Toleration, TopologySpreadConstraint};
use kit_api::meta::LabelSelector;
use kit_api::pod_resources;
use kit_api::selector::{Labels, Operator, Requirement, Selector};
use kit_api::view::PodRequest;
use kit_api::volume::{self, Claim};
use kit_api::{Name, name, owner, pod};
use kit_contract::scheduler::{
    InclusionPolicy, NodeOperator, NodeRequirement, NodeTerm, PodNodeAffinity, PreferredTerm, SpreadConstraint,
};
use std::collections::HashMap;
use std::rc::Rc;

/// One pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `namespace/name`.
    pub key: Rc<str>,
    /// What it has in common with others.
    pub class: Rc<Class>,
    /// Who may push out whom.
    pub priority: i32,
    /// The node that its spec demands.
    pub node_name: Option<Name>,
    /// The node on which room was made for it.
    pub nominated: Option<Name>,
    /// When it started, in milliseconds of calendar time.
    pub started: Option<i64>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is being deleted to make room for another (`podTerminatingByPreemption`).
    pub preempted: bool,
    /// Whether it may push out others (`preemptionPolicy`).
    pub preempts: bool,
    /// Whether it has scheduling gates.
    pub gated: bool,
}

/// All that scheduling looks at, but for the pod's own name, priority and place.
#[derive(Debug)]
pub struct Class {
    /// A number of its own.
    pub id: usize,
    /// The namespace.
    pub namespace: String,
    /// The labels.
    pub labels: Labels,
    /// What it asks for.
    pub request: PodRequest,
    /// The taints that it puts up with.
    pub tolerations: Vec<Toleration>,
    /// The nodes that it asks for.
    pub node_affinity: PodNodeAffinity,
    /// How it is to be spread, by its own rules.
    pub spread: Vec<Spread>,
    /// The pods that it must or would like to be near, and those that it must or would like to be far from.
    pub terms: Terms,
    /// The ports of the host that it wants.
    pub ports: Vec<HostPort>,
    /// The claims for volumes that it refers to.
    pub claims: Vec<Claim>,
    /// The image of each container, with a tag.
    pub images: Vec<String>,
    /// Its controller: API version, kind and name.
    pub controller: Option<(String, String, String)>,
}

/// One rule of spreading, with the selector that the contract leaves to the cluster.
#[derive(Debug, Clone)]
pub struct Spread {
    /// Whether it is `DoNotSchedule`.
    pub hard: bool,
    /// The rule.
    pub constraint: SpreadConstraint,
    /// The pods that it counts.
    pub selector: Selector,
}

/// Terms of affinity and anti-affinity; see [`Term`].
#[derive(Debug, Default)]
pub struct Terms {
    /// Required affinity.
    pub affinity: Vec<Term>,
    /// Required anti-affinity.
    pub anti_affinity: Vec<Term>,
    /// Preferred affinity.
    pub preferred_affinity: Vec<Term>,
    /// Preferred anti-affinity.
    pub preferred_anti_affinity: Vec<Term>,
}

/// One term, before its namespaces are known.
#[derive(Debug)]
pub struct Term {
    /// Its worth, if it is preferred.
    pub weight: i64,
    /// The pods that it means.
    pub selector: Selector,
    /// The namespaces that it names.
    pub namespaces: Vec<String>,
    /// The namespaces that it selects.
    pub namespace_selector: Selector,
    /// The label that makes domains.
    pub topology_key: Name,
}

/// A port of the node that a pod occupies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    ip: String,
    protocol: String,
    port: i32,
}

impl HostPort {
    /// Whether both can't be on one node (`HostPortInfo.CheckConflict` of `pkg/scheduler/framework/types.go`).
    pub fn conflicts_with(&self, other: &HostPort) -> bool {
        let any = "0.0.0.0";
        let same_ip = self.ip == other.ip || self.ip == any || other.ip == any;
        self.port == other.port && self.protocol == other.protocol && same_ip
    }
}

/// The classes that are in use.
#[derive(Debug, Default)]
pub struct Classes {
    known: HashMap<String, Rc<Class>>,
    made: usize,
    /// At how many it is looked which of them are still in use.
    crowded: usize,
}

impl Classes {
    /// The pod as the scheduler sees it.
    pub fn pod(&mut self, pod: &ApiPod) -> Pod {
        let meta = &pod.metadata;
        let none = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&none);
        let status = pod.status.as_ref();
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let name = |field: Option<&String>| field.filter(|name| !name.is_empty()).map(Name::from);
        Pod {
            key: format!("{namespace}/{}", meta.name.as_deref().unwrap_or_default()).into(),
            class: self.class(pod, spec),
            priority: spec.priority.unwrap_or(0),
            node_name: name(spec.node_name.as_ref()),
            nominated: name(status.and_then(|status| status.nominated_node_name.as_ref())),
            started: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0.as_millisecond()),
            terminating: pod::is_terminating(pod),
            preempted: pod::is_terminating(pod) && is_preempted(pod),
            preempts: spec.preemption_policy.as_deref() != Some("Never"),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
        }
    }

    fn class(&mut self, pod: &ApiPod, spec: &PodSpec) -> Rc<Class> {
        let controller = owner::controller_of(&pod.metadata);
        let controller = controller.map(|owner| (owner.api_version.clone(), owner.kind.clone(), owner.name.clone()));
        let containers = || spec.init_containers.iter().flatten().chain(&spec.containers);
        let parts: Vec<_> =
            containers().map(|c| (&c.image, &c.ports, &c.resources, c.restart_policy.is_some())).collect();
        let init = spec.init_containers.as_ref().map_or(0, Vec::len);
        let rules = (&spec.affinity, &spec.tolerations, &spec.node_selector, &spec.topology_spread_constraints);
        let (namespace, labels) = (&pod.metadata.namespace, &pod.metadata.labels);
        let claims = volume::claims(pod.metadata.name.as_deref().unwrap_or_default(), spec);
        let claimed: Vec<_> = claims.iter().map(|claim| (&claim.name, claim.ephemeral)).collect();
        let key = (namespace, labels, init, parts, rules, &spec.overhead, &controller, claimed);
        // While a pod is resized it is like no other.
        let request = pod_resources::is_resized(pod).then(|| PodRequest::from(pod));
        let key = serde_json::to_string(&(key, request));
        let key = key.expect("API objects have string keys");
        if let Some(class) = self.known.get(&key) {
            return class.clone();
        }
        if self.known.len() >= self.crowded {
            self.known.retain(|_, class| Rc::strong_count(class) > 1);
            self.crowded = 2 * self.known.len() + 64;
        }
        self.made += 1;
        let namespace = namespace.clone().unwrap_or_default();
        let labels = labels.clone().unwrap_or_default();
        let class = Rc::new(Class {
            id: self.made,
            request: PodRequest::from(pod),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            node_affinity: node_affinity(spec),
            spread: spec.topology_spread_constraints.iter().flatten().map(|c| spread(c, &labels)).collect(),
            terms: spec.affinity.as_ref().map_or_else(Terms::default, |affinity| terms(affinity, &namespace, &labels)),
            ports: host_ports(spec),
            claims,
            images: containers().map(|c| tagged(c.image.as_deref().unwrap_or_default())).collect(),
            controller,
            namespace,
            labels,
        });
        self.known.insert(key, class.clone());
        class
    }
}

/// Whether the first condition DisruptionTarget says that the scheduler pushed it out.
fn is_preempted(pod: &ApiPod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let disrupted = conditions.into_iter().flatten().find(|condition| condition.type_ == "DisruptionTarget");
    disrupted.is_some_and(|c| c.status == "True" && c.reason.as_deref() == Some("PreemptionByScheduler"))
}

/// `GetHostPorts` of `pkg/scheduler/util/utils.go`: of containers and, since 1.33.6, of sidecars.
fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten());
    let wanted = ports.filter_map(|port| Some((port, port.host_port.filter(|number| *number > 0)?)));
    let or = |field: &Option<String>, default: &str| {
        field.as_deref().filter(|text| !text.is_empty()).unwrap_or(default).to_string()
    };
    wanted
        .map(|(port, number)| HostPort {
            ip: or(&port.host_ip, "0.0.0.0"),
            protocol: or(&port.protocol, "TCP"),
            port: number,
        })
        .collect()
}

/// `normalizedImageName` of `plugins/imagelocality`.
fn tagged(image: &str) -> String {
    let has_tag = image.rfind(':').map_or(-1, |at| at as i64) > image.rfind('/').map_or(-1, |at| at as i64);
    if has_tag { image.to_string() } else { format!("{image}:latest") }
}

fn node_affinity(spec: &PodSpec) -> PodNodeAffinity {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred =
        affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    PodNodeAffinity {
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        required: required.map(|required| required.node_selector_terms.iter().map(node_term).collect()),
        preferred: preferred
            .into_iter()
            .flatten()
            .map(|preferred| PreferredTerm { weight: preferred.weight.into(), term: node_term(&preferred.preference) })
            .collect(),
    }
}

/// A term that isn't valid matches no node, as one without requirements does.
fn node_term(term: &kit_api::core::NodeSelectorTerm) -> NodeTerm {
    let convert = |requirements: &Option<Vec<kit_api::core::NodeSelectorRequirement>>| {
        requirements.iter().flatten().map(node_requirement).collect::<Option<Vec<_>>>()
    };
    match (convert(&term.match_expressions), convert(&term.match_fields)) {
        (Some(expressions), Some(fields)) => NodeTerm { expressions, fields },
        _ => NodeTerm::default(),
    }
}

fn node_requirement(requirement: &kit_api::core::NodeSelectorRequirement) -> Option<NodeRequirement> {
    let values = requirement.values.clone().unwrap_or_default();
    // `NewRequirement` of `apimachinery/pkg/labels/selector.go`: numbers must be label values, too, so that `-1` and `+1` are none.
    if values.iter().any(|value| !name::label_value(value).is_empty()) {
        return None;
    }
    let operator = match requirement.operator.as_str() {
        "In" if !values.is_empty() => NodeOperator::In,
        "NotIn" if !values.is_empty() => NodeOperator::NotIn,
        "Exists" if values.is_empty() => NodeOperator::Exists,
        "DoesNotExist" if values.is_empty() => NodeOperator::DoesNotExist,
        "Gt" if values.len() == 1 && values[0].parse::<i64>().is_ok() => NodeOperator::Gt,
        "Lt" if values.len() == 1 && values[0].parse::<i64>().is_ok() => NodeOperator::Lt,
        _ => return None,
    };
    Some(NodeRequirement { key: requirement.key.clone(), operator, values })
}

/// `newTopologySpreadConstraint` of `plugins/podtopologyspread/common.go`.
fn spread(constraint: &TopologySpreadConstraint, labels: &Labels) -> Spread {
    let policy = |field: &Option<String>, default| match field.as_deref() {
        Some("Honor") => InclusionPolicy::Honor,
        Some("Ignore") => InclusionPolicy::Ignore,
        _ => default,
    };
    let mut selector = selector_of(constraint.label_selector.as_ref());
    for key in constraint.match_label_keys.iter().flatten() {
        if let Some(value) = labels.get(key) {
            require(&mut selector, key, Operator::In, value);
        }
    }
    Spread {
        hard: constraint.when_unsatisfiable != "ScheduleAnyway",
        constraint: SpreadConstraint {
            max_skew: constraint.max_skew.into(),
            topology_key: Name::from(&constraint.topology_key),
            min_domains: constraint.min_domains.unwrap_or(1).into(),
            node_affinity_policy: policy(&constraint.node_affinity_policy, InclusionPolicy::Honor),
            node_taints_policy: policy(&constraint.node_taints_policy, InclusionPolicy::Ignore),
            self_match: selector.matches(labels),
        },
        selector,
    }
}

fn terms(affinity: &Affinity, namespace: &str, labels: &Labels) -> Terms {
    let required = |list: &Option<Vec<PodAffinityTerm>>| {
        list.iter().flatten().map(|required| term(required, 0, namespace, labels)).collect()
    };
    let preferred = |list: &Option<Vec<kit_api::core::WeightedPodAffinityTerm>>| {
        let list = list.iter().flatten();
        list.map(|weighted| term(&weighted.pod_affinity_term, weighted.weight.into(), namespace, labels)).collect()
    };
    let mut terms = Terms::default();
    if let Some(near) = &affinity.pod_affinity {
        terms.affinity = required(&near.required_during_scheduling_ignored_during_execution);
        terms.preferred_affinity = preferred(&near.preferred_during_scheduling_ignored_during_execution);
    }
    if let Some(far) = &affinity.pod_anti_affinity {
        terms.anti_affinity = required(&far.required_during_scheduling_ignored_during_execution);
        terms.preferred_anti_affinity = preferred(&far.preferred_during_scheduling_ignored_during_execution);
    }
    terms
}

/// `newAffinityTerm` of `pkg/scheduler/framework/types.go`. The keys in `matchLabelKeys` and `mismatchLabelKeys` are merged into
/// the selector by the API server (`applyMatchLabelKeysAndMismatchLabelKeys` of `pkg/registry/core/pod/strategy.go`).
fn term(term: &PodAffinityTerm, weight: i64, namespace: &str, labels: &Labels) -> Term {
    let mut selector = selector_of(term.label_selector.as_ref());
    let keys = |keys: &Option<Vec<String>>, operator| {
        let keys = keys.clone().unwrap_or_default().into_iter();
        keys.filter_map(move |key| labels.get(&key).map(|value| (key, operator, value))).collect::<Vec<_>>()
    };
    let merged =
        [keys(&term.match_label_keys, Operator::In), keys(&term.mismatch_label_keys, Operator::NotIn)].concat();
    for (key, operator, value) in merged {
        require(&mut selector, &key, operator, value);
    }
    let mut namespaces = term.namespaces.clone().unwrap_or_default();
    if namespaces.is_empty() && term.namespace_selector.is_none() {
        namespaces.push(namespace.to_string());
    }
    Term {
        weight,
        selector,
        namespaces,
        namespace_selector: selector_of(term.namespace_selector.as_ref()),
        topology_key: Name::from(&term.topology_key),
    }
}

/// The selector; one that isn't valid selects nothing.
pub fn selector_of(selector: Option<&LabelSelector>) -> Selector {
    Selector::try_from(selector).unwrap_or(Selector::Nothing)
}

fn require(selector: &mut Selector, key: &str, operator: Operator, value: &str) {
    if let Selector::All(requirements) = selector {
        requirements.push(Requirement { key: key.into(), operator, values: vec![value.into()] });
    }
}
