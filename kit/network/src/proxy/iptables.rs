//! The proxy in iptables mode: what it is told of Services and EndpointSlices, and what it gives to `iptables-restore`
//! (`pkg/proxy/iptables/proxier.go`).
//!
//! The rules of service ports come from a module of `network/kube_proxy`. Around them stand the shared chains and their rules, here. A sync
//! writes the shared chains whole, since they are flushed by being named; the chains of a service only if it was changed. The first
//! sync, one in an hour, and the one after a failure write all.

use super::choice::choose;
use super::endpoints::{Endpoint, EndpointCache, ServiceName};
use super::service::{PortInfo, PortName, ports};
use super::text::{comment, write_rule};
use super::{Family, chains, conntrack};
use crate::ipam::cidr::Cidr;
use kit_api::core::Service;
use kit_api::discovery::EndpointSlice;
use kit_contract::network::{
    IptablesMatch, IptablesRule, IptablesTable, IptablesTarget, KUBE_MARK_MASQ, KUBE_NODEPORTS, KUBE_PROXY_FIREWALL,
    KUBE_SERVICES, KubeProxy, ProxyEndpoint, ProxyEndpoints, ProxyNode, ProxyPort, ServiceProtocol,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

/// With more endpoints than this (`largeClusterEndpointsThreshold`) the proxy spares comments on endpoints, and clean-up.
const LARGE: usize = 1000;
/// How often everything is written, in milliseconds (`FullSyncPeriod`).
const FULL_SYNC: i64 = 3_600_000;
/// How long stale chains may stay in a large cluster, in milliseconds (`--iptables-sync-period`).
const CLEAN_UP: i64 = 30_000;

/// How the node can tell pods from others (`--detect-local-mode`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalDetector {
    /// Not at all.
    None,
    /// By their range: `ClusterCIDR` or `NodeCIDR`.
    Range(Cidr),
    /// By the bridge that they hang on: `BridgeInterface`.
    Interface(String),
    /// By how their interfaces are called: `InterfaceNamePrefix`.
    InterfacePrefix(String),
}

/// How a proxy is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The family that it serves.
    pub family: Family,
    /// The node it runs on.
    pub node_name: String,
    /// That node's address, of the family.
    pub node_ip: Option<IpAddr>,
    /// How it can tell pods.
    pub pods: LocalDetector,
    /// `--masquerade-all`.
    pub masquerade_all: bool,
    /// The mark of packets to masquerade (`--iptables-masquerade-bit` 14).
    pub masquerade_mark: u32,
    /// `--iptables-localhost-nodeports`: node ports at 127.0.0.1, too.
    pub localhost_node_ports: bool,
    /// `--nodeport-addresses`, resolved; none: all of the node's.
    pub node_port_addresses: Option<Vec<IpAddr>>,
    /// Whether the kernel has a better choice of source ports.
    pub random_fully: bool,
    /// Whether there are counters for two of the rules.
    pub counters: bool,
    /// Whether packets beyond the window pass (`nf_conntrack_tcp_be_liberal`), so that no rule drops them.
    pub tcp_be_liberal: bool,
}

impl Config {
    /// Defaults for a node.
    pub fn new(node_name: &str, family: Family) -> Self {
        Config {
            family,
            node_name: node_name.into(),
            node_ip: None,
            pods: LocalDetector::None,
            masquerade_all: false,
            masquerade_mark: 1 << 14,
            localhost_node_ports: true,
            node_port_addresses: None,
            random_fully: false,
            counters: true,
            tcp_be_liberal: false,
        }
    }
}

/// A rule that leads from one of Linux's chains into one of the proxy's. It is put before all others there, unless it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// `nat` or `filter`.
    pub table: &'static str,
    /// Where from.
    pub from: &'static str,
    /// Where to.
    pub to: &'static str,
    /// What it asks and says.
    pub text: &'static str,
}

