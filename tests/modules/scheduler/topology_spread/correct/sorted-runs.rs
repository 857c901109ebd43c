//! Passes: sorts nodes by their domains and reads off runs of equals; sums are found again by bisection.

use kit::scheduler::{InclusionPolicy, Name, SpreadConstraint, SpreadNode, SpreadVerdict, TopologySpread};

#[derive(Default)]
struct Exercise;

/// Domains in order, with the matching pods of each.
struct Runs(Vec<(Name, i64)>);

impl Runs {
    fn of(mut counted: Vec<(Name, i64)>) -> Self {
        counted.sort_unstable();
        let runs = counted.chunk_by(|(a, _), (b, _)| a == b);
        Runs(runs.map(|run| (run[0].0, run.iter().map(|(_, pods)| pods).sum())).collect())
    }

    fn get(&self, domain: Name) -> i64 {
        match self.0.binary_search_by(|(name, _)| name.cmp(&domain)) {
            Ok(at) => self.0[at].1,
            Err(_) => 0,
        }
    }

    fn least(&self, min_domains: i64) -> i64 {
        if (self.0.len() as i64) < min_domains {
            return 0;
        }
        let mut least = i64::MAX;
        for (_, pods) in &self.0 {
            least = least.min(*pods);
        }
        if self.0.is_empty() { 0 } else { least }
    }
}

/// The values of all constraints' labels, in their order; none where one is missing.
fn values(constraints: &[SpreadConstraint], node: &SpreadNode) -> Vec<Option<Name>> {
    constraints.iter().map(|constraint| node.topology.get(constraint.topology_key)).collect()
}

fn counts(constraint: &SpreadConstraint, node: &SpreadNode) -> bool {
    match (constraint.node_affinity_policy, constraint.node_taints_policy) {
        (InclusionPolicy::Honor, InclusionPolicy::Honor) => node.affinity && node.tolerated,
        (InclusionPolicy::Honor, InclusionPolicy::Ignore) => node.affinity,
        (InclusionPolicy::Ignore, InclusionPolicy::Honor) => node.tolerated,
        (InclusionPolicy::Ignore, InclusionPolicy::Ignore) => true,
    }
}

const HOSTNAME: &str = "kubernetes.io/hostname";

impl TopologySpread for Exercise {
    fn filter(&self, constraints: &[SpreadConstraint], nodes: &[SpreadNode]) -> Vec<(Name, SpreadVerdict)> {
        let table: Vec<Vec<Option<Name>>> = nodes.iter().map(|node| values(constraints, node)).collect();
        let mut limits = Vec::new();
        for (i, constraint) in constraints.iter().enumerate() {
            let mut counted = Vec::new();
            for (node, row) in nodes.iter().zip(&table) {
                if let (Some(domain), false, true) = (row[i], row.contains(&None), counts(constraint, node)) {
                    counted.push((domain, node.matching[i]));
                }
            }
            let runs = Runs::of(counted);
            // What a domain may have already, without the new pod.
            let most = constraint.max_skew + runs.least(constraint.min_domains) - i64::from(constraint.self_match);
            limits.push((runs, most));
        }
        let refusal = |row: &Vec<Option<Name>>| {
            row.iter().zip(&limits).find_map(|(value, (runs, most))| match value {
                None => Some(SpreadVerdict::NoLabel),
                Some(domain) => (runs.get(*domain) > *most).then_some(SpreadVerdict::Skewed),
            })
        };
        let verdicts = table.iter().map(|row| refusal(row).unwrap_or(SpreadVerdict::Fits));
        nodes.iter().map(|node| node.name).zip(verdicts).collect()
    }

    fn score(
        &self,
        constraints: &[SpreadConstraint],
        nodes: &[SpreadNode],
        candidates: &[Name],
        all_labels: bool,
    ) -> Vec<(Name, Option<i64>)> {
        let mut wanted = candidates.to_vec();
        wanted.sort_unstable();
        let is_candidate = |node: &SpreadNode| wanted.binary_search(&node.name).is_ok();
        let used: Vec<(&SpreadNode, Vec<Option<Name>>)> = nodes
            .iter()
            .map(|node| (node, values(constraints, node)))
            .filter(|(_, row)| !(all_labels && row.contains(&None)))
            .collect();
        let mut columns = Vec::new();
        for (i, constraint) in constraints.iter().enumerate() {
            let empty = Name::default();
            let scored = used.iter().filter(|(node, _)| is_candidate(node));
            let mut domains: Vec<Name> = scored.map(|(_, row)| row[i].unwrap_or(empty)).collect();
            if constraint.topology_key.as_str() == HOSTNAME {
                columns.push((None, domains.len()));
                continue;
            }
            domains.sort_unstable();
            let size = domains.chunk_by(|a, b| a == b).count();
            let counted = used.iter().filter(|(node, _)| counts(constraint, node));
            let runs = Runs::of(counted.map(|(node, row)| (row[i].unwrap_or(empty), node.matching[i])).collect());
            columns.push((Some(runs), size));
        }
        let mut rest = used.iter().peekable();
        let mut answers = Vec::new();
        for node in nodes {
            let used = rest.next_if(|(used, _)| std::ptr::eq(*used, node));
            if !is_candidate(node) {
                continue;
            }
            let score = used.map(|(_, row)| {
                let mut sum = 0.0;
                for (i, (runs, size)) in columns.iter().enumerate() {
                    if let Some(domain) = row[i] {
                        let count = runs.as_ref().map_or(node.matching[i], |runs| runs.get(domain));
                        sum += count as f64 * ((size + 2) as f64).ln() + (constraints[i].max_skew - 1) as f64;
                    }
                }
                (sum + 0.5).floor() as i64
            });
            answers.push((node.name, score));
        }
        answers
    }

    fn normalize(&self, scores: &[Option<i64>]) -> Vec<i64> {
        let mut known: Vec<i64> = scores.iter().copied().flatten().collect();
        known.sort_unstable();
        let ends = known.first().zip(known.last());
        let normal = |score: &Option<i64>| match (score, ends) {
            (None, _) | (_, None) => 0,
            (Some(_), Some((_, 0))) => 100,
            (Some(score), Some((least, greatest))) => (greatest + least - score) * 100 / greatest,
        };
        scores.iter().map(normal).collect()
    }
}

kit::exercise!(Exercise: TopologySpread);
