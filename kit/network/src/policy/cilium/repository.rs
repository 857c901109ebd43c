//! All rules of a cluster, and what they come to for one endpoint.
//!
//! Sources: `pkg/policy/repository.go`, `rule.go`, `l4.go` and `resolve.go`.

use super::dns::NameSelector;
use super::http::{self, HttpRule, Request};
use super::identity::{Identities, Identity, IdentityId};
use super::map::{Key, PolicyMap, blocks};
use super::rule::{ANY, Peer, Ports, ProtocolNumber, Rule, Spec, WITH_PORTS};
use super::selector::EndpointSelector;
use super::service::Service;
use crate::policy::Direction;
use kit_api::cidr::Cidr;
use std::collections::BTreeMap;

/// A policy under its name.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `shop/web`, or only a name, if it is clusterwide.
    pub name: String,
    /// The namespace of a CiliumNetworkPolicy; `None`: it is clusterwide.
    pub namespace: Option<String>,
    /// Its rules.
    pub spec: Spec,
}

/// All policies that were taken.
#[derive(Debug, Clone, Default)]
pub struct Repository {
    policies: Vec<Policy>,
}

/// Ports that endpoints have a name for: numbers by name and protocol.
pub type NamedPorts = BTreeMap<(String, ProtocolNumber), Vec<u16>>;

/// What the proxy is told for one selector. Empty rules let everything through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProxyPolicy {
    /// Connections of these peers go to the proxy.
    pub redirect: bool,
    /// They are dropped.
    pub deny: bool,
    /// Requests.
    pub http: Vec<HttpRule>,
    /// Names.
    pub dns: Vec<NameSelector>,
    derived_from: Vec<String>,
}

/// What rules say of one protocol and port, by peer.
#[derive(Debug, Clone, Default)]
struct Filter {
    by_peer: BTreeMap<Peer, ProxyPolicy>,
    parser: Option<&'static str>,
}

type Filters = BTreeMap<(ProtocolNumber, Ports), Filter>;

/// What the rules come to for the endpoints of one identity.
#[derive(Debug, Clone)]
pub struct EndpointPolicy {
    /// Whether connections that come in are dropped unless a rule allows them.
    pub ingress_enforced: bool,
    /// The same of those that go out.
    pub egress_enforced: bool,
    /// What the datapath has.
    pub map: PolicyMap,
    /// What the proxy has: direction, protocol, ports, selector and rules.
    proxied: Vec<(Direction, ProtocolNumber, Ports, Peer, ProxyPolicy)>,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It passes.
    Allowed,
    /// It goes to the proxy, which sees the requests on it.
    Proxied,
    /// A rule denies it.
    Denied,
    /// No rule allows it.
    NotAllowed,
}

impl Peer {
    /// Whether an identity is meant.
    pub fn selects(&self, identity: &Identity) -> bool {
        let is_within = |network: &Cidr| {
            identity.network.is_some_and(|inner| network.prefix <= inner.prefix && network.contains(inner.address))
        };
        match self {
            Peer::Labels(selector) => selector.selects(&identity.labels),
            Peer::Network(network, except) => is_within(network) && !except.iter().any(is_within),
            Peer::Name(name) => identity.names.contains(name),
        }
    }

    fn is_everybody(&self) -> bool {
        matches!(self, Peer::Labels(selector) if selector.is_wildcard())
    }
}

impl Repository {
    /// Takes a policy: the specs of one object.
    ///
    /// # Errors
    ///
    /// Cilium refuses the policy.
    pub fn add(&mut self, namespace: Option<&str>, name: &str, spec: Spec) -> Result<(), String> {
        spec.check(namespace)?;
        let name = namespace.map_or(name.to_string(), |namespace| format!("{namespace}/{name}"));
        self.policies.push(Policy { name, namespace: namespace.map(str::to_string), spec });
        Ok(())
    }

    /// Takes over which Services there are; to be called again whenever that changes.
    pub fn resolve_services(&mut self, services: &[Service]) {
        self.policies.iter_mut().for_each(|policy| policy.spec.resolve_services(services));
    }