/// The jumps, in the order in which they are ensured, so that the last stands first (`iptablesJumpChains`).
pub const JUMPS: [Jump; 14] = {
    const fn jump(table: &'static str, from: &'static str, to: &'static str, text: &'static str) -> Jump {
        Jump { table, from, to, text }
    }
    const NEW_EXTERNAL: &str =
        "-m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\"";
    const NEW: &str = "-m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\"";
    const FIREWALL: &str = "-m conntrack --ctstate NEW -m comment --comment \"kubernetes load balancer firewall\"";
    const PORTALS: &str = "-m comment --comment \"kubernetes service portals\"";
    [
        jump("filter", "INPUT", "KUBE-EXTERNAL-SERVICES", NEW_EXTERNAL),
        jump("filter", "FORWARD", "KUBE-EXTERNAL-SERVICES", NEW_EXTERNAL),
        jump("filter", "INPUT", "KUBE-NODEPORTS", "-m comment --comment \"kubernetes health check service ports\""),
        jump("filter", "FORWARD", "KUBE-SERVICES", NEW),
        jump("filter", "OUTPUT", "KUBE-SERVICES", NEW),
        jump("filter", "FORWARD", "KUBE-FORWARD", "-m comment --comment \"kubernetes forwarding rules\""),
        jump("filter", "INPUT", "KUBE-PROXY-FIREWALL", FIREWALL),
        jump("filter", "OUTPUT", "KUBE-PROXY-FIREWALL", FIREWALL),
        jump("filter", "FORWARD", "KUBE-PROXY-FIREWALL", FIREWALL),
        jump("nat", "OUTPUT", "KUBE-SERVICES", PORTALS),
        jump("nat", "PREROUTING", "KUBE-SERVICES", PORTALS),
        jump("nat", "POSTROUTING", "KUBE-POSTROUTING", "-m comment --comment \"kubernetes postrouting rules\""),
        jump("filter", "INPUT", "KUBE-FIREWALL", ""),
        jump("filter", "OUTPUT", "KUBE-FIREWALL", ""),
    ]
};

/// The jumps as input of `iptables-restore --noflush`, for chains that have nothing of the kind yet.
pub fn jumps() -> String {
    let mut out = String::new();
    for table in ["filter", "nat"] {
        let _ = writeln!(out, "*{table}");
        let of_table = || JUMPS.iter().filter(|jump| jump.table == table);
        for to in of_table().map(|jump| jump.to).collect::<BTreeSet<_>>() {
            let _ = writeln!(out, ":{to} - [0:0]");
        }
        for Jump { from, to, text, .. } in of_table() {
            let blank = if text.is_empty() { "" } else { " " };
            let _ = writeln!(out, "-I {from}{blank}{text} -j {to}");
        }
        out.push_str("COMMIT\n");
    }
    out
}

/// What one sync gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The input of `iptables-restore --noflush --counters`.
    pub restore: String,
    /// Whether it holds everything; then [`jumps`] are to be ensured before.
    pub is_full: bool,
    /// Chains of `nat` that it deletes.
    pub deleted: Vec<String>,
    /// Whether UDP flows are to be looked through ([`Proxier::stale_flows`]).
    pub cleans_flows: bool,
}

/// The text of one service port.
#[derive(Debug, Default)]
struct Written {
    filter: String,
    nat_shared: String,
    nat_own: String,
    chains: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    info: PortInfo,
    endpoints: Vec<Endpoint>,
    written: Written,
}

/// The proxy of one node for one family.
pub struct Proxier {
    config: Config,
    module: Box<dyn KubeProxy>,
    zone: String,
    services: BTreeMap<ServiceName, Vec<PortInfo>>,
    changed: BTreeSet<ServiceName>,
    cache: EndpointCache,
    entries: BTreeMap<PortName, Entry>,
    endpoint_count: usize,
    is_large: bool,
    needs_full: bool,
    last_full: i64,
    last_clean_up: i64,
    cleans_flows: bool,
}

