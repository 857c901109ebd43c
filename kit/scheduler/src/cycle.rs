//! One scheduling cycle: find the nodes that can take a pod, score them, choose.
//!
//! Source: `pkg/scheduler/schedule_one.go`.

use super::class::Pod;
use super::framework::{Framework, PluginScores, Refusal};
use super::nodes::{Node, Nodes};
use super::objects::Objects;
use kit_api::Name;
use kit_api::rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Fewer nodes than this are all looked at, and at least this many are looked for (`minFeasibleNodesToFind`).
const LEAST_TO_FIND: i64 = 100;

/// Pods for which room was made on a node, and that aren't there yet.
pub type Nominated = BTreeMap<Name, Vec<Rc<Pod>>>;

/// What is known of the cluster.
#[derive(Default)]
pub struct State {
    /// The nodes and their pods.
    pub nodes: Nodes,
    /// What else matters.
    pub objects: Objects,
    /// The pods that are on their way to a node.
    pub nominated: Nominated,
    /// Where the next search begins (`nextStartNodeIndex`).
    next_start: usize,
}

/// What a cycle found.
#[derive(Debug, Default)]
pub struct Found {
    /// The nodes that can take the pod, by place, in the order of the list.
    pub feasible: Vec<usize>,
    /// Why others can't.
    pub refused: BTreeMap<usize, Refusal>,
    /// The scores of the feasible nodes; none where there was nothing to choose.
    pub scores: Vec<PluginScores>,
    /// The sum of the scores of each feasible node.
    pub totals: Vec<i64>,
    /// The nodes to which the search was restricted, by name: there may be no such nodes.
    pub restricted_to: Option<Vec<String>>,
    /// Why no node at all can take the pod, if that is known without looking at any (PreFilter of VolumeBinding).
    pub hopeless: Option<String>,
    /// The node that was chosen.
    pub chosen: Option<Name>,
}

impl State {
    /// Looks for the best node (`schedulePod`).
    pub fn schedule(&mut self, pod: &Rc<Pod>, framework: &mut Framework) -> Found {
        self.nodes.arrange();
        let mut found = match self.nominated_node(pod, framework) {
            Some(place) => Found { feasible: vec![place], ..Found::default() },
            None => self.find(pod, framework),
        };
        self.choose(pod, framework, &mut found);
        found
    }

    /// The node on which room was made for the pod, if the pod fits there now (`evaluateNominatedNode`).
    fn nominated_node(&mut self, pod: &Rc<Pod>, framework: &mut Framework) -> Option<usize> {
        let place = pod.nominated.and_then(|name| self.nodes.place(name))?;
        self.objects.volumes.pre_filter(&pod.class.namespace, &pod.class.claims).ok()?;
        let mut cycle = framework.cycle(pod, &self.nodes);
        self.refusal(pod, place, framework, &mut cycle).is_none().then_some(place)
    }

    /// The nodes that can take the pod, or enough of them (`findNodesThatFitPod`).
    pub fn find(&mut self, pod: &Rc<Pod>, framework: &mut Framework) -> Found {
        self.nodes.arrange();
        let mut found = Found { restricted_to: framework.node_names(pod), ..Found::default() };
        if found.restricted_to.as_ref().is_none_or(|names| !names.is_empty()) {
            found.hopeless = self.objects.volumes.pre_filter(&pod.class.namespace, &pod.class.claims).err();
        }
        if found.hopeless.is_some() {
            return found;
        }
        let mut cycle = framework.cycle(pod, &self.nodes);
        let count = self.nodes.list().len();
        let named: Option<Vec<usize>> = found
            .restricted_to
            .as_ref()
            .map(|names| names.iter().filter_map(|name| self.nodes.place(Name::from(name))).collect());
        let candidates = named.as_ref().map_or(count, Vec::len);
        let enough = feasible_nodes_to_find(framework.profile.percentage_of_nodes_to_score, candidates as i64);
        let mut looked_at = 0;
        while looked_at < candidates && (found.feasible.len() as i64) < enough {
            let place = match &named {
                Some(places) => places[looked_at],
                None => (self.next_start + looked_at) % count,
            };
            looked_at += 1;
            match self.refusal(pod, place, framework, &mut cycle) {
                None => found.feasible.push(place),
                Some(refusal) => _ = found.refused.insert(place, refusal),
            }
        }
        if count > 0 {
            self.next_start = (self.next_start + looked_at) % count;
        }
        found.feasible.sort_unstable();
        found
    }

