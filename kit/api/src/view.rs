//! Pods and nodes in the smallest form that scheduling needs: names, labels and integers.
//!
//! CPU is counted in milli-cores, memory and ephemeral storage in bytes, all other resources in whole units, as in
//! `NodeInfo` and `Resource` of `pkg/scheduler/framework/types.go`.

use crate::Name;
use crate::core::{Node, Pod, Taint, Toleration};
use crate::pod_resources::{self, RequestOptions, Resources};
use crate::selector::Labels;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Amounts as integers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amounts {
    /// CPU in milli-cores.
    pub milli_cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Local storage in bytes.
    pub ephemeral_storage: i64,
    /// Other resources by name, in whole units.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scalar: BTreeMap<String, i64>,
}

impl From<&Resources> for Amounts {
    fn from(resources: &Resources) -> Self {
        let mut amounts = Amounts::default();
        for (name, quantity) in resources {
            match name.as_str() {
                "cpu" => amounts.milli_cpu = quantity.milli_value(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.ephemeral_storage = quantity.value(),
                // The number of pods is counted apart.
                "pods" => {}
                _ => _ = amounts.scalar.insert(name.clone(), quantity.value()),
            }
        }
        amounts
    }
}

/// What a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodRequest {
    /// All containers together, with overhead: what is reserved on a node.
    pub requests: Amounts,
    /// What it counts for when nodes are scored; see [`Usage`].
    #[serde(skip_serializing_if = "Usage::is_zero")]
    pub scored: Usage,
}

/// CPU and memory as scores count them: each container that asks for none of one stands for a small amount, so that pods
/// without requests don't all end up on one node (`NonZeroRequested` of `NodeInfo`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// CPU in milli-cores; 100 for a container that asks for none.
    pub milli_cpu: i64,
    /// Memory in bytes; 200 MiB for a container that asks for none.
    pub memory: i64,
}

impl Usage {
    fn is_zero(&self) -> bool {
        *self == Usage::default()
    }
}

/// What a node has, and what the pods on it have asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeResources {
    /// What pods may ask for in total: the capacity without what the system keeps for itself.
    pub allocatable: Amounts,
    /// What the pods here have asked for; it may be more than there is.
    pub requested: Amounts,
    /// What the pods here count for when nodes are scored.
    #[serde(skip_serializing_if = "Usage::is_zero")]
    pub scored: Usage,
    /// How many pods may run here.
    pub allowed_pods: i64,
    /// How many do.
    pub pods: i64,
}

impl From<&Pod> for PodRequest {
    fn from(pod: &Pod) -> Self {
        let requests = pod_resources::requests(pod, &RequestOptions { held: true, ..Default::default() });
        let options = RequestOptions { non_missing: pod_resources::non_missing(), held: true, ..Default::default() };
        let scored = Amounts::from(&pod_resources::requests(pod, &options));
        PodRequest {
            requests: Amounts::from(&requests),
            scored: Usage { milli_cpu: scored.milli_cpu, memory: scored.memory },
        }
    }
}

impl From<&Node> for NodeResources {
    /// An empty node: what runs on it is added with [`NodeResources::add`].
    fn from(node: &Node) -> Self {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = pod_resources::resources(allocatable);
        NodeResources {
            allowed_pods: allocatable.get("pods").map_or(0, crate::Quantity::value),
            allocatable: Amounts::from(&allocatable),
            ..Default::default()
        }
    }
}

impl NodeResources {
    /// Counts a pod as running here.
    pub fn add(&mut self, pod: &PodRequest) {
        self.count(pod, 1);
    }

    /// Counts a pod as gone.
    pub fn remove(&mut self, pod: &PodRequest) {
        self.count(pod, -1);
    }

    fn count(&mut self, pod: &PodRequest, sign: i64) {
        self.pods += sign;
        self.requested.milli_cpu += sign * pod.requests.milli_cpu;
        self.requested.memory += sign * pod.requests.memory;
        self.requested.ephemeral_storage += sign * pod.requests.ephemeral_storage;
        for (name, amount) in &pod.requests.scalar {
            *self.requested.scalar.entry(name.clone()).or_default() += sign * amount;
        }
        self.scored.milli_cpu += sign * pod.scored.milli_cpu;
        self.scored.memory += sign * pod.scored.memory;
    }
}

/// Those labels of a node by which it is grouped with others: its host name, its zone and whatever else rules name.
///
/// Written as an object: `{topology.kubernetes.io/zone: zone-a}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Name, Name>", into = "BTreeMap<Name, Name>")]
pub struct Topology(Vec<(Name, Name)>);

impl Topology {
    /// The value of one label, if the node has it.
    pub fn get(&self, key: Name) -> Option<Name> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (Name, Name)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<(Name, Name)> for Topology {
    fn from_iter<I: IntoIterator<Item = (Name, Name)>>(labels: I) -> Self {
        Topology(labels.into_iter().collect())
    }
}

impl From<BTreeMap<Name, Name>> for Topology {
    fn from(labels: BTreeMap<Name, Name>) -> Self {
        labels.into_iter().collect()
    }
}

impl From<Topology> for BTreeMap<Name, Name> {
    fn from(topology: Topology) -> Self {
        topology.0.into_iter().collect()
    }
}

/// A pod that wants to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it asks for.
    pub request: PodRequest,
    /// Which taints it puts up with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Who goes first; greater is more important.
    pub priority: i32,
}

/// A node that pods could run on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What keeps pods away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// What it has, and what is asked of it.
    pub resources: NodeResources,
    /// Whether it was cordoned.
    pub unschedulable: bool,
}

impl From<&Pod> for PodView {
    fn from(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        PodView {
            name: pod.metadata.name.clone().unwrap_or_default(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            labels: pod.metadata.labels.clone().unwrap_or_default(),
            request: PodRequest::from(pod),
            tolerations: spec.tolerations.unwrap_or_default(),
            priority: spec.priority.unwrap_or(0),
        }
    }
}

impl From<&Node> for NodeView {
    /// An empty node: what runs on it is added with [`NodeResources::add`].
    fn from(node: &Node) -> Self {
        let spec = node.spec.clone().unwrap_or_default();
        NodeView {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            resources: NodeResources::from(node),
            unschedulable: spec.unschedulable == Some(true),
        }
    }
}