impl Proxier {
    /// A proxy that knows nothing yet.
    pub fn new(config: Config, module: Box<dyn KubeProxy>) -> Self {
        Proxier {
            config,
            module,
            zone: String::new(),
            services: BTreeMap::new(),
            changed: BTreeSet::new(),
            cache: EndpointCache::default(),
            entries: BTreeMap::new(),
            endpoint_count: 0,
            is_large: false,
            needs_full: true,
            last_full: 0,
            last_clean_up: i64::MIN,
            cleans_flows: false,
        }
    }

    /// The node's zone (`topology.kubernetes.io/zone`), empty if it has none. Which endpoints are used may depend on it, everywhere.
    pub fn set_zone(&mut self, zone: &str) {
        if self.zone != zone {
            self.zone = zone.into();
            self.needs_full = true;
        }
    }

    /// A service that is new or was changed. Whether that is of interest.
    pub fn set_service(&mut self, service: &Service) -> bool {
        let key = key(service);
        let ports = ports(service, self.config.family);
        if self.services.get(&key).map(Vec::as_slice).unwrap_or_default() == ports {
            return false;
        }
        if ports.is_empty() {
            self.services.remove(&key)
        } else {
            self.services.insert(key.clone(), ports)
        };
        self.changed.insert(key);
        true
    }

    /// A service that is gone.
    pub fn remove_service(&mut self, service: &Service) -> bool {
        let key = key(service);
        self.services.remove(&key).is_some() && self.changed.insert(key)
    }

    /// A slice that is new or was changed.
    pub fn set_slice(&mut self, slice: &EndpointSlice) -> bool {
        self.cache.set(slice, &self.config.node_name, self.config.family)
    }

    /// A slice that is gone.
    pub fn remove_slice(&mut self, slice: &EndpointSlice) -> bool {
        self.cache.remove(slice)
    }

    /// `iptables-restore` refused the last sync: what was changed is lost, so the next one writes all.
    pub fn failed(&mut self) {
        self.needs_full = true;
    }

    /// All service ports, with the endpoints that are known.
    pub fn ports(&self) -> impl Iterator<Item = (&PortInfo, &[Endpoint])> {
        self.entries.values().map(|entry| (&entry.info, entry.endpoints.as_slice()))
    }

    /// How it is set up.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The flows to delete after a sync that says so.
    pub fn stale_flows(&self, flows: &[conntrack::Flow]) -> Vec<conntrack::Flow> {
        conntrack::stale(self.ports(), flows)
    }

    /// For each health check node port: the service, and how many of its endpoints on this node are ready. The cloud takes 200 for
    /// some and 503 for none (`pkg/proxy/healthcheck/service_health.go`).
    pub fn health_checks(&self) -> BTreeMap<u16, (ServiceName, usize)> {
        let mut checks: BTreeMap<u16, (ServiceName, BTreeSet<IpAddr>)> = BTreeMap::new();
        for entry in self.entries.values().filter(|entry| entry.info.health_check_node_port != 0) {
            let name = (entry.info.name.namespace.clone(), entry.info.name.name.clone());
            let (_, local) = checks.entry(entry.info.health_check_node_port).or_insert_with(|| (name, BTreeSet::new()));
            let ready = entry.endpoints.iter().filter(|endpoint| endpoint.is_local && endpoint.ready);
            local.extend(ready.map(|endpoint| endpoint.address.ip()));
        }
        checks.into_iter().map(|(port, (name, local))| (port, (name, local.len()))).collect()
    }

    /// Takes over what was changed, and writes nothing: for whoever only wants [`Proxier::ports`].
    pub fn refresh(&mut self) {
        self.take_changes();
    }

