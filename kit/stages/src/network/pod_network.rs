//! A cluster whose nodes run the module, and packets that walk through it.
//!
//! The module says what a pod gets and what a node's tables become; the kit applies that as a kernel would, lets packets go from each pod to
//! each other one, and tells what does not hold. Which entries a module wrote is not asked for, only what they do.

use crate::fresh::{Generator, question, several};
use kit_contract::network::pod_network::{Backend, Change};
use kit_contract::{Modules, flow};
use kit_network::datapath::cluster::{Cluster, Node};
use kit_network::datapath::flannel::{self, Flannel};
use kit_network::datapath::model::Broken;
use kit_network::ipam::cidr::Cidr;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The network of all pods.
const PODS: &str = "10.244.0.0/16";

/// The cluster, and what happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// How packets get from node to node.
    pub backend: Backend,
    /// The nodes at first.
    pub nodes: BTreeMap<String, NodeSpec>,
    /// What happens, in order.
    pub play: Vec<Act>,
}

/// A node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its address, with the prefix of the network there.
    pub address: Cidr,
    /// The range for its pods; none if the controller hasn't given it one.
    #[serde(default)]
    pub range: Option<Cidr>,
    /// What its interface carries.
    #[serde(default = "ethernet")]
    pub mtu: u32,
}

fn ethernet() -> u32 {
    1500
}

/// One thing that happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Pods start on a node, one after the other.
    Start(String, Vec<String>),
    /// A pod ends.
    Stop(String),
    /// All agents look at the nodes.
    Sync,
    /// A node comes.
    Join(String, NodeSpec),
    /// A node goes.
    Leave(String),
    /// The controller gives a node a range.
    Range(String, Cidr),
    /// A node's agent stops.
    AgentStops(String),
    /// It is back.
    AgentStarts(String),
    /// A node was set up anew: its VXLAN interface has another Ethernet address.
    Reinstall(String),
    /// Somebody changes a node's tables by hand.
    ByHand(String, Vec<Change>),
    /// Packets of all sizes go from each pod to each other, and from each node to each pod.
    Look,
}

/// Plays a script. `see` is told of each act and of what was seen then.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(script: &Script, modules: &Modules, see: &mut dyn FnMut(String, Vec<String>)) -> Result<(), String> {
    let nodes = script.nodes.iter().map(|(name, spec)| node(name, spec)).collect();
    let pods = PODS.parse()?;
    let plugin = Flannel::new(modules.pod_network.make(&()), pods, script.backend);
    let mut cluster = Cluster::new(nodes, Box::new(plugin));
    for act in &script.play {
        let (title, lines) = one(&mut cluster, act)?;
        see(title, lines);
    }
    Ok(())
}

fn node(name: &str, spec: &NodeSpec) -> Node {
    let node = Node { mtu: spec.mtu, ..Node::new(name, spec.address) };
    spec.range.map_or(node.clone(), |range| node.with_range(range))
}

fn known(cluster: &Cluster, name: &str) -> Result<(), String> {
    let is_known = cluster.nodes.iter().any(|node| node.name == name);
    is_known.then_some(()).ok_or_else(|| format!("there is no node {name} at this point"))
}