    /// Scores the nodes that were found, and takes the best; of several the first by name, where upstream lets chance decide.
    fn choose(&mut self, pod: &Rc<Pod>, framework: &mut Framework, found: &mut Found) {
        if found.feasible.len() > 1 {
            self.score(pod, framework, found);
        }
        let list = self.nodes.list();
        found.chosen = match &found.feasible[..] {
            [only] => Some(list[*only].name),
            many => {
                let mut best: Option<(i64, Name)> = None;
                for (place, total) in many.iter().zip(&found.totals) {
                    let name = list[*place].name;
                    if best.is_none_or(|(most, first)| *total > most || *total == most && name < first) {
                        best = Some((*total, name));
                    }
                }
                best.map(|(_, name)| name)
            }
        };
    }

    /// Scores the nodes that were found (`prioritizeNodes`).
    pub fn score(&self, pod: &Rc<Pod>, framework: &mut Framework, found: &mut Found) {
        found.scores = framework.scores(pod, &found.feasible, &self.nodes, &self.objects);
        found.totals = vec![0; found.feasible.len()];
        for plugin in &found.scores {
            found
                .totals
                .iter_mut()
                .zip(&plugin.weighted)
                .for_each(|(total, score)| *total = total.saturating_add(*score));
        }
    }

    /// Why a node can't take the pod, if pods that are on their way there come as well, and if they don't
    /// (`RunFilterPluginsWithNominatedPods`).
    pub fn refusal(
        &mut self,
        pod: &Rc<Pod>,
        place: usize,
        framework: &mut Framework,
        cycle: &mut super::framework::Cycle,
    ) -> Option<Refusal> {
        let coming = self.coming(pod, place);
        if !coming.is_empty() {
            let apart = self.has_affinity(pod);
            let objects = &self.objects;
            let refusal = self.nodes.suppose(place, &coming, &FxHashSet::default(), |nodes| {
                framework.filter(&mut framework.cycle(pod, nodes).with_affinity(apart), place, nodes, objects)
            });
            if refusal.is_some() {
                return refusal;
            }
        }
        framework.filter(cycle, place, &self.nodes, &self.objects)
    }

    /// Whether InterPodAffinity looks at the pod at all: by its own rules, or by those of pods that are on nodes. Pods that are only
    /// on their way don't make it do so (PreFilter of `plugins/interpodaffinity/filtering.go`, and `RunPreFilterExtensionAddPod`).
    pub fn has_affinity(&self, pod: &Pod) -> bool {
        let (class, terms) = (&pod.class, &pod.class.terms);
        let refuses = |node: &Node| {
            let terms = node.groups.iter().flat_map(|group| &group.class.terms.anti_affinity);
            let mut terms = terms.filter(|term| node.labels.labels.contains_key(term.topology_key.as_str()));
            terms.any(|term| self.objects.means(term, class))
        };
        !terms.affinity.is_empty() || !terms.anti_affinity.is_empty() || self.nodes.list().iter().any(refuses)
    }

    /// The pods of the same or a higher priority that are on their way to a node.
    pub fn coming(&self, pod: &Pod, place: usize) -> Vec<Rc<Pod>> {
        let Some(nominated) = self.nominated.get(&self.nodes.list()[place].name) else { return Vec::new() };
        nominated.iter().filter(|other| other.priority >= pod.priority && other.key != pod.key).cloned().collect()
    }
}

/// How many feasible nodes end the search (`numFeasibleNodesToFind`).
pub fn feasible_nodes_to_find(percentage: i64, nodes: i64) -> i64 {
    if nodes < LEAST_TO_FIND {
        return nodes;
    }
    let percentage = if percentage == 0 { (50 - nodes / 125).max(5) } else { percentage };
    (nodes * percentage / 100).max(LEAST_TO_FIND)
}
