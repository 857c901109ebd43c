//! The rules of one service port among those of others, and packets that walk through them.
//!
//! The module writes rules as it likes. Each is loaded as `iptables-restore` would load it, between the rules of two other services, and then
//! every kind of packet that could tell two modules apart is sent: from a pod, an endpoint, the node and outside, to each address of the service and right
//! past it. What is compared is where they end, with which probability, and whether they are masqueraded.

mod draws;

pub use draws::fresh;

use kit_contract::network::{
    IptablesMatch, IptablesRule, IptablesTable, IptablesTarget, KUBE_EXTERNAL_SERVICES, KUBE_MARK_MASQ, KUBE_NODEPORTS,
    KUBE_PROXY_FIREWALL, KUBE_SERVICES, KubeProxy, ProxyEndpoint, ProxyEndpoints, ProxyNode, ProxyPolicy, ProxyPort,
    ServiceProtocol,
};
use kit_contract::{Modules, flow};
use kit_network::ipam::cidr::{Cidr, address, number};
use kit_network::proxy::iptables::{Config, LocalDetector, jumps};
use kit_network::proxy::ruleset::{Fraction, Ruleset};
use kit_network::proxy::walk::{Connection, Host, Outcome, Packet, Recent, Verdict, outcomes, walk};
use kit_network::proxy::{Family, chains, text};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

/// What is asked, and which packets are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The service port.
    pub service: Service,
    /// The node.
    #[serde(default)]
    pub node: Node,
    /// Which packets; all kinds if none is named.
    #[serde(default)]
    pub packets: Vec<Pick>,
}

/// A service port as a scenario writes it: endpoints are `address:port`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    #[serde(default = "web")]
    name: String,
    #[serde(default)]
    protocol: ServiceProtocol,
    cluster_ip: IpAddr,
    port: u16,
    #[serde(default)]
    node_port: Option<u16>,
    #[serde(default)]
    external_ips: Vec<IpAddr>,
    #[serde(default)]
    load_balancer_ips: Vec<IpAddr>,
    #[serde(default)]
    source_ranges: Vec<String>,
    #[serde(default)]
    health_check_node_port: Option<u16>,
    #[serde(default)]
    internal_policy: ProxyPolicy,
    #[serde(default)]
    external_policy: ProxyPolicy,
    #[serde(default)]
    affinity_seconds: Option<u32>,
    #[serde(default)]
    cluster: Vec<SocketAddr>,
    #[serde(default)]
    local: Vec<SocketAddr>,
    /// There are endpoints elsewhere only.
    #[serde(default)]
    elsewhere: bool,
}

fn web() -> String {
    "shop/web:http".into()
}

/// The node as a scenario writes it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    #[serde(default = "yes")]
    detects_pods: bool,
    #[serde(default)]
    masquerade_all: bool,
}

fn yes() -> bool {
    true
}

impl Default for Node {
    fn default() -> Self {
        Node { detects_pods: true, masquerade_all: false }
    }
}

/// Packets of some kinds: what is left out stands for all senders, and for all that belongs to the service.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pick {
    from: Option<Sender>,
    to: Option<Door>,
}

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sender {
    /// A pod on the node that is no endpoint.
    Pod,
    /// An endpoint of the service.
    Endpoint,
    /// The node itself.
    Node,
    /// Somebody outside the cluster, and in none of the source ranges.
    Outside,
    /// Somebody in a source range.
    InRange,
}

/// What it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// The cluster IP.
    ClusterIp,
    /// A node port.
    NodePort,
    /// An external IP.
    ExternalIp,
    /// The IP of a load balancer.
    LoadBalancer,
    /// The node port for health checks.
    HealthCheck,
    /// What is near, and no business of the service.
    Past,
}

impl Sender {
    fn words(self) -> &'static str {
        match self {
            Sender::Pod => "a pod",
            Sender::Endpoint => "the endpoint",
            Sender::Node => "the node",
            Sender::Outside => "outside",
            Sender::InRange => "inside a range",
        }
    }
}