fn one(cluster: &mut Cluster, act: &Act) -> Result<(String, Vec<String>), String> {
    let done = |title: String| Ok((title, vec!["done".to_string()]));
    match act {
        Act::Start(node, pods) => {
            known(cluster, node)?;
            let mut lines = Vec::new();
            for pod in pods {
                if cluster.pods.contains_key(pod) || cluster.world.namespaces.contains_key(pod) {
                    return Err(format!("there is a {pod} already"));
                }
                let said = match cluster.start(node, pod) {
                    Ok(answer) => match answer.ips.first() {
                        Some(given) => format!("{pod} has {}", given.address),
                        None => format!("{pod} has no address"),
                    },
                    Err(error) => format!("{pod}: {error}"),
                };
                lines.push(said);
            }
            Ok((format!("start on {node}"), lines))
        }
        Act::Stop(pod) => {
            cluster.stop(pod).map_err(|error| error.to_string())?;
            done(format!("stop {pod}"))
        }
        Act::Sync => {
            let log = cluster.sync();
            let mut lines: Vec<String> = log.into_iter().map(|(node, said)| format!("{node}: {said}")).collect();
            lines.extend(stale(cluster));
            if lines.is_empty() {
                lines.push("all agents are content".into());
            }
            Ok(("all agents look".into(), lines))
        }
        Act::Join(name, spec) => {
            if cluster.nodes.iter().any(|node| node.name == *name) {
                return Err(format!("there is a {name} already"));
            }
            cluster.join(node(name, spec));
            done(format!("{name} comes, {}", spec.address))
        }
        Act::Leave(name) => {
            known(cluster, name)?;
            cluster.leave(name);
            done(format!("{name} goes"))
        }
        Act::Range(name, range) => {
            known(cluster, name)?;
            for node in cluster.nodes.iter_mut().filter(|node| node.name == *name) {
                node.pod_cidr = Some(*range);
            }
            done(format!("{name} is given {range}"))
        }
        Act::AgentStops(name) => {
            known(cluster, name)?;
            cluster.agents_down.insert(name.clone());
            done(format!("the agent of {name} stops"))
        }
        Act::AgentStarts(name) => {
            cluster.agents_down.remove(name);
            done(format!("the agent of {name} starts"))
        }
        Act::Reinstall(name) => {
            known(cluster, name)?;
            flannel::reinstall(&mut cluster.world, &mut cluster.nodes, name);
            done(format!("{name} is set up anew"))
        }
        Act::ByHand(name, changes) => {
            known(cluster, name)?;
            let host = cluster.world.namespaces.get_mut(name).ok_or_else(|| format!("there is no host {name}"))?;
            for change in changes {
                flannel::apply(host, change)?;
            }
            done(format!("by hand on {name}: {}", flow(&changes)))
        }
        Act::Look => Ok(("packets go between all pods".into(), look(cluster))),
    }
}

/// Entries that lead to nodes that aren't there. Whatever else a node's tables hold is a matter of where packets go.
fn stale(cluster: &Cluster) -> Vec<String> {
    let pods: Cidr = match PODS.parse() {
        Ok(pods) => pods,
        Err(_) => return Vec::new(),
    };
    let mut lines = Vec::new();
    for node in cluster.nodes.iter().filter(|node| !cluster.agents_down.contains(&node.name)) {
        let Some(host) = cluster.world.namespaces.get(&node.name) else { continue };
        let ranges: Vec<Cidr> = cluster.nodes.iter().filter_map(|other| other.pod_cidr).collect();
        let tables = flannel::tables(host);
        for route in &tables.routes {
            let first = route.destination.first().into();
            let is_pods = pods.contains(first) && route.destination.prefix >= pods.prefix;
            if is_pods && !ranges.iter().any(|range| range.address == first && range.prefix == route.destination.prefix)
            {
                lines.push(format!("{}: stale: {route}", node.name));
            }
        }
        let there = |mac: &str| cluster.nodes.iter().any(|other| flannel::vtep_mac(other).as_deref() == Some(mac));
        for neighbour in tables.neighbours.iter().filter(|entry| entry.device == flannel::VXLAN_DEVICE) {
            if !there(&neighbour.mac) {
                lines.push(format!("{}: stale: {neighbour}", node.name));
            }
        }
        for entry in tables.forwarding.iter().filter(|entry| entry.device == flannel::VXLAN_DEVICE) {
            if !there(&entry.mac) {
                lines.push(format!("{}: stale: {entry}", node.name));
            }
        }
    }
    lines
}

fn look(cluster: &mut Cluster) -> Vec<String> {
    let mut lines = Vec::new();
    let mut mtus: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for pod in cluster.pods.keys() {
        let inner = cluster.world.namespaces.get(pod).and_then(|namespace| namespace.interface("eth0"));
        mtus.entry(inner.map_or(0, |inner| inner.mtu)).or_default().push(pod.clone());
    }
    for (mtu, pods) in mtus {
        lines.push(format!("MTU {mtu}: {}", pods.join(", ")));
    }
    let broken = cluster.broken();
    if broken.is_empty() {
        let count = cluster.pods.len();
        lines.push(format!("each of {count} pods reaches each other, and each node each pod, without translation"));
        return lines;
    }
    lines.extend(broken.iter().map(Broken::to_string));
    // One packet, hop by hop, says more than the others together.
    if let Some(walk) = broken.iter().find_map(Broken::walk) {
        lines.extend(walk.lines());
    }
    lines
}

fn backend() -> impl Strategy<Value = Value> {
    let direct = |name: &'static str| any::<bool>().prop_map(move |direct| json!({ name: {"direct": direct} }));
    prop_oneof![3 => direct("vxlan"), 1 => direct("ipip"), 1 => Just(json!("host_gw"))]
}

/// The network of all pods: mostly the usual one.
fn pods() -> impl Strategy<Value = &'static str> {
    select(vec![PODS, PODS, "10.244.0.0/17", "10.244.0.0/14"])
}

