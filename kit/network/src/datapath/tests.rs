//! Packets in clusters, whole and broken.

use super::calico::{Calico, Encapsulation, Peering, When};
use super::cilium::{Cilium, Routing};
use super::cluster::{Cluster, Node, Plugin};
use super::flannel::Flannel;
use super::model::Broken;
use super::packet::{Flow, Packet, Protocol};
use super::rules::{Action, Hook, Nat, NoRules, Rule, Then};
use super::trace::{Event, Reason, Walk};
use super::world::{ReversePath, Route, To};
use crate::ipam::cidr::Cidr;
use kit_contract::network::pod_network::Backend;
use std::net::IpAddr;

fn nodes() -> Vec<Node> {
    // Two nodes next door to each other, and one behind a router.
    ["10.0.0.1/24", "10.0.0.2/24", "10.0.1.3/24"]
        .iter()
        .enumerate()
        .map(|(at, address)| {
            let node = Node::new(&format!("node-{}", at + 1), address.parse().unwrap());
            node.with_range(format!("10.244.{}.0/24", at + 1).parse().unwrap())
        })
        .collect()
}

fn flannel(nodes: Vec<Node>, backend: Backend) -> Cluster {
    let module = solutions::modules().pod_network.make(&());
    let plugin = Flannel::new(module, "10.244.0.0/16".parse().unwrap(), backend);
    let mut cluster = Cluster::new(nodes, Box::new(plugin));
    assert_eq!(cluster.sync(), []);
    for (at, node) in cluster.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>().iter().enumerate() {
        for pod in ["web", "db"] {
            cluster.start(node, &format!("shop/{pod}-{}", at + 1)).unwrap();
        }
    }
    cluster
}

const BACKENDS: [Backend; 4] = [
    Backend::Vxlan { direct: false },
    Backend::Vxlan { direct: true },
    Backend::Ipip { direct: false },
    Backend::Ipip { direct: true },
];

#[test]
fn every_backend_keeps_the_network_model() {
    for backend in BACKENDS {
        let mut cluster = flannel(nodes(), backend);
        let broken = cluster.broken();
        assert!(broken.is_empty(), "{backend:?}: {}\n{}", broken[0], broken[0].walk().unwrap());
    }
    let mut cluster = flannel(nodes()[..2].to_vec(), Backend::HostGw);
    assert_eq!(cluster.broken(), []);
}

#[test]
fn host_gw_needs_neighbours() {
    let mut cluster = flannel(nodes(), Backend::HostGw);
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-3", 60).unwrap();
    // By the default route to the router, which knows nothing of pods.
    assert_eq!(there.reason(), Some(&Reason::NoRoute([10, 244, 3, 2].into())), "{there}");
}

#[test]
fn a_walk_is_told_hop_by_hop() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 1450).unwrap();
    let lines: Vec<String> = there.lines();
    println!("{there}");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("→ vxlan (VNI 1, 10.0.0.1 → 10.0.0.2:8472), 1500 bytes"), "{there}");
}

/// The same world with each plugin.
fn with_all_plugins() -> Vec<(String, Cluster)> {
    let pool: Cidr = "10.244.0.0/16".parse().unwrap();
    let mut all: Vec<(String, Box<dyn Plugin>)> = Vec::new();
    for backend in BACKENDS {
        let module = solutions::modules().pod_network.make(&());
        let plugin = Flannel::new(module, "10.244.0.0/16".parse().unwrap(), backend);
        all.push((format!("flannel {backend:?}"), Box::new(plugin)));
    }
    let reflectors = Peering::Reflectors(["node-2".to_string()].into());
    for when in [When::Always, When::CrossSubnet] {
        for encapsulation in [Encapsulation::Ipip(when), Encapsulation::Vxlan(when)] {
            for peering in [Peering::Mesh, reflectors.clone()] {
                let name = format!("calico {encapsulation:?} {peering:?}");
                all.push((name, Box::new(Calico::new(pool, encapsulation, peering))));
            }
        }
    }
    let mut bgp = Calico::new(pool, Encapsulation::None, Peering::Mesh);
    bgp.router_peers = true;
    all.push(("calico without a tunnel, peering with the router".into(), Box::new(bgp)));
    all.push(("cilium".into(), Box::new(Cilium::new(pool, 24, Routing::Tunnel).unwrap())));
    let start = |(name, plugin)| {
        let mut cluster = Cluster::new(nodes(), plugin);
        cluster.sync();
        for at in 1..=3 {
            for pod in ["web", "db"] {
                cluster.start(&format!("node-{at}"), &format!("shop/{pod}-{at}")).unwrap();
            }
        }
        // Blocks are claimed by the first pod, and told to others then.
        assert_eq!(cluster.sync(), [], "{name}");
        (name, cluster)
    };
    all.into_iter().map(start).collect()
}

