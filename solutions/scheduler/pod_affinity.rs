//! The reference for `scheduler/pod_affinity`.
//!
//! The names follow `pkg/scheduler/framework/plugins/interpodaffinity`.

// ANCHOR: solution
use kit::api::rustc_hash::{FxHashMap, FxHashSet};
use kit::scheduler::{
    AffinityNode, AffinityPod, AffinityTerm, AffinityVerdict, GroupCount, InterPodAffinity, Name, WeightedTerm,
};

/// The InterPodAffinity plugin.
#[derive(Default)]
pub struct Exercise;

/// Something counted for each domain: a label's key and value.
type Domains = FxHashMap<(Name, Name), i64>;

impl InterPodAffinity for Exercise {
    // ANCHOR: filter
    fn filter(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
    ) -> Vec<(Name, AffinityVerdict)> {
        // What a term means depends on a pod's group alone: it is worked out once for each group.
        let near: Vec<bool> = groups.iter().map(|group| mean(&pod.affinity, group)).collect();
        let away: Vec<Vec<Name>> = groups.iter().map(|group| keys_of(&pod.anti_affinity, group)).collect();
        let theirs: Vec<Vec<Name>> = groups.iter().map(|group| keys_of(&group.anti_affinity, pod)).collect();

        let (mut wanted, mut avoided, mut avoiding) = (Domains::default(), Domains::default(), Domains::default());
        for node in nodes {
            for &GroupCount { group, count } in &node.pods {
                if near[group] {
                    for term in &pod.affinity {
                        add(&mut wanted, node, term.topology_key, count);
                    }
                }
                away[group].iter().for_each(|key| add(&mut avoided, node, *key, count));
                theirs[group].iter().for_each(|key| add(&mut avoiding, node, *key, count));
            }
        }
        let is_first = wanted.is_empty() && mean(&pod.affinity, pod);
        let is_near = |node: &AffinityNode, term: &AffinityTerm| {
            let domain = domain_of(node, term.topology_key);
            domain.is_some_and(|domain| is_first || wanted.contains_key(&domain))
        };
        let is_away = |node: &AffinityNode, term: &AffinityTerm| {
            domain_of(node, term.topology_key).is_none_or(|domain| !avoided.contains_key(&domain))
        };
        let judge = |node: &AffinityNode| {
            if !pod.affinity.iter().all(|term| is_near(node, term)) {
                AffinityVerdict::Affinity
            } else if !avoided.is_empty() && !pod.anti_affinity.iter().all(|term| is_away(node, term)) {
                AffinityVerdict::AntiAffinity
            } else if !avoiding.is_empty() && node.topology.iter().any(|domain| avoiding.contains_key(&domain)) {
                AffinityVerdict::ExistingAntiAffinity
            } else {
                AffinityVerdict::Fits
            }
        };
        nodes.iter().map(|node| (node.name, judge(node))).collect()
    }
    // ANCHOR_END: filter

    // ANCHOR: score
    fn score(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
        candidates: &[Name],
    ) -> Option<Vec<(Name, i64)>> {
        let worth: Vec<Vec<(Name, i64)>> = groups.iter().map(|group| worth_of(pod, group)).collect();
        let mut scores = Domains::default();
        for node in nodes {
            for &GroupCount { group, count } in &node.pods {
                worth[group].iter().for_each(|(key, weight)| add(&mut scores, node, *key, weight * count));
            }
        }
        if scores.is_empty() {
            return None;
        }
        let wanted: FxHashSet<Name> = candidates.iter().copied().collect();
        let candidates = nodes.iter().filter(|node| wanted.contains(&node.name));
        let score = |node: &AffinityNode| node.topology.iter().filter_map(|domain| scores.get(&domain)).sum();
        Some(candidates.map(|node| (node.name, score(node))).collect())
    }
    // ANCHOR_END: score

    fn normalize(&self, scores: &[i64]) -> Vec<i64> {
        let least = scores.iter().copied().min().unwrap_or(0);
        let range = scores.iter().copied().max().unwrap_or(0) - least;
        let normal = |score: &i64| if range == 0 { 0.0 } else { 100.0 * ((score - least) as f64 / range as f64) };
        scores.iter().map(|score| normal(score) as i64).collect()
    }
}

// ANCHOR: means
fn means(term: &AffinityTerm, pod: &AffinityPod) -> bool {
    term.namespaces.contains(&pod.namespace) && term.selector.matches(&pod.labels)
}

/// Whether all terms mean a pod. Where there are none, nothing is meant.
fn mean(terms: &[AffinityTerm], pod: &AffinityPod) -> bool {
    !terms.is_empty() && terms.iter().all(|term| means(term, pod))
}
// ANCHOR_END: means

/// The labels of those terms that mean a pod.
fn keys_of(terms: &[AffinityTerm], pod: &AffinityPod) -> Vec<Name> {
    terms.iter().filter(|term| means(term, pod)).map(|term| term.topology_key).collect()
}

/// What one pod of a group adds to its domains: by the new pod's terms, and by its own.
fn worth_of(pod: &AffinityPod, group: &AffinityPod) -> Vec<(Name, i64)> {
    let mut worth = Vec::new();
    let mut weigh = |terms: &[WeightedTerm], pod: &AffinityPod, sign: i64| {
        let found = terms.iter().filter(|weighted| means(&weighted.term, pod));
        worth.extend(found.map(|weighted| (weighted.term.topology_key, sign * weighted.weight)));
    };
    weigh(&pod.preferred_affinity, group, 1);
    weigh(&pod.preferred_anti_affinity, group, -1);
    weigh(&group.preferred_affinity, pod, 1);
    weigh(&group.preferred_anti_affinity, pod, -1);
    worth.extend(keys_of(&group.affinity, pod).into_iter().map(|key| (key, 1)));
    worth
}

fn domain_of(node: &AffinityNode, key: Name) -> Option<(Name, Name)> {
    node.topology.get(key).map(|value| (key, value))
}

fn add(domains: &mut Domains, node: &AffinityNode, key: Name, amount: i64) {
    if let Some(domain) = domain_of(node, key) {
        *domains.entry(domain).or_default() += amount;
    }
}
// ANCHOR_END: solution