/// Small ranges, so that they are soon full, and large ones.
fn range(third: usize) -> impl Strategy<Value = Value> {
    select(vec![24_u8, 24, 29, 28, 30, 27, 26]).prop_map(move |prefix| json!(format!("10.244.{third}.0/{prefix}")))
}

/// Nodes of three networks, one of which is within another one's first addresses.
fn fresh_node(number: usize) -> impl Strategy<Value = Value> {
    let address = select(vec![("10.0.0", 24_u8), ("10.0.0", 24), ("10.0.1", 24), ("10.0.0", 25), ("10.0.1", 16)]);
    let mtu = select(vec![1500, 1500, 9001, 1460]);
    let mac = option::weighted(0.85, select(vec![1, 2]));
    (address, 1..250_usize, mtu, option::weighted(0.85, range(number)), mac).prop_map(
        move |((net, prefix), host, mtu, range, mac)| {
            let third = number * 256 + host;
            let address = format!("{net}.{}", (third * 7) % 199 + number);
            let subnet = match prefix {
                16 => "10.0.0.0/16".to_string(),
                prefix => {
                    format!("{net}.{}/{prefix}", if prefix == 25 && (third * 7) % 199 + number > 127 { 128 } else { 0 })
                }
            };
            let mut node = json!({"name": format!("node-{number}"), "address": address, "subnet": subnet, "mtu": mtu});
            if let Some(range) = range {
                node["range"] = range;
            }
            if let Some(mac) = mac {
                node["mac"] = json!(format!("02:00:00:00:0{mac}:{number:02x}"));
            }
            node
        },
    )
}

fn attach() -> impl Strategy<Value = Value> {
    // Now and then a range that is wider than one number of an address, or that doesn't begin at 0.
    let range =
        option::weighted(0.3, select(vec!["10.244.4.0/22", "10.244.6.0/23", "10.244.5.128/25", "10.244.5.192/27"]));
    let taken = prop_oneof![1 => 0.0..0.3_f64, 2 => 0.7..1.0_f64, 1 => Just(1.0)];
    let last = option::weighted(0.7, (any::<Index>(), 0..8_u8));
    (fresh_node(1), range, backend(), taken, any::<u64>(), last, pods()).prop_map(
        |(mut node, other, backend, taken, dice, last, pods)| {
            if let Some(other) = other {
                node["range"] = other.into();
            }
            let mut request = json!({"node": node, "network": {"pods": pods, "backend": backend}});
            let range = node["range"].as_str().and_then(|range| range.parse::<Cidr>().ok());
            let Some(range) = range else { return question("attach", json!({ "request": request })) };
            let size = 1_u64 << (32 - range.prefix);
            let first = kit_network::ipam::cidr::number(range.first());
            let address = |host: u64| kit_network::ipam::cidr::address(first + u128::from(host), range.address);
            let all: Vec<String> = (2..size - 1).map(|host| address(host).to_string()).collect();
            // A number for each address that follows from the dice, so that a smaller case stays a case.
            let used = all.iter().zip(1_u64..).filter(|(_, number)| {
                let roll =
                    dice.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left((number % 61) as u32).wrapping_mul(number | 1);
                ((roll >> 40) as f64) < taken * (1_u64 << 24) as f64
            });
            let mut used: Vec<&String> = used.map(|(address, _)| address).collect();
            if dice.is_multiple_of(2) {
                used.reverse();
            }
            // Pods and the last address may be from a range that the node had before, wider or elsewhere.
            let before = ["10.244.1.77", "10.244.9.3", "10.243.255.254", "10.246.0.2"].map(String::from);
            used.extend(before.iter().filter(|_| dice % 3 == 1).filter(|ip| !all.contains(ip)));
            request["used"] = json!(used);
            if let Some((last, how)) = last {
                request["last"] = match how {
                    0 => json!(last.get(&[address(0), address(1), address(size - 1)])),
                    1 => json!(last.get(&before)),
                    _ => json!(last.get(&all)),
                };
            }
            question("attach", json!({ "request": request }))
        },
    )
}