fn say(broken: &[Broken]) -> String {
    let first =
        broken.first().map(|first| format!("{first}\n{}", first.walk().map(Walk::to_string).unwrap_or_default()));
    first.unwrap_or_default()
}

#[test]
fn one_world_runs_on_all_three_plugins() {
    for (name, mut cluster) in with_all_plugins() {
        let broken = cluster.broken();
        assert!(broken.is_empty(), "{name}: {}", say(&broken));
        // To the world outside pods go under the address of their node.
        let (there, back) = cluster.exchange("shop/web-3", "client", 60).unwrap();
        assert_eq!(there.seen().map(|seen| seen.source.address), Some([10, 0, 1, 3].into()), "{name}: {there}");
        let back = back.unwrap();
        assert_eq!(back.delivered_to(), Some("shop/web-3"), "{name}: {back}");
        for pod in ["shop/web-1", "shop/db-3"] {
            assert_eq!(cluster.check(pod), Ok(()), "{name}");
            cluster.stop(pod).unwrap();
            assert!(cluster.check(pod).is_err(), "{name}");
        }
        assert_eq!(cluster.broken(), [], "{name}");
    }
}

#[test]
fn what_is_broken_is_named() {
    for (name, mut cluster) in with_all_plugins() {
        let why = |cluster: &mut Cluster, length| {
            let (there, back) = cluster.exchange("shop/web-1", "shop/web-2", length).unwrap();
            there.reason().or(back.as_ref().and_then(|back| back.reason())).cloned()
        };
        assert_eq!(why(&mut cluster, 60), None, "{name}");
        cluster.world.partition("node-1", "node-2");
        assert_eq!(why(&mut cluster, 60), Some(Reason::Partition { to: "node-2".into() }), "{name}");
        cluster.world.heal("node-1", "node-2");
        assert_eq!(why(&mut cluster, 60), None, "{name}");

        // A switch that carries less than the interfaces believe: the small packet passes, the large one vanishes without a word.
        let mtu = cluster.world.namespaces["shop/web-1"].interface("eth0").unwrap().mtu;
        let wire = cluster.world.wires.get_mut("10.0.0.0/24").unwrap();
        wire.mtu = Some(1400);
        assert_eq!(why(&mut cluster, 60), None, "{name}");
        let reason = why(&mut cluster, mtu);
        assert!(matches!(reason, Some(Reason::TooLongForWire { mtu: 1400, .. })), "{name}: {reason:?}");
        cluster.world.wires.get_mut("10.0.0.0/24").unwrap().mtu = None;

        let host = cluster.world.namespaces.get_mut("node-2").unwrap();
        let conntrack = host.conntrack.as_mut().unwrap();
        conntrack.max = conntrack.connections.len().min(1);
        conntrack.connections.truncate(1);
        for connection in &mut conntrack.connections {
            connection.is_answered = true;
        }
        let udp = |port| {
            let flow = Flow::new(Protocol::Udp, ([10, 0, 0, 9].into(), port), ([10, 0, 0, 2].into(), 53));
            Packet::new(flow)
        };
        let walk = cluster.world.walk("node-1", udp(4000), &mut NoRules);
        assert_eq!(walk.reason(), Some(&Reason::ConntrackFull { max: conntrack_max(&cluster) }), "{name}: {walk}");
    }
}

fn conntrack_max(cluster: &Cluster) -> usize {
    cluster.world.namespaces["node-2"].conntrack.as_ref().unwrap().max
}

/// Two nodes behind a router whose link to the second one is narrower.
fn narrow_router(is_silent: bool) -> Cluster {
    let mut cluster = flannel(nodes(), Backend::Ipip { direct: false });
    let router = cluster.world.namespaces.get_mut("router").unwrap();
    router.silent = is_silent;
    for interface in &mut router.interfaces {
        interface.mtu = 1400;
    }
    cluster
}

