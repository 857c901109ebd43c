//! Passes: for each node it asks all pods everywhere, without keeping any sets.

use kit::scheduler::{AffinityNode, AffinityPod, AffinityTerm, AffinityVerdict, InterPodAffinity, Name};

#[derive(Default)]
struct Exercise;

fn meant(term: &AffinityTerm, pod: &AffinityPod) -> bool {
    term.namespaces.contains(&pod.namespace) && term.selector.matches(&pod.labels)
}

/// Whether two nodes are in one domain of a label; a node without the label is in none.
fn together(a: &AffinityNode, b: &AffinityNode, key: Name) -> bool {
    a.topology.get(key).is_some() && a.topology.get(key) == b.topology.get(key)
}

/// Whether a pod that `finds` is content with runs in the node's domain.
fn runs_near(
    node: &AffinityNode,
    key: Name,
    groups: &[AffinityPod],
    nodes: &[AffinityNode],
    finds: &dyn Fn(&AffinityPod) -> bool,
) -> bool {
    let near = nodes.iter().filter(|other| together(node, other, key));
    near.flat_map(|other| &other.pods).any(|pods| pods.count > 0 && finds(&groups[pods.group]))
}

impl InterPodAffinity for Exercise {
    fn filter(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
    ) -> Vec<(Name, AffinityVerdict)> {
        let by_all = |other: &AffinityPod| pod.affinity.iter().all(|term| meant(term, other));
        let anywhere = nodes
            .iter()
            .any(|node| pod.affinity.iter().any(|term| runs_near(node, term.topology_key, groups, nodes, &by_all)));
        let may_be_first = !anywhere && by_all(pod);
        let mut verdicts = Vec::with_capacity(nodes.len());
        for node in nodes {
            let mut verdict = AffinityVerdict::Fits;
            for term in &pod.affinity {
                let has_label = node.topology.get(term.topology_key).is_some();
                let found = runs_near(node, term.topology_key, groups, nodes, &by_all);
                if !(found || has_label && may_be_first) {
                    verdict = AffinityVerdict::Affinity;
                }
            }
            if verdict == AffinityVerdict::Fits {
                for term in &pod.anti_affinity {
                    if runs_near(node, term.topology_key, groups, nodes, &|other| meant(term, other)) {
                        verdict = AffinityVerdict::AntiAffinity;
                    }
                }
            }
            if verdict == AffinityVerdict::Fits {
                for (number, group) in groups.iter().enumerate() {
                    for term in group.anti_affinity.iter().filter(|term| meant(term, pod)) {
                        let near = nodes.iter().filter(|other| together(node, other, term.topology_key));
                        if near.flat_map(|other| &other.pods).any(|pods| pods.group == number) {
                            verdict = AffinityVerdict::ExistingAntiAffinity;
                        }
                    }
                }
            }
            verdicts.push((node.name, verdict));
        }
        verdicts
    }

    fn score(
        &self,
        pod: &AffinityPod,
        groups: &[AffinityPod],
        nodes: &[AffinityNode],
        candidates: &[Name],
    ) -> Option<Vec<(Name, i64)>> {
        let mut found = false;
        let mut answer = Vec::new();
        for candidate in nodes {
            let mut score = 0;
            for node in nodes {
                for pods in &node.pods {
                    let group = &groups[pods.group];
                    let mut add = |term: &AffinityTerm, weight: i64, about: &AffinityPod| {
                        if meant(term, about) && node.topology.get(term.topology_key).is_some() {
                            found = true;
                            if together(candidate, node, term.topology_key) {
                                score += weight * pods.count;
                            }
                        }
                    };
                    pod.preferred_affinity.iter().for_each(|wish| add(&wish.term, wish.weight, group));
                    pod.preferred_anti_affinity.iter().for_each(|wish| add(&wish.term, -wish.weight, group));
                    group.preferred_affinity.iter().for_each(|wish| add(&wish.term, wish.weight, pod));
                    group.preferred_anti_affinity.iter().for_each(|wish| add(&wish.term, -wish.weight, pod));
                    group.affinity.iter().for_each(|term| add(term, 1, pod));
                }
            }
            if candidates.contains(&candidate.name) {
                answer.push((candidate.name, score));
            }
        }
        found.then_some(answer)
    }

    fn normalize(&self, scores: &[i64]) -> Vec<i64> {
        let Some(least) = scores.iter().min() else { return Vec::new() };
        let greatest = scores.iter().max().unwrap();
        if least == greatest {
            return vec![0; scores.len()];
        }
        let range = (greatest - least) as f64;
        scores.iter().map(|score| (100.0 * ((score - least) as f64 / range)) as i64).collect()
    }
}

kit::exercise!(Exercise: InterPodAffinity);