/// The entries that lead to a node, right or with one part of them wrong.
fn entries(other: &Value, direct: bool, ipip: bool, wrong: u8) -> Value {
    let (Some(range), Some(address)) = (other["range"].as_str(), other["address"].as_str()) else { return json!({}) };
    let first = range.split('/').next().unwrap_or_default();
    let mac = other["mac"].as_str().unwrap_or("02:00:00:00:09:09");
    let route = match (direct, ipip) {
        (true, _) => json!({"destination": range, "via": address, "device": "eth0"}),
        (false, true) => json!({"destination": range, "via": address, "device": "tunl0", "onlink": true}),
        (false, false) => json!({"destination": range, "via": first, "device": "flannel.1", "onlink": true}),
    };
    let mut tables = json!({"routes": [route], "neighbours": [], "forwarding": []});
    if !direct && !ipip {
        tables["neighbours"] = json!([{"address": first, "device": "flannel.1", "mac": mac}]);
        tables["forwarding"] = json!([{"mac": mac, "device": "flannel.1", "remote": address}]);
    }
    match wrong {
        0 => tables["routes"] = json!([]),
        1 => tables["neighbours"] = json!([]),
        2 => tables["forwarding"] = json!([]),
        3 => tables["routes"][0]["via"] = json!("10.0.0.250"),
        4 if !direct && !ipip => tables["neighbours"][0]["mac"] = json!(mac.replace("02:00", "02:0f")),
        5 if !direct && !ipip => tables["forwarding"][0]["remote"] = json!("10.0.0.251"),
        6 if !direct && !ipip => {
            let old = mac.replace("02:00", "02:0e");
            tables["neighbours"][0]["mac"] = json!(old);
            tables["forwarding"][0]["mac"] = json!(old);
        }
        7 => tables["routes"][0]["onlink"] = json!(direct),
        8 => tables["routes"][0]["device"] = json!("eth1"),
        _ => {}
    }
    tables
}

/// What is on a node beside what the agent wrote.
fn foreign() -> Value {
    json!({
        "routes": [
            {"destination": "0.0.0.0/0", "via": "10.0.0.254", "device": "eth0"},
            {"destination": "192.168.7.0/24", "via": "10.0.0.253", "device": "eth0"},
            {"destination": "10.0.0.0/8", "via": "10.0.0.254", "device": "eth0"},
            {"destination": "10.244.0.0/14", "via": "10.0.0.254", "device": "eth0"},
            {"destination": "10.244.0.0/16", "via": "10.0.0.254", "device": "eth0"},
            {"destination": "10.244.0.0/22", "via": "10.0.0.254", "device": "eth1"},
            {"destination": "10.244.77.5/32", "via": "10.0.0.254", "device": "eth0"},
            {"destination": "10.245.0.0/24", "via": "10.0.0.9", "device": "flannel.1", "onlink": true},
        ],
        "neighbours": [{"address": "10.0.0.254", "device": "eth0", "mac": "02:00:00:00:0a:fe"},
            {"address": "10.244.2.0", "device": "eth0", "mac": "02:00:00:00:01:02"}],
        "forwarding": [{"mac": "02:00:00:00:01:02", "device": "cni0", "remote": "10.0.0.9"}],
    })
}

fn sync() -> impl Strategy<Value = Value> {
    let others = (2..7_usize).prop_flat_map(|count| (2..=count).map(fresh_node).collect::<Vec<_>>());
    // For each node how its entries are (more than 8: right), and whether they are there at all.
    let state = vec((0..24_u8, 0..4_u8, any::<bool>()), 8);
    let ghosts = vec(fresh_node(7), 0..2);
    (fresh_node(1), others, backend(), state, ghosts, any::<u16>(), pods()).prop_map(
        |(node, others, backend, state, ghosts, extra, pods)| {
            let mut tables = json!({"routes": [], "neighbours": [], "forwarding": []});
            let mut add = |more: Value, keep: &dyn Fn(usize) -> bool| {
                for table in ["routes", "neighbours", "forwarding"] {
                    let more = more[table].as_array().cloned().unwrap_or_default();
                    let kept = more.into_iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, entry)| entry);
                    if let Some(all) = tables[table].as_array_mut() {
                        all.extend(kept);
                    }
                }
            };
            add(foreign(), &|at| extra >> at & 1 == 1);
            let is_near = |other: &Value| {
                let subnet: Option<Cidr> = node["subnet"].as_str().and_then(|subnet| subnet.parse().ok());
                let address = other["address"].as_str().and_then(|address| address.parse().ok());
                subnet.zip(address).is_some_and(|(subnet, address)| subnet.contains(address))
            };
            let name = backend.as_object().and_then(|backend| backend.keys().next()).cloned().unwrap_or_default();
            let may_direct = backend == "host_gw" || backend[&name]["direct"] == json!(true);
            for (other, (wrong, there, other_way)) in others.iter().chain(&ghosts).zip(&state) {
                let direct = backend == "host_gw" || may_direct && is_near(other);
                // Now and then as another backend had left it.
                let otherwise = *there == 1 && *wrong % 5 == 0;
                let direct = if otherwise { *other_way } else { direct };
                if *there > 0 {
                    let ipip = (name == "ipip") != (otherwise && *wrong % 2 == 0);
                    add(entries(other, direct, ipip, *wrong), &|_| true);
                }
                // A route to a part of the range, which beats the one to all of it.
                if let (Some((first, prefix)), 9) =
                    (other["range"].as_str().and_then(|range| range.split_once('/')), *wrong)
                    && prefix != "30"
                {
                    let part = json!({"destination": format!("{first}/30"), "via": "10.0.0.253", "device": "eth0"});
                    add(json!({ "routes": [part] }), &|_| true);
                }
            }
            if let (Some(range), true) = (node["range"].as_str(), extra & 0x4000 == 0x4000) {
                add(json!({"routes": [{"destination": range, "via": "10.0.0.252", "device": "eth0"}]}), &|_| true);
            }
            let network = json!({"pods": pods, "backend": backend});
            question("sync", json!({"request": {"node": node, "others": others, "network": network, "tables": tables}}))
        },
    )
}

