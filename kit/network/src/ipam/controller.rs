//! The node IPAM controller: gives each node its range of addresses for pods.
//!
//! Source: `pkg/controller/nodeipam/ipam/range_allocator.go`. A node that has a range keeps it; the ranges of nodes that are deleted are given
//! away again.

use super::cidr::Cidr;
use super::node_ranges::NodeRanges;
use kit_api::core::Node;
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// The prefix of each node's range (`--node-cidr-mask-size`).
const PREFIX: u8 = 24;

/// The controller.
pub struct NodeIpam {
    ranges: NodeRanges,
    /// What each node has.
    given: BTreeMap<String, Cidr>,
    queue: WorkQueue<String>,
}

impl NodeIpam {
    /// Ranges out of this one (`--cluster-cidr`).
    ///
    /// # Errors
    ///
    /// If it can't be cut so.
    pub fn new(cluster: Cidr) -> Result<Self, String> {
        Ok(NodeIpam { ranges: NodeRanges::new(cluster, PREFIX)?, given: BTreeMap::new(), queue: WorkQueue::default() })
    }

    fn sync(&mut self, name: &str, world: &mut World<'_>) -> Result<(), String> {
        let Some(node) = world.cache.fetch::<Node>("", name) else { return Ok(()) };
        if range(node).is_some() {
            return Ok(());
        }
        let says = |error: kit_server::Error| error.to_string();
        let mut node: Node = world.server.fetch("", name).map_err(says)?;
        if range(&node).is_some() {
            return Ok(());
        }
        let given = match self.given.get(name) {
            Some(given) => *given,
            None => match self.ranges.allocate_next() {
                Ok(given) => given,
                Err(why) => {
                    let message = format!("Node {name} status is now: CIDRNotAvailable");
                    world.server.record(&node, "Normal", "CIDRNotAvailable", &message);
                    return Err(why);
                }
            },
        };
        // It is this node's even if it can't be written yet.
        self.given.insert(name.into(), given);
        let spec = node.spec.get_or_insert_default();
        spec.pod_cidr = Some(given.to_string());
        spec.pod_cidrs = Some(vec![given.to_string()]);
        world.server.update(node.into_object()).map(drop).map_err(says)
    }
}

fn range(node: &Node) -> Option<Cidr> {
    node.spec.as_ref()?.pod_cidr.as_deref()?.parse().ok()
}

impl Component for NodeIpam {
    fn name(&self) -> &'static str {
        "node-ipam-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let Object::Node(node) = &change.object.object else { return };
        let name = node.metadata.name.clone().unwrap_or_default();
        match (change.kind, range(node)) {
            (ChangeKind::Deleted, _) => {
                if let Some(given) = self.given.remove(&name) {
                    // It was taken out of the cluster's.
                    _ = self.ranges.release(given);
                }
            }
            (_, Some(range)) => {
                // A range from elsewhere is nobody's to give.
                if self.given.insert(name, range) != Some(range) {
                    _ = self.ranges.occupy(range);
                }
            }
            (_, None) => self.queue.add(name, world.now),
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let result = self.sync(&name, world);
            self.queue.done(name, &result, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use serde_json::json;

    #[test]
    fn nodes_get_ranges_in_turn_and_keep_what_they_have() {
        let mut bench = Bench::new(NodeIpam::new("10.244.0.0/22".parse().expect("a range")).expect("it can be cut"));
        let create = |bench: &mut Bench, name: &str, range: Option<&str>| {
            bench.create(
                json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"podCIDR": range}}),
            );
            bench.settle();
        };
        let range = |bench: &Bench, name: &str| {
            let node: Node = bench.server.fetch("", name).expect("it is there");
            let spec = node.spec.unwrap_or_default();
            assert_eq!(spec.pod_cidrs.unwrap_or_default().first(), spec.pod_cidr.as_ref());
            spec.pod_cidr
        };
        create(&mut bench, "own", Some("10.244.1.0/24"));
        for (name, expected) in [("one", "10.244.0.0/24"), ("two", "10.244.2.0/24"), ("three", "10.244.3.0/24")] {
            create(&mut bench, name, None);
            assert_eq!(range(&bench, name).as_deref(), Some(expected));
        }
        create(&mut bench, "four", None);
        assert_eq!(range(&bench, "four"), None);
        assert!(bench.events().iter().any(|event| event.contains("CIDRNotAvailable")));
        let key = kit_apimachinery::object::Key::new(Kind::Node, "", "two");
        bench.server.delete(&key, &kit_server::DeleteOptions::default()).expect("it can be deleted");
        let until = bench.now + Instant::seconds(60);
        bench.run_until(until);
        assert_eq!(range(&bench, "four").as_deref(), Some("10.244.2.0/24"));
    }
}
