//! # Pod affinity: near some pods, far from others
//!
//! A pod may want to be near some pods, and far from others; and those that run already may want the same of it. You find
//! the domains that these wishes touch, and decide which nodes the pod can go to and which it would like.
//!
//! About 45 minutes · builds on `scheduler/topology_spread` · book: "Pod affinity: near some pods, far from others" · stuck? `cargo grade hint scheduler/pod_affinity`
//!
//! Given to you:
//!
//! - `kit::scheduler::Topology::get: fn(&kit::scheduler::Topology, Name) -> Option<Name>`
//! - `kit::scheduler::Selector::matches: fn(&kit::scheduler::Selector, &kit::scheduler::Labels) -> bool`
//! - `kit::scheduler::Namespaces::contains: fn(&kit::scheduler::Namespaces, &str) -> bool`

use kit::scheduler::{AffinityNode, AffinityPod, AffinityVerdict, InterPodAffinity, Name};
#[allow(unused_imports)] // Until you need them.
use kit::scheduler::{AffinityTerm, GroupCount, Namespaces, WeightedTerm};

#[derive(Default)]
struct Exercise;

impl InterPodAffinity for Exercise {
    /// For each node, in the order given, whether the pod may run there. The first of these rules that refuses decides:
    ///
    /// 1. `Affinity`: the node has the labels of all required affinity terms, and each of these domains has a pod that *all*
    ///    these terms mean, anywhere in the domain. There is one exception: where no such pod is in any domain of any of
    ///    these terms, and the terms mean the new pod itself, having the labels is enough. Else nobody could be first.
    /// 2. `AntiAffinity`: none of the node's domains of required anti-affinity terms has a pod that the term means.
    /// 3. `ExistingAntiAffinity`: no pod in any of the node's domains has a required anti-affinity term, with that domain's label,
    ///    that means the new pod.
    ///
    /// A node without a label is in no domain of it: anti-affinity never refuses there.
    fn filter(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
    ) -> Vec<(Name, AffinityVerdict)> {
        let _ = (pod, groups, nodes);
        todo!("three counts by domain: wanted, avoided, avoiding")
    }

    /// For each candidate, in the order of `nodes`, how much the pod and the others want it there. The whole answer
    /// is `None` if no term found a pod: then there is nothing to score. If one did, each candidate has a score,
    /// which may be 0.
    ///
    /// Each pod on any node, candidate or not, adds to all candidates in the same domain, once for each term that
    /// finds it. A term finds a pod only if the pod's node has the label of the term: on a node without it the pod is
    /// in no domain. What is added:
    ///
    /// - the weight of each preferred affinity term of the new pod that means it, and minus the weight for anti-affinity;
    /// - the weight of each of its own preferred affinity terms that means the new pod, and minus the weight for
    ///   anti-affinity;
    /// - 1 for each of its own required affinity terms that means the new pod (`hardPodAffinityWeight`).
    fn score(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
        candidates: &[Name],
    ) -> Option<Vec<(Name, i64)>> {
        let _ = (pod, groups, nodes, candidates);
        todo!("what each pod adds to its domains")
    }

    /// Brings scores, which may be negative, to 0 to 100: `100 × ((score − least) ÷ (greatest − least))`, the ratio in floating
    /// point, the result rounded down; 0 for all if they are equal.
    fn normalize(&self, scores: &[i64]) -> Vec<i64> {
        let _ = scores;
        todo!("from the least to the greatest")
    }
}

kit::exercise!(Exercise: InterPodAffinity);
