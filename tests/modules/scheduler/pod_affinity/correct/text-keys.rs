//! Passes: domains are texts, `key=value`, in ordinary sets and maps; each rule is a function of its own.

use kit::scheduler::{AffinityNode, AffinityPod, AffinityTerm, AffinityVerdict, InterPodAffinity, Name};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

fn domain(node: &AffinityNode, term: &AffinityTerm) -> Option<String> {
    node.topology.get(term.topology_key).map(|value| format!("{}={value}", term.topology_key))
}

fn means(term: &AffinityTerm, pod: &AffinityPod) -> bool {
    term.selector.matches(&pod.labels) && term.namespaces.contains(&pod.namespace)
}

/// Each node with each group on it.
fn running<'a>(
    groups: &'a [AffinityPod],
    nodes: &'a [AffinityNode],
) -> impl Iterator<Item = (&'a AffinityNode, &'a AffinityPod, i64)> {
    nodes.iter().flat_map(move |node| node.pods.iter().map(move |p| (node, &groups[p.group], p.count)))
}

fn wanted(pod: &AffinityPod, groups: &[AffinityPod], nodes: &[AffinityNode]) -> BTreeSet<String> {
    let of_all = running(groups, nodes).filter(|(_, other, _)| pod.affinity.iter().all(|term| means(term, other)));
    of_all.flat_map(|(node, ..)| pod.affinity.iter().filter_map(|term| domain(node, term))).collect()
}

fn avoided(pod: &AffinityPod, groups: &[AffinityPod], nodes: &[AffinityNode]) -> Vec<BTreeSet<String>> {
    let of = |term: &AffinityTerm| {
        let found = running(groups, nodes).filter(|(_, other, _)| means(term, other));
        found.filter_map(|(node, ..)| domain(node, term)).collect()
    };
    pod.anti_affinity.iter().map(of).collect()
}

fn closed(pod: &AffinityPod, groups: &[AffinityPod], nodes: &[AffinityNode]) -> BTreeSet<String> {
    let mut closed = BTreeSet::new();
    for (node, other, _) in running(groups, nodes) {
        for term in &other.anti_affinity {
            if means(term, pod) {
                closed.extend(domain(node, term));
            }
        }
    }
    closed
}

impl InterPodAffinity for Exercise {
    fn filter(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
    ) -> Vec<(Name, AffinityVerdict)> {
        let (wanted, avoided, closed) =
            (wanted(pod, groups, nodes), avoided(pod, groups, nodes), closed(pod, groups, nodes));
        let alone = wanted.is_empty() && pod.affinity.iter().all(|term| means(term, pod));
        let judge = |node: &AffinityNode| {
            let near = pod.affinity.iter().all(|t| domain(node, t).is_some_and(|d| alone || wanted.contains(&d)));
            if !near {
                return AffinityVerdict::Affinity;
            }
            let mut terms = pod.anti_affinity.iter().zip(&avoided);
            if terms.any(|(term, set)| domain(node, term).is_some_and(|d| set.contains(&d))) {
                return AffinityVerdict::AntiAffinity;
            }
            match node.topology.iter().find(|(key, value)| closed.contains(&format!("{key}={value}"))) {
                Some(_) => AffinityVerdict::ExistingAntiAffinity,
                None => AffinityVerdict::Fits,
            }
        };
        nodes.iter().map(|node| (node.name, judge(node))).collect()
    }

    fn score(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
        candidates: &[Name],
    ) -> Option<Vec<(Name, i64)>> {
        let mut points: BTreeMap<String, i64> = BTreeMap::new();
        for (node, other, count) in running(groups, nodes) {
            let mut terms: Vec<(&AffinityTerm, i64)> = Vec::new();
            terms.extend(pod.preferred_affinity.iter().filter(|w| means(&w.term, other)).map(|w| (&w.term, w.weight)));
            terms.extend(
                pod.preferred_anti_affinity.iter().filter(|w| means(&w.term, other)).map(|w| (&w.term, -w.weight)),
            );
            terms.extend(other.preferred_affinity.iter().filter(|w| means(&w.term, pod)).map(|w| (&w.term, w.weight)));
            terms.extend(
                other.preferred_anti_affinity.iter().filter(|w| means(&w.term, pod)).map(|w| (&w.term, -w.weight)),
            );
            terms.extend(other.affinity.iter().filter(|term| means(term, pod)).map(|term| (term, 1)));
            for (term, weight) in terms {
                if let Some(domain) = domain(node, term) {
                    *points.entry(domain).or_default() += weight * count;
                }
            }
        }
        if points.is_empty() {
            return None;
        }
        let of = |node: &AffinityNode| {
            let domains = node.topology.iter().map(|(key, value)| format!("{key}={value}"));
            domains.filter_map(|domain| points.get(&domain)).sum()
        };
        Some(nodes.iter().filter(|node| candidates.contains(&node.name)).map(|node| (node.name, of(node))).collect())
    }

    fn normalize(&self, scores: &[i64]) -> Vec<i64> {
        let least = scores.iter().copied().min().unwrap_or(0) as f64;
        let greatest = scores.iter().copied().max().unwrap_or(0) as f64;
        let normal = |score: &i64| {
            if greatest > least { ((*score as f64 - least) / (greatest - least) * 100.0) as i64 } else { 0 }
        };
        scores.iter().map(normal).collect()
    }
}

kit::exercise!(Exercise: InterPodAffinity);
