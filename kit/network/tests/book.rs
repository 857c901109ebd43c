//! What the book shows of packets: their way through the tables that plugins write and through kube-proxy's rules, as files in
//! `tests/book` that two of its pages include. `UPDATE=1 cargo test -p kit-network --test book` writes them anew.

use kit_contract::network::pod_network::Backend;
use kit_network::datapath::calico::{Calico, Dataplane, Encapsulation, Peering, When};
use kit_network::datapath::cilium::{Cilium, Routing};
use kit_network::datapath::cluster::{CLIENT, Cluster, Node, Plugin, ROUTER};
use kit_network::datapath::flannel::Flannel;
use kit_network::datapath::packet::{Flow, Packet, Protocol};
use kit_network::datapath::rules::{Action, At, Hook, Nat, Netfilter, Rule, Ruling, Verdict};
use kit_network::datapath::trace::{Event, Walk};
use kit_network::datapath::world::{Route, To};
use kit_network::dns::resolver::{Library, Resolver};
use kit_network::ipam::cidr::Cidr;
use kit_network::proxy::Family;
use kit_network::proxy::bpf::Numbers;
use kit_network::proxy::iptables::{Config, LocalDetector, Proxier, jumps};
use kit_network::proxy::ruleset::Ruleset;
use kit_network::proxy::walk::{self, Connection, Host, Step};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

const PODS: &str = "10.244.0.0/16";
const BALANCER: &str = "198.51.100.80:80";

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a CIDR")
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// Holds a text to a file, or writes the file.
fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/book").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the file can be written");
    }
    let said = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, text, "{} is out of date: UPDATE=1 writes it", path.display());
}

/// Two nodes in one network, and one behind a router.
fn nodes() -> Vec<Node> {
    let node = |at: u8, address: &str| {
        let node = Node::new(&format!("node-{at}"), cidr(address));
        node.with_range(cidr(&format!("10.244.{at}.0/24")))
    };
    vec![node(1, "10.0.0.1/24"), node(2, "10.0.0.2/24"), node(3, "10.0.1.3/24")]
}

fn flannel(backend: Backend) -> Box<dyn Plugin> {
    let module = solutions::modules().pod_network.make(&());
    Box::new(Flannel::new(module, PODS.parse().expect("a CIDR"), backend))
}

/// A cluster with a client on the first node, and pods of `web` on the others.
fn cluster(plugin: Box<dyn Plugin>) -> Cluster {
    let mut cluster = Cluster::new(nodes(), plugin);
    cluster.sync();
    for (node, pod) in [("node-1", "shop/cart"), ("node-2", "shop/web-a"), ("node-3", "shop/web-b")] {
        cluster.start(node, pod).expect("there are addresses");
    }
    cluster.sync();
    cluster
}

/// What all hosts ask: kube-proxy's rules on nodes, then the plugin's, and what the cloud does at the router.
struct Rules {
    proxies: BTreeMap<String, Ruleset>,
    walks: BTreeMap<String, walk::Walk>,
    others: Vec<Rule>,
    /// The rules that packets met, as they are written but for comments, and where.
    met: Vec<(String, String)>,
}

impl Rules {
    fn of(&mut self, host: &str, hook: Hook) -> Vec<Step> {
        let wanted = hook.to_string();
        let mut now = String::new();
        let Some(walk) = self.walks.get(host) else { return Vec::new() };
        let here = walk.steps.iter().filter(|step| {
            if ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"].contains(&step.chain.as_str()) {
                now.clone_from(&step.chain);
            }
            now == wanted
        });
        here.cloned().collect()
    }
}

