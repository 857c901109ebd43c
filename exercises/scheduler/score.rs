//! # Scores: the best of the nodes that fit
//!
//! Many nodes could take the pod; the best score wins. You write the scores that look at resources and at images, and the
//! arithmetic that makes scores comparable.
//!
//! About 30 minutes · builds on `scheduler/resources_fit` · book: "Scores: the best of the nodes that fit" · stuck? `cargo grade hint scheduler/score`

use kit::scheduler::{ContainerImage, NodeResources, PodRequest, Score, Strategy};
#[allow(unused_imports)] // Until you need them.
use kit::scheduler::{ShapePoint, WeightedResource};

#[derive(Default)]
struct Exercise;

impl Score for Exercise {
    /// The score of NodeResourcesFit by one of its strategies: the weighted mean of the scores of the resources,
    /// rounded as each strategy says.
    ///
    /// Of each resource, take what is requested with this pod on the node, and what is allocatable. CPU and memory
    /// are requested as `scored` says, all others as `requests` do. Two kinds of resources are left out, together
    /// with their weight: those of which the node has 0, and those other than cpu, memory and ephemeral-storage that
    /// the pod doesn't ask for. Without any resource left the score is 0.
    fn allocation(&self, strategy: &Strategy, pod: &PodRequest, node: &NodeResources) -> i64 {
        let _ = (strategy, pod, node);
        todo!("for each resource a score, then the weighted mean")
    }

    /// The score of NodeResourcesBalancedAllocation: how evenly CPU and memory would be used.
    ///
    /// For each of the two, the fraction is what is requested with this pod (as `requests` say, not `scored`) divided
    /// by what is allocatable, at most 1. With two fractions, the score is `(1 − |cpu − memory| ÷ 2) × 100`, in
    /// this order and in floating point of 64 bits, rounded down: half of the distance is the standard deviation of two numbers. A resource of
    /// which the node has nothing is left out; with one fraction or none the score is 100.
    fn balanced(&self, pod: &PodRequest, node: &NodeResources) -> i64 {
        let _ = (pod, node);
        todo!("two fractions and how far they are apart")
    }

    /// The score of ImageLocality for a pod with one entry for each of its containers, in a cluster of `nodes` nodes.
    ///
    /// Each image counts `size × (nodes that have it ÷ nodes)` bytes, where the ratio is taken first, in floating point, and
    /// each product rounded down. Their sum is held between 23 MiB and as many times 1000 MiB as there are containers, at
    /// least one. The score says where between these two it is, from 0 to 100: `100 × (sum − 23 MiB) ÷ (most − 23 MiB)`
    /// in integers.
    fn image_locality(&self, containers: &[ContainerImage], nodes: i64) -> i64 {
        let _ = (containers, nodes);
        todo!("how many bytes need not be pulled?")
    }

    /// Scores of all nodes, none negative, brought to 0 to 100 in proportion to the greatest (DefaultNormalizeScore), in
    /// integers: `100 × score ÷ greatest`. With `reverse`, 100 minus that: then the least is the best.
    ///
    /// If all are 0, they stay so, or all become 100 with `reverse`.
    fn normalize(&self, scores: &[i64], reverse: bool) -> Vec<i64> {
        let _ = (scores, reverse);
        todo!("in proportion to the greatest")
    }
}

kit::exercise!(Exercise: Score);
