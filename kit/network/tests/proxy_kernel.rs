//! The kernel as the judge: the rules that the proxy writes are loaded into a network namespace, real packets are sent through them, and must
//! end where the walk says.
//!
//! It takes root, `ip` and `iptables-restore`, and makes namespaces of its own, which it deletes. Elsewhere it says why it was skipped.
//!
//! The node has two pods of its own, which are endpoints, and a third which is none; a host outside is its neighbour. Each has a namespace. Endpoints answer with their name
//! and the address that they see, so that masquerade shows. Clients and servers are this very program, run again inside of a namespace.

use kit_contract::network::ServiceProtocol;
use kit_network::ipam::cidr::Cidr;
use kit_network::proxy::Family;
use kit_network::proxy::iptables::{Config, LocalDetector, Proxier, jumps};
use kit_network::proxy::nftables;
use kit_network::proxy::ruleset::Ruleset;
use kit_network::proxy::walk::{Host, Packet, Verdict, outcomes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NODE: &str = "192.168.0.2";
const OUTSIDE: &str = "192.168.0.100";
const PODS: [(&str, &str); 3] = [("a", "10.244.0.5"), ("b", "10.244.0.6"), ("c", "10.244.0.7")];
/// What a namespace runs, if this program is run again.
const ROLE: &str = "KIT_NETWORK_KERNEL_ROLE";
/// So many packets find every one of a few endpoints: to miss one of three in all of them has a chance of 1 in 10^8.
const TRIES: usize = 45;
const PATIENCE: Duration = Duration::from_millis(250);

fn run(command: &str) -> Result<String, String> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).output().map_err(|e| format!("{command}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn feed(command: &str, input: &str) -> Result<(), String> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{command}: {e}"))?;
    child.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Namespaces of this run, and what runs in them.
struct Net {
    tag: String,
    servers: Vec<Child>,
}

impl Drop for Net {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for name in ["node", "out", "a", "b", "c"] {
            let _ = run(&format!("ip netns del {}", self.name(name)));
        }
    }
}

impl Net {
    fn name(&self, host: &str) -> String {
        format!("kit-{}-{host}", self.tag)
    }

    fn ip(&self, host: &str, command: &str) -> Result<(), String> {
        run(&format!("ip -n {} {command}", self.name(host))).map(|_| ())
    }

    fn exec(&self, host: &str, command: &str) -> Result<String, String> {
        run(&format!("ip netns exec {} {command}", self.name(host)))
    }

    fn new() -> Result<Net, String> {
        // Tests run side by side.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let tag = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net { tag, servers: Vec::new() };
        for host in ["node", "out", "a", "b", "c"] {
            run(&format!("ip netns add {}", net.name(host)))?;
            net.ip(host, "link set lo up")?;
        }
        net.link("out", "eth0")?;
        net.ip("node", &format!("addr add {NODE}/24 dev out"))?;
        net.ip("out", &format!("addr add {OUTSIDE}/24 dev eth0"))?;
        net.ip("out", &format!("route add default via {NODE}"))?;
        net.ip("node", &format!("route add default via {OUTSIDE}"))?;
        for (pod, address) in PODS {
            net.link(pod, "eth0")?;
            net.ip("node", &format!("route add {address}/32 dev {pod} src {NODE}"))?;
            net.ip(pod, &format!("addr add {address}/32 dev eth0"))?;
            net.ip(pod, &format!("route add {NODE}/32 dev eth0"))?;
            net.ip(pod, &format!("route add default via {NODE} dev eth0"))?;
        }
        // The kernel is sparing with refusals to one host, and counts redirects as such.
        for setting in ["ip_forward=1", "icmp_ratelimit=0", "conf.all.send_redirects=0", "conf.out.send_redirects=0"] {
            net.exec("node", &format!("sysctl -qw net.ipv4.{setting}"))?;
        }
        Ok(net)
    }

    /// A wire from the node to a host; its end on the node has the host's name.
    fn link(&self, host: &str, device: &str) -> Result<(), String> {
        let (node, peer) = (self.name("node"), self.name(host));
        run(&format!("ip link add name {host} netns {node} type veth peer name {device} netns {peer}"))?;
        self.ip("node", &format!("link set dev {host} up"))?;
        self.ip(host, &format!("link set dev {device} up"))
    }

    /// Runs this program again, in a namespace.
    fn again(&self, host: &str, role: &str) -> Result<Child, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        Command::new("ip")
            .args(["netns", "exec", &self.name(host)])
            .arg(program)
            .args(["--exact", "in_a_namespace", "--nocapture", "--ignored"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())
    }