impl Netfilter for Rules {
    fn ask(&mut self, at: &At<'_>, packet: &Packet) -> Ruling {
        let mut ruling = Ruling::accept(packet);
        let Flow { protocol, source, destination } = packet.flow;
        // A tunnel's own packets are no business of services.
        if let (Some(rules), Protocol::Tcp) = (self.proxies.get(at.host), protocol) {
            if matches!(at.hook, Hook::Prerouting | Hook::Output) {
                let to = SocketAddr::new(destination.address, destination.port);
                let packet = walk::Packet {
                    protocol: kit_contract::network::ServiceProtocol::Tcp,
                    source: source.address,
                    destination: to,
                    interface: at.input.map(String::from),
                };
                let connection = if at.asks_nat { Connection::New } else { Connection::Established(to) };
                let mut host = Host { addresses: at.own.to_vec(), ..Host::default() };
                // The lot always falls on the first endpoint.
                let walk = walk::walk(rules, &mut host, &packet, connection, &mut |_| true);
                self.walks.insert(at.host.into(), walk);
            }
            let steps = self.of(at.host, at.hook);
            let walk = &self.walks[at.host];
            for Step { table, chain, rule, .. } in &steps {
                let place = format!("{}  {}, {}", at.host, at.hook, format!("{table:?}").to_lowercase());
                self.met.push((place, format!("-A {chain} {}", without_comment(rule))));
            }
            let mut seen = BTreeSet::new();
            let own = steps.iter().filter(|step| step.chain.starts_with("KUBE-") && seen.insert(step.chain.clone()));
            ruling.trace = own.map(|step| short(&step.chain)).collect();
            let stopped = matches!(walk.verdict, walk::Verdict::Dropped | walk::Verdict::Rejected);
            match at.hook {
                Hook::Prerouting | Hook::Output => {
                    ruling.mark |= if walk.is_marked { 0x4000 } else { 0 };
                    let SocketAddr::V4(to) = walk.destination else { return ruling };
                    ruling.nat = walk
                        .is_translated
                        .then_some(Nat::Destination { address: IpAddr::V4(*to.ip()), port: Some(to.port()) });
                }
                Hook::Postrouting if walk.is_masqueraded => {
                    ruling.mark &= !0x4000;
                    ruling.nat = Some(Nat::Masquerade);
                    // The table has no more to say.
                    return ruling;
                }
                Hook::Forward | Hook::Input if stopped => ruling.verdict = Verdict::Drop,
                _ => {}
            }
        }
        let more = self.others.ask(at, &Packet { mark: ruling.mark, ..packet.clone() });
        ruling.trace.extend(more.trace);
        ruling.nat = ruling.nat.or(more.nat);
        ruling
    }
}

/// A rule without what it says to people.
fn without_comment(rule: &str) -> String {
    let Some((before, after)) = rule.split_once("-m comment --comment ") else { return rule.into() };
    let after = match after.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map_or("", |(_, after)| after),
        None => after.split_once(' ').map_or("", |(_, after)| after),
    };
    format!("{before}{}", after.trim_start())
}

/// Rules below the places where they were met.
fn by_place(met: &[(String, String)]) -> String {
    let mut text = String::new();
    let mut last = "";
    for (place, rule) in met {
        if place != last {
            let _ = writeln!(text, "{}{place}", if last.is_empty() { "" } else { "\n" });
            last = place;
        }
        let _ = writeln!(text, "  {rule}");
    }
    text
}

/// `KUBE-SVC-67NZLRHBNDSAWJRO` is `KUBE-SVC-67NZ…`.
fn short(chain: &str) -> String {
    let (name, hash) = chain.rsplit_once('-').unwrap_or((chain, ""));
    if hash.len() == 16 { format!("{name}-{}…", &hash[..4]) } else { chain.into() }
}

