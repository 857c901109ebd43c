//! # Node affinity: which nodes a pod asks for
//!
//! A pod names the nodes that it wants by their labels: `nodeSelector` and required affinity must hold, preferred affinity
//! is worth points. You decide whether a node may take the pod, how much it is preferred, and which nodes to look at at all.
//!
//! About 25 minutes · builds on nothing · book: "Node affinity: which nodes a pod asks for" · stuck? `cargo grade hint scheduler/node_affinity`
//!
//! Given to you:
//!
//! - `NodeLabels.labels: BTreeMap<String, String>`
//! - `NodeTerm.expressions: Vec<NodeRequirement>`
//! - `NodeTerm.fields: Vec<NodeRequirement>`
//! - `NodeRequirement.key: String`
//! - `NodeRequirement.operator: NodeOperator`
//! - `NodeRequirement.values: Vec<String>`

use kit::scheduler::{NodeAffinity, NodeLabels, NodeNames, PodNodeAffinity};
#[allow(unused_imports)] // Until you need them.
use kit::scheduler::{NodeOperator, NodeRequirement, NodeTerm};

#[derive(Default)]
struct Exercise;

impl NodeAffinity for Exercise {
    /// Which nodes are worth looking at: `NodeNames::Any`, or `NodeNames::Only` those, each once and in any order.
    ///
    /// A term names nodes by its fields `metadata.name` with operator In; several of them in one term must all hold.
    /// Only if every required term names nodes are these, together, the only ones; there may be none, where the terms
    /// contradict themselves. Without required terms, also where the list is there and empty, it is any node. What else a
    /// term requires plays no role here.
    fn node_names(&self, pod: &PodNodeAffinity) -> NodeNames {
        let _ = pod;
        todo!("which terms name nodes, and do all of them?")
    }

    /// Whether the pod may run on the node: all of `node_selector` holds, and so does any required term, if required
    /// affinity is there at all.
    ///
    /// Of a term all expressions and all fields must hold. A term without any matches no node, and neither does
    /// required affinity without terms.
    fn filter(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> bool {
        let _ = (pod, node);
        todo!("the selector, and any of the required terms")
    }

    /// The sum of the weights of those preferred terms that match the node.
    fn score(&self, pod: &PodNodeAffinity, node: &NodeLabels) -> i64 {
        let _ = (pod, node);
        todo!("add up the weights of the terms that match")
    }
}

kit::exercise!(Exercise: NodeAffinity);