impl Door {
    fn words(self) -> &'static str {
        match self {
            Door::ClusterIp => "the cluster IP",
            Door::NodePort => "the node port",
            Door::ExternalIp => "the external IP",
            Door::LoadBalancer => "the load balancer",
            Door::HealthCheck => "the health check",
            Door::Past => "what isn't the service's,",
        }
    }
}

/// A packet, and what it is.
#[derive(Debug, Clone)]
struct Probe {
    from: Sender,
    to: Door,
    packet: Packet,
}

/// Where everything is, by family.
struct Place {
    family: Family,
    pods: Cidr,
    node: Vec<IpAddr>,
    pod: IpAddr,
    strangers: [IpAddr; 3],
    neighbours: [IpAddr; 2],
    neighbour_endpoint: SocketAddr,
}

/// The node ports of the two services around.
const NEIGHBOUR_PORTS: [u16; 2] = [32111, 32112];

impl Place {
    fn of(family: Family) -> Self {
        let ip = |four: [u8; 4], six: u16| match family {
            Family::V4 => IpAddr::from(four),
            Family::V6 => IpAddr::from([0xfd00, six, 0, 0, 0, 0, u16::from(four[2]), u16::from(four[3])]),
        };
        Place {
            family,
            pods: Cidr { address: ip([10, 244, 0, 0], 0x244), prefix: if family == Family::V4 { 16 } else { 32 } },
            node: vec![ip([192, 168, 0, 2], 0x192), ip([192, 168, 1, 2], 0x192)],
            pod: ip([10, 244, 9, 9], 0x244),
            strangers: [ip([203, 0, 113, 200], 0x203), ip([198, 51, 100, 77], 0x198), ip([192, 0, 2, 9], 0x9)],
            neighbours: [ip([10, 96, 200, 200], 0x96), ip([10, 96, 200, 201], 0x96)],
            neighbour_endpoint: SocketAddr::new(ip([10, 244, 200, 1], 0x244), 8080),
        }
    }
}

impl Script {
    fn place(&self) -> Place {
        Place::of(if self.service.cluster_ip.is_ipv4() { Family::V4 } else { Family::V6 })
    }

    /// How many questions and answers its transcript has.
    pub fn len(&self) -> usize {
        self.probes().len() + 1
    }

    /// Whether no packet is sent.
    pub fn is_empty(&self) -> bool {
        self.probes().is_empty()
    }

    fn ranges(&self) -> Vec<Cidr> {
        self.service.source_ranges.iter().filter_map(|range| range.parse().ok()).collect()
    }

    fn senders(&self, place: &Place) -> Vec<(Sender, IpAddr)> {
        let service = &self.service;
        let ranges = self.ranges();
        let is_in_range = |ip: &IpAddr| ranges.iter().any(|range| range.contains(*ip));
        let mut senders = vec![(Sender::Pod, place.pod)];
        let endpoints: BTreeSet<IpAddr> =
            service.cluster.iter().chain(&service.local).map(|endpoint| endpoint.ip()).collect();
        let some = endpoints.iter().take(2).chain(endpoints.iter().skip(2).last());
        senders.extend(some.map(|ip| (Sender::Endpoint, *ip)));
        senders.push((Sender::Node, place.node[0]));
        let stranger = place.strangers.iter().find(|ip| !is_in_range(ip)).unwrap_or(&place.strangers[0]);
        senders.push((Sender::Outside, *stranger));
        // By turns near the first address of a range and near its last one.
        let inside = ranges.iter().zip([false, true].into_iter().cycle()).map(|(range, at_end)| {
            let last = range.last();
            let place = if at_end { number(last).saturating_sub(1) } else { number(range.first()) + 1 };
            if range.first() == last { last } else { address(place, last) }
        });
        senders.extend(inside.map(|ip| (Sender::InRange, ip)));
        senders
    }

    /// What leads to the service.
    fn doors(&self, place: &Place) -> Vec<(Door, SocketAddr)> {
        let service = &self.service;
        let at = |door, ip: &IpAddr| (door, SocketAddr::new(*ip, service.port));
        let mut doors = vec![at(Door::ClusterIp, &service.cluster_ip)];
        doors.extend(service.external_ips.iter().map(|ip| at(Door::ExternalIp, ip)));
        doors.extend(service.load_balancer_ips.iter().map(|ip| at(Door::LoadBalancer, ip)));
        if let Some(port) = service.node_port {
            doors.extend(place.node.iter().map(|ip| (Door::NodePort, SocketAddr::new(*ip, port))));
        }
        doors
    }

