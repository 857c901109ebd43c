//! The questions about all nodes at once, kept ready: tables of nodes for spreading and for affinity.
//!
//! Between two questions only the nodes change to which pods came or from which pods went, so that a table is brought up to date and
//! not made anew. Upstream computes the same in PreFilter and PreScore, for each pod over all nodes.

use super::class::{Class, Spread};
use super::nodes::{Node, Nodes};
use super::objects::Objects;
use kit_api::core::{Taint, Toleration};
use kit_api::rustc_hash::FxHashMap;
use kit_api::{Name, toleration, view::Topology};
use kit_contract::scheduler::{
    AffinityNode, AffinityPod, GroupCount, NodeAffinity, SpreadConstraint, SpreadNode, WeightedTerm,
};
use std::collections::BTreeSet;
use std::rc::Rc;

/// How many tables for spreading are kept. One for 5,000 nodes takes about a megabyte.
const KEPT: usize = 16;

/// A question about spreading, for pods of one class.
pub struct SpreadTable {
    key: (usize, bool, u64),
    version: (u64, usize),
    spreads: Vec<Spread>,
    /// The rules.
    pub constraints: Vec<SpreadConstraint>,
    /// The nodes in order.
    pub nodes: Vec<SpreadNode>,
    /// For a class of pods, which rules count it.
    counted: FxHashMap<usize, Vec<bool>>,
}

/// Tables for spreading, the one used last in front.
#[derive(Default)]
pub struct SpreadTables(Vec<SpreadTable>);

impl SpreadTables {
    /// The table for a class with these rules, as the nodes are now. `of_cluster` is 0 for the pod's own rules, else the version of
    /// what the cluster's default rules depend on.
    pub fn get(
        &mut self,
        class: &Class,
        spreads: &[Spread],
        hard: bool,
        of_cluster: u64,
        nodes: &Nodes,
        affinity: &dyn NodeAffinity,
    ) -> &SpreadTable {
        let key = (class.id, hard, of_cluster);
        let at = self.0.iter().position(|table| table.key == key);
        let table = at.map(|at| self.0.remove(at)).filter(|table| nodes.changes_since(table.version).is_some());
        let mut table = table.unwrap_or_else(|| SpreadTable::new(key, class, spreads, nodes, affinity));
        table.update(class, nodes);
        self.0.truncate(KEPT - 1);
        self.0.insert(0, table);
        &self.0[0]
    }
}

impl SpreadTable {
    fn new(
        key: (usize, bool, u64),
        class: &Class,
        spreads: &[Spread],
        nodes: &Nodes,
        affinity: &dyn NodeAffinity,
    ) -> Self {
        let keys: BTreeSet<Name> = spreads.iter().map(|spread| spread.constraint.topology_key).collect();
        let mut table = SpreadTable {
            key,
            version: nodes.version(),
            constraints: spreads.iter().map(|spread| spread.constraint.clone()).collect(),
            spreads: spreads.to_vec(),
            nodes: Vec::with_capacity(nodes.list().len()),
            counted: FxHashMap::default(),
        };
        for node in nodes.list() {
            let row = SpreadNode {
                name: node.name,
                topology: topology(node, &keys),
                matching: table.matching(class, node),
                affinity: affinity.filter(&class.node_affinity, &node.labels),
                tolerated: untolerated(&class.tolerations, &node.taints).is_none(),
            };
            table.nodes.push(row);
        }
        table
    }

    fn update(&mut self, class: &Class, nodes: &Nodes) {
        for &place in nodes.changes_since(self.version).unwrap_or_default() {
            self.nodes[place].matching = self.matching(class, &nodes.list()[place]);
        }
        self.version = nodes.version();
    }

    /// How many pods on a node each rule counts (`countPodsMatchSelector`): an empty selector counts none. Pods that are supposed to
    /// come or go are counted without a look at that, or at whether they are being deleted (`updateWithPod`).
    fn matching(&mut self, class: &Class, node: &Node) -> Vec<i64> {
        let mut matching = vec![0; self.spreads.len()];
        for group in &node.groups {
            if group.class.namespace != class.namespace {
                continue;
            }
            let counts = |spread: &Spread| spread.selector.matches(&group.class.labels);
            let there = group.pods - group.supposed - group.terminating;
            let counted = self.counted.entry(group.class.id);
            let counted = counted.or_insert_with(|| self.spreads.iter().map(counts).collect());
            for ((sum, counted), spread) in matching.iter_mut().zip(counted).zip(&self.spreads) {
                let there = if spread.selector.is_empty() { 0 } else { there };
                *sum += if *counted { there + group.supposed } else { 0 };
            }
        }
        matching
    }
}