    fn serve(&mut self, host: &str) -> Result<(), String> {
        let mut server = self.again(host, &format!("serve {host}"))?;
        let stdout = server.stdout.take().ok_or("no stdout")?;
        self.servers.push(server);
        let mut lines = BufReader::new(stdout).lines();
        // It says so when it listens.
        let listens = lines.any(|line| line.is_ok_and(|line| line.ends_with("listening")));
        if listens { Ok(()) } else { Err(format!("the server in {host} has ended")) }
    }

    /// What became of some packets, each the first of its flow: `a 10.244.0.7`, `rejected` or `dropped`.
    fn send(&self, host: &str, to: SocketAddr, count: usize) -> Result<BTreeSet<String>, String> {
        let client = self.again(host, &format!("send {to} {count}"))?;
        let output = client.wait_with_output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers = text.lines().filter_map(|line| line.split_once("answer: ")).map(|(_, answer)| answer.to_string());
        Ok(answers.collect())
    }
}

/// Not a test: what clients and servers do.
#[test]
#[ignore = "run by the other test, in a namespace"]
fn in_a_namespace() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let words: Vec<&str> = role.split(' ').collect();
    match words.as_slice() {
        ["serve", name] => {
            let socket = UdpSocket::bind("0.0.0.0:8080").expect("a socket");
            println!("\nlistening");
            let mut buffer = [0; 16];
            while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(format!("{name} {}", from.ip()).as_bytes(), from);
            }
        }
        ["send", to, count] => {
            let to: SocketAddr = to.parse().expect("an address");
            println!();
            for _ in 0..count.parse().unwrap_or(1) {
                println!("answer: {}", ask(to));
            }
        }
        _ => {}
    }
}