#[test]
fn a_router_tells_what_fits_unless_it_is_silent() {
    for is_silent in [false, true] {
        let mut cluster = narrow_router(is_silent);
        let (small, _) = cluster.exchange("node-1", "node-3", 60).unwrap();
        assert_eq!(small.delivered_to(), Some("node-3"));
        let (large, _) = cluster.exchange("node-1", "node-3", 1500).unwrap();
        let reason = large.reason().unwrap();
        assert!(matches!(reason, Reason::TooLong { mtu: 1400, told, .. } if *told != is_silent), "{large}");
        assert_eq!(large.answer.is_some(), !is_silent, "{large}");
        // Whoever was told knows it now, and sends nothing that is too long.
        let (again, _) = cluster.exchange("node-1", "node-3", 1500).unwrap();
        let knows = matches!(again.reason(), Some(Reason::MessageTooLong { mtu: 1400, .. }));
        assert_eq!(knows, !is_silent, "{again}");
    }
}

#[test]
fn a_tunnel_with_too_great_an_mtu_is_cut_into_pieces_or_lost() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    for (name, namespace) in &mut cluster.world.namespaces {
        for interface in &mut namespace.interfaces {
            if name.starts_with("shop/")
                || ["flannel.1", "cni0"].contains(&interface.name.as_str())
                || interface.name.starts_with("veth")
            {
                interface.mtu = 1500;
            }
        }
    }
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 1500).unwrap();
    assert!(there.steps.iter().any(|step| matches!(step.event, Event::Cut { mtu: 1500, pieces: 2 })), "{there}");
    assert_eq!(there.delivered_to(), Some("shop/web-2"), "{there}");
    cluster.world.wires.get_mut("10.0.0.0/24").unwrap().drops_pieces = true;
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 1500).unwrap();
    assert!(matches!(there.reason(), Some(Reason::PiecesDropped { .. })), "{there}");
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 60).unwrap();
    assert_eq!(there.delivered_to(), Some("shop/web-2"));
}

#[test]
fn stale_entries_and_asymmetric_routes_lose_packets() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    let good = cluster.world.clone();
    let host = cluster.world.namespaces.get_mut("node-1").unwrap();
    let entry = host.forwarding.iter_mut().find(|entry| entry.remote == IpAddr::from([10, 0, 0, 2])).unwrap();
    entry.remote = [10, 0, 1, 3].into();
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 60).unwrap();
    // It arrives at the wrong node, whose interface has another Ethernet address.
    let reason = there.reason().unwrap();
    assert!(matches!(reason, Reason::OtherHost { device, .. } if device == "flannel.1"), "{there}");

    cluster.world = good.clone();
    let host = cluster.world.namespaces.get_mut("node-1").unwrap();
    host.neighbours.retain(|neighbour| neighbour.device != "flannel.1");
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 60).unwrap();
    assert!(matches!(there.reason(), Some(Reason::NoNeighbour { .. })), "{there}");

    // The answer leaves by another way than the question came, which a strict host doesn't take.
    cluster.world = good;
    let host = cluster.world.namespaces.get_mut("node-2").unwrap();
    host.reverse_path = ReversePath::Strict;
    let to = To::Gateway { via: [10, 0, 0, 1].into(), device: "eth0".into(), onlink: false };
    host.replace_route(Route::new("10.244.1.0/24".parse().unwrap(), to)).unwrap();
    let (there, _) = cluster.exchange("shop/web-1", "shop/web-2", 60).unwrap();
    assert!(matches!(there.reason(), Some(Reason::ReversePath { .. })), "{there}");
}

#[test]
fn a_duplicate_address_is_seen() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    let pod = cluster.world.namespaces.get_mut("shop/db-2").unwrap();
    let inner = pod.interface_mut("eth0").unwrap();
    inner.addresses = vec!["10.244.2.2/24".parse().unwrap()];
    let broken = cluster.broken();
    let by = vec!["shop/db-2".to_string(), "shop/web-2".to_string()];
    assert_eq!(broken[0], Broken::Shared { address: [10, 244, 2, 2].into(), by });
    assert!(broken.iter().any(|broken| matches!(broken, Broken::Misled { .. })), "{broken:?}");
}