    /// The policies in the order in which they came.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    fn peers(&self) -> impl Iterator<Item = Peer> {
        let both = [Direction::Ingress, Direction::Egress];
        let rules = self.policies.iter().flat_map(move |policy| {
            both.into_iter()
                .flat_map(move |direction| policy.spec.rules(direction).map(move |(rule, _)| (rule, direction)))
        });
        rules.filter_map(|(rule, direction)| rule.peers(direction, None, false).ok().flatten()).flatten()
    }

    /// Makes identities for all networks that rules speak of, the exceptions too.
    pub fn know_networks(&self, identities: &mut Identities) {
        for peer in self.peers() {
            if let Peer::Network(network, except) = peer {
                [network].into_iter().chain(except).for_each(|network| identities.know_network(network));
            }
        }
    }

    /// Which selectors of names a name is of interest to.
    pub fn interested_in(&self, name: &str) -> Vec<NameSelector> {
        let names = self.peers().filter_map(|peer| match peer {
            Peer::Name(selector) if selector.selects(name) => Some(selector),
            _ => None,
        });
        names.collect()
    }

    /// The policy of the endpoints of one identity, whose containers name ports as in `own`; `all` is how all endpoints do.
    ///
    /// # Errors
    ///
    /// Two policies want different kinds of proxies for one port.
    pub fn resolve(
        &self,
        subject: &Identity,
        identities: &Identities,
        own: &NamedPorts,
        all: &NamedPorts,
    ) -> Result<EndpointPolicy, String> {
        let mut map = PolicyMap::default();
        let mut proxied = Vec::new();
        let mut enforced = [false, false];
        for (enforced, direction) in enforced.iter_mut().zip([Direction::Ingress, Direction::Egress]) {
            let (is_enforced, filters) = self.filters(subject, direction)?;
            *enforced = is_enforced;
            let named = if direction == Direction::Ingress { own } else { all };
            write(&mut map, direction, &filters, identities, named);
            if !is_enforced {
                map.allow(Key { direction, identity: 0, protocol: ANY, port: 0, prefix: 0 }, false, "default: allow");
            }
            for ((protocol, ports), filter) in filters {
                let of_peers = filter.by_peer.into_iter().filter(|(_, policy)| !policy.deny);
                proxied.extend(of_peers.map(|(peer, policy)| (direction, protocol, ports.clone(), peer, policy)));
            }
        }
        // A node must reach its pods, or their probes would fail (`DetermineAllowLocalhostIngress`).
        let host = Key { direction: Direction::Ingress, identity: 1, protocol: ANY, port: 0, prefix: 0 };
        map.allow(host, false, "allow-localhost-ingress");
        let [ingress_enforced, egress_enforced] = enforced;
        Ok(EndpointPolicy { ingress_enforced, egress_enforced, map, proxied })
    }

    /// What the rules say, by port, and whether anything is enforced at all.
    fn filters(&self, subject: &Identity, direction: Direction) -> Result<(bool, Filters), String> {
        let mut filters = Filters::new();
        let (mut any, mut default_deny) = (false, false);
        for policy in &self.policies {
            let (selector, of_node) = match (&policy.spec.endpoint_selector, &policy.spec.node_selector) {
                (Some(selector), _) => (EndpointSelector::of_subject(selector, policy.namespace.as_deref())?, false),
                (None, Some(selector)) => (EndpointSelector::new(selector)?, true),
                (None, None) => continue,
            };
            if of_node != (subject.id == 1) || !selector.selects(&subject.labels) {
                continue;
            }
            // A policy without rules for a direction has no say in it, not even by `enableDefaultDeny`.
            if policy.spec.rules(direction).next().is_none() {
                continue;
            }
            any = true;
            default_deny |= policy.spec.denies_by_default(direction);
            for (rule, deny) in policy.spec.rules(direction) {
                add_rule(&mut filters, policy, rule, direction, deny, selector.is_about_init())?;
            }
        }
        // Rules none of which denies by default leave everything else allowed, by a rule for everybody.
        if any && !default_deny {
            let everybody = Peer::Labels(EndpointSelector::default());
            let policy = ProxyPolicy { derived_from: vec!["default: allow".into()], ..ProxyPolicy::default() };
            merge(&mut filters, (ANY, Ports::Range(0, u16::MAX)), everybody, policy, None)?;
        }
        Ok((any, filters))
    }
}