    /// The rules as they are to be now. `existing` are the chains of `nat` on the node.
    pub fn sync(&mut self, now: i64, existing: &[String]) -> Sync {
        let is_full = self.needs_full || now.saturating_sub(self.last_full) > FULL_SYNC;
        let changed = self.take_changes();
        self.is_large = self.endpoint_count > LARGE;
        let names: Vec<PortName> = if is_full {
            self.entries.keys().cloned().collect()
        } else {
            changed.iter().flat_map(|service| self.names_of(service)).collect()
        };
        for name in &names {
            if let Some(mut entry) = self.entries.remove(name) {
                entry.written = self.write(&entry.info, &entry.endpoints);
                self.entries.insert(name.clone(), entry);
            }
        }
        let deleted = self.stale_chains(now, existing);
        let restore = self.restore(&names, &deleted);
        self.needs_full = false;
        if is_full {
            self.last_full = now;
        }
        Sync { restore, is_full, deleted, cleans_flows: std::mem::take(&mut self.cleans_flows) }
    }

    fn names_of(&self, service: &ServiceName) -> Vec<PortName> {
        let first = PortName {
            namespace: service.0.clone(),
            name: service.1.clone(),
            port: String::new(),
            protocol: ServiceProtocol::Tcp,
        };
        let is_same = |name: &&PortName| name.namespace == service.0 && name.name == service.1;
        self.entries.range(first..).map(|(name, _)| name).take_while(is_same).cloned().collect()
    }

    /// Takes over what was changed since the last sync, and says which services that were.
    fn take_changes(&mut self) -> BTreeSet<ServiceName> {
        let of_slices = self.cache.take_changed();
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(of_slices);
        for service in &changed {
            for name in self.names_of(service) {
                if let Some(entry) = self.entries.remove(&name) {
                    self.endpoint_count -= entry.endpoints.len();
                    self.cleans_flows |= name.protocol == ServiceProtocol::Udp;
                }
            }
            let Some(ports) = self.services.get(service) else { continue };
            let mut endpoints = self.cache.of_service(service);
            for info in ports {
                let endpoints = endpoints.remove(&info.name).unwrap_or_default();
                self.endpoint_count += endpoints.len();
                self.cleans_flows |= info.name.protocol == ServiceProtocol::Udp;
                let entry = Entry { info: info.clone(), endpoints, written: Written::default() };
                self.entries.insert(info.name.clone(), entry);
            }
        }
        changed
    }

    fn write(&self, info: &PortInfo, endpoints: &[Endpoint]) -> Written {
        let port = self.question(info, endpoints);
        let node = ProxyNode {
            detects_pods: self.config.pods != LocalDetector::None,
            masquerade_all: self.config.masquerade_all,
        };
        let all: Vec<&ProxyEndpoint> = port.endpoints.cluster.iter().chain(&port.endpoints.local).collect();
        let rules = self.module.rules(&port, &node);
        let mut written = Written::default();
        let mut put = |rule: &IptablesRule, comment: Option<&str>| {
            let shared = matches!(rule.chain.as_str(), KUBE_SERVICES | KUBE_NODEPORTS);
            if let (IptablesTable::Nat, IptablesTarget::Jump(to)) = (rule.table, &rule.target)
                && to != KUBE_MARK_MASQ
            {
                // A module may jump to a chain that it puts nothing into.
                declare(&mut written.chains, to);
            }
            let out = match (rule.table, shared) {
                (IptablesTable::Filter, _) => &mut written.filter,
                (IptablesTable::Nat, true) => &mut written.nat_shared,
                (IptablesTable::Nat, false) => {
                    declare(&mut written.chains, &rule.chain);
                    &mut written.nat_own
                }
            };
            let start = out.len();
            write_rule(out, rule, comment, &self.config);
            if let Some(counted) = self.counted(rule, &out[start..]) {
                out.insert_str(start, &counted);
            }
        };
        for rule in &rules {
            put(rule, comment(rule, &port, &all, self.is_large).as_deref());
        }
        let firewall = &port.chains.firewall;
        if rules.iter().any(|rule| rule.chain == *firewall) {
            // A load balancer's address is often put on the node, and then the node's own packets have it as their source.
            if self.config.node_ip.is_some_and(|ip| info.source_ranges.iter().any(|range| range.contains(ip))) {
                for ip in &port.load_balancer_ips {
                    let from = vec![IptablesMatch::Source(ip.clone())];
                    let rule = IptablesRule::nat(firewall, from, IptablesTarget::jump(&port.chains.external));
                    put(&rule, comment(&rule, &port, &all, self.is_large).as_deref());
                }
            }
            let _ = writeln!(
                written.nat_own,
                "-A {firewall} -m comment --comment \"other traffic to {} will be dropped by {KUBE_PROXY_FIREWALL}\"",
                port.name
            );
        }
        written
    }

