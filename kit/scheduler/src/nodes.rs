//! The nodes and the pods on them, kept up to date pod by pod.
//!
//! Source: `pkg/scheduler/backend/cache` (`cache.go`, `node_tree.go`) and `NodeInfo` of `pkg/scheduler/framework/types.go`.

use super::class::{Class, HostPort, Pod};
use kit_api::core::{Node as ApiNode, Taint};
use kit_api::rustc_hash::{FxHashMap, FxHashSet};
use kit_api::view::NodeResources;
use kit_api::{Name, selector::Labels};
use kit_contract::scheduler::NodeLabels;
use std::collections::BTreeMap;
use std::rc::Rc;

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: Name,
    /// Its name and labels, as the plugin NodeAffinity takes them.
    pub labels: NodeLabels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it was cordoned.
    pub unschedulable: bool,
    /// What it has, and what is asked of it.
    pub resources: NodeResources,
    /// The images that it has, by name, and their sizes in bytes.
    pub images: BTreeMap<String, i64>,
    /// The pods on it.
    pub pods: Vec<Rc<Pod>>,
    /// How many pods of which class are on it.
    pub groups: Vec<Group>,
}

/// The pods of one class on a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The class.
    pub class: Rc<Class>,
    /// How many.
    pub pods: i64,
    /// How many of them are being deleted.
    pub terminating: i64,
    /// How many of them are there only in a supposition; below zero where pods are supposed to be away.
    pub supposed: i64,
}

impl PartialEq for Pod {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && Rc::ptr_eq(&self.class, &other.class)
            && (self.priority, self.started) == (other.priority, other.started)
            && (self.terminating, self.preempted) == (other.terminating, other.preempted)
    }
}

impl PartialEq for Class {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Node {
    fn new(node: &ApiNode) -> Self {
        let name = node.metadata.name.clone().unwrap_or_default();
        let spec = node.spec.clone().unwrap_or_default();
        let images = node.status.as_ref().and_then(|status| status.images.as_ref()).into_iter().flatten();
        let images = images
            .flat_map(|image| image.names.iter().flatten().map(|name| (name.clone(), image.size_bytes.unwrap_or(0))));
        Node {
            name: Name::from(&name),
            labels: NodeLabels { name, labels: node.metadata.labels.clone().unwrap_or_default() },
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable == Some(true),
            resources: NodeResources::from(node),
            // Of several images with one name, the first counts.
            images: images.collect::<Vec<_>>().into_iter().rev().collect(),
            pods: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn add(&mut self, pod: Rc<Pod>, supposed: bool) {
        self.resources.add(&pod.class.request);
        self.count(&pod, 1, supposed);
        self.pods.push(pod);
    }

    fn remove(&mut self, key: &str, supposed: bool) {
        if let Some(at) = self.pods.iter().position(|pod| &*pod.key == key) {
            let pod = self.pods.remove(at);
            self.resources.remove(&pod.class.request);
            self.count(&pod, -1, supposed);
        }
    }

    fn count(&mut self, pod: &Pod, sign: i64, supposed: bool) {
        let terminating = if pod.terminating && !supposed { sign } else { 0 };
        let supposed = if supposed { sign } else { 0 };
        match self.groups.iter_mut().find(|group| Rc::ptr_eq(&group.class, &pod.class)) {
            Some(group) => {
                group.pods += sign;
                group.terminating += terminating;
                group.supposed += supposed;
            }
            None => self.groups.push(Group { class: pod.class.clone(), pods: sign, terminating, supposed }),
        }
        self.groups.retain(|group| group.pods > 0 || group.supposed != 0);
    }

    /// Whether a pod here has one of these ports.
    pub fn has_port_of(&self, wanted: &[HostPort]) -> bool {
        let taken = || self.groups.iter().filter(|group| group.pods > 0).flat_map(|group| &group.class.ports);
        !wanted.is_empty() && wanted.iter().any(|port| taken().any(|taken| port.conflicts_with(taken)))
    }

    fn same_object(&self, other: &Node) -> bool {
        let of = |node: &Node| (node.resources.allocatable.clone(), node.resources.allowed_pods);
        self.labels == other.labels
            && self.taints == other.taints
            && self.unschedulable == other.unschedulable
            && self.images == other.images
            && of(self) == of(other)
    }
}

/// All nodes, in the order in which the scheduler goes over them: zone by zone, one of each in turn.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: Vec<Node>,
    places: FxHashMap<Name, usize>,
    /// Nodes by zone, both in the order in which they came.
    zones: Vec<(String, Vec<Name>)>,
    out_of_order: bool,
    /// Where each pod is, whether the node is there or not.
    pods: BTreeMap<Rc<str>, (Name, Rc<Pod>)>,
    /// How many pods of each class are on nodes.
    classes: FxHashMap<usize, (Rc<Class>, i64)>,
    /// How many nodes have an image.
    images: BTreeMap<String, i64>,
    /// Counts changes of nodes; what was derived from an older epoch is out of date.
    epoch: u64,
    /// The places of the nodes whose pods changed since that epoch.
    changed: Vec<usize>,
}

/// How many changes are remembered, for each node.
const CHANGES: usize = 4;

impl Nodes {
    /// All nodes in order. [`Nodes::arrange`] comes before.
    pub fn list(&self) -> &[Node] {
        &self.nodes
    }