/// What is known on each node of the service `shop/web` with the pods `web-…`.
fn proxiers(cluster: &Cluster, policy: &str) -> BTreeMap<String, Proxier> {
    let service = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10"], "ipFamilies": ["IPv4"],
            "externalTrafficPolicy": policy, "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30080}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.80", "ipMode": "VIP"}]}},
    });
    let endpoints: Vec<Value> = cluster
        .pods
        .iter()
        .filter(|(name, _)| name.starts_with("shop/web"))
        .map(|(_, pod)| {
            let conditions = json!({"ready": true, "serving": true, "terminating": false});
            json!({"addresses": [pod.address()], "nodeName": pod.node, "conditions": conditions})
        })
        .collect();
    let slice = json!({
        "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    });
    let proxier = |node: &Node| {
        let mut config = Config::new(&node.name, Family::V4);
        config.pods = LocalDetector::Range(cidr(PODS));
        config.node_ip = Some(node.address.address);
        let mut proxier = Proxier::new(config, solutions::modules().kube_proxy.make(&()));
        proxier.set_service(&serde_json::from_value(service.clone()).expect("a service"));
        proxier.set_slice(&serde_json::from_value(slice.clone()).expect("a slice"));
        (node.name.clone(), proxier)
    };
    cluster.nodes.iter().map(proxier).collect()
}

/// kube-proxy on each node.
fn rules(cluster: &Cluster, policy: &str) -> Rules {
    let ruleset = |(node, mut proxier): (String, Proxier)| {
        let mut ruleset = Ruleset::default();
        ruleset.restore(&jumps()).expect("the jumps are good");
        ruleset.restore(&proxier.sync(0, &[]).restore).expect("iptables takes it");
        (node, ruleset)
    };
    let proxies = proxiers(cluster, policy).into_iter().map(ruleset).collect();
    Rules { proxies, walks: BTreeMap::new(), others: cluster.rules(), met: Vec::new() }
}

/// The cloud's balancer: it sends to the node port of a node, and leaves the client's address.
fn balance(cluster: &mut Cluster, rules: &mut Rules, node: &str) {
    let address = cluster.address(node).expect("a node");
    cluster.world.namespaces.get_mut(ROUTER).expect("a router").conntrack = Some(Default::default());
    rules.others.push(Rule {
        host: Some(ROUTER.into()),
        hook: Some(Hook::Prerouting),
        destination: Some((false, cidr("198.51.100.80/32"))),
        what: format!("load balancer of the cloud: {node} is healthy"),
        action: Action::Translate(Nat::Destination { address, port: Some(30080) }),
        ..Rule::default()
    });
}

fn send(cluster: &mut Cluster, rules: &mut Rules, from: &str, to: &str, length: u32) -> (Walk, Option<Walk>) {
    let to = socket(to);
    let source = cluster.address(from).expect("a sender");
    let flow = Flow::new(Protocol::Tcp, (source, 51_000), (to.ip(), to.port()));
    cluster.world.exchange(from, Packet::new(flow).with_length(length), rules)
}

/// What stands in a packet's fields each time that it leaves an interface, as a table in Markdown.
fn fields(walks: &[&Walk]) -> String {
    let mut text = String::from("| from → to | source | destination | around it |\n|---|---|---|---|\n");
    for walk in walks {
        let mut flow = walk.flow;
        let mut outer: Option<Flow> = None;
        let mut from = walk.from.clone();
        for step in &walk.steps {
            let around =
                outer.map_or(String::new(), |outer| format!("{} → {}", outer.source.address, outer.destination));
            match &step.event {
                Event::Translated { destination: true, to, .. } => flow.destination = *to,
                Event::Translated { to, .. } => flow.source = *to,
                Event::Wrapped { flow, .. } => outer = Some(*flow),
                Event::Unwrapped { .. } => outer = None,
                Event::Left { to, .. } => {
                    let (source, destination) = (flow.source, flow.destination);
                    let _ = writeln!(text, "| {from} → {to} | {source} | {destination} | {around} |");
                    from.clone_from(to);
                }
                _ => {}
            }
        }
    }
    text
}

fn both(there: &Walk, back: &Option<Walk>) -> String {
    let back = back.as_ref().map_or(String::new(), |back| format!("\nand the answer\n\n{back}"));
    format!("{there}{back}")
}

const VXLAN: Backend = Backend::Vxlan { direct: false };

#[test]
fn from_a_browser_to_a_pod_and_back() {
    let mut cluster = cluster(flannel(VXLAN));
    let mut rules = rules(&cluster, "Cluster");
    balance(&mut cluster, &mut rules, "node-1");
    let (there, back) = send(&mut cluster, &mut rules, CLIENT, BALANCER, 60);
    assert_eq!(there.delivered_to(), Some("shop/web-a"), "{there}");
    let back = back.expect("an answer");
    let seen = back.seen().expect("it arrives");
    assert_eq!((back.delivered_to(), seen.source.to_string().as_str()), (Some(CLIENT), BALANCER), "{back}");
    golden("node_port_there.golden", &there.to_string());
    golden("node_port_back.golden", &back.to_string());
    golden("node_port_there.md", &fields(&[&there]));
    golden("node_port_back.md", &fields(&[&back]));
    // Those that the answer met come behind, on other nodes.
    golden("node_port_rules.golden", &by_place(&rules.met));
    let mut tables = String::new();
    for (name, host) in &cluster.world.namespaces {
        let translated = host.conntrack.iter().flat_map(|all| &all.connections);
        for known in translated.filter(|known| known.original.protocol == Protocol::Tcp) {
            let _ = writeln!(tables, "{name:<7} as it came   {}", known.original);
            let _ = writeln!(tables, "{:<7} its answers  {}", "", known.reply);
        }
    }
    golden("node_port_conntrack.golden", &tables);
}

#[test]
fn a_balancer_that_passes_packets_on() {
    let mut cluster = cluster(flannel(VXLAN));
    let mut rules = rules(&cluster, "Cluster");
    let router = cluster.world.namespaces.get_mut(ROUTER).expect("a router");
    let via = "10.0.0.1".parse().expect("an address");
    let device = router.route(via).and_then(|route| route.device().map(String::from)).expect("a way to the node");
    let to = To::Gateway { via, device, onlink: false };
    router.replace_route(Route::new(cidr("198.51.100.80/32"), to)).expect("a route");
    let (there, back) = send(&mut cluster, &mut rules, CLIENT, BALANCER, 60);
    let back = back.expect("an answer");
    assert_eq!((there.delivered_to(), back.delivered_to()), (Some("shop/web-a"), Some(CLIENT)), "{there}{back}");
    golden("pass_through.md", &fields(&[&there]));
    rules.met.retain(|(_, rule)| rule.contains("-d 198.51.100.80"));
    golden("pass_through_rules.golden", &by_place(&rules.met));
}

#[test]
fn the_policy_local() {
    let mut cluster = cluster(flannel(VXLAN));
    let mut here = rules(&cluster, "Local");
    balance(&mut cluster, &mut here, "node-2");
    let (there, back) = send(&mut cluster, &mut here, CLIENT, BALANCER, 60);
    let back = back.expect("an answer");
    let seen = there.seen().expect("it arrives");
    assert_eq!((there.delivered_to(), back.delivered_to()), (Some("shop/web-a"), Some(CLIENT)), "{there}{back}");
    assert_eq!(Some(seen.source.address), cluster.address(CLIENT), "{there}");
    golden("local.golden", &both(&there, &Some(back.clone())));
    golden("local.md", &fields(&[&there, &back]));
    // The balancer doesn't know yet, or doesn't ask.
    let mut rules = rules(&cluster, "Local");
    balance(&mut cluster, &mut rules, "node-1");
    cluster
        .world
        .namespaces
        .values_mut()
        .filter_map(|host| host.conntrack.as_mut())
        .for_each(|all| all.forget(|_| true));
    let (there, _) = send(&mut cluster, &mut rules, CLIENT, BALANCER, 60);
    assert!(there.reason().is_some(), "{there}");
    golden("local_nobody.golden", &there.to_string());
}

#[test]
fn a_pod_asks_a_service() {
    let mut cluster = cluster(flannel(VXLAN));
    let mut rules = rules(&cluster, "Cluster");
    let (there, back) = send(&mut cluster, &mut rules, "shop/cart", "10.96.0.10:80", 60);
    let back = back.expect("an answer");
    assert_eq!((there.delivered_to(), back.delivered_to()), (Some("shop/web-a"), Some("shop/cart")), "{there}{back}");
    golden("cluster_ip.golden", &both(&there, &Some(back.clone())));
    golden("cluster_ip.md", &fields(&[&there, &back]));
    // An endpoint that asks itself.
    let (there, back) = send(&mut cluster, &mut rules, "shop/web-a", "10.96.0.10:80", 60);
    let back = back.expect("an answer");
    assert_eq!((there.delivered_to(), back.delivered_to()), (Some("shop/web-a"), Some("shop/web-a")), "{there}{back}");
    golden("hairpin.md", &fields(&[&there, &back]));
}

#[test]
fn a_packet_that_is_too_long_for_the_tunnel() {
    let mut cluster = cluster(flannel(VXLAN));
    let mut rules = rules(&cluster, "Cluster");
    balance(&mut cluster, &mut rules, "node-1");
    let (there, _) = send(&mut cluster, &mut rules, CLIENT, BALANCER, 1500);
    assert!(there.reason().is_some(), "{there}");
    golden("too_long.golden", &there.to_string());
    let (again, _) = send(&mut cluster, &mut rules, CLIENT, BALANCER, 1450);
    assert_eq!(again.delivered_to(), Some("shop/web-a"), "{again}");
}

fn cilium() -> Cilium {
    let mut cilium = Cilium::new(cidr(PODS), 24, Routing::Tunnel).expect("the pool can be cut");
    for (pod, app) in [("shop/cart", "cart"), ("shop/web-a", "web"), ("shop/web-b", "web")] {
        cilium.label(pod, [("app".to_string(), app.to_string())].into());
    }
    cilium
}

#[test]
fn a_socket_that_is_translated() {
    let mut cluster = cluster(Box::new(cilium()));
    // `connect` of the pod asked for 10.96.0.10:80; a program chose this before there was a packet (`bpf/bpf_sock.c`).
    let to = format!("{}:8080", cluster.address("shop/web-a").expect("a pod"));
    let mut rules =
        Rules { proxies: BTreeMap::new(), walks: BTreeMap::new(), others: cluster.rules(), met: Vec::new() };
    let (there, back) = send(&mut cluster, &mut rules, "shop/cart", &to, 60);
    let back = back.expect("an answer");
    assert_eq!((there.delivered_to(), back.delivered_to()), (Some("shop/web-a"), Some("shop/cart")), "{there}{back}");
    golden("cilium.golden", &both(&there, &Some(back.clone())));
    golden("cilium.md", &fields(&[&there, &back]));
}

#[test]
fn a_node_port_without_kube_proxy() {
    for direct_return in [false, true] {
        let mut calico = Calico::new(cidr(PODS), Encapsulation::Ipip(When::CrossSubnet), Peering::Mesh);
        calico.dataplane = Dataplane::Bpf { direct_return };
        let mut cluster = cluster(Box::new(calico));
        for (node, mut proxier) in proxiers(&cluster, "Cluster") {
            proxier.refresh();
            let address = cluster.address(&node).expect("a node");
            let services = Numbers::default().services(proxier.ports(), address, "");
            let host = cluster.world.namespaces.get_mut(&node).expect("a host");
            host.felix.as_mut().expect("programs").services = services;
        }
        let mut rules =
            Rules { proxies: BTreeMap::new(), walks: BTreeMap::new(), others: cluster.rules(), met: Vec::new() };
        let (there, back) = send(&mut cluster, &mut rules, CLIENT, "10.0.0.1:30080", 60);
        let back = back.expect("an answer");
        assert_eq!(there.seen().map(|seen| seen.source.address), cluster.address(CLIENT), "{there}");
        assert_eq!(back.delivered_to(), Some(CLIENT), "{back}");
        match direct_return {
            false => golden("calico_ebpf.golden", &both(&there, &Some(back))),
            true => golden("calico_ebpf_dsr.md", &fields(&[&there, &back])),
        }
    }
}

/// Each plugin, with the name of its files.
fn plugins() -> Vec<(&'static str, &'static str, Box<dyn Plugin>)> {
    let calico = |encapsulation| Calico::new(cidr(PODS), encapsulation, Peering::Mesh);
    let mut bgp = calico(Encapsulation::None);
    bgp.router_peers = true;
    vec![
        ("flannel_vxlan", "Flannel, VXLAN", flannel(VXLAN)),
        ("flannel_direct", "Flannel, VXLAN with DirectRouting", flannel(Backend::Vxlan { direct: true })),
        ("calico_ipip", "Calico, IPIP across subnets", Box::new(calico(Encapsulation::Ipip(When::CrossSubnet)))),
        ("calico_bgp", "Calico, BGP with the router", Box::new(bgp)),
        ("cilium", "Cilium, VXLAN", Box::new(cilium())),
    ]
}

/// What a node has of tables, as its tools would print it.
fn tables(cluster: &Cluster, node: &str) -> String {
    let host = &cluster.world.namespaces[node];
    let mut text = String::new();
    let mut routes: Vec<String> = host.routes.iter().map(Route::to_string).collect();
    routes.sort();
    for route in routes {
        let _ = writeln!(text, "route       {route}");
    }
    let mut entries = BTreeSet::new();
    for neighbour in host.neighbours.iter().filter(|neighbour| neighbour.permanent) {
        entries.insert(format!("neighbour   {} lladdr {} dev {}", neighbour.address, neighbour.mac, neighbour.device));
    }
    for entry in &host.forwarding {
        entries.insert(format!("forwarding  {} dst {} dev {}", entry.mac, entry.remote, entry.device));
    }
    if let Some(programs) = &host.programs {
        for (address, end) in &programs.endpoints {
            entries.insert(format!("endpoint    {address} on {}, identity {}", end.device, end.identity));
        }
        for (cidr, place) in &programs.ipcache {
            let tunnel = place.tunnel.map_or(String::new(), |tunnel| format!(", tunnel to {tunnel}"));
            entries.insert(format!("ipcache     {cidr} identity {}{tunnel}", place.identity));
        }
    }
    for entry in entries {
        let _ = writeln!(text, "{entry}");
    }
    text
}

#[test]
fn the_same_world_with_each_plugin() {
    let mut overview = String::from(
        "| | a pod's address | its gateway | its MTU | to a node next door | behind a router |\n|---|---|---|---|---|---|\n",
    );
    for (file, name, plugin) in plugins() {
        let mut cluster = cluster(plugin);
        assert_eq!(cluster.broken(), [], "{name}");
        let mut text = format!("what node-1 has\n\n{}", tables(&cluster, "node-1"));
        let mut ways = Vec::new();
        for pod in ["shop/web-a", "shop/web-b"] {
            let (there, _) = cluster.exchange("shop/cart", pod, 60).expect("both are there");
            let wrapped = there.steps.iter().find_map(|step| match &step.event {
                Event::Wrapped { vni: Some(vni), .. } => Some(format!("VXLAN, VNI {vni}")),
                Event::Wrapped { .. } => Some("IPIP".into()),
                _ => None,
            });
            ways.push(wrapped.unwrap_or("as it is".into()));
            // Where a tunnel is used for some nodes only, to one of those.
            let shown = if ["flannel_direct", "calico_ipip"].contains(&file) { "shop/web-b" } else { "shop/web-a" };
            if pod == shown {
                let _ = write!(text, "\na packet\n\n{there}");
            }
        }
        let answer = &cluster.pods["shop/cart"].answer;
        let mtu = answer.interfaces.iter().rev().find_map(|made| made.mtu).unwrap_or_default();
        let given = &answer.ips[0];
        let gateway = cluster.world.namespaces["shop/cart"].routes.iter().find_map(|route| match &route.to {
            To::Gateway { via, .. } => Some(via.to_string()),
            _ => None,
        });
        let [near, far] = ways.as_slice() else { unreachable!("two pods") };
        let _ = writeln!(
            overview,
            "| {name} | {} | {} | {mtu} | {near} | {far} |",
            given.address,
            gateway.unwrap_or_default()
        );
        golden(&format!("plugin_{file}.golden"), &text);
    }
    golden("plugins.md", &overview);
}

#[test]
fn a_node_dies_under_each_plugin() {
    let mut text = String::new();
    for (_, name, plugin) in plugins() {
        let mut cluster = cluster(plugin);
        let address = cluster.address("shop/web-a").expect("a pod");
        let _ = writeln!(text, "{name}: how node-1 gets to {address}, on node-2");
        let say = |cluster: &Cluster, when: &str, text: &mut String| {
            let host = &cluster.world.namespaces["node-1"];
            let programs = host.programs.iter().flat_map(|programs| &programs.ipcache);
            let known = programs.filter(|(cidr, _)| cidr.contains(address)).max_by_key(|(cidr, _)| cidr.prefix);
            let tunnel = known.and_then(|(cidr, place)| Some(format!("ipcache {cidr}, tunnel to {}", place.tunnel?)));
            let route = host.route(address).map_or("no route".into(), |route| route.to_string());
            let _ = writeln!(text, "  {when:<38} {}", tunnel.unwrap_or(route));
        };
        say(&cluster, "all is well", &mut text);
        cluster.crash("node-2");
        cluster.advance(100);
        say(&cluster, "100 s after it lost power", &mut text);
        cluster.advance(241);
        say(&cluster, "341 s", &mut text);
        cluster.leave("node-2");
        cluster.sync();
        say(&cluster, "the Node is deleted", &mut text);
        text.push('\n');
    }
    golden("a_node_dies.golden", &format!("{}\n", text.trim_end()));
}

#[test]
fn names_that_a_pod_tries() {
    let search = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"].map(String::from);
    let resolver = Resolver::new(&search, &["ndots:5".into()], Library::Glibc);
    let there = ["web.shop.svc.cluster.local.", "shop.example.com."];
    let mut text =
        String::from("| the program asks for | the server is asked for, until there is an answer |\n|---|---|\n");
    for name in ["web", "web.shop", "web.shop.svc.cluster.local", "web.shop.svc.cluster.local.", "shop.example.com"] {
        let tries = resolver.tries(name);
        let end = tries.iter().position(|tried| there.contains(&tried.as_str())).expect("one of them is there");
        let tries: Vec<String> = tries[..=end].iter().map(|tried| format!("`{tried}`")).collect();
        let _ = writeln!(text, "| `{name}` | {} |", tries.join(", "));
    }
    golden("names.md", &text);
}
