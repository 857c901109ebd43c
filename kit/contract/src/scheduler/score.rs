//! Scores of nodes by their resources and images: the plugins NodeResourcesFit, NodeResourcesBalancedAllocation and
//! ImageLocality, and how scores are normalized.
//!
//! Source: `least_allocated.go`, `most_allocated.go`, `requested_to_capacity_ratio.go`, `resource_allocation.go` and
//! `balanced_allocation.go` in `pkg/scheduler/framework/plugins/noderesources`, `plugins/imagelocality/image_locality.go`
//! and `plugins/helper/normalize_score.go`.

use super::{NodeResources, PodRequest};
use crate::{Show, flow};
use kit_api::quantity::{Format, Quantity};
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Says how good a node is for a pod that fits there, from 0 to 100.
    pub trait Score {
        /// The score of NodeResourcesFit by one of its strategies: the weighted mean of the scores of the resources,
        /// rounded as each strategy says.
        ///
        /// Of each resource, take what is requested with this pod on the node, and what is allocatable. CPU and
        /// memory are requested as `scored` says, all others as `requests` do. Two kinds of resources are left out,
        /// together with their weight: those of which the node has 0, and those other than cpu, memory and
        /// ephemeral-storage that the pod doesn't ask for. Without any resource left the score is 0.
        fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64;

        /// The score of NodeResourcesBalancedAllocation: how evenly CPU and memory would be used.
        ///
        /// For each of the two, the fraction is what is requested with this pod (as `requests` say, not `scored`)
        /// divided by what is allocatable, at most 1. With two fractions, the score is `(1 − |cpu − memory| ÷ 2) ×
        /// 100`, in this order and in floating point of 64 bits, rounded down: half of the distance is the standard deviation of two numbers. A
        /// resource of which the node has nothing is left out; with one fraction or none the score is 100.
        fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64;

        /// The score of ImageLocality for a pod with one entry for each of its containers, in a cluster of `nodes` nodes.
        ///
        /// Each image counts `size × (nodes that have it ÷ nodes)` bytes, where the ratio is taken first, in floating point, and
        /// each product rounded down. Their sum is held between 23 MiB and as many times 1000 MiB as there are containers, at
        /// least one. The score says where between these two it is, from 0 to 100: `100 × (sum − 23 MiB) ÷ (most − 23 MiB)`
        /// in integers.
        fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64;

        /// Scores of all nodes, none negative, brought to 0 to 100 in proportion to the greatest (DefaultNormalizeScore), in
        /// integers: `100 × score ÷ greatest`. With `reverse`, 100 minus that: then the least is the best.
        ///
        /// If all are 0, they stay so, or all become 100 with `reverse`.
        fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64>;
    }
}

/// How NodeResourcesFit scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Strategy {
    /// The more is left, the better: `(allocatable − requested) × 100 ÷ allocatable` in integers, 0 if more is requested
    /// than there is. The mean is rounded down. The default, with cpu 1 and memory 1.
    LeastAllocated(Vec<WeightedResource>),
    /// The less is left, the better: `requested × 100 ÷ allocatable` in integers, 100 if more is requested than there is. The
    /// mean is rounded down.
    MostAllocated(Vec<WeightedResource>),
    /// By a curve over the utilization `requested × 100 ÷ allocatable`, in integers, 100 if more is requested than there
    /// is. A resource with the score 0 counts for nothing, weight included; the mean is rounded to the nearest.
    RequestedToCapacityRatio {
        /// The resources.
        resources: Vec<WeightedResource>,
        /// The curve: straight lines between these points, level before the first and after the last. There is at least one, and
        /// each has a greater utilization than the one before it. Between two points:
        /// `score₁ + (score₂ − score₁) × (u − u₁) ÷ (u₂ − u₁)` in integers.
        shape: Vec<ShapePoint>,
    },
}

/// A resource and how much it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedResource {
    /// Its name, which no list has twice: `cpu`, `memory`, `ephemeral-storage`, `nvidia.com/gpu` …
    pub name: String,
    /// Its weight, at least 1.
    pub weight: i64,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapePoint {
    /// In percent, from 0 to 100.
    pub utilization: i64,
    /// From 0 to 100. (A scheduler's configuration has it from 0 to 10.)
    pub score: i64,
}

/// The image of one container, as it is found on one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContainerImage {
    /// Its size in bytes; 0 if the node doesn't have it.
    pub size: i64,
    /// How many nodes of the cluster have it.
    pub nodes: i64,
}
// ANCHOR_END: contract

impl Default for Strategy {
    fn default() -> Self {
        let resource = |name: &str| WeightedResource { name: name.into(), weight: 1 };
        Strategy::LeastAllocated(vec![resource("cpu"), resource("memory")])
    }
}

impl Show for Strategy {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for ContainerImage {
    fn lines(&self) -> Vec<String> {
        let size = Quantity::new(self.size, Format::BinarySI);
        vec![if self.size == 0 { "not here".into() } else { format!("{size} on {} nodes", self.nodes) }]
    }
}
