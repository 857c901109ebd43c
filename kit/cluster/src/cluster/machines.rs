//! The cloud as the Cluster Autoscaler sees it: groups of machines, which boot and go.

use super::config::{CloudShape, NodeGroup};
use kit_api::core::Node;
use kit_autoscaler::cloud::{Cloud, Group};
use kit_client::machine;
use kit_network::cloud::{Shared, node};
use kit_node::kubelet::node::NodeShape;
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::{BTreeMap, BTreeSet};

/// What of the time that a machine takes is chance, to each side.
const SPREAD: f64 = 0.25;

/// Groups of machines of the simulated cloud.
pub(super) struct Machines {
    groups: Vec<NodeGroup>,
    shape: CloudShape,
    cloud: Shared,
    kubelets: machine::Shared,
    random: Random,
    /// The machines of each group that the cloud has, and how many there ever were.
    have: BTreeMap<String, (BTreeSet<String>, usize)>,
    /// How many nodes there ever were: each has an address of its own.
    nodes: usize,
}

impl Machines {
    /// The groups of a cluster that begins with so many nodes.
    pub(super) fn new(
        groups: &[NodeGroup],
        shape: &CloudShape,
        cloud: Shared,
        kubelets: machine::Shared,
        random: Random,
        nodes: usize,
    ) -> Self {
        let first = |group: &NodeGroup| {
            let names: BTreeSet<String> = (1..=group.size.max(group.min)).map(|n| group.node(n).name).collect();
            (group.name.clone(), (names.clone(), names.len()))
        };
        let have = groups.iter().map(first).collect();
        Machines { groups: groups.to_vec(), shape: shape.clone(), cloud, kubelets, random, have, nodes }
    }

    fn target(&self, group: &str) -> usize {
        self.have.get(group).map_or(0, |(names, _)| names.len())
    }

    /// A node of a group when it has just become ready (`TemplateNodeInfo`).
    fn template(&self, shape: &NodeShape) -> Node {
        let mut node = shape.node(0);
        let holding = BTreeSet::from(["Ready"]);
        shape.report(&mut node, 0, &holding, Default::default());
        node::initialize(&mut node, &self.shape.instance(shape, 0), &self.shape.region);
        node
    }
}

impl Cloud for Machines {
    fn groups(&self) -> Vec<Group> {
        let group = |group: &NodeGroup| Group {
            name: group.name.clone(),
            min: group.min,
            max: group.max,
            target: self.target(&group.name),
            template: self.template(&group.node(0)),
            price: group.price,
        };
        self.groups.iter().map(group).collect()
    }

    fn group_of(&self, node: &str) -> Option<String> {
        // A machine may also be deleted behind the autoscaler's back.
        let has = |(_, (names, _)): &(&String, &(BTreeSet<String>, usize))| names.contains(node);
        let group = self.have.iter().find(has).map(|(group, _)| group.clone())?;
        self.cloud.borrow().has_instance(node).then_some(group)
    }

    fn increase(&mut self, name: &str, by: usize, now: Instant) -> Result<(), String> {
        self.cloud.borrow().check().map_err(|error| error.message)?;
        let group = self.groups.iter().find(|group| group.name == name).ok_or("there is no such node group")?;
        let (names, made) = self.have.entry(name.into()).or_default();
        for _ in 0..by {
            *made += 1;
            let shape = group.node(*made);
            let purpose = Purpose { component: "cloud", object: &shape.name, reason: "boot", attempt: 0 };
            let share = 1.0 + SPREAD * (2.0 * self.random.fraction(purpose) - 1.0);
            let boots = Instant::millis((group.boot_seconds as f64 * 1000.0 * share) as i64);
            let instance = self.shape.instance(&shape, self.nodes);
            self.cloud.borrow_mut().add_instance(instance).map_err(|error| error.message)?;
            self.kubelets.borrow_mut().boot(&shape.name, name, now + boots);
            self.nodes += 1;
            names.insert(shape.name);
        }
        Ok(())
    }

    fn delete(&mut self, node: &str) -> Result<(), String> {
        self.cloud.borrow().check().map_err(|error| error.message)?;
        let group = self.group_of(node).ok_or("the node belongs to no node group")?;
        if let Some((names, _)) = self.have.get_mut(&group) {
            names.remove(node);
        }
        self.cloud.borrow_mut().remove_instance(node);
        self.kubelets.borrow_mut().give_back(node);
        Ok(())
    }
}
