//! The proxy in nftables mode: the same services in one table of its own (`pkg/proxy/nftables/proxier.go`).
//!
//! What iptables compares rule by rule is looked up here in maps: an address, protocol and port lead to a chain, or to a refusal. Endpoints are chosen
//! by a random number and a map, source ranges are a set, and each endpoint's clients are a set whose elements expire. A sync here writes everything, as upstream's first
//! one does; the sets of clients stay.

use super::Family;
use super::chains::hash;
use super::choice::choose;
use super::endpoints::Endpoint;
use super::iptables::{Config, LocalDetector};
use super::service::{PortInfo, PortName};
use kit_contract::network::ProxyPolicy;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// The table of the proxy.
pub const TABLE: &str = "kube-proxy";
/// The longest name that nftables takes, less the longest prefix.
const LONGEST: usize = 256 - 16;
const PREFIXES: [&str; 5] = ["service-", "local-", "external-", "endpoint-", "firewall-"];

/// Chains of Linux's hooks: name, type, hook and priority. Source ranges are asked before destinations change.
const BASE: [(&str, &str, &str, &str); 8] = [
    ("filter-prerouting-pre-dnat", "filter", "prerouting", "-110"),
    ("filter-output-pre-dnat", "filter", "output", "-110"),
    ("filter-input", "filter", "input", "0"),
    ("filter-forward", "filter", "forward", "0"),
    ("filter-output", "filter", "output", "0"),
    ("nat-prerouting", "nat", "prerouting", "-100"),
    ("nat-output", "nat", "output", "-100"),
    ("nat-postrouting", "nat", "postrouting", "100"),
];

/// Which chain leads where, and for which packets.
const JUMPS: [(&str, &str, &str); 11] = [
    ("filter-input", "ct state new ", "nodeport-endpoints-check"),
    ("filter-input", "ct state new ", "service-endpoints-check"),
    ("filter-forward", "ct state new ", "service-endpoints-check"),
    ("filter-output", "ct state new ", "service-endpoints-check"),
    ("filter-prerouting-pre-dnat", "ct state new ", "firewall-check"),
    ("filter-output-pre-dnat", "ct state new ", "firewall-check"),
    ("nat-output", "", "services"),
    ("nat-prerouting", "", "services"),
    ("nat-postrouting", "", "masquerading"),
    ("filter-forward", "ct state new ", "cluster-ips-check"),
    ("filter-output", "ct state new ", "cluster-ips-check"),
];

/// The input of `nft -f`, and what is left over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// All of it, in one transaction.
    pub text: String,
    /// Chains that it empties. Kernels before 6.2 refuse to delete a chain right after the element that led to it, so that is for
    /// [`deletion`], a second later.
    pub stale: Vec<String>,
}

/// Deletes chains that an earlier transaction emptied.
pub fn deletion(chains: &[String], family: Family) -> String {
    let family = of(family).0;
    chains.iter().map(|chain| format!("delete chain {family} {TABLE} {chain}\n")).collect()
}

/// `ip`, and the type of its addresses.
fn of(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("ip", "ipv4_addr"),
        Family::V6 => ("ip6", "ipv6_addr"),
    }
}

/// A name that says what it is for, after a hash that tells it apart if it is too long.
fn named(name: String) -> String {
    let mut name = format!("{}-{name}", hash(&[&name], 8));
    if name.len() > LONGEST {
        name.truncate(LONGEST - 3);
        name.push_str("...");
    }
    name
}

fn of_port(name: &PortName) -> String {
    named(format!("{}/{}/{}/{}", name.namespace, name.name, name.protocol.lower(), name.port))
}

fn of_endpoint(name: &PortName, address: SocketAddr) -> String {
    let ip = address.ip().to_string().replace(':', ".");
    let port = format!("{}/{}/{}/{}", name.namespace, name.name, name.protocol.lower(), name.port);
    named(format!("{port}__{ip}/{}", address.port()))
}

struct Writer<'a> {
    config: &'a Config,
    out: String,
    ip: &'static str,
    address: &'static str,
    chains: BTreeSet<String>,
}

impl Writer<'_> {
    fn line(&mut self, verb: &str, kind: &str, rest: &str) {
        // Writing to a String can't fail.
        let _ = writeln!(self.out, "{verb} {kind} {} {TABLE} {rest}", self.ip);
    }

    /// There, and empty.
    fn chain(&mut self, name: &str) {
        if self.chains.insert(name.into()) {
            self.line("add", "chain", name);
            self.line("flush", "chain", name);
        }
    }

    fn rule(&mut self, chain: &str, rule: &str) {
        self.line("add", "rule", &format!("{chain} {rule}"));
    }

    fn element(&mut self, map: &str, element: &str) {
        self.line("add", "element", &format!("{map} {{ {element} }}"));
    }
}

