//! Pods and nodes in the smallest form that scheduling needs: names, labels and integers.
//!
//! CPU is counted in milli-cores, memory and ephemeral storage in bytes, all other resources in whole units, as in
//! `NodeInfo` and `Resource` of `pkg/scheduler/framework/types.go`.

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
    /// What it asks for, all containers together.
    pub requests: Amounts,
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
    /// What it has for pods.
    pub allocatable: Amounts,
    /// How many pods it may run.
    pub allowed_pods: i64,
    /// What the pods that are there have asked for.
    pub requested: Amounts,
    /// How many pods are there.
    pub pods: i64,
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
            requests: Amounts::from(&pod_resources::requests(pod, &RequestOptions::default())),
            tolerations: spec.tolerations.unwrap_or_default(),
            priority: spec.priority.unwrap_or(0),
        }
    }
}

impl From<&Node> for NodeView {
    /// An empty node: what runs on it is added with [`NodeView::add`].
    fn from(node: &Node) -> Self {
        let spec = node.spec.clone().unwrap_or_default();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let allocatable = pod_resources::resources(allocatable);
        NodeView {
            name: node.metadata.name.clone().unwrap_or_default(),
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            allowed_pods: allocatable.get("pods").map_or(0, crate::Quantity::value),
            allocatable: Amounts::from(&allocatable),
            requested: Amounts::default(),
            pods: 0,
            unschedulable: spec.unschedulable == Some(true),
        }
    }
}

impl NodeView {
    /// Counts a pod as running here.
    pub fn add(&mut self, pod: &PodView) {
        self.pods += 1;
        self.requested.milli_cpu += pod.requests.milli_cpu;
        self.requested.memory += pod.requests.memory;
        self.requested.ephemeral_storage += pod.requests.ephemeral_storage;
        for (name, amount) in &pod.requests.scalar {
            *self.requested.scalar.entry(name.clone()).or_default() += amount;
        }
    }
}