/// A cluster in which a few things happen, and packets go after each.
fn cluster() -> impl Strategy<Value = Value> {
    let nodes = btree_set(1..5_usize, 2..4);
    let happens = vec((0..8_u8, any::<Index>()), 1..4);
    (nodes, backend(), vec(any::<bool>(), 8), happens).prop_map(|(numbers, backend, far, happens)| {
        let spec = |number: usize| {
            let net = if far[number % far.len()] { 1 } else { 0 };
            json!({"address": format!("10.0.{net}.{number}/24"), "range": format!("10.244.{number}.0/28")})
        };
        let name = |number: usize| format!("node-{number}");
        let mut there: Vec<usize> = numbers.iter().copied().collect();
        let nodes: serde_json::Map<String, Value> = there.iter().map(|number| (name(*number), spec(*number))).collect();
        let pods = |number: usize| json!({"start": [name(number), [format!("a/p-{number}"), format!("b/q-{number}")]]});
        let mut play = vec![json!("sync")];
        play.extend(there.iter().map(|number| pods(*number)));
        let mut next = 6;
        for (what, which) in happens {
            let number = *which.get(&there);
            let route = json!({"set_route": {"destination": "10.244.9.0/28", "via": "10.0.0.254", "device": "eth0"}});
            match what {
                0 if there.len() > 2 => {
                    there.retain(|other| *other != number);
                    play.push(json!({ "leave": name(number) }));
                }
                1 => {
                    there.push(next);
                    play.push(json!({"join": [name(next), spec(next)]}));
                    play.extend([json!("sync"), pods(next)]);
                    next += 1;
                }
                2 => play.push(json!({ "reinstall": name(number) })),
                3 => {
                    play.push(json!({ "agent_stops": name(number) }));
                    there.push(next);
                    play.push(json!({"join": [name(next), spec(next)]}));
                    play.extend([json!("sync"), pods(next), json!("look"), json!({ "agent_starts": name(number) })]);
                    next += 1;
                }
                4 if !far[number % far.len()] => play.push(json!({"by_hand": [name(number), [route]]})),
                5 => play.push(json!({ "stop": format!("a/p-{number}") })),
                6 => {
                    // What a tunnel to a node next door left behind.
                    let is_near = |other: &&usize| **other != number && far[*other % 8] == far[number % 8];
                    if let (Some(other), true) = (there.iter().find(is_near), backend["vxlan"]["direct"] == true) {
                        let (range, mac) = (format!("10.244.{other}.0"), "02:00:00:00:0e:01");
                        let route = json!({"destination": format!("{range}/28"), "via": range, "device": "flannel.1", "onlink": true});
                        let changes = json!([
                            {"set_forwarding": {"mac": mac, "device": "flannel.1", "remote": format!("10.0.0.{other}")}},
                            {"set_neighbour": {"address": range, "device": "flannel.1", "mac": mac}},
                            {"set_route": route},
                        ]);
                        play.push(json!({"by_hand": [name(number), changes]}));
                    }
                }
                _ => play.push(json!({"start": [name(number), [format!("c/r-{number}-{}", play.len())]]})),
            }
            play.push(json!("sync"));
        }
        play.push(json!("look"));
        json!({"backend": backend, "nodes": nodes, "play": play})
    })
}

/// Questions of both kinds, and clusters.
pub fn fresh() -> Generator {
    let questions = several(prop_oneof![2 => attach(), 3 => sync()], 6);
    prop_oneof![5 => questions, 1 => cluster()].boxed()
}