    /// All packets that are sent.
    fn probes(&self) -> Vec<Probe> {
        let (place, service) = (self.place(), &self.service);
        let (senders, doors) = (self.senders(&place), self.doors(&place));
        let probe = |from: Sender, source, to, destination, protocol| Probe {
            from,
            to,
            packet: Packet { protocol, source, destination, interface: None },
        };
        let mut probes = Vec::new();
        let is_refused_anyway = service.cluster.is_empty() && service.local.is_empty() && !service.elsewhere;
        for (to, destination) in &doors {
            for (from, source) in &senders {
                // Nobody asks about that: see the contract.
                let goes_out = matches!(to, Door::ExternalIp | Door::LoadBalancer)
                    && !place.node.contains(&destination.ip())
                    && *from == Sender::Node;
                if !(goes_out && is_refused_anyway) {
                    probes.push(probe(*from, *source, *to, *destination, service.protocol));
                }
            }
        }
        let other = match service.protocol {
            ServiceProtocol::Tcp => ServiceProtocol::Udp,
            ServiceProtocol::Udp | ServiceProtocol::Sctp => ServiceProtocol::Tcp,
        };
        let node = place.node[0];
        if let Some(port) = service.health_check_node_port {
            let destination = SocketAddr::new(node, port);
            for (from, source) in &senders {
                probes.push(probe(*from, *source, Door::HealthCheck, destination, ServiceProtocol::Tcp));
            }
            probes.push(probe(
                Sender::Outside,
                place.strangers[0],
                Door::HealthCheck,
                destination,
                ServiceProtocol::Udp,
            ));
        }
        let mut past = Vec::new();
        for (_, destination) in &doors {
            past.push((SocketAddr::new(destination.ip(), destination.port() ^ 1), service.protocol));
            past.push((*destination, other));
        }
        let ports = [Some(service.port), service.node_port, service.health_check_node_port];
        for ip in [service.cluster_ip, node, place.strangers[2]] {
            past.extend(ports.iter().flatten().map(|port| (SocketAddr::new(ip, *port), service.protocol)));
        }
        for (ip, node_port) in place.neighbours.into_iter().zip(NEIGHBOUR_PORTS) {
            past.push((SocketAddr::new(ip, service.port), service.protocol));
            past.push((SocketAddr::new(node, node_port), service.protocol));
        }
        let mut seen = BTreeSet::new();
        for (destination, protocol) in past {
            let is_door = protocol == service.protocol && doors.iter().any(|(_, door)| *door == destination);
            let is_health_check = protocol == ServiceProtocol::Tcp
                && place.node.contains(&destination.ip())
                && Some(destination.port()) == service.health_check_node_port;
            if is_door || is_health_check || !seen.insert((destination, protocol)) {
                continue;
            }
            for (from, source) in senders.iter().filter(|(from, _)| matches!(from, Sender::Pod | Sender::Outside)) {
                probes.push(probe(*from, *source, Door::Past, destination, protocol));
            }
        }
        if !self.packets.is_empty() {
            let is_picked = |probe: &Probe| {
                let picks = |pick: &Pick| {
                    let is_to = pick.to.map_or(probe.to != Door::Past, |to| to == probe.to);
                    pick.from.is_none_or(|from| from == probe.from) && is_to
                };
                self.packets.iter().any(picks)
            };
            probes.retain(is_picked);
        }
        probes
    }

