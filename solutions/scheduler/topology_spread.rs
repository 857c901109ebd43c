//! The reference for `scheduler/topology_spread`.
//!
//! The names follow `pkg/scheduler/framework/plugins/podtopologyspread`.

// ANCHOR: solution
use kit::api::rustc_hash::{FxHashMap, FxHashSet};
use kit::scheduler::{InclusionPolicy, Name, SpreadConstraint, SpreadNode, SpreadVerdict, TopologySpread};

/// The PodTopologySpread plugin.
#[derive(Default)]
pub struct Exercise;

impl TopologySpread for Exercise {
    // ANCHOR: filter
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let mut counts: Vec<FxHashMap<Name, i64>> = vec![FxHashMap::default(); constraints.len()];
        for node in nodes.iter().filter(|node| has_all_labels(constraints, node)) {
            for (i, constraint) in constraints.iter().enumerate() {
                if includes(constraint, node)
                    && let Some(domain) = node.topology.get(constraint.topology_key)
                {
                    *counts[i].entry(domain).or_default() += node.matching[i];
                }
            }
        }
        let least = |(constraint, counts): (&SpreadConstraint, &FxHashMap<Name, i64>)| {
            let enough = counts.len() as i64 >= constraint.min_domains;
            counts.values().copied().min().filter(|_| enough).unwrap_or(0)
        };
        let least: Vec<i64> = constraints.iter().zip(&counts).map(least).collect();
        let judge = |node: &SpreadNode| {
            for (i, constraint) in constraints.iter().enumerate() {
                let Some(domain) = node.topology.get(constraint.topology_key) else {
                    return SpreadVerdict::NoLabel;
                };
                let there = counts[i].get(&domain).copied().unwrap_or(0);
                if there + i64::from(constraint.self_match) - least[i] > constraint.max_skew {
                    return SpreadVerdict::Skewed;
                }
            }
            SpreadVerdict::Fits
        };
        nodes.iter().map(|node| (node.name, judge(node))).collect()
    }
    // ANCHOR_END: filter

    // ANCHOR: score
    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let is_ignored = |node: &SpreadNode| all_labels && !has_all_labels(constraints, node);
        let wanted: FxHashSet<Name> = candidates.iter().copied().collect();
        let candidates: Vec<&SpreadNode> = nodes.iter().filter(|node| wanted.contains(&node.name)).collect();
        let scored = candidates.iter().filter(|node| !is_ignored(node)).count();

        // Of each constraint, the domains that candidates are in, and then the pods in them.
        let mut counts: Vec<FxHashMap<Name, i64>> = vec![FxHashMap::default(); constraints.len()];
        let by_domain = || constraints.iter().enumerate().filter(|(_, constraint)| !is_hostname(constraint));
        for node in candidates.iter().filter(|node| !is_ignored(node)) {
            for (i, constraint) in by_domain() {
                counts[i].insert(value(node, constraint), 0);
            }
        }
        // In a large cluster most nodes have none of the pods that count.
        for node in nodes.iter().filter(|node| node.matching.iter().any(|pods| *pods != 0) && !is_ignored(node)) {
            for (i, constraint) in by_domain().filter(|(_, constraint)| includes(constraint, node)) {
                if let Some(count) = counts[i].get_mut(&value(node, constraint)) {
                    *count += node.matching[i];
                }
            }
        }

        // Where a label has few values, each of them says more: the logarithm evens that out.
        let size = |i: usize| if is_hostname(&constraints[i]) { scored } else { counts[i].len() };
        let weights: Vec<f64> = (0..constraints.len()).map(|i| (size(i) as f64 + 2.0).ln()).collect();
        let score = |node: &SpreadNode| {
            let mut sum = 0.0;
            for (i, constraint) in constraints.iter().enumerate() {
                let Some(domain) = node.topology.get(constraint.topology_key) else { continue };
                let count = if is_hostname(constraint) { node.matching[i] } else { counts[i][&domain] };
                sum += count as f64 * weights[i] + (constraint.max_skew - 1) as f64;
            }
            sum.round() as i64
        };
        candidates.iter().map(|node| (node.name, (!is_ignored(node)).then(|| score(node)))).collect()
    }
    // ANCHOR_END: score

    // ANCHOR: normalize
    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        let greatest = scores.iter().flatten().copied().max().unwrap_or(0);
        let least = scores.iter().flatten().copied().min().unwrap_or(0);
        let normal = |score: &Option<i64>| match score {
            None => 0,
            Some(_) if greatest == 0 => 100,
            Some(score) => 100 * (greatest + least - score) / greatest,
        };
        scores.iter().map(normal).collect()
    }
    // ANCHOR_END: normalize
}

fn has_all_labels(constraints: &[SpreadConstraint], node: &SpreadNode) -> bool {
    constraints.iter().all(|constraint| node.topology.get(constraint.topology_key).is_some())
}

/// The value of a constraint's label as scores see it: a label that isn't there is as good as an empty one.
fn value(node: &SpreadNode, constraint: &SpreadConstraint) -> Name {
    node.topology.get(constraint.topology_key).unwrap_or_default()
}

/// Whether the policies of a constraint let the node's pods count.
fn includes(constraint: &SpreadConstraint, node: &SpreadNode) -> bool {
    (node.affinity || constraint.node_affinity_policy == InclusionPolicy::Ignore)
        && (node.tolerated || constraint.node_taints_policy == InclusionPolicy::Ignore)
}

/// Each node is a domain of its own: there is nothing to add up.
fn is_hostname(constraint: &SpreadConstraint) -> bool {
    constraint.topology_key.as_str() == "kubernetes.io/hostname"
}
// ANCHOR_END: solution
