//! Fresh scenarios of `failure/node_lifecycle`: small clusters in which nodes and whole zones fall silent, come back, change and go,
//! pass by pass.

use crate::fresh::{Generator, scenario, step};
use kit_contract::Slot;
use kit_contract::failure::NodeLifecycle;
use kit_contract::failure::node_lifecycle::{Action, Answer, Config, NOT_READY, ObservedNode, Status, UNREACHABLE};
use kit_contract::scheduler::Taint;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy)]
enum Change {
    Silent,
    Alive,
    Ready(Status),
    /// It loses its condition `Ready`.
    Unready,
    Pressure(&'static str, Status),
    Cordon(bool),
    Gone,
    /// A node that was not there.
    New,
    /// One that has said nothing yet; whether it has a lease.
    Bare(bool),
    /// The last one that went is there again, as it was.
    Again,
    /// Of the zone of this node all but so many fall silent, or come back.
    Outage(usize),
    Repaired,
    /// All nodes of its zone go.
    ZoneGone,
    /// Its clock was set back: the lease, or the heartbeat, is older than any before. Then it is silent.
    Lease,
    Heartbeat,
    /// What the controller wants is not done this time.
    Refused,
    /// Somebody gave it both taints.
    Both,
}

fn change() -> impl Strategy<Value = Change> {
    let status = || select(vec![Status::True, Status::False, Status::Unknown]);
    prop_oneof![
        6 => Just(Change::Silent),
        4 => Just(Change::Alive),
        3 => status().prop_map(Change::Ready),
        1 => Just(Change::Unready),
        2 => (select(vec!["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"]), status())
            .prop_map(|(kind, status)| Change::Pressure(kind, status)),
        1 => any::<bool>().prop_map(Change::Cordon),
        1 => Just(Change::Gone),
        1 => Just(Change::New),
        1 => any::<bool>().prop_map(Change::Bare),
        2 => Just(Change::Again),
        3 => (0_usize..4).prop_map(Change::Outage),
        2 => Just(Change::Repaired),
        2 => Just(Change::ZoneGone),
        1 => Just(Change::Lease),
        1 => Just(Change::Heartbeat),
        1 => Just(Change::Refused),
        1 => Just(Change::Both),
    ]
}

type Pass = (Vec<(Index, Change)>, i64);

/// A zone falls silent at once, and while its nodes wait for their turn, some go and come back.
fn queue() -> impl Strategy<Value = Vec<Pass>> {
    let change = select(vec![Change::Gone, Change::Gone, Change::Again, Change::Alive, Change::Both]);
    let pass = (vec((any::<Index>(), change), 0..2), Just(1_i64));
    (any::<Index>(), 0_usize..2, vec(pass, 6..14)).prop_map(|(which, left, passes)| {
        let silent = (vec![(which, Change::Outage(left))], 12);
        [(Vec::new(), 1), silent].into_iter().chain(passes).collect()
    })
}

struct World {
    nodes: Vec<(ObservedNode, bool)>,
    gone: Vec<ObservedNode>,
    count: usize,
}

impl World {
    fn add(&mut self, zone: &str, now: i64) {
        self.count += 1;
        let mut node = ObservedNode {
            name: format!("node-{}", self.count),
            zone: zone.into(),
            created_ms: now,
            ..Default::default()
        };
        node.conditions.insert("Ready".into(), Status::True);
        node.heartbeat_time_ms = now;
        node.renew_time_ms = Some(now);
        self.put(node, true);
    }

    fn put(&mut self, node: ObservedNode, alive: bool) {
        self.nodes.push((node, alive));
        self.nodes.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    }

    /// Those for which it holds go.
    fn remove(&mut self, goes: impl Fn(&ObservedNode) -> bool) {
        for (node, alive) in std::mem::take(&mut self.nodes) {
            if goes(&node) {
                self.gone.push(node);
            } else {
                self.nodes.push((node, alive));
            }
        }
    }

    fn seen(&self) -> Vec<ObservedNode> {
        self.nodes.iter().map(|(node, _)| node.clone()).collect()
    }