#[test]
fn calico_borrows_and_routes_single_addresses() {
    // A pool of two blocks for three nodes.
    let calico = Calico::new("10.244.0.0/25".parse().unwrap(), Encapsulation::Ipip(When::Always), Peering::Mesh);
    let mut cluster = Cluster::new(nodes(), Box::new(calico));
    cluster.sync();
    for at in 1..=3 {
        cluster.start(&format!("node-{at}"), &format!("shop/web-{at}")).unwrap();
    }
    cluster.sync();
    let host = &cluster.world.namespaces["node-1"];
    let borrowed = cluster.address("shop/web-3").unwrap();
    let route = host.route(borrowed).unwrap();
    assert_eq!((route.destination.prefix, route.device()), (32, Some("tunl0")));
    assert_eq!(cluster.broken(), []);
}

#[test]
fn routes_of_a_dead_node_are_withdrawn_and_those_of_a_restarting_one_stay() {
    let pool = "10.244.0.0/16".parse().unwrap();
    let mut calico = Calico::new(pool, Encapsulation::None, Peering::Mesh);
    calico.router_peers = true;
    let mut cluster = Cluster::new(nodes(), Box::new(calico));
    cluster.sync();
    for at in 1..=3 {
        cluster.start(&format!("node-{at}"), &format!("shop/web-{at}")).unwrap();
    }
    cluster.sync();
    let address = cluster.address("shop/web-2").unwrap();
    let has_route = |cluster: &Cluster, at: &str| {
        cluster.world.namespaces[at].route(address).is_some_and(|route| route.destination.prefix == 26)
    };
    cluster.stop_agent("node-2");
    cluster.advance(60);
    assert!(has_route(&cluster, "node-1") && has_route(&cluster, "router"));
    assert_eq!(cluster.broken(), []);
    cluster.advance(121);
    assert!(!has_route(&cluster, "node-1") && !has_route(&cluster, "router"));
    cluster.start_agent("node-2");
    cluster.advance(1);
    assert!(has_route(&cluster, "node-1") && has_route(&cluster, "router"));
    cluster.crash("node-2");
    cluster.advance(100);
    assert!(has_route(&cluster, "node-1"));
    cluster.advance(241);
    assert!(!has_route(&cluster, "node-1") && !has_route(&cluster, "router"));
}

#[test]
fn cilium_sends_the_identity_along() {
    let mut cilium = Cilium::new("10.244.0.0/16".parse().unwrap(), 24, Routing::Tunnel).unwrap();
    for pod in ["shop/web-1", "shop/web-2"] {
        cilium.label(pod, [("app".to_string(), "web".to_string())].into());
    }
    assert_eq!(cilium.identity("shop/web-1"), cilium.identity("shop/web-2"));
    let web = cilium.identity("shop/web-1");
    assert_ne!(web, cilium.identity("shop/db-1"));
    let mut cluster = Cluster::new(nodes(), Box::new(cilium));
    cluster.sync();
    cluster.start("node-1", "shop/web-1").unwrap();
    cluster.start("node-2", "shop/db-2").unwrap();
    cluster.sync();
    let (there, _) = cluster.exchange("shop/web-1", "shop/db-2", 60).unwrap();
    let wrapped =
        |step: &&super::trace::Step| matches!(step.event, Event::Wrapped { vni: Some(vni), .. } if vni == web);
    assert_eq!(there.steps.iter().filter(wrapped).count(), 1, "{there}");
}

#[test]
fn destinations_are_translated_there_and_back() {
    let mut cluster = flannel(nodes(), Backend::Vxlan { direct: false });
    let service: Cidr = "10.96.0.10/32".parse().unwrap();
    let to = |hook| Rule {
        hook: Some(hook),
        destination: Some((false, service)),
        what: "KUBE-SVC".into(),
        action: Action::Translate(Nat::Destination { address: [10, 244, 2, 2].into(), port: Some(8080) }),
        ..Rule::default()
    };
    let mut rules = Then(vec![to(Hook::Prerouting), to(Hook::Output)], cluster.rules());
    for (from, source) in [("shop/web-1", [10, 244, 1, 2]), ("node-1", [0, 0, 0, 0])] {
        let flow = Flow::new(Protocol::Tcp, (source.into(), 40_000), (service.address, 80));
        let (there, back) = cluster.world.exchange(from, Packet::new(flow), &mut rules);
        assert_eq!(
            there.seen().map(|seen| seen.destination.to_string()).as_deref(),
            Some("10.244.2.2:8080"),
            "{there}"
        );
        let back = back.unwrap();
        assert_eq!(back.delivered_to(), Some(from), "{back}");
        // The client sees an answer of the service that it asked.
        assert_eq!(back.seen().map(|seen| seen.source.to_string()).as_deref(), Some("10.96.0.10:80"), "{back}");
    }
}