    /// The rule before the one of a node port, which counts packets to 127.0.0.1.
    fn counted(&self, rule: &IptablesRule, line: &str) -> Option<String> {
        let is_counted = self.config.localhost_node_ports && self.config.counters && self.config.family == Family::V4;
        if !is_counted || rule.table != IptablesTable::Nat || rule.chain != KUBE_NODEPORTS {
            return None;
        }
        let (at, jump) = (line.find(" --dport ")?, line.rfind(" -j ")?);
        let counter = "-m nfacct --nfacct-name localhost_nps_accepted_pkts";
        Some(format!("{} -d 127.0.0.0/8{} {counter}{}", &line[..at], &line[at..jump], &line[jump..]))
    }

    /// What the module is asked.
    fn question(&self, info: &PortInfo, endpoints: &[Endpoint]) -> ProxyPort {
        let choice = choose(info, endpoints, &self.zone);
        let name = info.name.to_string();
        let of = |endpoints: &Option<Vec<Endpoint>>| {
            let endpoints = endpoints.iter().flatten().map(|endpoint| ProxyEndpoint {
                ip: endpoint.address.ip().to_string(),
                port: endpoint.address.port(),
                chain: chains::of_endpoint(&name, info.name.protocol, &endpoint.address.to_string()),
            });
            endpoints.collect()
        };
        let texts = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect();
        let some = |port: u16| Some(port).filter(|port| *port != 0);
        ProxyPort {
            endpoints: ProxyEndpoints {
                cluster: of(&choice.cluster),
                local: of(&choice.local),
                anywhere: choice.anywhere,
            },
            name,
            protocol: info.name.protocol,
            cluster_ip: info.cluster_ip.to_string(),
            port: info.port,
            node_port: some(info.node_port),
            external_ips: texts(&info.external_ips),
            load_balancer_ips: texts(&info.load_balancer_ips),
            source_ranges: info.source_ranges.iter().map(ToString::to_string).collect(),
            health_check_node_port: some(info.health_check_node_port),
            internal_policy: info.internal_policy,
            external_policy: info.external_policy,
            affinity_seconds: Some(info.affinity_seconds).filter(|seconds| *seconds != 0),
            chains: info.chains.clone(),
        }
    }

    /// Chains that no rule leads to any more. To find them takes seconds where there are many rules, so in a large cluster it is
    /// done now and then only.
    fn stale_chains(&mut self, now: i64, existing: &[String]) -> Vec<String> {
        if self.is_large && now.saturating_sub(self.last_clean_up) <= CLEAN_UP {
            return Vec::new();
        }
        self.last_clean_up = now;
        let ours: Vec<&String> = existing.iter().filter(|chain| chains::is_ours(chain)).collect();
        if ours.is_empty() {
            return Vec::new();
        }
        let chains = self.entries.values().flat_map(|entry| &entry.written.chains);
        let active: std::collections::HashSet<&String> = chains.collect();
        let mut stale: Vec<String> = ours.into_iter().filter(|chain| !active.contains(chain)).cloned().collect();
        stale.sort();
        stale
    }