    /// What the module is asked, without the endpoint of that address.
    fn question(&self, without: Option<SocketAddr>) -> ProxyPort {
        let service = &self.service;
        let name = service.name.clone();
        let endpoint = |address: &SocketAddr| ProxyEndpoint {
            ip: address.ip().to_string(),
            port: address.port(),
            chain: chains::of_endpoint(&name, service.protocol, &address.to_string()),
        };
        let all = |addresses: &[SocketAddr]| {
            addresses.iter().filter(|address| Some(**address) != without).map(endpoint).collect::<Vec<_>>()
        };
        let endpoints = ProxyEndpoints {
            cluster: all(&service.cluster),
            local: all(&service.local),
            anywhere: service.elsewhere || !service.cluster.is_empty() || !service.local.is_empty(),
        };
        let texts = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect();
        ProxyPort {
            chains: chains::of_port(&name, service.protocol),
            name,
            protocol: service.protocol,
            cluster_ip: service.cluster_ip.to_string(),
            port: service.port,
            node_port: service.node_port,
            external_ips: texts(&service.external_ips),
            load_balancer_ips: texts(&service.load_balancer_ips),
            source_ranges: service.source_ranges.clone(),
            health_check_node_port: service.health_check_node_port,
            internal_policy: service.internal_policy,
            external_policy: service.external_policy,
            affinity_seconds: service.affinity_seconds,
            endpoints,
        }
    }

    /// An endpoint that can go while others stay: the first of all.
    fn first_to_go(&self) -> Option<SocketAddr> {
        let service = &self.service;
        let first = service.cluster.first()?;
        let others = |all: &[SocketAddr]| all.is_empty() || all.iter().any(|endpoint| endpoint != first);
        (service.cluster.len() > 1 && others(&service.local)).then_some(*first)
    }
}

/// What is asked, and a module's rules; and the same again when an endpoint is gone.
#[derive(PartialEq)]
struct Answers {
    now: (ProxyPort, Vec<IptablesRule>),
    later: Option<(ProxyPort, Vec<IptablesRule>)>,
}

/// A module's rules, loaded.
struct Loaded {
    rules: Ruleset,
    later: Option<Ruleset>,
}

fn ask(script: &Script, node: ProxyNode, module: &dyn KubeProxy) -> Answers {
    let once = |without| {
        let port = script.question(without);
        let rules = module.rules(&port, &node);
        (port, rules)
    };
    let later = script.first_to_go().filter(|_| script.service.affinity_seconds.is_some());
    Answers { now: once(None), later: later.map(|first| once(Some(first))) }
}

/// The chains of the kit, which all rules stand in.
static CHAINS: LazyLock<Result<Ruleset, String>> = LazyLock::new(|| {
    let mut ruleset = Ruleset::default();
    ruleset.restore(&jumps()).map_err(|e| format!("the stage is broken: {e}"))?;
    Ok(ruleset)
});

/// Loads a module's rules between those of others.
fn load(script: &Script, node: ProxyNode, answers: &Answers) -> Result<Loaded, String> {
    let place = script.place();
    let once = |(port, rules): &(ProxyPort, Vec<IptablesRule>)| -> Result<Ruleset, String> {
        for (at, rule) in rules.iter().enumerate() {
            check(rule, port, &node, &place).map_err(|why| format!("rule {}: {why}", at + 1))?;
        }
        let mut ruleset = CHAINS.clone()?;
        ruleset.restore(&restore(rules, port, script, &place))?;
        Ok(ruleset)
    };
    Ok(Loaded { rules: once(&answers.now)?, later: answers.later.as_ref().map(once).transpose()? })
}