/// The question about affinity: the same groups and nodes for all pods.
#[derive(Default)]
pub struct AffinityTable {
    key: (u64, Option<String>),
    version: Option<(u64, usize)>,
    keys: BTreeSet<Name>,
    classes: FxHashMap<usize, usize>,
    /// The groups.
    pub groups: Vec<AffinityPod>,
    /// The nodes in order.
    pub nodes: Vec<AffinityNode>,
}

impl AffinityTable {
    /// Brings the table up to date, for a question about a pod of this class.
    pub fn update(&mut self, class: &Class, nodes: &Nodes, objects: &Objects) {
        let orphan = Some(&class.namespace).filter(|name| !objects.has_namespace(name));
        let key = (objects.version(), orphan.cloned());
        let keys = keys_of(class);
        let changed = self.version.and_then(|version| nodes.changes_since(version));
        // Groups without pods are left in the table until there are too many of them.
        let crowded = self.groups.len() > 2 * nodes.classes().count() + 64;
        match changed {
            Some(changed) if key == self.key && keys.is_subset(&self.keys) && !crowded => {
                let new_keys = |place: &usize| {
                    let groups = nodes.list()[*place].groups.iter().filter(|group| group.pods > 0);
                    let mut classes = groups.map(|group| &group.class);
                    classes.any(|class| !self.classes.contains_key(&class.id) && !keys_of(class).is_subset(&self.keys))
                };
                if changed.iter().any(new_keys) {
                    self.rebuild(key, keys, nodes, objects);
                } else {
                    for &place in changed {
                        self.nodes[place].pods = self.counts(&nodes.list()[place], objects);
                    }
                }
            }
            _ => self.rebuild(key, keys, nodes, objects),
        }
        self.version = Some(nodes.version());
    }

    fn rebuild(&mut self, key: (u64, Option<String>), keys: BTreeSet<Name>, nodes: &Nodes, objects: &Objects) {
        *self = AffinityTable { key, keys, ..AffinityTable::default() };
        nodes.classes().for_each(|class| self.keys.extend(keys_of(class)));
        for node in nodes.list() {
            let row = AffinityNode {
                name: node.name,
                topology: topology(node, &self.keys),
                pods: self.counts(node, objects),
            };
            self.nodes.push(row);
        }
    }

    fn counts(&mut self, node: &Node, objects: &Objects) -> Vec<GroupCount> {
        let mut counts = Vec::with_capacity(node.groups.len());
        for group in node.groups.iter().filter(|group| group.pods > 0) {
            let number = match self.classes.get(&group.class.id) {
                Some(number) => *number,
                None => {
                    self.groups.push(affinity_pod(&group.class, objects, self.key.1.as_deref()));
                    self.classes.insert(group.class.id, self.groups.len() - 1);
                    self.groups.len() - 1
                }
            };
            counts.push(GroupCount { group: number, count: group.pods });
        }
        counts
    }
}

/// A class as affinity sees it. `orphan`: see [`Objects::resolve`].
pub fn affinity_pod(class: &Rc<Class>, objects: &Objects, orphan: Option<&str>) -> AffinityPod {
    let required = |terms: &[super::class::Term]| terms.iter().map(|term| objects.resolve(term, orphan)).collect();
    let preferred = |terms: &[super::class::Term]| {
        let weighted =
            |term: &super::class::Term| WeightedTerm { weight: term.weight, term: objects.resolve(term, orphan) };
        terms.iter().map(weighted).collect()
    };
    AffinityPod {
        namespace: class.namespace.clone(),
        labels: class.labels.clone(),
        affinity: required(&class.terms.affinity),
        anti_affinity: required(&class.terms.anti_affinity),
        preferred_affinity: preferred(&class.terms.preferred_affinity),
        preferred_anti_affinity: preferred(&class.terms.preferred_anti_affinity),
    }
}

fn keys_of(class: &Class) -> BTreeSet<Name> {
    let terms = &class.terms;
    let all = [&terms.affinity, &terms.anti_affinity, &terms.preferred_affinity, &terms.preferred_anti_affinity];
    all.into_iter().flatten().map(|term| term.topology_key).collect()
}

fn topology(node: &Node, keys: &BTreeSet<Name>) -> Topology {
    let label = |key: &Name| Some((*key, Name::from(node.labels.labels.get(key.as_str())?)));
    keys.iter().filter_map(label).collect()
}

/// The first taint that keeps pods away and that isn't tolerated.
fn untolerated<'a>(tolerations: &[Toleration], taints: &'a [Taint]) -> Option<&'a Taint> {
    let mut hard = taints.iter().filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"));
    hard.find(|taint| !tolerations.iter().any(|toleration| toleration::tolerates(toleration, taint)))
}
