//! Passes: no maps; the count of a domain is summed up anew wherever it is needed.

use kit::scheduler::{InclusionPolicy, Name, SpreadConstraint, SpreadNode, SpreadVerdict, TopologySpread};

#[derive(Default)]
struct Exercise;

impl TopologySpread for Exercise {
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let counted =
            |i: usize| nodes.iter().filter(move |node| complete(constraints, node) && allowed(&constraints[i], node));
        let count = |i: usize, domain: Name| -> i64 {
            let key = constraints[i].topology_key;
            counted(i).filter(|node| node.topology.get(key) == Some(domain)).map(|node| node.matching[i]).sum()
        };
        let minimum = |i: usize| {
            let mut domains: Vec<Name> =
                counted(i).filter_map(|n| n.topology.get(constraints[i].topology_key)).collect();
            domains.sort();
            domains.dedup();
            if (domains.len() as i64) < constraints[i].min_domains {
                return 0;
            }
            domains.into_iter().map(|domain| count(i, domain)).min().unwrap_or(0)
        };
        let minimums: Vec<i64> = (0..constraints.len()).map(minimum).collect();
        let mut verdicts = Vec::new();
        for node in nodes {
            let mut verdict = SpreadVerdict::Fits;
            for (i, constraint) in constraints.iter().enumerate() {
                verdict = match node.topology.get(constraint.topology_key) {
                    None => SpreadVerdict::NoLabel,
                    Some(domain) => {
                        let then = count(i, domain) + if constraint.self_match { 1 } else { 0 };
                        if then - minimums[i] <= constraint.max_skew { continue } else { SpreadVerdict::Skewed }
                    }
                };
                break;
            }
            verdicts.push((node.name, verdict));
        }
        verdicts
    }

    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let usable = |node: &SpreadNode| !all_labels || complete(constraints, node);
        let is_candidate = |node: &SpreadNode| candidates.contains(&node.name);
        let scored: Vec<&SpreadNode> = nodes.iter().filter(|node| is_candidate(node) && usable(node)).collect();
        let weight = |constraint: &SpreadConstraint| {
            let size = if host(constraint) {
                scored.len()
            } else {
                let mut values: Vec<_> = scored.iter().map(|node| value(node, constraint)).collect();
                values.sort();
                values.dedup();
                values.len()
            };
            f64::ln(size as f64 + 2.0)
        };
        let score = |node: &SpreadNode| {
            let mut score = 0.0;
            for (i, constraint) in constraints.iter().enumerate() {
                let domain = value(node, constraint);
                if node.topology.get(constraint.topology_key).is_none() {
                    continue;
                }
                let count: i64 = if host(constraint) {
                    node.matching[i]
                } else {
                    let there = nodes.iter().filter(|n| value(n, constraint) == domain);
                    there.filter(|n| usable(n) && allowed(constraint, n)).map(|n| n.matching[i]).sum()
                };
                score += count as f64 * weight(constraint) + constraint.max_skew as f64 - 1.0;
            }
            score.round() as i64
        };
        let answer = |node: &SpreadNode| (node.name, usable(node).then(|| score(node)));
        nodes.iter().filter(|node| is_candidate(node)).map(answer).collect()
    }

    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        let (mut least, mut greatest) = (i64::MAX, 0);
        for score in scores.iter().flatten() {
            least = least.min(*score);
            greatest = greatest.max(*score);
        }
        let mut normal = Vec::new();
        for score in scores {
            normal.push(match *score {
                None => 0,
                Some(_) if greatest == 0 => 100,
                Some(score) => (greatest + least - score) * 100 / greatest,
            });
        }
        normal
    }
}

fn value(node: &SpreadNode, constraint: &SpreadConstraint) -> Name {
    node.topology.get(constraint.topology_key).unwrap_or_default()
}

fn complete(constraints: &[SpreadConstraint], node: &SpreadNode) -> bool {
    !constraints.iter().any(|constraint| node.topology.get(constraint.topology_key).is_none())
}

fn allowed(constraint: &SpreadConstraint, node: &SpreadNode) -> bool {
    let affinity = constraint.node_affinity_policy == InclusionPolicy::Ignore || node.affinity;
    let taints = constraint.node_taints_policy == InclusionPolicy::Ignore || node.tolerated;
    affinity && taints
}

fn host(constraint: &SpreadConstraint) -> bool {
    &*constraint.topology_key == "kubernetes.io/hostname"
}

kit::exercise!(Exercise: TopologySpread);
