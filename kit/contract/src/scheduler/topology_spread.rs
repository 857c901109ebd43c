//! The scheduler's PodTopologySpread plugin.
//!
//! Source: `filtering.go`, `scoring.go` and `common.go` in `pkg/scheduler/framework/plugins/podtopologyspread`.

use crate::{Show, flow};
pub use kit_api::Name;
pub use kit_api::view::Topology;
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Spreads pods over zones, hosts or whatever else nodes are grouped by.
    ///
    /// The nodes that have the same value of a label are a *domain*. An empty value is a value: a node has a label if
    /// the label is there, whatever its value. A pod is asked about once, for all nodes together.
    pub trait TopologySpread {
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
        fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)>;

        /// For each candidate, in the order of `nodes`, what the soft constraints (`ScheduleAnyway`) say: how many matching pods
        /// are in its domains; less is better. None for a candidate that is ignored.
        ///
        /// With `all_labels`, a node that lacks the label of any constraint is ignored: if it is a candidate its
        /// answer is none, and its pods are not counted. (It is false only for the constraints that the cluster has
        /// by default.)
        ///
        /// Of each constraint whose label the candidate has, add `count × ln(size + 2) + (max_skew − 1)`, and round
        /// the sum to the nearest integer, halves up. `size` is the number of different values of the label among the
        /// candidates that are not ignored, where a missing label counts as the empty value; for
        /// `kubernetes.io/hostname` it is the number of these candidates. `count` is the sum of matching pods over
        /// all nodes in the domain that the policies allow and that are not ignored, candidates or not (the domain of
        /// the empty value has the nodes without the label, too); for `kubernetes.io/hostname` it is those on the
        /// candidate itself, whatever the policies say.
        fn score(
            &self,
            constraints: &[SpreadConstraint],
            nodes: &[SpreadNode],
            candidates: &[Name],
            all_labels: bool,
        ) -> Vec<(Name, Option<i64>)>;

        /// Brings scores to 0 to 100, where fewer pods are better: `100 × (greatest + least − score) ÷ greatest` in integers, over
        /// those that are not ignored; 0 for ignored ones, and 100 for all others if the greatest is 0.
        fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64>;
    }
}

/// One rule of how pods are to be spread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadConstraint {
    /// How many more matching pods a domain may have than the one with the fewest; at least 1.
    pub max_skew: i64,
    /// The label that makes domains.
    pub topology_key: Name,
    /// With fewer domains than this, the minimum counts as 0. It is 1 if the pod doesn't say.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub min_domains: i64,
    /// Whether only nodes count that the pod's node selector and node affinity allow.
    #[serde(default = "InclusionPolicy::honor", skip_serializing_if = "InclusionPolicy::is_honor")]
    pub node_affinity_policy: InclusionPolicy,
    /// Whether only nodes count whose taints the pod tolerates.
    #[serde(default = "InclusionPolicy::ignore", skip_serializing_if = "InclusionPolicy::is_ignore")]
    pub node_taints_policy: InclusionPolicy,
    /// Whether the pod is one of those that the constraint's selector means.
    #[serde(default = "yes")]
    pub self_match: bool,
}

/// Whether something of a node is looked at when its pods are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InclusionPolicy {
    /// Nodes that the pod can't go to are not counted.
    Honor,
    /// They are.
    Ignore,
}

/// A node as spreading sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadNode {
    /// Its name.
    pub name: Name,
    /// Its labels, as far as constraints name them.
    #[serde(default)]
    pub topology: Topology,
    /// For each constraint, in order: how many pods are here that its selector means. Pods of other namespaces and pods that
    /// are being deleted don't count.
    pub matching: Vec<i64>,
    /// Whether the pod's node selector and required node affinity allow this node.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub affinity: bool,
    /// Whether the pod tolerates all taints here that keep pods away.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub tolerated: bool,
}

/// What hard constraints say of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpreadVerdict {
    /// They let the pod in.
    Fits,
    /// The node doesn't have the label of a constraint.
    NoLabel,
    /// The domain would have too many pods.
    Skewed,
}
// ANCHOR_END: contract

impl InclusionPolicy {
    fn honor() -> Self {
        InclusionPolicy::Honor
    }
    fn ignore() -> Self {
        InclusionPolicy::Ignore
    }
    fn is_honor(&self) -> bool {
        *self == InclusionPolicy::Honor
    }
    fn is_ignore(&self) -> bool {
        *self == InclusionPolicy::Ignore
    }
}

fn one() -> i64 {
    1
}

fn is_one(number: &i64) -> bool {
    *number == 1
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}

impl Show for SpreadConstraint {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for SpreadNode {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}

impl Show for SpreadVerdict {
    fn lines(&self) -> Vec<String> {
        vec![
            match self {
                SpreadVerdict::Fits => "fits",
                SpreadVerdict::NoLabel => "refused: no label",
                SpreadVerdict::Skewed => "refused: too many there",
            }
            .into(),
        ]
    }
}