    /// The place of a node in the list.
    pub fn place(&self, name: Name) -> Option<usize> {
        self.places.get(&name).copied()
    }

    /// The classes of which there are pods, in no order.
    pub fn classes(&self) -> impl Iterator<Item = &Rc<Class>> {
        self.classes.values().map(|(class, _)| class)
    }

    /// How many nodes have an image.
    pub fn nodes_with_image(&self, image: &str) -> i64 {
        self.images.get(image).copied().unwrap_or(0)
    }

    /// What changed since: the epoch, and how many changes of pods in it.
    pub fn version(&self) -> (u64, usize) {
        (self.epoch, self.changed.len())
    }

    /// The places whose pods changed since a version; none if everything may have changed.
    pub fn changes_since(&self, version: (u64, usize)) -> Option<&[usize]> {
        if version.0 == self.epoch { self.changed.get(version.1..) } else { None }
    }

    fn touch(&mut self, place: usize) {
        self.changed.push(place);
        if self.changed.len() > CHANGES * self.nodes.len() + 1024 {
            self.next_epoch();
        }
    }

    fn next_epoch(&mut self) {
        self.epoch += 1;
        self.changed.clear();
    }

    /// Takes over a node as it is now. Whether anything about it is different.
    pub fn set_node(&mut self, node: &ApiNode) -> bool {
        let mut new = Node::new(node);
        match self.places.get(&new.name).copied() {
            Some(place) => {
                let old = &self.nodes[place];
                if old.same_object(&new) {
                    return false;
                }
                let zone_changed = zone_of(&old.labels.labels) != zone_of(&new.labels.labels);
                let NodeResources { allocatable, allowed_pods, .. } = new.resources;
                new.resources = NodeResources { allocatable, allowed_pods, ..old.resources.clone() };
                (new.pods, new.groups) = (old.pods.clone(), old.groups.clone());
                let name = new.name;
                self.count_images(&old.images.clone(), -1);
                self.count_images(&new.images, 1);
                if zone_changed {
                    self.leave_zone(name);
                    self.join_zone(&new);
                }
                self.nodes[place] = new;
            }
            None => {
                let here = |(node, pod): &(Name, Rc<Pod>)| (*node == new.name).then(|| pod.clone());
                // Pods may be known before their node is.
                let pods: Vec<Rc<Pod>> = self.pods.values().filter_map(here).collect();
                for pod in pods {
                    self.count_class(&pod.class, 1);
                    new.add(pod, false);
                }
                self.count_images(&new.images, 1);
                self.join_zone(&new);
                self.places.insert(new.name, self.nodes.len());
                self.nodes.push(new);
            }
        }
        self.next_epoch();
        true
    }

    /// Forgets a node.
    pub fn remove_node(&mut self, name: &str) {
        let name = Name::from(name);
        let Some(place) = self.places.remove(&name) else { return };
        let node = self.nodes.swap_remove(place);
        if let Some(moved) = self.nodes.get(place) {
            self.places.insert(moved.name, place);
        }
        node.groups.iter().for_each(|group| self.count_class(&group.class, -group.pods));
        self.count_images(&node.images, -1);
        self.leave_zone(name);
        self.next_epoch();
    }

