//! The kernel as the judge: the very tables of a simulated cluster are written into real network namespaces, real packets are sent there, and
//! each must end where the walk says.
//!
//! It needs root, `ip`, `bridge`, `python3`, and a kernel with veth, bridges and VXLAN. Elsewhere it says why it is skipped; with
//! `NETWORK_KERNEL=required` that is a failure.

use kit_contract::network::pod_network::Backend;
use kit_network::datapath::calico::{Calico, Encapsulation, Peering, When};
use kit_network::datapath::cluster::{Cluster, Node, Plugin};
use kit_network::datapath::flannel::Flannel;
use kit_network::datapath::packet::{Flow, Packet, Protocol};
use kit_network::datapath::rules::NoRules;
use kit_network::datapath::trace::{Outcome, Reason, Walk};
use kit_network::datapath::world::{Interface, Kind, Route, To, World};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

/// What is needed, tried out in a namespace that is thrown away.
const TRIAL: &str = "set -e
mount -t tmpfs none /run/netns
ip netns add trial
ip -n trial link add one type veth peer name two
ip -n trial link add bridge type bridge
ip -n trial addr add 10.0.0.1/24 dev one
ip -n trial link add vxlan type vxlan id 1 local 10.0.0.1 dstport 8472 nolearning
bridge -n trial fdb add 02:00:00:00:00:02 dev vxlan dst 10.0.0.2
python3 -c 'import ctypes; ctypes.CDLL(None).setns'
";