/// Adds one rule (`mergeIngress`, `mergeEgress`).
fn add_rule(
    filters: &mut Filters,
    policy: &Policy,
    rule: &Rule,
    direction: Direction,
    deny: bool,
    about_init: bool,
) -> Result<(), String> {
    let Some(mut peers) = rule.peers(direction, policy.namespace.as_deref(), about_init)? else {
        return Ok(());
    };
    let derived_from = vec![policy.name.clone()];
    let to_ports = rule.to_ports.as_deref().unwrap_or_default();
    let icmps = rule.icmps.as_deref().unwrap_or_default();
    // A rule without peers and without ports admits nobody: `ingress: [{}]` only isolates.
    if to_ports.is_empty() && icmps.is_empty() {
        for peer in peers {
            let said = ProxyPolicy { deny, derived_from: derived_from.clone(), ..ProxyPolicy::default() };
            merge(filters, (ANY, Ports::Range(0, u16::MAX)), peer, said, None)?;
        }
        return Ok(());
    }
    if peers.is_empty() {
        peers.push(Peer::Labels(EndpointSelector::default()));
    }
    for field in icmps.iter().flat_map(|icmp| &icmp.fields) {
        let port = field.parse()?;
        for peer in &peers {
            let said = ProxyPolicy { deny, derived_from: derived_from.clone(), ..ProxyPolicy::default() };
            merge(filters, port.clone(), peer.clone(), said, None)?;
        }
    }
    for to_ports in to_ports {
        let rules = to_ports.rules.clone().unwrap_or_default();
        let parser = match (&rules.http, &rules.dns) {
            (Some(_), _) => Some("http"),
            (None, Some(_)) => Some("dns"),
            (None, None) => None,
        };
        for port in &to_ports.ports {
            let (protocol, ports) = port.parse(false)?;
            // Every port of every protocol is no matter of ports at all.
            let one = [protocol];
            let protocols: &[ProtocolNumber] = if protocol == ANY { &WITH_PORTS } else { &one };
            for protocol in protocols {
                for peer in &peers {
                    let said = ProxyPolicy {
                        redirect: parser.is_some() && !deny,
                        deny,
                        http: rules.http.clone().unwrap_or_default(),
                        dns: rules.dns.clone().unwrap_or_default(),
                        derived_from: derived_from.clone(),
                    };
                    let redirect = said.redirect;
                    merge(filters, (*protocol, ports.clone()), peer.clone(), said, parser)?;
                    // The host may always enter, so that a proxy must let its requests pass.
                    let host = EndpointSelector::label("reserved", "host", "");
                    if redirect && direction == Direction::Ingress && may_be_host(peer) {
                        let said = ProxyPolicy { derived_from: derived_from.clone(), ..ProxyPolicy::default() };
                        merge(filters, (*protocol, ports.clone()), Peer::Labels(host), said, None)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn may_be_host(peer: &Peer) -> bool {
    let labels = [(super::selector::LabelKey::new("reserved", "host"), String::new())].into();
    matches!(peer, Peer::Labels(selector) if selector.selects(&labels))
}

/// Adds what one rule says of a peer and a port to what others have said (`mergePortProto`).
fn merge(
    filters: &mut Filters,
    port: (ProtocolNumber, Ports),
    peer: Peer,
    said: ProxyPolicy,
    parser: Option<&'static str>,
) -> Result<(), String> {
    let filter = filters.entry(port).or_default();
    match (filter.parser, parser) {
        (Some(known), Some(new)) if known != new => {
            return Err(format!("cannot merge conflicting L7 parsers ({new}/{known})"));
        }
        (known, new) => filter.parser = known.or(new),
    }
    let Some(known) = filter.by_peer.get_mut(&peer) else {
        filter.by_peer.insert(peer, said);
        return Ok(());
    };
    if known.deny {
        return Ok(());
    }
    if said.deny {
        *known = said;
        return Ok(());
    }
    known.derived_from.extend(said.derived_from);
    known.derived_from.dedup();
    // Rules that only allow the port lift those for the proxy: a rule for everything stands for them.
    let (was_empty, is_empty) = (!known.has_rules(), said.http.is_empty() && said.dns.is_empty());
    known.redirect |= said.redirect;
    for rule in said.http {
        if !known.http.contains(&rule) {
            known.http.push(rule);
        }
    }
    for rule in said.dns {
        if !known.dns.contains(&rule) {
            known.dns.push(rule);
        }
    }
    if was_empty != is_empty {
        if !known.http.is_empty() {
            known.http.push(HttpRule::default());
        }
        if !known.dns.is_empty() {
            known.dns.push(NameSelector { match_pattern: "*".into(), ..NameSelector::default() });
        }
    }
    Ok(())
}

/// Writes rules into the map: first all that allow, then all that deny.
fn write(map: &mut PolicyMap, direction: Direction, filters: &Filters, identities: &Identities, named: &NamedPorts) {
    for deny in [false, true] {
        for ((protocol, ports), filter) in filters {
            for (peer, policy) in filter.by_peer.iter().filter(|(_, policy)| policy.deny == deny) {
                let of_peer: Vec<IdentityId> = match peer.is_everybody() {
                    true => vec![0],
                    false => {
                        identities.iter().filter(|identity| peer.selects(identity)).map(|known| known.id).collect()
                    }
                };
                for (port, prefix) in numbers(ports, *protocol, named) {
                    for &identity in &of_peer {
                        let key = Key { direction, identity, protocol: *protocol, port, prefix };
                        for name in &policy.derived_from {
                            if deny {
                                map.deny(key, name);
                            } else {
                                map.allow(key, policy.redirect, name);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Blocks of ports. A name that no endpoint has, or that is not the same number everywhere, is no port.
fn numbers(ports: &Ports, protocol: ProtocolNumber, named: &NamedPorts) -> Vec<(u16, u8)> {
    match ports {
        Ports::Range(first, last) => blocks(*first, *last),
        Ports::Named(name) => match named.get(&(name.clone(), protocol)).map(Vec::as_slice) {
            Some([port]) => vec![(*port, 16)],
            _ => Vec::new(),
        },
    }
}

impl ProxyPolicy {
    fn has_rules(&self) -> bool {
        !self.http.is_empty() || !self.dns.is_empty()
    }
}

impl EndpointPolicy {
    /// What the datapath does with a new connection.
    pub fn decide(&self, direction: Direction, peer: IdentityId, protocol: ProtocolNumber, port: u16) -> Decision {
        match self.map.lookup(direction, peer, protocol, port) {
            None => Decision::NotAllowed,
            Some((_, entry)) if entry.deny => Decision::Denied,
            Some((_, entry)) if entry.proxy => Decision::Proxied,
            Some(_) => Decision::Allowed,
        }
    }

    /// What the proxy has for a peer and a port.
    fn for_proxy<'a>(
        &'a self,
        direction: Direction,
        peer: &'a Identity,
        protocol: ProtocolNumber,
        port: u16,
    ) -> impl Iterator<Item = &'a ProxyPolicy> {
        let here = self.proxied.iter().filter(move |(of, proto, ports, selector, _)| {
            // Whatever is allowed on every port is no matter of requests either.
            *of == direction
                && (*proto == protocol || *proto == ANY)
                && matches!(ports, Ports::Range(first, last) if (*first..=*last).contains(&port))
                && selector.selects(peer)
        });
        here.map(|(.., policy)| policy)
    }

    /// Whether the proxy lets a request pass, on a connection that it has.
    pub fn request(&self, direction: Direction, peer: &Identity, port: u16, request: &Request) -> bool {
        self.for_proxy(direction, peer, 6, port).any(|policy| http::allowed(&policy.http, request))
    }

    /// Whether the proxy lets a pod look a name up.
    pub fn question(&self, server: &Identity, protocol: ProtocolNumber, port: u16, name: &str) -> bool {
        let policies = self.for_proxy(Direction::Egress, server, protocol, port);
        policies
            .into_iter()
            .any(|policy| super::dns::Names::of_rules(&policy.dns).is_ok_and(|names| names.contain(name)))
    }
}
