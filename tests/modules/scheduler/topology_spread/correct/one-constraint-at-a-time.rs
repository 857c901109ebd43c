//! Passes: each constraint is worked out for all nodes before the next one, over a table of domains in a BTreeMap.

use kit::scheduler::{InclusionPolicy, Name, SpreadConstraint, SpreadNode, SpreadVerdict, TopologySpread};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

impl TopologySpread for Exercise {
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let keys: Vec<Name> = constraints.iter().map(|constraint| constraint.topology_key).collect();
        let mut verdicts = vec![SpreadVerdict::Fits; nodes.len()];
        for (i, constraint) in constraints.iter().enumerate() {
            let mut table: BTreeMap<Name, i64> = BTreeMap::new();
            for node in nodes {
                if keys.iter().all(|key| node.topology.get(*key).is_some()) && takes_part(constraint, node) {
                    *table.entry(node.topology.get(keys[i]).unwrap()).or_insert(0) += node.matching[i];
                }
            }
            let mut minimum = table.values().min().copied().unwrap_or(0);
            if table.len() < constraint.min_domains as usize {
                minimum = 0;
            }
            let own = i64::from(constraint.self_match);
            for (node, verdict) in nodes.iter().zip(&mut verdicts).filter(|(_, v)| **v == SpreadVerdict::Fits) {
                match node.topology.get(keys[i]) {
                    None => *verdict = SpreadVerdict::NoLabel,
                    Some(domain) => {
                        if table.get(&domain).unwrap_or(&0) + own > constraint.max_skew + minimum {
                            *verdict = SpreadVerdict::Skewed;
                        }
                    }
                }
            }
        }
        nodes.iter().map(|node| node.name).zip(verdicts).collect()
    }

    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let candidates: BTreeSet<Name> = candidates.iter().copied().collect();
        let lacks = |node: &SpreadNode| constraints.iter().any(|c| node.topology.get(c.topology_key).is_none());
        let is_out = |node: &SpreadNode| all_labels && lacks(node);
        let mine: Vec<&SpreadNode> = nodes.iter().filter(|node| candidates.contains(&node.name)).collect();
        let mut sums = vec![0.0; mine.len()];
        for (i, constraint) in constraints.iter().enumerate() {
            let key = constraint.topology_key;
            let by_host = key.as_str() == "kubernetes.io/hostname";
            let size = if by_host {
                mine.iter().filter(|node| !is_out(node)).count()
            } else {
                let values = mine.iter().filter(|node| !is_out(node)).map(|node| node.topology.get(key).unwrap_or_default());
                values.collect::<BTreeSet<_>>().len()
            };
            let mut table: BTreeMap<Name, i64> = BTreeMap::new();
            for node in nodes.iter().filter(|node| !is_out(node) && takes_part(constraint, node)) {
                *table.entry(node.topology.get(key).unwrap_or_default()).or_insert(0) += node.matching[i];
            }
            for (node, sum) in mine.iter().zip(&mut sums) {
                if let Some(domain) = node.topology.get(key) {
                    let count = if by_host { node.matching[i] } else { *table.get(&domain).unwrap_or(&0) };
                    *sum += count as f64 * (size as f64 + 2.0).ln() + (constraint.max_skew - 1) as f64;
                }
            }
        }
        let score =
            |(node, sum): (&&SpreadNode, f64)| (node.name, if is_out(node) { None } else { Some(sum.round() as i64) });
        mine.iter().zip(sums).map(score).collect()
    }

    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        let known: Vec<i64> = scores.iter().filter_map(|score| *score).collect();
        let greatest = known.iter().max().copied().unwrap_or(0);
        let least = known.iter().min().copied().unwrap_or(0);
        scores
            .iter()
            .map(|score| {
                score.map_or(0, |score| (100 * (greatest + least - score)).checked_div(greatest).unwrap_or(100))
            })
            .collect()
    }
}

fn takes_part(constraint: &SpreadConstraint, node: &SpreadNode) -> bool {
    let policies = [(constraint.node_affinity_policy, node.affinity), (constraint.node_taints_policy, node.tolerated)];
    policies.iter().all(|(policy, holds)| *policy == InclusionPolicy::Ignore || *holds)
}

kit::exercise!(Exercise: TopologySpread);