    fn join_zone(&mut self, node: &Node) {
        let zone = zone_of(&node.labels.labels);
        match self.zones.iter_mut().find(|(known, _)| *known == zone) {
            Some((_, nodes)) => nodes.push(node.name),
            None => self.zones.push((zone, vec![node.name])),
        }
        self.out_of_order = true;
    }

    fn leave_zone(&mut self, name: Name) {
        self.zones.iter_mut().for_each(|(_, nodes)| nodes.retain(|node| *node != name));
        self.zones.retain(|(_, nodes)| !nodes.is_empty());
        self.out_of_order = true;
    }

    fn count_images(&mut self, images: &BTreeMap<String, i64>, sign: i64) {
        for image in images.keys() {
            *self.images.entry(image.clone()).or_default() += sign;
        }
        self.images.retain(|_, nodes| *nodes > 0);
    }

    fn count_class(&mut self, class: &Rc<Class>, by: i64) {
        let (_, pods) = self.classes.entry(class.id).or_insert_with(|| (class.clone(), 0));
        *pods += by;
        if *pods == 0 {
            self.classes.remove(&class.id);
        }
    }

    /// Brings the list into its order (`nodeTree.list`).
    pub fn arrange(&mut self) {
        if !std::mem::take(&mut self.out_of_order) {
            return;
        }
        let longest = self.zones.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(0);
        let in_turn = (0..longest).flat_map(|i| self.zones.iter().filter_map(move |(_, nodes)| nodes.get(i)));
        let ranks: FxHashMap<Name, usize> = in_turn.enumerate().map(|(rank, name)| (*name, rank)).collect();
        self.nodes.sort_by_key(|node| ranks[&node.name]);
        self.places = ranks;
        self.next_epoch();
    }

    /// Puts a pod on a node, or takes over what is different about one that is there.
    pub fn set_pod(&mut self, node: Name, pod: Pod) {
        if let Some((there, known)) = self.pods.get(&pod.key) {
            if *there == node && **known == pod {
                return;
            }
            self.remove_pod(&pod.key.clone());
        }
        let pod = Rc::new(pod);
        self.pods.insert(pod.key.clone(), (node, pod.clone()));
        if let Some(place) = self.place(node) {
            self.count_class(&pod.class, 1);
            self.nodes[place].add(pod, false);
            self.touch(place);
        }
    }

    /// Takes a pod off its node; which node that was.
    pub fn remove_pod(&mut self, key: &str) -> Option<Name> {
        let (node, pod) = self.pods.remove(key)?;
        if let Some(place) = self.place(node) {
            self.count_class(&pod.class, -1);
            self.nodes[place].remove(key, false);
            self.touch(place);
        }
        Some(node)
    }

    /// A pod that is on a node, and which.
    pub fn pod(&self, key: &str) -> Option<&(Name, Rc<Pod>)> {
        self.pods.get(key)
    }

    /// Asks something of the cluster as if one node had other pods: some more, and some less.
    pub fn suppose<T>(
        &mut self,
        place: usize,
        more: &[Rc<Pod>],
        less: &FxHashSet<Rc<str>>,
        ask: impl FnOnce(&mut Nodes) -> T,
    ) -> T {
        let before = self.nodes[place].clone();
        let gone: Vec<Rc<Pod>> = before.pods.iter().filter(|pod| less.contains(&pod.key)).cloned().collect();
        for pod in &gone {
            self.count_class(&pod.class, -1);
            self.nodes[place].remove(&pod.key, true);
        }
        for pod in more {
            self.count_class(&pod.class, 1);
            self.nodes[place].add(pod.clone(), true);
        }
        self.touch(place);
        let answer = ask(self);
        more.iter().for_each(|pod| self.count_class(&pod.class, -1));
        gone.iter().for_each(|pod| self.count_class(&pod.class, 1));
        self.nodes[place] = before;
        self.touch(place);
        answer
    }
}

/// `GetZoneKey` of `component-helpers/node/topology`.
fn zone_of(labels: &Labels) -> String {
    let label = |name: &str, old: &str| labels.get(name).or_else(|| labels.get(old)).map_or("", String::as_str);
    let region = label("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region");
    let zone = label("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
    format!("{region}/{zone}")
}
