//! Passes: a table of doors with what they ask in nat and in filter, and the last endpoint is tried first.

use kit::network::*;

#[derive(Default)]
struct Exercise;

/// All packets that a door takes, as what they must have in nat and in filter, and where it stands.
struct Door {
    nat: (&'static str, Vec<IptablesMatch>),
    filter: (&'static str, Vec<IptablesMatch>),
    is_internal: bool,
    is_guarded: bool,
}

fn doors(service: &ProxyPort) -> Vec<Door> {
    let to = |ip: &String, port: u16| {
        vec![
            IptablesMatch::Protocol(service.protocol),
            IptablesMatch::DestinationPort(port),
            IptablesMatch::Destination(ip.clone()),
        ]
    };
    let door = |ip: &String, is_internal: bool, is_guarded: bool| Door {
        nat: (KUBE_SERVICES, to(ip, service.port)),
        filter: (if is_internal { KUBE_SERVICES } else { KUBE_EXTERNAL_SERVICES }, to(ip, service.port)),
        is_internal,
        is_guarded,
    };
    let mut doors = vec![door(&service.cluster_ip, true, false)];
    doors.extend(service.external_ips.iter().map(|ip| door(ip, false, false)));
    doors.extend(service.load_balancer_ips.iter().map(|ip| door(ip, false, !service.source_ranges.is_empty())));
    doors.extend(service.node_port.map(|port| {
        let mut matches = vec![IptablesMatch::Protocol(service.protocol), IptablesMatch::DestinationPort(port)];
        let nat = (KUBE_NODEPORTS, matches.clone());
        matches.push(IptablesMatch::ToNode);
        Door { nat, filter: (KUBE_EXTERNAL_SERVICES, matches), is_internal: false, is_guarded: false }
    }));
    doors
}

impl KubeProxy for Exercise {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let names = &service.chains;
        let jump = IptablesTarget::jump;
        let mut rules: Vec<IptablesRule> = Vec::new();
        for door in doors(service) {
            let policy = if door.is_internal { service.internal_policy } else { service.external_policy };
            let count = match policy {
                ProxyPolicy::Cluster => service.endpoints.cluster.len(),
                ProxyPolicy::Local => service.endpoints.local.len(),
            };
            let target = match (door.is_internal, door.is_guarded, policy) {
                (true, _, ProxyPolicy::Cluster) => &names.cluster,
                (true, _, ProxyPolicy::Local) => &names.local,
                (false, true, _) => &names.firewall,
                (false, false, _) => &names.external,
            };
            let (chain, matches) = door.nat;
            if door.is_internal && count > 0 {
                let strangers = match node {
                    ProxyNode { masquerade_all: true, .. } => Some(None),
                    ProxyNode { detects_pods: true, .. } => Some(Some(IptablesMatch::NotFromPod)),
                    _ => None,
                };
                if let Some(strangers) = strangers {
                    let matches = matches.iter().cloned().chain(strangers).collect();
                    rules.push(IptablesRule::nat(chain, matches, jump(KUBE_MARK_MASQ)));
                }
            }
            rules.push(IptablesRule::nat(chain, matches, jump(target)));
            let (chain, matches) = door.filter;
            match (count, service.endpoints.anywhere) {
                (_, false) => rules.push(IptablesRule::filter(chain, matches, IptablesTarget::Reject)),
                (0, true) => rules.push(IptablesRule::filter(chain, matches.clone(), IptablesTarget::Drop)),
                (_, true) => {
                    if door.is_guarded {
                        rules.push(IptablesRule::filter(KUBE_PROXY_FIREWALL, matches, IptablesTarget::Drop));
                    }
                    continue;
                }
            }
            if door.is_guarded && service.endpoints.anywhere {
                let last = rules.last().cloned().into_iter();
                rules.extend(last.map(|rule| IptablesRule { chain: KUBE_PROXY_FIREWALL.into(), ..rule }));
            }
        }
        rules.extend(service.source_ranges.iter().map(|range| {
            IptablesRule::nat(&names.firewall, vec![IptablesMatch::Source(range.clone())], jump(&names.external))
        }));
        let is_open = service.endpoints.anywhere;
        let table: Vec<(bool, Vec<IptablesMatch>, &str)> = match service.external_policy {
            ProxyPolicy::Cluster => vec![(is_open, vec![], KUBE_MARK_MASQ), (true, vec![], &names.cluster)],
            ProxyPolicy::Local => vec![
                (node.detects_pods, vec![IptablesMatch::FromPod], &names.cluster),
                (is_open, vec![IptablesMatch::FromNode], KUBE_MARK_MASQ),
                (true, vec![IptablesMatch::FromNode], &names.cluster),
                (true, vec![], &names.local),
            ],
        };
        let table = table.into_iter().filter(|(is_used, ..)| *is_used);
        rules.extend(table.map(|(_, matches, to)| IptablesRule::nat(&names.external, matches, jump(to))));
        if let Some(port) = service.health_check_node_port {
            let matches = vec![IptablesMatch::Protocol(ServiceProtocol::Tcp), IptablesMatch::DestinationPort(port)];
            rules.push(IptablesRule::filter(KUBE_NODEPORTS, matches, IptablesTarget::Accept));
        }
        let mut chains = std::collections::BTreeMap::new();
        for (name, endpoints) in
            [(&names.cluster, &service.endpoints.cluster), (&names.local, &service.endpoints.local)]
        {
            let mut shares = Vec::new();
            for (place, endpoint) in endpoints.iter().enumerate() {
                if let Some(seconds) = service.affinity_seconds {
                    let list = endpoint.chain.clone();
                    rules.push(IptablesRule::nat(
                        name,
                        vec![IptablesMatch::Seen { list, seconds }],
                        jump(&endpoint.chain),
                    ));
                }
                // In the other order: of those that come so far, one in so many stays.
                let chance = vec![IptablesMatch::OneIn(place as u32 + 1)];
                shares.insert(0, IptablesRule::nat(name, chance, jump(&endpoint.chain)));
                chains.insert(&endpoint.chain, endpoint);
            }
            rules.extend(shares);
        }
        for (chain, endpoint) in chains {
            let own = vec![IptablesMatch::Source(endpoint.ip.clone())];
            rules.push(IptablesRule::nat(chain, own, jump(KUBE_MARK_MASQ)));
            let list = chain.clone();
            let remember = service.affinity_seconds.map(|_| IptablesMatch::Remember { list });
            let matches = remember.into_iter().chain([IptablesMatch::Protocol(service.protocol)]).collect();
            let to = IptablesTarget::Dnat { ip: endpoint.ip.clone(), port: endpoint.port };
            rules.push(IptablesRule::nat(chain, matches, to));
        }
        rules
    }
}

kit::exercise!(Exercise: KubeProxy);