/// What can't be loaded, or is no business of the module.
fn check(rule: &IptablesRule, port: &ProxyPort, node: &ProxyNode, place: &Place) -> Result<(), String> {
    let chains = &port.chains;
    let endpoints = port.endpoints.cluster.iter().chain(&port.endpoints.local);
    let own = [&chains.cluster, &chains.local, &chains.external, &chains.firewall];
    let own: Vec<&String> = own.into_iter().chain(endpoints.map(|endpoint| &endpoint.chain)).collect();
    let is_own = |chain: &String| own.contains(&chain);
    let shared: &[&str] = match rule.table {
        IptablesTable::Nat => &[KUBE_SERVICES, KUBE_NODEPORTS],
        IptablesTable::Filter => &[KUBE_SERVICES, KUBE_NODEPORTS, KUBE_EXTERNAL_SERVICES, KUBE_PROXY_FIREWALL],
    };
    let table = flow(&rule.table);
    let is_nat = rule.table == IptablesTable::Nat;
    let may_be_filled = shared.contains(&rule.chain.as_str()) || (is_nat && is_own(&rule.chain));
    if !may_be_filled {
        return Err(format!("the chain {} of {table} is neither shared nor the service port's own", flow(&rule.chain)));
    }
    let mut has_protocol = false;
    for part in &rule.matches {
        let address = |text: &String| {
            let is_fine = text.parse::<Cidr>().is_ok() || text.parse::<IpAddr>().is_ok();
            if is_fine { Ok(()) } else { Err(format!("{} is no address and no CIDR", flow(text))) }
        };
        let list = |name: &String| {
            let is_fine = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if is_fine { Ok(()) } else { Err(format!("{} is no name for a list", flow(name))) }
        };
        match part {
            IptablesMatch::Protocol(_) => has_protocol = true,
            IptablesMatch::Source(text) | IptablesMatch::Destination(text) => address(text)?,
            IptablesMatch::DestinationPort(_) if !has_protocol => {
                return Err("a port needs a protocol before it".into());
            }
            IptablesMatch::FromPod | IptablesMatch::NotFromPod if !node.detects_pods => {
                return Err("the node can't tell pods from others".into());
            }
            IptablesMatch::OneIn(0) => return Err("one in 0".into()),
            IptablesMatch::Seen { list: name, .. } | IptablesMatch::Remember { list: name } => list(name)?,
            _ => {}
        }
    }
    match &rule.target {
        IptablesTarget::Jump(chain) if is_nat && (is_own(chain) || chain == KUBE_MARK_MASQ) => Ok(()),
        IptablesTarget::Jump(chain) => Err(format!("it can't jump to {} in {table}", flow(chain))),
        IptablesTarget::Dnat { ip, .. } => match ip.parse::<IpAddr>() {
            Ok(ip) if place.family.has(ip) && is_nat => Ok(()),
            Ok(_) if is_nat => Err(format!("{ip} is of the other family")),
            Ok(_) => Err("Dnat has no place in filter".into()),
            Err(_) => Err(format!("{} is no address", flow(ip))),
        },
        IptablesTarget::Reject | IptablesTarget::Drop if is_nat => {
            Err(format!("{} has no place in nat", flow(&rule.target)))
        }
        _ => Ok(()),
    }
}

fn restore(rules: &[IptablesRule], port: &ProxyPort, script: &Script, place: &Place) -> String {
    let mut config = Config::new("node-1", place.family);
    if script.node.detects_pods {
        config.pods = LocalDetector::Range(place.pods);
    }
    let mut lines = BTreeMap::from([(IptablesTable::Filter, String::new()), (IptablesTable::Nat, String::new())]);
    for rule in rules {
        text::write_rule(lines.entry(rule.table).or_default(), rule, None, &config);
    }
    let chains = &port.chains;
    let endpoints = port.endpoints.cluster.iter().chain(&port.endpoints.local).map(|endpoint| &endpoint.chain);
    let own: BTreeSet<&String> =
        [&chains.cluster, &chains.local, &chains.external, &chains.firewall].into_iter().chain(endpoints).collect();
    let own: String = own.into_iter().map(|chain| format!(":{chain} - [0:0]\n")).collect();
    let protocol = port.protocol.lower();
    let to = |at: usize| format!("-m {protocol} -p {protocol} -d {} --dport {}", place.neighbours[at], port.port);
    let node_port = |at: usize| format!("-m {protocol} -p {protocol} --dport {}", NEIGHBOUR_PORTS[at]);
    let (filter, nat) = (&lines[&IptablesTable::Filter], &lines[&IptablesTable::Nat]);
    format!(
        "*filter\n:KUBE-SERVICES -\n:KUBE-EXTERNAL-SERVICES -\n:KUBE-FORWARD -\n:KUBE-NODEPORTS -\n:KUBE-PROXY-FIREWALL -\n\
         -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n\
         {filter}\
         -A KUBE-SERVICES {} -j REJECT\n\
         -A KUBE-EXTERNAL-SERVICES -m addrtype --dst-type LOCAL {} -j REJECT\n\
         COMMIT\n\
         *nat\n:KUBE-SERVICES -\n:KUBE-NODEPORTS -\n:KUBE-POSTROUTING -\n:KUBE-MARK-MASQ -\n:KUBE-SVC-BEFORE -\n:KUBE-EXT-BEFORE -\n{own}\
         -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n\
         -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n\
         -A KUBE-POSTROUTING -j MASQUERADE\n\
         -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n\
         -A KUBE-SVC-BEFORE -m {protocol} -p {protocol} -j DNAT --to-destination {}\n\
         -A KUBE-EXT-BEFORE -j KUBE-MARK-MASQ\n\
         -A KUBE-EXT-BEFORE -j KUBE-SVC-BEFORE\n\
         -A KUBE-SERVICES {} -j KUBE-SVC-BEFORE\n\
         -A KUBE-NODEPORTS {} -j KUBE-EXT-BEFORE\n\
         {nat}\
         -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n\
         COMMIT\n",
        to(1),
        node_port(1),
        place.neighbour_endpoint,
        to(0),
        node_port(0),
    )
}