    fn restore(&self, names: &[PortName], deleted: &[String]) -> String {
        let config = &self.config;
        let mark = format!("{:#x}", config.masquerade_mark);
        let has_localnet = config.family == Family::V4 && config.localhost_node_ports;
        let shared: usize =
            self.entries.values().map(|entry| entry.written.filter.len() + entry.written.nat_shared.len()).sum();
        let of_changed = || names.iter().filter_map(|name| self.entries.get(name)).map(|entry| &entry.written);
        let own: usize = of_changed().map(|written| written.nat_own.len() + 40 * written.chains.len()).sum();
        let mut out = String::with_capacity(shared + own + 4096);
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a String can't fail.
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        line(format_args!("*filter"));
        for chain in
            ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"]
        {
            line(format_args!(":{chain} - [0:0]"));
        }
        if has_localnet {
            line(format_args!(":KUBE-FIREWALL - [0:0]"));
            // `route_localnet` lets packets in to 127.0.0.1, but only node ports may use that.
            line(format_args!(
                "-A KUBE-FIREWALL -m comment --comment \"block incoming localnet connections\" -d 127.0.0.0/8 ! -s 127.0.0.0/8 \
                 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
            ));
        }
        for entry in self.entries.values() {
            out.push_str(&entry.written.filter);
        }
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = out.write_fmt(text);
            out.push('\n');
        };
        if !config.tcp_be_liberal {
            let counter = if config.counters { " -m nfacct --nfacct-name ct_state_invalid_dropped_pkts" } else { "" };
            line(format_args!("-A KUBE-FORWARD -m conntrack --ctstate INVALID{counter} -j DROP"));
        }
        line(format_args!(
            "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark {mark}/{mark} -j ACCEPT"
        ));
        line(format_args!(
            "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate \
             RELATED,ESTABLISHED -j ACCEPT"
        ));
        line(format_args!("COMMIT\n*nat"));
        for chain in ["KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"] {
            line(format_args!(":{chain} - [0:0]"));
        }
        for chain in of_changed().flat_map(|written| &written.chains).chain(deleted) {
            line(format_args!(":{chain} - [0:0]"));
        }
        line(format_args!("-A KUBE-POSTROUTING -m mark ! --mark {mark}/{mark} -j RETURN"));
        line(format_args!("-A KUBE-POSTROUTING -j MARK --xor-mark {mark}"));
        let fully = if config.random_fully { " --random-fully" } else { "" };
        line(format_args!(
            "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE{fully}"
        ));
        line(format_args!("-A {KUBE_MARK_MASQ} -j MARK --or-mark {mark}"));
        for entry in self.entries.values() {
            out.push_str(&entry.written.nat_shared);
        }
        for written in of_changed() {
            out.push_str(&written.nat_own);
        }
        for chain in deleted {
            let _ = writeln!(out, "-X {chain}");
        }
        self.node_ports(&mut out);
        out.push_str("COMMIT\n");
        out
    }

    /// The last rules of `KUBE-SERVICES`.
    fn node_ports(&self, out: &mut String) {
        const LAST: &str = "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last \
                            rule in this chain\"";
        let config = &self.config;
        let _ = match &config.node_port_addresses {
            None => {
                let not = match (config.family, config.localhost_node_ports) {
                    (Family::V6, _) => " ! -d ::1/128",
                    (Family::V4, true) => "",
                    (Family::V4, false) => " ! -d 127.0.0.0/8",
                };
                writeln!(out, "{LAST} -m addrtype --dst-type LOCAL{not} -j {KUBE_NODEPORTS}")
            }
            Some(addresses) => {
                let works = |ip: &&IpAddr| !ip.is_loopback() || (ip.is_ipv4() && config.localhost_node_ports);
                addresses.iter().filter(works).try_for_each(|ip| writeln!(out, "{LAST} -d {ip} -j {KUBE_NODEPORTS}"))
            }
        };
    }
}

/// Notes a chain, once. Rules of one chain mostly follow each other.
fn declare(chains: &mut Vec<String>, chain: &str) {
    if chains.last().is_none_or(|last| last != chain) && !chains.iter().any(|other| other == chain) {
        chains.push(chain.into());
    }
}

fn key(service: &Service) -> ServiceName {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    (text(&service.metadata.namespace), text(&service.metadata.name))
}
