//! The route controller: a route in the cloud for the pod addresses of each node.
//!
//! Source: `staging/src/k8s.io/cloud-provider/controllers/route/route_controller.go`. It runs where the cloud's own network
//! carries packets of pods (`--configure-cloud-routes`), in place of an overlay.

use super::Shared;
use super::provider::Route;
use kit_api::core::{Node, NodeCondition};
use kit_api::time;
use kit_apimachinery::object::{AsKind, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// From one look to the next (`--route-reconciliation-period`).
const PERIOD: Instant = Instant::seconds(10);

/// Keeps routes.
pub struct Routes {
    cloud: Shared,
    next: Instant,
}

/// What is missing and what is too much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Routes to be taken away: first, so that an address range is free for its next owner.
    pub remove: Vec<Route>,
    /// Routes to be made.
    pub add: Vec<Route>,
}

/// Compares the routes with the nodes and their ranges (`reconcile`). `is_ours` says whether a range lies in the one of all
/// pods: other routes are left alone.
pub fn compare(nodes: &[(String, Vec<String>)], routes: &[Route], is_ours: impl Fn(&str) -> bool) -> Difference {
    let wanted: Vec<Route> = nodes
        .iter()
        .flat_map(|(node, ranges)| {
            ranges.iter().map(|cidr| Route { node: node.clone(), cidr: cidr.clone(), blackhole: false })
        })
        .collect();
    let has = |route: &Route| routes.iter().any(|there| there.node == route.node && there.cidr == route.cidr);
    Difference {
        remove: routes.iter().filter(|route| is_ours(&route.cidr) && !wanted.contains(route)).cloned().collect(),
        add: wanted.iter().filter(|route| !has(route)).cloned().collect(),
    }
}

impl Routes {
    /// A controller in front of this cloud.
    pub fn new(cloud: Shared) -> Self {
        Routes { cloud, next: Instant::default() }
    }

    fn reconcile(&self, world: &mut World<'_>) {
        // Who can't list them tries again with the next look.
        let Ok(there) = self.cloud.borrow().routes() else { return };
        let cache = world.cache;
        let ranges = |node: &Node| {
            let spec = node.spec.clone().unwrap_or_default();
            spec.pod_cidrs.or(spec.pod_cidr.map(|cidr| vec![cidr])).unwrap_or_default()
        };
        let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
        let nodes: Vec<(String, Vec<String>)> = (cache.all::<Node>())
            .map(|node| (name(node), ranges(node)))
            .filter(|(_, ranges)| !ranges.is_empty())
            .collect();
        // The ranges of this cluster's pods all begin with `10.`.
        let Difference { remove, add } = compare(&nodes, &there, |cidr| cidr.starts_with("10."));
        let mut made: BTreeMap<String, bool> = nodes.iter().map(|(node, _)| (node.clone(), true)).collect();
        for route in remove {
            _ = self.cloud.borrow_mut().remove_route(&route);
        }
        for route in add {
            let node = route.node.clone();
            let cidr = route.cidr.clone();
            let added = self.cloud.borrow_mut().add_route(route);
            if let Err(error) = added {
                if let Some(about) = cache.fetch::<Node>("", &node) {
                    let message = format!("Could not create route {cidr} for node {node}: {error}");
                    world.server.record(about, "Warning", "FailedToCreateRoute", &message);
                }
                made.insert(node, false);
            }
        }
        for (node, created) in made {
            // Written again with the next look.
            _ = set_condition(&node, created, world);
        }
    }
}

/// Whether packets can reach the node's pods, as its condition says it (`updateNetworkingCondition`).
fn set_condition(name: &str, created: bool, world: &mut World<'_>) -> Result<(), Error> {
    const TYPE: &str = "NetworkUnavailable";
    let status = if created { "False" } else { "True" };
    let is = |condition: &NodeCondition| condition.type_ == TYPE;
    let mut node: Node = world.server.fetch("", name)?;
    let conditions = node.status.get_or_insert_default().conditions.get_or_insert_default();
    if conditions.iter().any(|condition| is(condition) && condition.status == status) {
        return Ok(());
    }
    conditions.retain(|condition| !is(condition));
    let (reason, message) = match created {
        true => ("RouteCreated", "RouteController created a route"),
        false => ("NoRouteCreated", "RouteController failed to create a route"),
    };
    let now = time::seconds(world.time());
    conditions.push(NodeCondition {
        type_: TYPE.into(),
        status: status.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: Some(now.clone()),
        last_heartbeat_time: Some(now),
    });
    world.server.update_status(node.into_object()).map(drop)
}

impl Component for Routes {
    fn name(&self) -> &'static str {
        "route-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn observe(&mut self, _change: &Change, _world: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if world.now >= self.next {
            self.reconcile(world);
            self.next = world.now + PERIOD;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_follow_the_nodes() {
        let route = |node: &str, cidr: &str| Route { node: node.into(), cidr: cidr.into(), blackhole: false };
        let nodes = [("node-1", "10.244.0.0/24"), ("node-2", "10.244.1.0/24")];
        let nodes = nodes.map(|(node, cidr)| (node.to_string(), vec![cidr.to_string()]));
        let (one, two) = (route("node-1", "10.244.0.0/24"), route("node-2", "10.244.1.0/24"));
        let (moved, gone) = (route("node-1", "10.244.1.0/24"), route("node-9", "10.244.9.0/24"));
        let foreign = route("vpn", "172.16.0.0/12");
        let ours = |cidr: &str| cidr.starts_with("10.");
        let hole = Route { blackhole: true, ..two.clone() };
        let there = [one.clone(), moved.clone(), gone.clone(), foreign, hole.clone()];
        let expected = Difference { remove: vec![moved, gone, hole], add: Vec::new() };
        assert_eq!(compare(&nodes, &there, ours), expected, "a route of this node and range is there, if a dead one");
        assert_eq!(compare(&nodes, &[one.clone(), two], ours), Difference::default());
        let missing = compare(&nodes, &[one], ours).add;
        assert_eq!(missing.iter().map(|route| route.node.as_str()).collect::<Vec<_>>(), ["node-2"]);
    }
}