    /// Does what the controller wants.
    fn obey(&mut self, answer: &Answer) {
        for action in &answer.actions {
            let (Action::SetUnknown { node: name, .. }
            | Action::MarkPodsNotReady { node: name }
            | Action::AddTaint { node: name, .. }
            | Action::RemoveTaint { node: name, .. }) = action;
            let Some((node, _)) = self.nodes.iter_mut().find(|(node, _)| node.name == *name) else { continue };
            match action {
                Action::SetUnknown { condition, .. } => _ = node.conditions.insert(condition.clone(), Status::Unknown),
                Action::MarkPodsNotReady { .. } => {}
                Action::AddTaint { key, effect, .. } => {
                    let taint = json!({"key": key, "effect": effect});
                    node.taints.extend(serde_json::from_value::<Taint>(taint));
                }
                Action::RemoveTaint { key, effect, .. } => {
                    node.taints.retain(|taint| (&taint.key, &taint.effect) != (key, effect));
                }
            }
        }
    }
}

/// Passes of one controller, five seconds apart, each with changes before it. The reference is played along, so that the nodes
/// have the taints and conditions that it gave them.
pub fn fresh(reference: Slot<dyn NodeLifecycle>) -> Generator {
    let zones = select(vec![vec!["a"], vec!["a", "b"], vec!["", "a"], vec!["a", "a", "b"]]);
    let config = prop_oneof![
        3 => Just(Config::default()),
        2 => Just(Config { node_eviction_rate: 1.0, node_monitor_grace_period_seconds: 10, ..Config::default() }),
        1 => Just(Config {
            node_monitor_grace_period_seconds: 10, node_startup_grace_period_seconds: 20, node_eviction_rate: 0.3,
            secondary_node_eviction_rate: 0.05, unhealthy_zone_threshold: 0.5, large_cluster_size_threshold: 3,
        }),
    ];
    let pass = (vec((any::<Index>(), change()), 0..3), select(vec![1_i64, 1, 1, 1, 2, 11]));
    let begin = select(vec![1_000_000_i64, 1_748_779_200_000]);
    let count = prop_oneof![4 => 1_usize..8, 1 => 10_usize..14];
    let passes = prop_oneof![4 => vec(pass, 1..14), 1 => queue()];
    (zones, config, begin, count, passes)
        .prop_map(move |(zones, config, begin, count, passes)| {
            let mut controller = reference.make(&config);
            let mut world = World { nodes: Vec::new(), gone: Vec::new(), count: 0 };
            let mut now = begin;
            for number in 0..count {
                world.add(zones[number % zones.len()], now);
            }
            let mut steps: Vec<Value> = Vec::new();
            for (changes, length) in passes {
                now += 5000 * length;
                let (mut changed, mut refused) = (Vec::new(), false);
                for (which, change) in changes {
                    let zone = zones[world.count % zones.len()];
                    match change {
                        Change::New => {
                            world.add(zone, now);
                            changed.push(format!("node-{}", world.count));
                            continue;
                        }
                        Change::Bare(lease) => {
                            world.count += 1;
                            let node = ObservedNode {
                                name: format!("node-{}", world.count),
                                zone: zone.into(),
                                created_ms: now - 12_000,
                                renew_time_ms: lease.then_some(now - 2000),
                                ..ObservedNode::default()
                            };
                            changed.push(node.name.clone());
                            world.put(node, false);
                            continue;
                        }
                        Change::Again => {
                            if let Some(node) = world.gone.pop() {
                                changed.push(node.name.clone());
                                world.put(node, which.index(2) == 0);
                            }
                            continue;
                        }
                        _ => {}
                    }
                    if world.nodes.is_empty() {
                        continue;
                    }
                    let place = which.index(world.nodes.len());
                    let (zone, name) = (world.nodes[place].0.zone.clone(), world.nodes[place].0.name.clone());
                    let in_zone = |node: &ObservedNode| node.zone == zone;
                    match change {
                        Change::Gone => {
                            world.remove(|node| node.name == name);
                            continue;
                        }
                        Change::ZoneGone => {
                            world.remove(in_zone);
                            continue;
                        }
                        Change::Outage(left) => {
                            let all = world.nodes.iter_mut().filter(|(node, _)| in_zone(node));
                            all.skip(left).for_each(|(_, alive)| *alive = false);
                            continue;
                        }
                        Change::Repaired => {
                            world
                                .nodes
                                .iter_mut()
                                .filter(|(node, _)| in_zone(node))
                                .for_each(|(_, alive)| *alive = true);
                            continue;
                        }
                        _ => {}
                    }
                    let (node, alive) = &mut world.nodes[place];
                    match change {
                        Change::Silent => *alive = false,
                        Change::Alive => *alive = true,
                        Change::Ready(status) => {
                            node.conditions.insert("Ready".into(), status);
                            node.heartbeat_time_ms = now;
                        }
                        Change::Unready => {
                            node.conditions.remove("Ready");
                            node.heartbeat_time_ms = 0;
                        }
                        Change::Pressure(kind, status) => _ = node.conditions.insert(kind.into(), status),
                        Change::Cordon(cordoned) => node.unschedulable = cordoned,
                        Change::Lease => (node.renew_time_ms, *alive) = (Some(now - 900_000), false),
                        Change::Heartbeat if node.conditions.contains_key("Ready") => {
                            (node.heartbeat_time_ms, *alive) = (now - 900_000, false);
                        }
                        Change::Refused => refused = true,
                        Change::Both => {
                            for key in [NOT_READY, UNREACHABLE] {
                                node.taints.retain(|taint| taint.key != key || taint.effect != "NoExecute");
                                let taint = json!({"key": key, "effect": "NoExecute"});
                                node.taints.extend(serde_json::from_value::<Taint>(taint));
                            }
                        }
                        _ => {}
                    }
                    changed.push(name);
                }
                for (node, _) in world.nodes.iter_mut().filter(|(_, alive)| *alive) {
                    node.renew_time_ms = Some(now - 1000);
                    // A kubelet that is back says how it is.
                    if node.conditions.get("Ready") == Some(&Status::Unknown) {
                        node.conditions.insert("Ready".into(), Status::True);
                        node.heartbeat_time_ms = now - 1000;
                    }
                }
                for name in changed {
                    let Some((node, _)) = world.nodes.iter().find(|(node, _)| node.name == name) else { continue };
                    let node = node.clone();
                    let answer = controller.node_changed(&node);
                    steps.push(step("node_changed", json!({ "node": node })));
                    if !refused {
                        world.obey(&answer);
                    }
                }
                let nodes = world.seen();
                let answer = controller.monitor(now, &nodes);
                steps.push(step("monitor", json!({"now_ms": now, "nodes": nodes})));
                if !refused {
                    world.obey(&answer);
                }
                let nodes = world.seen();
                let answer = controller.taint(now + 1, &nodes);
                steps.push(step("taint", json!({"now_ms": now + 1, "nodes": nodes})));
                world.obey(&answer);
            }
            scenario(json!({ "config": config }), steps)
        })
        .boxed()
}