fn ask(to: SocketAddr) -> String {
    let ask = || -> std::io::Result<String> {
        // A new port each time: a new flow.
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        // What its own host refuses fails right here, rejected or dropped; which of both it was comes later.
        let _ = socket.send(b"?");
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    match ask() {
        Ok(answer) => answer,
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => "rejected".into(),
        Err(_) => "dropped".into(),
    }
}

/// What the walk says of it, in the same words.
fn foretold(rules: &Ruleset, from: &str, to: SocketAddr) -> BTreeSet<String> {
    let host = Host { addresses: vec![NODE.parse().expect("an address")], ..Host::default() };
    let packet = Packet {
        protocol: ServiceProtocol::Udp,
        source: from.parse().expect("an address"),
        destination: to,
        interface: None,
    };
    let outcomes = outcomes(rules, &host, &packet).expect("few ways");
    let tell = |walk: &kit_network::proxy::walk::Walk| match walk.verdict {
        Verdict::Rejected => "rejected".to_string(),
        Verdict::Dropped => "dropped".to_string(),
        _ => {
            let to = walk.destination.ip().to_string();
            let name = PODS.iter().find(|(_, address)| *address == to).map_or("nobody", |(name, _)| name);
            let seen = if walk.is_masqueraded { NODE } else { from };
            format!("{name} {seen}")
        }
    };
    outcomes.iter().map(|outcome| tell(&outcome.walk)).collect()
}

fn spec(cluster_ip: &str, more: Value) -> Value {
    let mut spec = json!({
        "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ipFamilies": ["IPv4"], "ports": [{"port": 53, "protocol": "UDP"}],
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    spec
}

/// Services, and which pods stand behind them: `a`, `b`, and `far` on another node.
fn services() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let node_port = |port: u16| json!([{"port": 53, "protocol": "UDP", "nodePort": port}]);
    let local = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": node_port(30054)});
    let nobody = json!({"type": "NodePort", "ports": node_port(30055)});
    let not_here = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": node_port(30056)});
    vec![
        (
            "plain",
            spec("10.96.0.1", json!({"type": "NodePort", "ports": node_port(30053), "externalIPs": ["198.51.100.10"]})),
            vec!["a", "b"],
        ),
        ("one", spec("10.96.0.2", json!({})), vec!["a"]),
        ("local", spec("10.96.0.3", local), vec!["a", "b"]),
        ("nobody", spec("10.96.0.4", nobody), vec![]),
        ("not-here", spec("10.96.0.5", not_here), vec!["far"]),
        ("inside", spec("10.96.0.6", json!({"internalTrafficPolicy": "Local"})), vec!["far"]),
        (
            "ranges",
            spec(
                "10.96.0.7",
                json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24", "10.244.0.7/32"]}),
            ),
            vec!["a", "b"],
        ),
    ]
}

/// Who sends to whom.
const PACKETS: [(&str, &str); 19] = [
    ("c", "10.96.0.1:53"),
    ("a", "10.96.0.1:53"),
    ("node", "10.96.0.1:53"),
    ("out", "10.96.0.1:53"),
    ("out", "192.168.0.2:30053"),
    ("c", "192.168.0.2:30053"),
    ("out", "198.51.100.10:53"),
    ("a", "10.96.0.2:53"),
    ("out", "192.168.0.2:30054"),
    ("c", "192.168.0.2:30054"),
    ("node", "192.168.0.2:30054"),
    ("c", "10.96.0.4:53"),
    ("out", "10.96.0.4:53"),
    ("node", "10.96.0.4:53"),
    ("out", "192.168.0.2:30055"),
    ("out", "192.168.0.2:30056"),
    ("c", "10.96.0.6:53"),
    ("out", "198.51.100.80:53"),
    ("c", "198.51.100.80:53"),
];

fn proxier() -> Proxier {
    let mut config = Config::new("node-1", Family::V4);
    config.pods = LocalDetector::Range("10.244.0.0/16".parse::<Cidr>().expect("a range"));
    config.node_ip = NODE.parse::<IpAddr>().ok();
    // Counters must be made by another tool first.
    config.counters = false;
    let mut proxier = Proxier::new(config, solutions::modules().kube_proxy.make(&()));
    for (name, spec, behind) in services() {
        let mut service = json!({"metadata": {"namespace": "shop", "name": name}, "spec": spec});
        if name == "ranges" {
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.80"}]}});
        }
        proxier.set_service(&serde_json::from_value(service).expect("a service"));
        let endpoint = |pod: &&str| {
            let here = PODS.iter().find(|(name, _)| name == pod);
            let (address, node) = here.map_or(("10.244.1.9", "node-2"), |(_, address)| (*address, "node-1"));
            json!({"addresses": [address], "nodeName": node})
        };
        let slice = json!({
            "metadata": {"namespace": "shop", "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": behind.iter().map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "", "port": 8080, "protocol": "UDP"}],
        });
        proxier.set_slice(&serde_json::from_value(slice).expect("a slice"));
    }
    proxier
}

/// Namespaces with servers in them, or why there are none.
fn net(program: &str) -> Option<Net> {
    let mut net = match Net::new() {
        Ok(net) => net,
        Err(why) => {
            eprintln!("skipped: no network namespaces here: {why}");
            return None;
        }
    };
    if let Err(why) = net.exec("node", &format!("{program} --version")) {
        eprintln!("skipped: no {program} here: {why}");
        return None;
    }
    for pod in ["a", "b"] {
        net.serve(pod).expect("a server");
    }
    Some(net)
}

/// Sends all packets, and holds what became of them against the walk.
fn judge(net: &Net, rules: &Ruleset) {
    let address = |host: &str| match host {
        "node" => NODE,
        "out" => OUTSIDE,
        pod => PODS.iter().find(|(name, _)| *name == pod).map_or("", |(_, address)| address),
    };
    let mut wrong = Vec::new();
    for (from, to) in PACKETS {
        let to: SocketAddr = to.parse().expect("an address");
        let expected = foretold(rules, address(from), to);
        // Who waits in vain waits long.
        let count = if expected.len() > 1 { TRIES } else { 2 };
        let seen = net.send(from, to, count).expect("a client");
        eprintln!("{from:>5} → {to}: {}", seen.iter().cloned().collect::<Vec<_>>().join(", "));
        if seen != expected {
            wrong.push(format!("{from} → {to}: the walk says {expected:?}, the kernel {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_kernel_does_what_the_walk_says() {
    let mut rules = Ruleset::default();
    let texts = [jumps(), proxier().sync(0, &[]).restore];
    texts.iter().for_each(|text| rules.restore(text).expect("the walk takes it"));
    let Some(net) = net("iptables-restore") else { return };
    let restore = format!("ip netns exec {} iptables-restore --noflush", net.name("node"));
    texts.iter().for_each(|text| feed(&restore, text).expect("the kernel takes it"));
    judge(&net, &rules);
}

#[test]
fn nftables_does_what_iptables_does() {
    let mut rules = Ruleset::default();
    let mut proxier = proxier();
    let texts = [jumps(), proxier.sync(0, &[]).restore];
    texts.iter().for_each(|text| rules.restore(text).expect("the walk takes it"));
    let Some(net) = net("nft") else { return };
    let transaction = nftables::transaction(proxier.ports(), proxier.config(), "", &[]);
    let load = format!("ip netns exec {} nft -f -", net.name("node"));
    // Twice: all that is there already must not be in the way.
    for _ in 0..2 {
        feed(&load, &transaction.text).expect("the kernel takes it");
    }
    judge(&net, &rules);
}
