//! The scheduler's NodeAffinity plugin: `nodeSelector` and node affinity.
//!
//! Source: `pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go` and
//! `staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.

use crate::{Show, flow};
pub use kit_api::selector::Labels;
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Finds the nodes that a pod asks for by their labels and names.
    pub trait NodeAffinity {
        /// The names of the only nodes worth looking at, sorted and each once; none if any node may do.
        ///
        /// A term names nodes by its fields `metadata.name` with operator In; several of them in one term must all hold.
        /// Only if every required term names nodes are these, together, the only ones. An empty list means that the terms
        /// contradict themselves and the pod fits nowhere. What else a term requires plays no role here.
        fn node_names(&self, pod: &PodNodeAffinity) -> Option<Vec<String>>;

        /// Whether the pod may run on the node: all of `node_selector` holds, and so does any required term, if required
        /// affinity is there at all.
        ///
        /// Of a term all expressions and all fields must hold. A term without any matches no node, and neither does
        /// required affinity without terms.
        fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool;

        /// The sum of the weights of those preferred terms that match the node.
        fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64;
    }
}

/// What a pod asks of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodNodeAffinity {
    /// Labels that the node must have with these values.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub node_selector: Labels,
    /// Required affinity: one of the terms must match. None if the pod has no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<Vec<NodeTerm>>,
    /// Preferred affinity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<PreferredTerm>,
}

/// Requirements, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeTerm {
    /// On the node's labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expressions: Vec<NodeRequirement>,
    /// On the node's fields. The only one is `metadata.name`, the operator In or NotIn, and the value one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<NodeRequirement>,
}

/// A term that a node had better match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreferredTerm {
    /// What matching is worth, from 1 to 100.
    pub weight: i64,
    /// The requirements.
    pub term: NodeTerm,
}

/// One condition on one label or field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRequirement {
    /// The label or field.
    pub key: String,
    /// How it is compared.
    pub operator: NodeOperator,
    /// With what. Exists and DoesNotExist have no values, Gt and Lt have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a label is compared with the values of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeOperator {
    /// The label is there, with one of the values.
    In,
    /// The label isn't there, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label isn't there.
    DoesNotExist,
    /// The label is there, and both it and the value are integers of 64 bits, the label's the greater.
    Gt,
    /// The same, the label's the less.
    Lt,
}

/// A node's name and labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeLabels {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}
// ANCHOR_END: contract

impl Show for PodNodeAffinity {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for NodeLabels {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