/// Where a packet ends, in words, and how probably.
fn ends(outcomes: &[Outcome]) -> Result<Vec<(String, Fraction)>, String> {
    let mut ends: BTreeMap<String, Fraction> = BTreeMap::new();
    for Outcome { chance, walk, .. } in outcomes {
        let masquerade = if walk.is_masqueraded { ", masqueraded" } else { "" };
        let end = match walk.verdict {
            Verdict::Dropped => "dropped".to_string(),
            Verdict::Rejected => "rejected".to_string(),
            _ if walk.is_translated => format!("to {}{masquerade}", walk.destination),
            Verdict::Accepted if !walk.is_masqueraded => "accepted".to_string(),
            _ => format!("goes on{masquerade}"),
        };
        let before = ends.get(&end).copied().unwrap_or(Fraction { of: 0, all: 1 });
        ends.insert(end, before.or(*chance).ok_or("probabilities that are too fine")?);
    }
    Ok(ends.into_iter().collect())
}

fn one_line(ends: &[(String, Fraction)]) -> String {
    let tell = |(end, chance): &(String, Fraction)| {
        if *chance == Fraction::ONE { end.clone() } else { format!("{chance} {end}") }
    };
    ends.iter().map(tell).collect::<Vec<_>>().join("; ")
}

/// What happens to a packet, and to those that its sender sends later.
fn follow(script: &Script, loaded: &Loaded, probe: &Probe) -> Result<Vec<String>, String> {
    let place = script.place();
    let host = Host { addresses: place.node.clone(), ..Host::default() };
    let send = |rules: &Ruleset, packet: &Packet, recent: &Recent, now: i64| {
        outcomes(rules, &Host { recent: recent.clone(), now, ..host.clone() }, packet)
    };
    let first = send(&loaded.rules, &probe.packet, &Recent::new(), 0)?;
    let all = ends(&first)?;
    let mut lines: Vec<String> = all.iter().map(|end| one_line(std::slice::from_ref(end))).collect();
    // One way to each of the first two destinations and to the last.
    let mut ways: BTreeMap<SocketAddr, &Outcome> = BTreeMap::new();
    for outcome in first.iter().filter(|outcome| outcome.walk.is_translated) {
        ways.entry(outcome.walk.destination).or_insert(outcome);
    }
    let chosen: Vec<_> = ways.iter().take(2).chain(ways.iter().skip(2).last()).collect();
    let service = &script.service;
    // What is remembered doesn't depend on who sends.
    if probe.to == Door::Past || !matches!(probe.from, Sender::Pod | Sender::Outside) {
        return Ok(lines);
    }
    let Some(seconds) = service.affinity_seconds.map(i64::from) else {
        // Then nothing is remembered; and whoever isn't is sent anywhere, as before.
        for (to, way) in chosen.into_iter().filter(|(_, way)| !way.recent.is_empty()) {
            let again = ends(&send(&loaded.rules, &probe.packet, &way.recent, 1)?)?;
            if again != all {
                lines.push(format!("after {to}, 1 s later: {}", one_line(&again)));
            }
        }
        return Ok(lines);
    };
    let doors = script.doors(&place);
    let at = doors.iter().position(|(_, door)| *door == probe.packet.destination).unwrap_or_default();
    let (_, other_door) = doors[(at + 1) % doors.len()];
    for (to, way) in chosen {
        let mut tell = |what: String, outcomes: &[Outcome]| -> Result<(), String> {
            lines.push(format!("after {to}, {what}: {}", one_line(&ends(outcomes)?)));
            Ok(())
        };
        let again = send(&loaded.rules, &probe.packet, &way.recent, seconds)?;
        tell(format!("{seconds} s later"), &again)?;
        if let [renewed] = again.as_slice() {
            tell("and once more so late".into(), &send(&loaded.rules, &probe.packet, &renewed.recent, 2 * seconds)?)?;
        }
        tell(format!("{} s later", seconds + 1), &send(&loaded.rules, &probe.packet, &way.recent, seconds + 1)?)?;
        if other_door != probe.packet.destination {
            let packet = Packet { destination: other_door, ..probe.packet.clone() };
            tell(format!("1 s later to {other_door}"), &send(&loaded.rules, &packet, &way.recent, 1)?)?;
        }
        if let (Some(later), Some(gone)) = (&loaded.later, script.first_to_go()) {
            tell(format!("1 s later, without {gone}"), &send(later, &probe.packet, &way.recent, 1)?)?;
        }
    }
    Ok(lines)
}

