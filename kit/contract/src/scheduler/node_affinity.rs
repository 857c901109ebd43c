//! The scheduler's NodeAffinity plugin: `nodeSelector` and node affinity.
//!
//! Source: `pkg/scheduler/framework/plugins/nodeaffinity/node_affinity.go` and
//! `staging/src/k8s.io/component-helpers/scheduling/corev1/nodeaffinity/nodeaffinity.go`.

use crate::show::unordered;
use crate::{Show, flow};
pub use kit_api::selector::Labels;
use serde::{Deserialize, Serialize};
use std::fmt;

// ANCHOR: contract
contract! {
    /// Finds the nodes that a pod asks for by their labels and names.
    pub trait NodeAffinity {
        /// Which nodes are worth looking at.
        ///
        /// A term names nodes by its fields `metadata.name` with operator In; several of them in one term must all hold.
        /// Only if every required term names nodes are these, together, the only ones; there may be none, where the terms
        /// contradict themselves. Without required terms, also where the list is there and empty, it is any node. What else a
        /// term requires plays no role here.
        fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames;

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

/// The nodes that a pod's required terms name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeNames {
    /// Any node may do.
    Any,
    /// Only these can, by name, each once and in any order.
    Only(Vec<String>),
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

/// A term that a node should match, where that is possible.
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
    /// The label is there, and both it and the value are integers of 64 bits, in digits and perhaps a `-` before them,
    /// the label's the greater.
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

impl Show for NodeNames {
    fn lines(&self) -> Vec<String> {
        match self {
            NodeNames::Any => vec!["any node".into()],
            NodeNames::Only(names) if names.is_empty() => vec!["no node".into()],
            NodeNames::Only(names) => {
                let mut lines: Vec<_> = names.iter().map(|name| format!("only {}", name.escape_debug())).collect();
                lines.sort();
                lines
            }
        }
    }
    fn meaning(&self) -> String {
        match self {
            NodeNames::Any => "any".into(),
            NodeNames::Only(names) => unordered(names),
        }
    }
}

impl Show for PodNodeAffinity {
    /// A line for each part: `selector {disk: ssd}`, `requires disk in (ssd) and cores > 8`, `prefers 80: …`.
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.node_selector.is_empty() {
            lines.push(format!("selector {}", flow(&self.node_selector)));
        }
        if let Some(terms) = &self.required {
            let first = terms.first().map_or("requires one of no terms".into(), |term| format!("requires {term}"));
            lines.push(first);
            lines.extend(terms.iter().skip(1).map(|term| format!("or {term}")));
        }
        lines
            .extend(self.preferred.iter().map(|preferred| format!("prefers {}: {}", preferred.weight, preferred.term)));
        if lines.is_empty() {
            lines.push("asks for nothing".into());
        }
        lines
    }
}

impl fmt::Display for NodeTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.expressions.iter().chain(&self.fields).map(ToString::to_string).collect();
        f.write_str(if all.is_empty() { "an empty term" } else { "" })?;
        f.write_str(&all.join(" and "))
    }
}

impl fmt::Display for NodeRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (self.key.escape_debug(), self.values.join(", "));
        let values = values.escape_debug();
        match self.operator {
            NodeOperator::In => write!(f, "{key} in ({values})"),
            NodeOperator::NotIn => write!(f, "{key} not in ({values})"),
            NodeOperator::Exists => write!(f, "{key} exists"),
            NodeOperator::DoesNotExist => write!(f, "{key} doesn't exist"),
            NodeOperator::Gt => write!(f, "{key} > {values}"),
            NodeOperator::Lt => write!(f, "{key} < {values}"),
        }
    }
}

impl Show for NodeLabels {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} {}", self.name.escape_debug(), flow(&self.labels))]
    }
}
