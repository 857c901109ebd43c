//! What the control plane asks of a node.
//!
//! Source: `pkg/controller/util/node/controller_utils.go` and `pkg/util/taints/taints.go`.

use crate::core::{Node, NodeCondition};

/// The taint by which somebody says that a node's machine is off for good.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The taint of a node that its cloud hasn't been asked about yet (`TaintExternalCloudProvider`).
pub const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// The node's condition of one type (`GetNodeCondition`).
pub fn condition<'a>(node: &'a Node, type_: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// Whether its Ready condition is true.
pub fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.status == "True")
}

/// Whether it has a taint with this key, whatever the effect (`TaintKeyExists`).
pub fn has_taint(node: &Node, key: &str) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == key)
}