/// The rules that a packet met, for whoever looks for the mistake.
fn path(script: &Script, loaded: &Loaded, probe: &Probe) -> Vec<String> {
    let mut host = Host { addresses: script.place().node, ..Host::default() };
    let walk = walk(&loaded.rules, &mut host, &probe.packet, Connection::New, &mut |_| true);
    let mut lines = vec!["on its way it met these of your rules and others:".to_string()];
    lines.extend(walk.steps.iter().map(|step| format!("  {step}")));
    lines
}

/// Asks the module for its rules, and sends packets through them. `see` is told of the question and of each packet.
///
/// # Errors
///
/// A script that can't be played, in words.
pub fn play(
    script: &Script,
    modules: &Modules,
    reference: &Modules,
    see: &mut dyn FnMut(String, Vec<String>),
) -> Result<(), String> {
    if let Some(range) = script.service.source_ranges.iter().find(|range| range.parse::<Cidr>().is_err()) {
        return Err(format!("{range} is no CIDR"));
    }
    let node = ProxyNode { detects_pods: script.node.detects_pods, masquerade_all: script.node.masquerade_all };
    let right_answers = ask(script, node, reference.kube_proxy.make(&()).as_ref());
    let right =
        load(script, node, &right_answers).map_err(|e| format!("the reference's rules can't be loaded: {e}"))?;
    let answers = ask(script, node, modules.kube_proxy.make(&()).as_ref());
    // The same rules do the same.
    let is_same = answers == right_answers;
    let own = if is_same { None } else { Some(load(script, node, &answers)) };
    let loaded = own.as_ref().map_or(Ok(&right), Result::as_ref);
    let node = json!({"detects_pods": script.node.detects_pods, "masquerade_all": script.node.masquerade_all});
    let asked = format!("rules  service {} · node {}", flow(&answers.now.0), flow(&node));
    see(asked, vec![loaded.err().map_or("loaded".into(), |why| format!("can't be loaded: {why}"))]);
    for probe in script.probes() {
        let Packet { protocol, source, destination, .. } = &probe.packet;
        let asked =
            format!("from {} {source} to {} {destination}, {}", probe.from.words(), probe.to.words(), flow(protocol));
        let expected = follow(script, &right, &probe)?;
        let answer = match loaded {
            _ if is_same => expected,
            Err(_) => vec!["there are no rules".into()],
            Ok(loaded) => match follow(script, loaded, &probe) {
                Ok(lines) if lines == expected => lines,
                Ok(lines) => lines.into_iter().chain(path(script, loaded, &probe)).collect(),
                Err(why) => vec![why],
            },
        };
        see(asked, answer);
    }
    Ok(())
}
