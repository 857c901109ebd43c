//! The kernel as the judge: the very tables of a simulated cluster are written into real network namespaces, real packets are sent there, and
//! each must end where the walk says.
//!
//! It needs root, `ip`, `bridge`, `python3`, and a kernel with veth, bridges and VXLAN. Elsewhere it says why it is skipped; with
//! `NETWORK_KERNEL=required` that is a failure.

use kit_contract::network::pod_network::Backend;
use kit_network::datapath::calico::{Calico, Encapsulation, Peering, When};
use kit_network::datapath::cluster::{Cluster, Node, Plugin};
use kit_network::datapath::flannel::{Flannel, reinstall};
use kit_network::datapath::kernel::{Names, State};
use kit_network::datapath::packet::{Flow, Packet, Protocol};
use kit_network::datapath::rules::NoRules;
use kit_network::datapath::trace::{Outcome, Reason, Walk};
use kit_network::datapath::world::World;
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

/// Namespaces are named where nobody else sees it.
const BEGIN: &str = "set -e\nmount -t tmpfs none /run/netns\n";

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

/// The commands that make a world real, out of nothing or out of what it was.
fn commands(world: &World, before: &State) -> String {
    let batches = state(world).since(before);
    batches.iter().map(|batch| format!("{batch}\n")).collect()
}

fn names() -> Names {
    Names::new("t")
}

fn state(world: &World) -> State {
    State::of(world, &names()).expect("tables can do it")
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
    let own = names();
    let names = cluster.world.namespaces.keys();
    let names: BTreeMap<String, String> = names.map(|name| (name.clone(), own.of(name))).collect();
    let script = format!("{BEGIN}{}", commands(&cluster.world, &State::default()));
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
    let worlds: [(&str, Make); 10] = [
        ("vxlan", || flannel(Backend::Vxlan { direct: false })),
        ("vxlan, direct next door", || flannel(Backend::Vxlan { direct: true })),
        ("host-gw", || flannel(Backend::HostGw)),
        ("calico, vxlan across subnets", || calico(Encapsulation::Vxlan(When::CrossSubnet))),
        ("calico without a tunnel", || calico(Encapsulation::None)),
        ("a stale forwarding entry", stale_entry),
        ("no neighbours on the tunnel", no_neighbours),
        ("a bridge that carries less", narrow_bridge),
        ("a link that carries less", narrow_link),
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

fn narrow_link() -> Cluster {
    let mut cluster = flannel(Backend::HostGw);
    cluster.world.links.insert("node-2".into(), 1400);
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

/// What a kernel has to show of itself in one namespace after the other.
fn show() -> &'static str {
    "for name in $(ls /run/netns | sort); do
    echo \"= $name\"
    ip -n $name -d -o link show | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/link-netns [^ ]*//; s/ip netns//' |
        grep -o '^[^ ]*\\|mtu [0-9]*\\|link/ether [0-9a-f:]*\\|master [^ ]*\\|hairpin on\\|vxlan id .* dstport [0-9]*\\|state UP' | sort
    ip -n $name -o address show | sed 's/^[0-9]*: //' | sort
    ip -n $name route show table all | sort
    ip -n $name neigh show nud permanent | sort
    bridge -n $name fdb show | grep dst | sort
    ip netns exec $name sysctl net.ipv4.ip_forward
done
"
}

type Edit = fn(&mut Cluster);

/// One change after the other, each held against a kernel that was told all of the outcome at once.
#[test]
fn a_change_ends_where_a_new_beginning_does() {
    if in_a_namespace(TRIAL, "").is_err() {
        // The other test says why.
        return;
    }
    let vxlan = || flannel(Backend::Vxlan { direct: false });
    let calico = || calico(Encapsulation::Vxlan(When::CrossSubnet));
    let edits: [(&str, Edit); 10] = [
        ("a pod goes", |cluster| cluster.stop("shop/web-1").expect("it stops")),
        ("two pods come", |cluster| {
            for pod in ["shop/api", "shop/web-1"] {
                cluster.start("node-3", pod).expect("it starts");
            }
        }),
        ("a pod begins anew", |cluster| {
            cluster.stop("shop/web-1").expect("it stops");
            cluster.start("node-3", "shop/web-1").expect("it starts");
        }),
        ("a node has no power", |cluster| cluster.crash("node-2")),
        ("it has power again", |cluster| cluster.restart("node-2")),
        ("a node comes", |cluster| {
            let node = Node::new("node-4", "10.0.1.4/24".parse().expect("an address"));
            cluster.join(node.with_range("10.244.4.0/24".parse().expect("a range")));
        }),
        ("a node is set up anew", |cluster| {
            let Cluster { world, nodes, .. } = cluster;
            reinstall(world, nodes, "node-1");
        }),
        ("a pod moves", |cluster| {
            cluster.stop("shop/api").expect("it stops");
            cluster.start("node-4", "shop/api").expect("it starts");
        }),
        ("a link carries less", |cluster| _ = cluster.world.links.insert("node-1".into(), 1400)),
        ("a node goes", |cluster| cluster.leave("node-3")),
    ];
    std::thread::scope(|scope| {
        for (title, mut cluster) in [("flannel", vxlan()), ("calico", calico())] {
            let (mut script, mut anew) = (commands(&cluster.world, &State::default()), Vec::new());
            for (edit, change) in &edits {
                let before = state(&cluster.world);
                change(&mut cluster);
                cluster.sync();
                script += &format!("# {edit}\n{}{}echo {AFTER}\n", commands(&cluster.world, &before), show());
                let new = format!("{BEGIN}{}{}", commands(&cluster.world, &State::default()), show());
                anew.push(
                    scope.spawn(move || {
                        in_a_namespace(&new, "").unwrap_or_else(|error| panic!("{edit}: {error}\n{new}"))
                    }),
                );
            }
            let shown = in_a_namespace(&format!("{BEGIN}{script}"), "");
            let shown = shown.unwrap_or_else(|error| panic!("{title}: {error}\n{script}"));
            for ((shown, anew), (edit, _)) in shown.split(AFTER).zip(anew).zip(&edits) {
                let anew = anew.join().expect("it was told");
                similar(shown.trim(), &anew, &format!("{title}, {edit}:\n{script}"));
            }
        }
    });
}

/// Stands behind what is shown after each edit.
const AFTER: &str = "======";

fn similar(one: &str, other: &str, what: &str) {
    for (one, other) in one.lines().zip(other.lines()) {
        assert_eq!(one, other, "{what}");
    }
    assert_eq!(one.lines().count(), other.lines().count(), "{what}");
    assert!(one.lines().count() > 100, "the kernel shows little: {one}");
}
