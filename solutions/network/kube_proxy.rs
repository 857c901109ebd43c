//! The reference for `network/kube_proxy`.
//!
//! The order of rules follows `syncProxyRules` in `pkg/proxy/iptables/proxier.go`.

// ANCHOR: solution
use kit::network::{
    IptablesMatch, IptablesRule, IptablesTarget, KUBE_EXTERNAL_SERVICES, KUBE_MARK_MASQ, KUBE_NODEPORTS,
    KUBE_PROXY_FIREWALL, KUBE_SERVICES, KubeProxy, ProxyEndpoint, ProxyNode, ProxyPolicy, ProxyPort, ServiceProtocol,
};

/// kube-proxy in iptables mode, for one service port.
#[derive(Default)]
pub struct Exercise;

impl KubeProxy for Exercise {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let mut rules = entrances(service);
        rules.extend(masquerade(service, node));
        rules.extend(external(service, node));
        rules.extend(firewall(service));
        let (chains, endpoints) = (&service.chains, &service.endpoints);
        rules.extend(spread(service, &chains.cluster, &endpoints.cluster));
        rules.extend(spread(service, &chains.local, &endpoints.local));
        let only_local = endpoints.local.iter().filter(|endpoint| !endpoints.cluster.contains(endpoint));
        rules.extend(endpoints.cluster.iter().chain(only_local).flat_map(|endpoint| deliver(service, endpoint)));
        rules
    }
}

// ANCHOR: policy
/// The chain in which a policy spreads packets over endpoints, if there is one to spread them over.
fn under(service: &ProxyPort, policy: ProxyPolicy) -> Option<&str> {
    let (chains, endpoints) = (&service.chains, &service.endpoints);
    match policy {
        ProxyPolicy::Cluster => endpoints.anywhere.then_some(chains.cluster.as_str()),
        ProxyPolicy::Local => (!endpoints.local.is_empty()).then_some(chains.local.as_str()),
    }
}

/// What becomes of packets that no endpoint is there for.
fn refusal(service: &ProxyPort) -> IptablesTarget {
    if service.endpoints.anywhere { IptablesTarget::Drop } else { IptablesTarget::Reject }
}
// ANCHOR_END: policy

/// What a packet to this address has.
fn to(service: &ProxyPort, ip: &str) -> Vec<IptablesMatch> {
    vec![
        IptablesMatch::Protocol(service.protocol),
        IptablesMatch::Destination(ip.into()),
        IptablesMatch::DestinationPort(service.port),
    ]
}

// ANCHOR: entrances
/// Where packets are caught: each address of the service leads into one of its chains, or is refused.
fn entrances(service: &ProxyPort) -> Vec<IptablesRule> {
    let mut rules = Vec::new();
    rules.push(match under(service, service.internal_policy) {
        Some(chain) => IptablesRule::nat(KUBE_SERVICES, to(service, &service.cluster_ip), IptablesTarget::jump(chain)),
        None => IptablesRule::filter(KUBE_SERVICES, to(service, &service.cluster_ip), refusal(service)),
    });
    // Pods and the node itself are let round the policy, so that the chain is there also if it has no endpoint itself.
    let is_open = service.endpoints.anywhere;
    let is_refused = under(service, service.external_policy).is_none();
    let is_guarded = !service.source_ranges.is_empty();
    let chains = &service.chains;
    let through = if is_guarded { &chains.firewall } else { &chains.external };
    let external = service.external_ips.iter().map(|ip| (ip, &chains.external));
    let balancers = service.load_balancer_ips.iter().map(|ip| (ip, through));
    for (ip, chain) in external.chain(balancers) {
        if is_open {
            rules.push(IptablesRule::nat(KUBE_SERVICES, to(service, ip), IptablesTarget::jump(chain)));
        }
        if is_refused {
            rules.push(IptablesRule::filter(KUBE_EXTERNAL_SERVICES, to(service, ip), refusal(service)));
        }
    }
    if is_open && is_guarded {
        let guarded = service.load_balancer_ips.iter();
        // Whoever was let in has another destination by now.
        rules
            .extend(guarded.map(|ip| IptablesRule::filter(KUBE_PROXY_FIREWALL, to(service, ip), IptablesTarget::Drop)));
    }
    if let Some(port) = service.node_port {
        let to_port = vec![IptablesMatch::Protocol(service.protocol), IptablesMatch::DestinationPort(port)];
        if is_open {
            rules.push(IptablesRule::nat(KUBE_NODEPORTS, to_port.clone(), IptablesTarget::jump(&chains.external)));
        }
        if is_refused {
            let to_node = [vec![IptablesMatch::ToNode], to_port].concat();
            rules.push(IptablesRule::filter(KUBE_EXTERNAL_SERVICES, to_node, refusal(service)));
        }
    }
    if let Some(port) = service.health_check_node_port {
        let to_port = vec![IptablesMatch::Protocol(ServiceProtocol::Tcp), IptablesMatch::DestinationPort(port)];
        rules.push(IptablesRule::filter(KUBE_NODEPORTS, to_port, IptablesTarget::Accept));
    }
    rules
}
// ANCHOR_END: entrances

