//! The filter of the scheduler's NodeResourcesFit plugin.
//!
//! Source: `fitsRequest` in `pkg/scheduler/framework/plugins/noderesources/fit.go`.

use crate::{Show, flow};
pub use kit_api::view::{Amounts, NodeResources, PodRequest};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Decides whether a node has enough left of everything that a pod asks for.
    pub trait ResourcesFit {
        /// All that the node lacks; nothing if the pod fits.
        ///
        /// In this order: room for one more pod, CPU, memory, ephemeral storage, then other resources by name
        /// (Kubernetes leaves the order of the last open). What a pod doesn't ask for, it can't lack.
        fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack>;
    }
}

/// One thing of which a node has too little left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lack {
    /// The node runs as many pods as it may.
    TooManyPods,
    /// The resource by its name: `cpu`, `memory`, `ephemeral-storage`, `nvidia.com/gpu` …
    Insufficient(String),
}
// ANCHOR_END: contract

impl Show for Lack {
    /// In the words of the event FailedScheduling.
    fn lines(&self) -> Vec<String> {
        vec![match self {
            Lack::TooManyPods => "Too many pods".into(),
            Lack::Insufficient(resource) => format!("Insufficient {}", resource.escape_debug()),
        }]
    }
}

impl Show for PodRequest {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for NodeResources {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
