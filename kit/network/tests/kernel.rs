//! The kernel as the judge: the rules that the proxy writes are loaded into a network namespace, real packets are sent through them, and must
//! end where the walk says.
//!
//! It takes root, `ip` and `iptables-restore`, and makes namespaces of its own, which it deletes. Elsewhere it says why it was skipped.
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
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{command}: {e}"))?;
    child.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
/// Namespaces of this run, and what runs in them.
struct Net {
    tag: String,
    servers: Vec<Child>,
impl Drop for Net {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        for name in ["node", "out", "a", "b", "c"] {
            let _ = run(&format!("ip netns del {}", self.name(name)));
impl Net {
    fn name(&self, host: &str) -> String {
        format!("kit-{}-{host}", self.tag)
    fn ip(&self, host: &str, command: &str) -> Result<(), String> {
        run(&format!("ip -n {} {command}", self.name(host))).map(|_| ())
    fn exec(&self, host: &str, command: &str) -> Result<String, String> {
        run(&format!("ip netns exec {} {command}", self.name(host)))
    fn new() -> Result<Net, String> {
        // Tests run side by side.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let tag = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let net = Net { tag, servers: Vec::new() };
        for host in ["node", "out", "a", "b", "c"] {
            run(&format!("ip netns add {}", net.name(host)))?;
            net.ip(host, "link set lo up")?;
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
        // The kernel is sparing with refusals to one host, and counts redirects as such.
        for setting in ["ip_forward=1", "icmp_ratelimit=0", "conf.all.send_redirects=0", "conf.out.send_redirects=0"] {
            net.exec("node", &format!("sysctl -qw net.ipv4.{setting}"))?;
        Ok(net)
    /// A wire from the node to a host; its end on the node has the host's name.
    fn link(&self, host: &str, device: &str) -> Result<(), String> {
        let (node, peer) = (self.name("node"), self.name(host));
        run(&format!("ip link add name {host} netns {node} type veth peer name {device} netns {peer}"))?;
        self.ip("node", &format!("link set dev {host} up"))?;
        self.ip(host, &format!("link set dev {device} up"))
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
    fn serve(&mut self, host: &str) -> Result<(), String> {
        let mut server = self.again(host, &format!("serve {host}"))?;
        let stdout = server.stdout.take().ok_or("no stdout")?;
        self.servers.push(server);
        let mut lines = BufReader::new(stdout).lines();
        // It says so when it listens.
        let listens = lines.any(|line| line.is_ok_and(|line| line.ends_with("listening")));
        if listens { Ok(()) } else { Err(format!("the server in {host} has ended")) }
    /// What became of some packets, each the first of its flow: `a 10.244.0.7`, `rejected` or `dropped`.
    fn send(&self, host: &str, to: SocketAddr, count: usize) -> Result<BTreeSet<String>, String> {
        let client = self.again(host, &format!("send {to} {count}"))?;
        let output = client.wait_with_output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answers = text.lines().filter_map(|line| line.split_once("answer: ")).map(|(_, answer)| answer.to_string());
        Ok(answers.collect())
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
        ["send", to, count] => {
            let to: SocketAddr = to.parse().expect("an address");
            println!();
            for _ in 0..count.parse().unwrap_or(1) {
                println!("answer: {}", ask(to));
        _ => {}
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
/// What the walk says of it, in the same words.
fn foretold(rules: &Ruleset, from: &str, to: SocketAddr) -> BTreeSet<String> {
    let host = Host { addresses: vec![NODE.parse().expect("an address")], ..Host::default() };
    let packet = Packet {
        protocol: ServiceProtocol::Udp,
        source: from.parse().expect("an address"),
        destination: to,
        interface: None,
    let outcomes = outcomes(rules, &host, &packet).expect("few ways");
    let tell = |walk: &kit_network::proxy::walk::Walk| match walk.verdict {
        Verdict::Rejected => "rejected".to_string(),
        Verdict::Dropped => "dropped".to_string(),
        _ => {
            let to = walk.destination.ip().to_string();
            let name = PODS.iter().find(|(_, address)| *address == to).map_or("nobody", |(name, _)| name);
            let seen = if walk.is_masqueraded { NODE } else { from };
            format!("{name} {seen}")
    outcomes.iter().map(|outcome| tell(&outcome.walk)).collect()
fn spec(cluster_ip: &str, more: Value) -> Value {
    let mut spec = json!({
        "clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ipFamilies": ["IPv4"], "ports": [{"port": 53, "protocol": "UDP"}],
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    spec
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
            "ranges",
            spec(
                "10.96.0.7",
                json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["203.0.113.0/24", "10.244.0.7/32"]}),
            ),
    ]
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
    proxier
/// Namespaces with servers in them, or why there are none.
fn net(program: &str) -> Option<Net> {
    let mut net = match Net::new() {
        Ok(net) => net,
        Err(why) => {
            eprintln!("skipped: no network namespaces here: {why}");
            return None;
    if let Err(why) = net.exec("node", &format!("{program} --version")) {
        eprintln!("skipped: no {program} here: {why}");
        return None;
    for pod in ["a", "b"] {
        net.serve(pod).expect("a server");
    Some(net)
/// Sends all packets, and holds what became of them against the walk.
fn judge(net: &Net, rules: &Ruleset) {
    let address = |host: &str| match host {
        "node" => NODE,
        "out" => OUTSIDE,
        pod => PODS.iter().find(|(name, _)| *name == pod).map_or("", |(_, address)| address),
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
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
fn the_kernel_does_what_the_walk_says() {
    let mut rules = Ruleset::default();
    let texts = [jumps(), proxier().sync(0, &[]).restore];
    texts.iter().for_each(|text| rules.restore(text).expect("the walk takes it"));
    let Some(net) = net("iptables-restore") else { return };
    let restore = format!("ip netns exec {} iptables-restore --noflush", net.name("node"));
    texts.iter().for_each(|text| feed(&restore, text).expect("the kernel takes it"));
    judge(&net, &rules);
fn nftables_does_what_iptables_does() {
    let mut proxier = proxier();
    let texts = [jumps(), proxier.sync(0, &[]).restore];
    let Some(net) = net("nft") else { return };
    let transaction = nftables::transaction(proxier.ports(), proxier.config(), "", &[]);
    let load = format!("ip netns exec {} nft -f -", net.name("node"));
    // Twice: all that is there already must not be in the way.
    for _ in 0..2 {
        feed(&load, &transaction.text).expect("the kernel takes it");
//! The kernel as the judge: the very tables of a simulated cluster are written into real network namespaces, real packets are sent there, and
//! each must end where the walk says.
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
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
/// The commands that make a world real. Names of namespaces and interfaces are short and without slashes.
fn commands(world: &World, names: &BTreeMap<String, String>) -> String {
    let mut script = String::from("set -e\nmount -t tmpfs none /run/netns\n");
    let mut run = |line: String| {
        script += &line;
        script.push('\n');
    let mut plugs = 0;
    for name in names.values() {
        run(format!("ip netns add {name}\nip -n {name} link set lo up"));
        run(format!("ip netns exec {name} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"));
    let mut wires: BTreeMap<&str, usize> = BTreeMap::new();
    for wire in world.wires.keys() {
        let number = wires.len();
        wires.insert(wire, number);
        run(format!("ip link add wire{number} type bridge\nip link set wire{number} up mtu 9000"));
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
                Kind::Bridge => run(format!("ip -n {name} link add {device} type bridge")),
                _ => {}
            if interface.kind != Kind::Loopback {
                set_up(&mut run, name, interface);
        for route in &there.routes {
            run(format!("ip -n {name} route replace {}", shown(route)));
        for entry in there.neighbours.iter().filter(|entry| entry.permanent) {
            let (address, device, mac) = (entry.address, &entry.device, entry.mac);
            run(format!("ip -n {name} neigh replace {address} lladdr {mac} dev {device} nud permanent"));
        for entry in &there.forwarding {
            run(format!("bridge -n {name} fdb append {} dev {} dst {}", entry.mac, entry.device, entry.remote));
    script
fn set_up(run: &mut impl FnMut(String), name: &str, interface: &Interface) {
    let (device, mtu, mac) = (&interface.name, interface.mtu, interface.mac);
    if let Kind::Vxlan { vni, port, local } = interface.kind {
        run(format!("ip -n {name} link add {device} type vxlan id {vni} local {local} dstport {port} nolearning"));
    run(format!("ip -n {name} link set {device} address {mac} mtu {mtu}"));
    if let Some(bridge) = &interface.bridge {
        run(format!("ip -n {name} link set {device} master {bridge}"));
        // Whatever joins a bridge may change its address; it was given one.
    for address in &interface.addresses {
        run(format!("ip -n {name} addr add {address} dev {device}"));
    run(format!("ip -n {name} link set {device} up"));
    if interface.proxy_arp {
        run(format!(
            "ip netns exec {name} sysctl -qw net.ipv4.conf.{device}.proxy_arp=1 net.ipv4.neigh.{device}.proxy_delay=0"
        ));
fn shown(route: &Route) -> String {
    match &route.to {
        To::Device(_) => format!("{route} scope link"),
        _ => route.to_string(),
/// As the kernel's side says it. A packet that nobody gets is sent again, when its sender may know more.
fn ending(walk: &Walk, again: &Walk, names: &BTreeMap<String, String>) -> String {
    let is_too_long = |walk: &Walk| matches!(walk.reason(), Some(Reason::MessageTooLong { .. }));
    match &walk.outcome {
        Outcome::Delivered { to, flow, .. } => format!("{} {}", names[to], flow.source.address),
        Outcome::Dropped { .. } if is_too_long(walk) => "too long".into(),
        Outcome::Dropped { .. } if is_too_long(again) => "nobody, then too long".into(),
        Outcome::Dropped { .. } => "nobody".into(),
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
fn nodes() -> Vec<Node> {
    let node = |(at, address): (usize, &str)| {
        let node = Node::new(&format!("node-{at}"), address.parse().expect("an address"));
        node.with_range(format!("10.244.{at}.0/24").parse().expect("a range"))
    (1..).zip(["10.0.0.1/24", "10.0.0.2/24", "10.0.1.3/24"]).map(node).collect()
fn cluster(plugin: Box<dyn Plugin>) -> Cluster {
    let mut cluster = Cluster::new(nodes(), plugin);
    cluster.sync();
    for at in 1..=3 {
        cluster.start(&format!("node-{at}"), &format!("shop/web-{at}")).expect("it starts");
    cluster.start("node-1", "shop/db-1").expect("it starts");
    cluster
fn flannel(backend: Backend) -> Cluster {
    let module = solutions::modules().pod_network.make(&());
    cluster(Box::new(Flannel::new(module, "10.244.0.0/16".parse().expect("a network"), backend)))
fn calico(encapsulation: Encapsulation) -> Cluster {
    let mut plugin = Calico::new("10.244.0.0/16".parse().expect("a network"), encapsulation, Peering::Mesh);
    plugin.router_peers = encapsulation == Encapsulation::None;
    cluster(Box::new(plugin))
fn packets_end_where_the_walk_says() {
    if let Err(reason) = in_a_namespace(TRIAL, "") {
        let reason = reason.lines().last().unwrap_or("no reason is given").to_string();
        assert!(std::env::var("NETWORK_KERNEL").as_deref() != Ok("required"), "no namespaces: {reason}");
        // Past what the test harness catches: a test that didn't run should be seen.
        let _ = writeln!(std::io::stderr(), "skipped: the kernel can't judge the pod network here: {reason}");
        return;
    hold_against_the_kernel("vxlan", &mut flannel(Backend::Vxlan { direct: false }));
    hold_against_the_kernel("vxlan, direct next door", &mut flannel(Backend::Vxlan { direct: true }));
    hold_against_the_kernel("host-gw", &mut flannel(Backend::HostGw));
    hold_against_the_kernel("calico, vxlan across subnets", &mut calico(Encapsulation::Vxlan(When::CrossSubnet)));
    hold_against_the_kernel("calico without a tunnel", &mut calico(Encapsulation::None));
    let mut stale = flannel(Backend::Vxlan { direct: false });
    let host = stale.world.namespaces.get_mut("node-1").expect("it is there");
    let wrong = host.forwarding.iter_mut().find(|entry| entry.remote == IpAddr::from([10, 0, 0, 2]));
    wrong.expect("node-1 knows node-2").remote = [10, 0, 1, 3].into();
    hold_against_the_kernel("a stale forwarding entry", &mut stale);
    let mut missing = flannel(Backend::Vxlan { direct: false });
    let host = missing.world.namespaces.get_mut("node-2").expect("it is there");
    host.neighbours.retain(|entry| entry.device != "flannel.1");
    hold_against_the_kernel("no neighbours on the tunnel", &mut missing);
    let mut narrow = flannel(Backend::HostGw);
    let router = narrow.world.namespaces.get_mut("node-2").expect("it is there");
    router.interface_mut("cni0").expect("the bridge is there").mtu = 1420;
    hold_against_the_kernel("a bridge that carries less", &mut narrow);
    let mut new_node = flannel(Backend::Vxlan { direct: false });
    new_node.stop_agent("node-1");
    new_node.join(
        Node::new("node-4", "10.0.0.4/24".parse().expect("an address"))
            .with_range("10.244.4.0/24".parse().expect("a range")),
    );
    new_node.sync();
    new_node.start("node-4", "shop/web-4").expect("it starts");
    hold_against_the_kernel("an agent that is down", &mut new_node);
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
    cluster
fn no_neighbours() -> Cluster {
    let host = cluster.world.namespaces.get_mut("node-2").expect("it is there");
fn narrow_bridge() -> Cluster {
    let mut cluster = flannel(Backend::HostGw);
    host.interface_mut("cni0").expect("the bridge is there").mtu = 1420;
fn agent_down() -> Cluster {
    cluster.stop_agent("node-1");
    let node = Node::new("node-4", "10.0.0.4/24".parse().expect("an address"));
    cluster.join(node.with_range("10.244.4.0/24".parse().expect("a range")));
    cluster.sync();
    cluster.start("node-4", "shop/web-4").expect("it starts");
}