fn in_a_namespace(script: &str, input: &str) -> Result<String, String> {
    std::fs::create_dir_all("/run/netns").map_err(|error| format!("/run/netns: {error}"))?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", script]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("unshare: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// The commands that make a world real. Names of namespaces and interfaces are short and without slashes.
fn commands(world: &World, names: &BTreeMap<String, String>) -> String {
    let mut script = String::from("set -e\nmount -t tmpfs none /run/netns\n");
    let mut run = |line: String| {
        script += &line;
        script.push('\n');
    };
    let mut plugs = 0;
    for name in names.values() {
        run(format!("ip netns add {name}\nip -n {name} link set lo up"));
        run(format!("ip netns exec {name} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"));
    }
    let mut wires: BTreeMap<&str, usize> = BTreeMap::new();
    for wire in world.wires.keys() {
        let number = wires.len();
        wires.insert(wire, number);
        run(format!("ip link add wire{number} type bridge\nip link set wire{number} up mtu 9000"));
    }
    for (namespace, there) in &world.namespaces {
        let name = &names[namespace];
        run(format!("ip netns exec {name} sysctl -qw net.ipv4.ip_forward={}", u8::from(there.forwards)));
        for interface in &there.interfaces {
            let device = &interface.name;
            match &interface.kind {
                Kind::Ethernet { wire } => {
                    plugs += 1;
                    run(format!("ip link add plug{plugs} type veth peer name {device} netns {name}"));
                    run(format!("ip link set plug{plugs} up mtu 9000 master wire{}", wires[wire.as_str()]));
                }
                // Made once, from the side whose name comes first.
                Kind::Veth { namespace: other, name: peer } if namespace < other => {
                    run(format!("ip -n {name} link add {device} type veth peer name {peer} netns {}", names[other]));
                }
                Kind::Bridge => run(format!("ip -n {name} link add {device} type bridge")),
                _ => {}
            }
        }
    }
    for (namespace, there) in &world.namespaces {
        let name = &names[namespace];
        for interface in &there.interfaces {
            if interface.kind != Kind::Loopback {
                set_up(&mut run, name, interface);
            }
        }
        for route in &there.routes {
            run(format!("ip -n {name} route replace {}", shown(route)));
        }
        for entry in there.neighbours.iter().filter(|entry| entry.permanent) {
            let (address, device, mac) = (entry.address, &entry.device, entry.mac);
            run(format!("ip -n {name} neigh replace {address} lladdr {mac} dev {device} nud permanent"));
        }
        for entry in &there.forwarding {
            run(format!("bridge -n {name} fdb append {} dev {} dst {}", entry.mac, entry.device, entry.remote));
        }
    }
    script
}

fn set_up(run: &mut impl FnMut(String), name: &str, interface: &Interface) {
    let (device, mtu, mac) = (&interface.name, interface.mtu, interface.mac);
    if let Kind::Vxlan { vni, port, local } = interface.kind {
        run(format!("ip -n {name} link add {device} type vxlan id {vni} local {local} dstport {port} nolearning"));
    }
    run(format!("ip -n {name} link set {device} address {mac} mtu {mtu}"));
    if let Some(bridge) = &interface.bridge {
        run(format!("ip -n {name} link set {device} master {bridge}"));
        // Whatever joins a bridge may change its address; it was given one.
    }
    for address in &interface.addresses {
        run(format!("ip -n {name} addr add {address} dev {device}"));
    }
    run(format!("ip -n {name} link set {device} up"));
    if interface.proxy_arp {
        run(format!(
            "ip netns exec {name} sysctl -qw net.ipv4.conf.{device}.proxy_arp=1 net.ipv4.neigh.{device}.proxy_delay=0"
        ));
    }
}

fn shown(route: &Route) -> String {
    match &route.to {
        To::Device(_) => format!("{route} scope link"),
        _ => route.to_string(),
    }
}

/// As the kernel's side says it. A packet that nobody gets is sent again, when its sender may know more.
fn ending(walk: &Walk, again: &Walk, names: &BTreeMap<String, String>) -> String {
    let is_too_long = |walk: &Walk| matches!(walk.reason(), Some(Reason::MessageTooLong { .. }));
    match &walk.outcome {
        Outcome::Delivered { to, flow, .. } => format!("{} {}", names[to], flow.source.address),
        Outcome::Dropped { .. } if is_too_long(walk) => "too long".into(),
        Outcome::Dropped { .. } if is_too_long(again) => "nobody, then too long".into(),
        Outcome::Dropped { .. } => "nobody".into(),
    }
}

fn hold_against_the_kernel(title: &str, cluster: &mut Cluster) {
    let names = cluster.world.namespaces.keys().enumerate();
    let names: BTreeMap<String, String> = names.map(|(at, name)| (name.clone(), format!("n{at}"))).collect();
    let script = commands(&cluster.world, &names);
    let (mut probes, mut walks) = (Vec::new(), Vec::new());
    let pods: Vec<String> = cluster.pods.keys().cloned().collect();
    let senders = pods.iter().chain(cluster.nodes.iter().map(|node| &node.name)).cloned().collect::<Vec<_>>();
    for from in &senders {
        for to in pods.iter().filter(|to| *to != from) {
            let (Some(source), Some(address)) = (cluster.address(from), cluster.address(to)) else { continue };
            let is_pod = cluster.pods.contains_key(from);
            let source = if is_pod { source } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
            for length in [100, 1480] {
                let flow = Flow::new(Protocol::Udp, (source, 40_000), (address, 8080));
                let packet = Packet { dont_fragment: true, ..Packet::new(flow).with_length(length) };
                let first = cluster.world.walk(from, packet.clone(), &mut NoRules);
                let again = cluster.world.walk(from, packet, &mut NoRules);
                walks.push((first, again));
                let source = if is_pod { source.to_string() } else { String::new() };
                probes.push(json!({"from": names[from], "source": source, "to": address, "length": length}));
            }
        }
    }
    let task = json!({"namespaces": names.values().collect::<Vec<_>>(), "probes": probes}).to_string();
    // The shell stays in the namespace where the wires are, which would vanish with its last process.
    let python = format!("{script}python3 {}/tests/kernel.py\nexit $?\n", env!("CARGO_MANIFEST_DIR"));
    let answer = in_a_namespace(&python, &task).unwrap_or_else(|error| panic!("{title}: {error}"));
    let answers: Vec<String> = serde_json::from_str(&answer).expect("the probes answer in JSON");
    assert_eq!(answers.len(), walks.len());
    for ((answer, (walk, again)), probe) in answers.iter().zip(&walks).zip(&probes) {
        assert_eq!(
            *answer,
            ending(walk, again, &names),
            "{title}: {probe}\nby the walk:\n{walk}\nnames: {names:?}\n{script}"
        );
    }
}

fn nodes() -> Vec<Node> {
    let node = |(at, address): (usize, &str)| {
        let node = Node::new(&format!("node-{at}"), address.parse().expect("an address"));
        node.with_range(format!("10.244.{at}.0/24").parse().expect("a range"))
    };
    (1..).zip(["10.0.0.1/24", "10.0.0.2/24", "10.0.1.3/24"]).map(node).collect()
}

fn cluster(plugin: Box<dyn Plugin>) -> Cluster {
    let mut cluster = Cluster::new(nodes(), plugin);
    cluster.sync();
    for at in 1..=3 {
        cluster.start(&format!("node-{at}"), &format!("shop/web-{at}")).expect("it starts");
    }
    cluster.start("node-1", "shop/db-1").expect("it starts");
    cluster.sync();
    cluster
}

fn flannel(backend: Backend) -> Cluster {
    let module = solutions::modules().pod_network.make(&());
    cluster(Box::new(Flannel::new(module, "10.244.0.0/16".parse().expect("a network"), backend)))
}

fn calico(encapsulation: Encapsulation) -> Cluster {
    let mut plugin = Calico::new("10.244.0.0/16".parse().expect("a network"), encapsulation, Peering::Mesh);
    plugin.router_peers = encapsulation == Encapsulation::None;
    cluster(Box::new(plugin))
}

#[test]
fn packets_end_where_the_walk_says() {
    if let Err(reason) = in_a_namespace(TRIAL, "") {
        let reason = reason.lines().last().unwrap_or("no reason is given").to_string();
        assert!(std::env::var("NETWORK_KERNEL").as_deref() != Ok("required"), "no namespaces: {reason}");
        // Past what the test harness catches: a test that didn't run should be seen.
        let _ = writeln!(std::io::stderr(), "skipped: the kernel can't judge the pod network here: {reason}");
        return;
    }
    type Make = fn() -> Cluster;
    let worlds: [(&str, Make); 9] = [
        ("vxlan", || flannel(Backend::Vxlan { direct: false })),
        ("vxlan, direct next door", || flannel(Backend::Vxlan { direct: true })),
        ("host-gw", || flannel(Backend::HostGw)),
        ("calico, vxlan across subnets", || calico(Encapsulation::Vxlan(When::CrossSubnet))),
        ("calico without a tunnel", || calico(Encapsulation::None)),
        ("a stale forwarding entry", stale_entry),
        ("no neighbours on the tunnel", no_neighbours),
        ("a bridge that carries less", narrow_bridge),
        ("an agent that is down", agent_down),
    ];
    // Most of the time goes by in waiting for packets that don't come.
    std::thread::scope(|scope| {
        for (title, world) in worlds {
            scope.spawn(move || hold_against_the_kernel(title, &mut world()));
        }
    });
}

fn stale_entry() -> Cluster {
    let mut cluster = flannel(Backend::Vxlan { direct: false });
    let host = cluster.world.namespaces.get_mut("node-1").expect("it is there");
    let wrong = host.forwarding.iter_mut().find(|entry| entry.remote == IpAddr::from([10, 0, 0, 2]));
    wrong.expect("node-1 knows node-2").remote = [10, 0, 1, 3].into();
    cluster
}

fn no_neighbours() -> Cluster {
    let mut cluster = flannel(Backend::Vxlan { direct: false });
    let host = cluster.world.namespaces.get_mut("node-2").expect("it is there");
    host.neighbours.retain(|entry| entry.device != "flannel.1");
    cluster
}

fn narrow_bridge() -> Cluster {
    let mut cluster = flannel(Backend::HostGw);
    let host = cluster.world.namespaces.get_mut("node-2").expect("it is there");
    host.interface_mut("cni0").expect("the bridge is there").mtu = 1420;
    cluster
}

fn agent_down() -> Cluster {
    let mut cluster = flannel(Backend::Vxlan { direct: false });
    cluster.stop_agent("node-1");
    let node = Node::new("node-4", "10.0.0.4/24".parse().expect("an address"));
    cluster.join(node.with_range("10.244.4.0/24".parse().expect("a range")));
    cluster.sync();
    cluster.start("node-4", "shop/web-4").expect("it starts");
    cluster
}
