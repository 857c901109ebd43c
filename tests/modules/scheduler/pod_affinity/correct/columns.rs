//! Passes: paints columns over all nodes, one term after the other and the weakest rule first; domains are numbers.

use kit::scheduler::{AffinityNode, AffinityPod, AffinityTerm, AffinityVerdict, InterPodAffinity, Name, WeightedTerm};
use std::collections::HashMap;

#[derive(Default)]
struct Exercise;

/// The nodes as one label divides them: for each node the number of its domain, if it is in one.
struct Partition {
    domain: Vec<Option<usize>>,
    domains: usize,
}

impl Partition {
    fn by(key: Name, nodes: &[AffinityNode]) -> Self {
        let mut numbers: HashMap<Name, usize> = HashMap::new();
        let mut domain = Vec::new();
        for node in nodes {
            domain.push(node.topology.get(key).map(|value| {
                let next = numbers.len();
                *numbers.entry(value).or_insert(next)
            }));
        }
        Partition { domain, domains: numbers.len() }
    }

    /// Gives each node the sum of its domain; none where it is in no domain.
    fn spread(&self, column: &[i64]) -> Vec<Option<i64>> {
        let mut sums = vec![0; self.domains];
        for (domain, amount) in self.domain.iter().zip(column) {
            if let Some(domain) = domain {
                sums[*domain] += amount;
            }
        }
        self.domain.iter().map(|domain| domain.map(|domain| sums[domain])).collect()
    }
}

/// How many pods of some groups each node runs.
fn pods_of(nodes: &[AffinityNode], is_one: impl Fn(usize) -> bool) -> Vec<i64> {
    let on = |node: &AffinityNode| node.pods.iter().filter(|pods| is_one(pods.group)).map(|pods| pods.count).sum();
    nodes.iter().map(on).collect()
}

fn finds(term: &AffinityTerm, pod: &AffinityPod) -> bool {
    term.selector.matches(&pod.labels) && term.namespaces.contains(&pod.namespace)
}

fn paint(verdicts: &mut [AffinityVerdict], colour: AffinityVerdict, places: impl Iterator<Item = bool>) {
    for (verdict, _) in verdicts.iter_mut().zip(places).filter(|(_, refused)| *refused) {
        *verdict = colour;
    }
}

impl InterPodAffinity for Exercise {
    fn filter(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
    ) -> Vec<(Name, AffinityVerdict)> {
        let mut verdicts = vec![AffinityVerdict::Fits; nodes.len()];
        let some = |count: &Option<i64>| count.is_some_and(|count| count > 0);

        for (number, group) in groups.iter().enumerate() {
            for term in group.anti_affinity.iter().filter(|term| finds(term, pod)) {
                let there = pods_of(nodes, |group| group == number);
                let there = Partition::by(term.topology_key, nodes).spread(&there);
                paint(&mut verdicts, AffinityVerdict::ExistingAntiAffinity, there.iter().map(some));
            }
        }
        for term in &pod.anti_affinity {
            let there = pods_of(nodes, |group| finds(term, &groups[group]));
            let there = Partition::by(term.topology_key, nodes).spread(&there);
            paint(&mut verdicts, AffinityVerdict::AntiAffinity, there.iter().map(some));
        }
        let all_find = |other: &AffinityPod| pod.affinity.iter().all(|term| finds(term, other));
        let wanted = pods_of(nodes, |group| all_find(&groups[group]));
        let columns: Vec<_> =
            pod.affinity.iter().map(|term| Partition::by(term.topology_key, nodes).spread(&wanted)).collect();
        let nobody = !columns.iter().flatten().any(some);
        let label_is_enough = nobody && all_find(pod);
        for column in columns {
            let lacks = column.iter().map(|there| if label_is_enough { there.is_none() } else { !some(there) });
            paint(&mut verdicts, AffinityVerdict::Affinity, lacks);
        }
        nodes.iter().map(|node| node.name).zip(verdicts).collect()
    }

    fn score(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
        candidates: &[Name],
    ) -> Option<Vec<(Name, i64)>> {
        // Each label that a term names, and what the pods on each node are worth there; none where no term finds one.
        let mut columns: HashMap<Name, Vec<Option<i64>>> = HashMap::new();
        let mut note = |term: &AffinityTerm, weight: i64, is_one: &dyn Fn(usize) -> bool| {
            let column = columns.entry(term.topology_key).or_insert_with(|| vec![None; nodes.len()]);
            for (worth, count) in column.iter_mut().zip(pods_of(nodes, is_one)).filter(|(_, count)| *count > 0) {
                *worth = Some(worth.unwrap_or(0) + weight * count);
            }
        };
        let mine = |wishes: &[WeightedTerm], sign: i64, note: &mut dyn FnMut(&AffinityTerm, i64, &dyn Fn(usize) -> bool)| {
            for WeightedTerm { weight, term } in wishes {
                note(term, sign * weight, &|group| finds(term, &groups[group]));
            }
        };
        mine(&pod.preferred_affinity, 1, &mut note);
        mine(&pod.preferred_anti_affinity, -1, &mut note);
        for (number, group) in groups.iter().enumerate() {
            let required = group.affinity.iter().map(|term| (term, 1));
            let near = group.preferred_affinity.iter().map(|wish| (&wish.term, wish.weight));
            let far = group.preferred_anti_affinity.iter().map(|wish| (&wish.term, -wish.weight));
            for (term, weight) in required.chain(near).chain(far).filter(|(term, _)| finds(term, pod)) {
                note(term, weight, &|group| group == number);
            }
        }

        let mut scores = vec![0; nodes.len()];
        let mut found = false;
        for (key, column) in columns {
            let partition = Partition::by(key, nodes);
            found |= column.iter().zip(&partition.domain).any(|(worth, domain)| worth.is_some() && domain.is_some());
            let column: Vec<i64> = column.into_iter().map(Option::unwrap_or_default).collect();
            for (score, sum) in scores.iter_mut().zip(partition.spread(&column)) {
                *score += sum.unwrap_or(0);
            }
        }
        let answer = nodes.iter().map(|node| node.name).zip(scores);
        found.then(|| answer.filter(|(name, _)| candidates.contains(name)).collect())
    }

    fn normalize(&self, scores: &[i64]) -> Vec<i64> {
        let mut sorted = scores.to_vec();
        sorted.sort_unstable();
        let (Some(least), Some(greatest)) = (sorted.first(), sorted.last()) else { return sorted };
        let mut normal = vec![0; scores.len()];
        if greatest != least {
            for (normal, score) in normal.iter_mut().zip(scores) {
                let ratio = (score - least) as f64 / (greatest - least) as f64;
                *normal = (ratio * 100.0).floor() as i64;
            }
        }
        normal
    }
}

kit::exercise!(Exercise: InterPodAffinity);
