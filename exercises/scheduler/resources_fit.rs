//! # Resources: does the pod fit?
//!
//! A pod asks for CPU, memory and other resources; a node has so much of each, and the pods on it have asked for a part
//! of it. You decide, for one pod and one node, whether what is left is enough, and if not, of what there is too little.
//!
//! About 20 minutes · builds on nothing · book: "Resources: does the pod fit?" · stuck? `cargo grade hint scheduler/resources_fit`

use kit::scheduler::{Lack, NodeResources, PodRequest, ResourcesFit};

#[derive(Default)]
struct Exercise;

impl ResourcesFit for Exercise {
    /// All that the node lacks; nothing if the pod fits.
    ///
    /// In this order: room for one more pod (`Lack::TooManyPods`), CPU, memory, ephemeral storage, then other resources in
    /// the order of their names as strings compare. What counts is what other pods have *requested*, never what they use. What a pod doesn't ask for, it can't
    /// lack, even on a node that has given away more than it has.
    ///
    /// `pod.requests`, `node.allocatable` and `node.requested` have the fields `milli_cpu`, `memory` and
    /// `ephemeral_storage`, and a map `scalar` of all others by name. `scored` belongs to another exercise.
    fn filter(&self, pod: &PodRequest, node: &NodeResources) -> Vec<Lack> {
        let _ = (pod, node);
        todo!("compare what is asked for with what is left, resource by resource")
    }
}

kit::exercise!(Exercise: ResourcesFit);
