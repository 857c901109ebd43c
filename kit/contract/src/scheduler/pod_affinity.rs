//! The scheduler's InterPodAffinity plugin: pods that want to be near some pods, and far from others.
//!
//! Source: `filtering.go` and `scoring.go` in `pkg/scheduler/framework/plugins/interpodaffinity`.

use super::{Labels, Name, Topology};
use crate::{Show, flow};
pub use kit_api::selector::Selector;
use serde::{Deserialize, Serialize};
use std::fmt;

// ANCHOR: contract
contract! {
    /// Decides by the pods that run already, on the node itself and on all others of its zone, rack or region.
    ///
    /// Nodes with the same value of a label are a *domain* of that label. A term *means* a pod if its namespaces and its selector
    /// both do. Pods that are alike in all that matters here form a *group*; nodes say how many of each group they
    /// run. The new pod is asked about once, for all nodes together, and is in none of the groups' counts.
    pub trait InterPodAffinity {
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
        ) -> Vec<(Name, AffinityVerdict)>;

        /// For each candidate, in the order of `nodes`, how much the pod and the others want it there. The whole
        /// answer is `None` if no term found a pod: then there is nothing to score. If one did, each candidate has a
        /// score, which may be 0.
        ///
        /// Each pod on any node, candidate or not, adds to all candidates in the same domain, once for each term that
        /// finds it. A term finds a pod only if the pod's node has the label of the term: on a node without it the
        /// pod is in no domain. What is added:
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
        ) -> Option<Vec<(Name, i64)>>;

        /// Brings scores, which may be negative, to 0 to 100: `100 × ((score − least) ÷ (greatest − least))`, the ratio in floating
        /// point, the result rounded down; 0 for all if they are equal.
        fn normalize(&self, scores: &[i64]) -> Vec<i64>;
    }
}

/// A pod, or a group of pods that are alike: where they are, their labels, and whom they want near and far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AffinityPod {
    /// The namespace.
    pub namespace: String,
    /// The labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Required affinity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<AffinityTerm>,
    /// Required anti-affinity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anti_affinity: Vec<AffinityTerm>,
    /// Preferred affinity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred_affinity: Vec<WeightedTerm>,
    /// Preferred anti-affinity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred_anti_affinity: Vec<WeightedTerm>,
}

/// Which pods are meant, and what makes a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffinityTerm {
    /// The labels that pods must have, as text: `app=web,tier in (api,front)`. Ask it with `matches`.
    pub selector: Selector,
    /// In which namespaces: the pod's own if it doesn't say. What a `namespaceSelector` selects is listed here by name.
    pub namespaces: Namespaces,
    /// The label of nodes that makes domains.
    pub topology_key: Name,
}

/// A term and what it is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightedTerm {
    /// From 1 to 100.
    pub weight: i64,
    /// The term.
    pub term: AffinityTerm,
}

/// The namespaces of a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Namespaces {
    /// Every namespace: what an empty `namespaceSelector` means.
    All,
    /// These. None at all where a `namespaceSelector` selects nothing: then the term means no pod.
    These(Vec<String>),
}

/// A node and the pods on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffinityNode {
    /// Its name.
    pub name: Name,
    /// Its labels, as far as terms name them.
    #[serde(default)]
    pub topology: Topology,
    /// How many pods of which group run here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<GroupCount>,
}

/// Pods of one group on one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupCount {
    /// Which: its place in the list of groups, from 0.
    pub group: usize,
    /// How many; at least 1.
    pub count: i64,
}

/// What affinity says of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AffinityVerdict {
    /// The pod may run there.
    Fits,
    /// A pod that it must be near isn't.
    Affinity,
    /// A pod that it must be far from is there.
    AntiAffinity,
    /// A pod is there that must be far from it.
    ExistingAntiAffinity,
}
// ANCHOR_END: contract

impl Namespaces {
    /// Whether a namespace is one of them.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Namespaces::All => true,
            Namespaces::These(names) => names.iter().any(|name| name == namespace),
        }
    }
}

impl Show for AffinityPod {
    /// One line, so that the lines of groups are in the order of their numbers.
    fn lines(&self) -> Vec<String> {
        let who = [format!("{} {}", self.namespace.escape_debug(), flow(&self.labels))].into_iter();
        let required = |what, terms: &[AffinityTerm]| terms.iter().map(|t| format!("{what} {t}")).collect::<Vec<_>>();
        let preferred = |what, terms: &[WeightedTerm]| {
            terms.iter().map(|t| format!("prefers {}: {what} {}", t.weight, t.term)).collect::<Vec<_>>()
        };
        let parts = who
            .chain(required("near", &self.affinity))
            .chain(required("far from", &self.anti_affinity))
            .chain(preferred("near", &self.preferred_affinity))
            .chain(preferred("far from", &self.preferred_anti_affinity));
        vec![parts.collect::<Vec<_>>().join(" · ")]
    }
}

impl fmt::Display for AffinityTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = match &self.selector {
            Selector::Nothing => "no pods".to_string(),
            all if all.is_empty() => "all pods".to_string(),
            selector => selector.to_string(),
        };
        let namespaces = match &self.namespaces {
            Namespaces::All => "all namespaces".to_string(),
            Namespaces::These(names) => names.join(", "),
        };
        let text = format!("{selector} in {namespaces} by {}", self.topology_key);
        write!(f, "{}", text.escape_debug())
    }
}

impl Show for AffinityNode {
    fn lines(&self) -> Vec<String> {
        let runs: Vec<_> = self.pods.iter().map(|pods| format!("{} of group {}", pods.count, pods.group)).collect();
        let runs = if runs.is_empty() { String::new() } else { format!(" runs {}", runs.join(", ")) };
        vec![format!("{} {}{runs}", self.name.escape_debug(), flow(&self.topology))]
    }
}

impl Show for AffinityVerdict {
    fn lines(&self) -> Vec<String> {
        vec![
            match self {
                AffinityVerdict::Fits => "fits",
                AffinityVerdict::Affinity => "refused: affinity",
                AffinityVerdict::AntiAffinity => "refused: anti-affinity",
                AffinityVerdict::ExistingAntiAffinity => "refused: anti-affinity of a pod that is there",
            }
            .into(),
        ]
    }
}