// ANCHOR: internal
/// To the cluster IP: who isn't a pod might get the answer from an address that it never asked.
fn masquerade(service: &ProxyPort, node: &ProxyNode) -> Option<IptablesRule> {
    let chain = under(service, service.internal_policy)?;
    let mut matches = to(service, &service.cluster_ip);
    match (node.masquerade_all, node.detects_pods) {
        (true, _) => {}
        (false, true) => matches.push(IptablesMatch::NotFromPod),
        (false, false) => return None,
    }
    Some(IptablesRule::nat(chain, matches, IptablesTarget::jump(KUBE_MARK_MASQ)))
}
// ANCHOR_END: internal

// ANCHOR: external
/// From outside.
fn external(service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
    let is_reachable =
        service.node_port.is_some() || !service.external_ips.is_empty() || !service.load_balancer_ips.is_empty();
    if !is_reachable || !service.endpoints.anywhere {
        return Vec::new();
    }
    let (chains, mut rules) = (&service.chains, Vec::new());
    let mut rule =
        |matches, target: &str| rules.push(IptablesRule::nat(&chains.external, matches, IptablesTarget::jump(target)));
    match service.external_policy {
        ProxyPolicy::Cluster => rule(vec![], KUBE_MARK_MASQ),
        ProxyPolicy::Local => {
            if node.detects_pods {
                rule(vec![IptablesMatch::FromPod], &chains.cluster);
            }
            rule(vec![IptablesMatch::FromNode], KUBE_MARK_MASQ);
            rule(vec![IptablesMatch::FromNode], &chains.cluster);
        }
    }
    if let Some(chain) = under(service, service.external_policy) {
        rule(vec![], chain);
    }
    rules
}

/// To the IPs of load balancers, if only some may come.
fn firewall(service: &ProxyPort) -> Vec<IptablesRule> {
    if service.load_balancer_ips.is_empty() || !service.endpoints.anywhere {
        return Vec::new();
    }
    let chains = &service.chains;
    let enter = |range: &String| {
        let from = vec![IptablesMatch::Source(range.clone())];
        IptablesRule::nat(&chains.firewall, from, IptablesTarget::jump(&chains.external))
    };
    service.source_ranges.iter().map(enter).collect()
}
// ANCHOR_END: external

// ANCHOR: spread
/// To one of the endpoints: the one that knows the client, or else any.
fn spread(service: &ProxyPort, chain: &str, endpoints: &[ProxyEndpoint]) -> Vec<IptablesRule> {
    let rule =
        |matches, endpoint: &ProxyEndpoint| IptablesRule::nat(chain, matches, IptablesTarget::jump(&endpoint.chain));
    let mut rules = Vec::new();
    if let Some(seconds) = service.affinity_seconds {
        let seen = |endpoint: &ProxyEndpoint| IptablesMatch::Seen { list: endpoint.chain.clone(), seconds };
        rules.extend(endpoints.iter().map(|endpoint| rule(vec![seen(endpoint)], endpoint)));
    }
    // The first of three takes one in three, the second one in two of the rest, and the last all that is left.
    for (endpoint, left) in endpoints.iter().zip((1..=endpoints.len() as u32).rev()) {
        let chance = if left > 1 { vec![IptablesMatch::OneIn(left)] } else { Vec::new() };
        rules.push(rule(chance, endpoint));
    }
    rules
}

/// At an endpoint.
fn deliver(service: &ProxyPort, endpoint: &ProxyEndpoint) -> [IptablesRule; 2] {
    let from_itself = vec![IptablesMatch::Source(endpoint.ip.clone())];
    let mut matches = vec![IptablesMatch::Protocol(service.protocol)];
    if service.affinity_seconds.is_some() {
        matches.insert(0, IptablesMatch::Remember { list: endpoint.chain.clone() });
    }
    let target = IptablesTarget::Dnat { ip: endpoint.ip.clone(), port: endpoint.port };
    [
        IptablesRule::nat(&endpoint.chain, from_itself, IptablesTarget::jump(KUBE_MARK_MASQ)),
        IptablesRule::nat(&endpoint.chain, matches, target),
    ]
}
// ANCHOR_END: spread
// ANCHOR_END: solution