/// All rules for these service ports. `existing` are the chains of the table now.
pub fn transaction<'a>(
    ports: impl IntoIterator<Item = (&'a PortInfo, &'a [Endpoint])>,
    config: &Config,
    zone: &str,
    existing: &[String],
) -> Transaction {
    let (ip, address) = of(config.family);
    let mut writer = Writer { config, out: String::new(), ip, address, chains: BTreeSet::new() };
    writer.set_up();
    for (info, endpoints) in ports {
        writer.port(info, endpoints, zone);
    }
    let is_stale = |chain: &&String| {
        PREFIXES.iter().any(|prefix| chain.starts_with(prefix))
            && chain.contains('/')
            && !writer.chains.contains(*chain)
    };
    let stale: Vec<String> = existing.iter().filter(is_stale).cloned().collect();
    for chain in &stale {
        writer.line("flush", "chain", chain);
    }
    Transaction { text: writer.out, stale }
}

impl Writer<'_> {
    fn set_up(&mut self) {
        let (ip, address) = (self.ip, self.address);
        let _ = writeln!(self.out, "add table {ip} {TABLE}");
        for (name, kind, hook, priority) in BASE {
            self.line("add", "chain", &format!("{name} {{ type {kind} hook {hook} priority {priority} ; }}"));
            self.line("flush", "chain", name);
        }
        for (from, which, to) in JUMPS {
            self.chain(to);
            self.rule(from, &format!("{which}jump {to}"));
        }
        for chain in ["mark-for-masquerade", "reject-chain"] {
            self.chain(chain);
        }
        let mark = format!("{:#x}", self.config.masquerade_mark);
        self.rule("mark-for-masquerade", &format!("mark set mark or {mark}"));
        self.rule("masquerading", &format!("mark and {mark} == 0 return"));
        self.rule("masquerading", &format!("mark set mark xor {mark}"));
        self.rule("masquerading", "masquerade fully-random");
        self.rule("reject-chain", "reject");
        self.line("add", "set", &format!("cluster-ips {{ type {address} ; }}"));
        let destination = format!("type {address} . inet_proto . inet_service : verdict ;");
        let port = "type inet_proto . inet_service : verdict ;".to_string();
        for (map, kind) in [
            ("no-endpoint-services", &destination),
            ("firewall-ips", &destination),
            ("service-ips", &destination),
            ("no-endpoint-nodeports", &port),
            ("service-nodeports", &port),
        ] {
            self.line("add", "map", &format!("{map} {{ {kind} }}"));
            self.line("flush", "map", map);
        }
        self.line("flush", "set", "cluster-ips");
        // A cluster IP belongs to its service whole: unlike in iptables mode other ports of it are refused.
        self.rule("cluster-ips-check", &format!("{ip} daddr @cluster-ips reject"));
        let lookup = |map: &str| format!("{ip} daddr . meta l4proto . th dport vmap @{map}");
        self.rule("service-endpoints-check", &lookup("no-endpoint-services"));
        self.rule("firewall-check", &lookup("firewall-ips"));
        self.rule("services", &lookup("service-ips"));
        let no_localhost = match self.config.family {
            Family::V4 => "ip daddr != 127.0.0.0/8",
            Family::V6 => "ip6 daddr != ::1",
        };
        let here = match &self.config.node_port_addresses {
            None => no_localhost.to_string(),
            Some(addresses) => {
                let addresses = addresses.iter().filter(|ip| !ip.is_loopback()).map(ToString::to_string);
                format!("{ip} daddr {{ {} }}", addresses.collect::<Vec<_>>().join(", "))
            }
        };
        self.rule("nodeport-endpoints-check", &format!("{here} meta l4proto . th dport vmap @no-endpoint-nodeports"));
        self.rule("services", &format!("fib daddr type local {here} meta l4proto . th dport vmap @service-nodeports"));
    }

    fn port(&mut self, info: &PortInfo, endpoints: &[Endpoint], zone: &str) {
        let choice = choose(info, endpoints, zone);
        let (ip, protocol, base) = (self.ip, info.name.protocol.lower(), of_port(&info.name));
        let chain = |prefix: &str| format!("{prefix}{base}");
        let (cluster_chain, local_chain) = (chain("service-"), chain("local-"));
        let (cluster, local) = (choice.cluster.as_deref().unwrap_or(&[]), choice.local.as_deref().unwrap_or(&[]));
        let is_open = choice.anywhere;
        let under = |policy| match policy {
            ProxyPolicy::Cluster => is_open.then_some(&cluster_chain),
            ProxyPolicy::Local => (!local.is_empty()).then_some(&local_chain),
        };
        let refusal = if is_open { "drop" } else { "goto reject-chain" };
        let key = |ip: &IpAddr| format!("{ip} . {protocol} . {}", info.port);
        for endpoint in choice.reachable() {
            self.endpoint(info, endpoint);
        }
        // Chains must be there before anything leads to them.
        for (chain, endpoints) in [(&cluster_chain, cluster), (&local_chain, local)] {
            if !endpoints.is_empty() {
                self.chain(chain);
            }
        }
        self.element("cluster-ips", &info.cluster_ip.to_string());
        match under(info.internal_policy) {
            Some(chain) => {
                self.element("service-ips", &format!("{} : goto {chain}", key(&info.cluster_ip)));
                self.masquerade(info, chain);
            }
            None => self.element("no-endpoint-services", &format!("{} : {refusal}", key(&info.cluster_ip))),
        }
        self.spread(info, &cluster_chain, cluster);
        self.spread(info, &local_chain, local);
        let external = chain("external-");
        let mut doors: Vec<(&str, &str, String)> = Vec::new();
        for ip in info.external_ips.iter().chain(&info.load_balancer_ips) {
            doors.push(("service-ips", "no-endpoint-services", key(ip)));
        }
        if info.node_port != 0 {
            doors.push(("service-nodeports", "no-endpoint-nodeports", format!("{protocol} . {}", info.node_port)));
        }
        if is_open && !doors.is_empty() {
            self.chain(&external);
            self.external(info, &external, &cluster_chain, under(info.external_policy));
        }
        for (open, closed, key) in doors {
            if is_open {
                self.element(open, &format!("{key} : goto {external}"));
            }
            if under(info.external_policy).is_none() {
                self.element(closed, &format!("{key} : {refusal}"));
            }
        }
        if !info.load_balancer_ips.is_empty() && !info.source_ranges.is_empty() {
            let firewall = chain("firewall-");
            self.chain(&firewall);
            let mut sources: Vec<String> = info.source_ranges.iter().map(ToString::to_string).collect();
            if self.config.node_ip.is_some_and(|ip| info.source_ranges.iter().any(|range| range.contains(ip))) {
                sources.extend(info.load_balancer_ips.iter().map(ToString::to_string));
            }
            self.rule(&firewall, &format!("{ip} saddr != {{ {} }} drop", sources.join(", ")));
            for ip in &info.load_balancer_ips {
                self.element("firewall-ips", &format!("{} : goto {firewall}", key(ip)));
            }
        }
    }

    fn masquerade(&mut self, info: &PortInfo, chain: &str) {
        let from = if self.config.masquerade_all { Some(String::new()) } else { self.pods("!= ") };
        if let Some(from) = from {
            let (ip, protocol) = (self.ip, info.name.protocol.lower());
            let to = format!("{ip} daddr {} {protocol} dport {}", info.cluster_ip, info.port);
            self.rule(chain, &format!("{to} {from}jump mark-for-masquerade"));
        }
    }

    /// `IfLocalNFT` and `IfNotLocalNFT` in `pkg/proxy/util/localdetector.go`.
    fn pods(&self, not: &str) -> Option<String> {
        match &self.config.pods {
            LocalDetector::None => None,
            LocalDetector::Range(range) => Some(format!("{} saddr {not}{range} ", self.ip)),
            LocalDetector::Interface(name) => Some(format!("iif {not}{name} ")),
            LocalDetector::InterfacePrefix(prefix) => Some(format!("iifname {not}\"{prefix}*\" ")),
        }
    }

    fn external(&mut self, info: &PortInfo, chain: &str, cluster: &str, policy: Option<&String>) {
        if info.external_policy == ProxyPolicy::Cluster {
            self.rule(chain, "jump mark-for-masquerade");
        } else {
            if let Some(from) = self.pods("") {
                self.rule(chain, &format!("{from}goto {cluster}"));
            }
            self.rule(chain, "fib saddr type local jump mark-for-masquerade");
            self.rule(chain, &format!("fib saddr type local goto {cluster}"));
        }
        if let Some(policy) = policy {
            self.rule(chain, &format!("goto {policy}"));
        }
    }

    fn spread(&mut self, info: &PortInfo, chain: &str, endpoints: &[Endpoint]) {
        if endpoints.is_empty() {
            return;
        }
        let names: Vec<String> = endpoints.iter().map(|endpoint| of_endpoint(&info.name, endpoint.address)).collect();
        if info.affinity_seconds != 0 {
            for name in &names {
                let rule = format!("{} saddr @affinity-{name} goto endpoint-{name}", self.ip);
                self.rule(chain, &rule);
            }
        }
        let ways = names.iter().enumerate().map(|(at, name)| format!("{at} : goto endpoint-{name}"));
        let ways = ways.collect::<Vec<_>>().join(" , ");
        self.rule(chain, &format!("numgen random mod {} vmap {{ {ways} }}", names.len()));
    }

    fn endpoint(&mut self, info: &PortInfo, endpoint: &Endpoint) {
        let name = of_endpoint(&info.name, endpoint.address);
        let chain = format!("endpoint-{name}");
        let ip = self.ip;
        self.chain(&chain);
        self.rule(&chain, &format!("{ip} saddr {} jump mark-for-masquerade", endpoint.address.ip()));
        if info.affinity_seconds != 0 {
            let set = format!(
                "affinity-{name} {{ type {} ; flags dynamic,timeout ; timeout {}s ; }}",
                self.address, info.affinity_seconds
            );
            self.line("add", "set", &set);
            self.rule(&chain, &format!("update @affinity-{name} {{ {ip} saddr }}"));
        }
        self.rule(&chain, &format!("meta l4proto {} dnat to {}", info.name.protocol.lower(), endpoint.address));
    }
}
