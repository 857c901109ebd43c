//! # Topology spread: as even as possible
//!
//! Pods of one application should not stand in one zone, or on one host. You count the pods that are there by the domains that
//! nodes make, and decide which nodes would make the spread too uneven, and which make it more even.
//!
//! About 45 minutes · builds on `scheduler/node_affinity` and `scheduler/taints` · book: "Topology spread: as even as possible" · stuck? `cargo grade hint scheduler/topology_spread`
//!
//! Given to you:
//!
//! - `kit::scheduler::Topology::get: fn(&kit::scheduler::Topology, Name) -> Option<Name>`
//! - `Name::as_str: fn(Name) -> &'static str`

#[allow(unused_imports)] // Until you need them.
use kit::scheduler::InclusionPolicy;
use kit::scheduler::{Name, SpreadConstraint, SpreadNode, SpreadVerdict, TopologySpread};

#[derive(Default)]
struct Exercise;

impl TopologySpread for Exercise {
    /// For each node, in the order given, whether the hard constraints (`DoNotSchedule`) let the pod in.
    ///
    /// Counting: a node takes part if it has the labels of *all* constraints. Such a node is counted by one constraint if
    /// that one's policies allow it; then the matching pods of its domain are the sum over the counted nodes, and a
    /// domain exists if it has a counted node. The least count over all domains is the minimum; it is 0 if there are
    /// fewer domains than `min_domains`.
    ///
    /// Judging, for every node, counted or not: without the label of a constraint it is `NoLabel`. Else the count of its
    /// domain (0 if that doesn't exist), plus 1 if the pod matches itself, minus the minimum, must be at most
    /// `max_skew`. The first constraint that refuses decides.
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let _ = (constraints, nodes);
        todo!("count by domain, find the minimum, then judge each node")
    }

    /// For each candidate, in the order of `nodes`, what the soft constraints (`ScheduleAnyway`) say: how many matching pods
    /// are in its domains; less is better. None for a candidate that is ignored.
    ///
    /// With `all_labels`, a node that lacks the label of any constraint is ignored: if it is a candidate its answer
    /// is none, and its pods are not counted. (It is false only for the constraints that the cluster has by default.)
    ///
    /// Of each constraint whose label the candidate has, add `count × ln(size + 2) + (max_skew − 1)`, and round the
    /// sum to the nearest integer, halves up. `size` is the number of different values of the label among the
    /// candidates that are not ignored, where a missing label counts as the empty value; for `kubernetes.io/hostname`
    /// it is the number of these candidates. `count` is the sum of matching pods over all nodes in the domain that
    /// the policies allow and that are not ignored, candidates or not (the domain of the empty value has the nodes
    /// without the label, too); for `kubernetes.io/hostname` it is those on the candidate itself, whatever the
    /// policies say.
    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let _ = (constraints, nodes, candidates, all_labels);
        todo!("count by domain again, but for the candidates, and weigh")
    }

    /// Brings scores to 0 to 100, where fewer pods are better: `100 × (greatest + least − score) ÷ greatest` in integers, over
    /// those that are not ignored; 0 for ignored ones, and 100 for all others if the greatest is 0.
    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        let _ = scores;
        todo!("fewer pods are better")
    }
}

kit::exercise!(Exercise: TopologySpread);
