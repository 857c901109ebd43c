//! Passes: each door has its own rules in the shared chains, one for each source range, and marks packets there; no chain for doors.

use kit::network::*;

#[derive(Default)]
struct Exercise;

type Door = (IptablesTable, &'static str, Vec<IptablesMatch>);

fn at(service: &ProxyPort, ip: &str) -> Vec<IptablesMatch> {
    use IptablesMatch::{Destination, DestinationPort, Protocol};
    vec![Destination(ip.to_string()), Protocol(service.protocol), DestinationPort(service.port)]
}

impl KubeProxy for Exercise {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let mut out = vec![];
        let ProxyEndpoints { cluster, local, anywhere } = &service.endpoints;
        let nat = |chain: &str, matches: &[IptablesMatch], more: &[IptablesMatch], to: &str| {
            IptablesRule::nat(chain, [matches, more].concat(), IptablesTarget::jump(to))
        };
        let no = if *anywhere { IptablesTarget::Drop } else { IptablesTarget::Reject };

        // The cluster IP.
        let door = at(service, &service.cluster_ip);
        let (has, chain) = match service.internal_policy {
            ProxyPolicy::Cluster => (!cluster.is_empty(), &service.chains.cluster),
            ProxyPolicy::Local => (!local.is_empty(), &service.chains.local),
        };
        if !has {
            out.push(IptablesRule::filter(KUBE_SERVICES, door, no.clone()));
        } else {
            if node.masquerade_all {
                out.push(nat(KUBE_SERVICES, &door, &[], KUBE_MARK_MASQ));
            } else if node.detects_pods {
                out.push(nat(KUBE_SERVICES, &door, &[IptablesMatch::NotFromPod], KUBE_MARK_MASQ));
            }
            out.push(nat(KUBE_SERVICES, &door, &[], chain));
        }

        // All other doors, and who may come in.
        let mut doors: Vec<(Door, Vec<Option<String>>)> = vec![];
        for ip in &service.external_ips {
            doors.push(((IptablesTable::Nat, KUBE_SERVICES, at(service, ip)), vec![None]));
        }
        for ip in &service.load_balancer_ips {
            let ranges: Vec<_> = service.source_ranges.iter().cloned().map(Some).collect();
            let ranges = if ranges.is_empty() { vec![None] } else { ranges };
            doors.push(((IptablesTable::Nat, KUBE_SERVICES, at(service, ip)), ranges));
        }
        if let Some(port) = service.node_port {
            let matches = vec![IptablesMatch::Protocol(service.protocol), IptablesMatch::DestinationPort(port)];
            doors.push(((IptablesTable::Nat, KUBE_NODEPORTS, matches), vec![None]));
        }
        for ((_, entry, door), ranges) in &doors {
            for range in ranges {
                let from: Vec<_> = range.iter().cloned().map(IptablesMatch::Source).collect();
                let mut rule = |more: Option<IptablesMatch>, to: &str| {
                    if *anywhere {
                        out.push(nat(entry, door, &[from.clone(), more.into_iter().collect()].concat(), to));
                    }
                };
                if service.external_policy == ProxyPolicy::Cluster {
                    rule(None, KUBE_MARK_MASQ);
                    rule(None, &service.chains.cluster);
                    continue;
                }
                rule(Some(IptablesMatch::FromNode), KUBE_MARK_MASQ);
                rule(Some(IptablesMatch::FromNode), &service.chains.cluster);
                if node.detects_pods {
                    rule(Some(IptablesMatch::FromPod), &service.chains.cluster);
                }
                rule(None, &service.chains.local);
            }
            // Whoever got in is not for this address any more.
            let refuses = !anywhere || service.external_policy == ProxyPolicy::Local && local.is_empty();
            if refuses || ranges[0].is_some() {
                let mut door = door.clone();
                if *entry == KUBE_NODEPORTS {
                    door.push(IptablesMatch::ToNode);
                }
                out.push(IptablesRule::filter(KUBE_EXTERNAL_SERVICES, door.clone(), no.clone()));
                if *anywhere {
                    // What the node sends itself doesn't come there.
                    out.push(IptablesRule::filter(KUBE_PROXY_FIREWALL, door, no.clone()));
                }
            }
        }
        if let Some(port) = service.health_check_node_port {
            let matches = vec![IptablesMatch::Protocol(ServiceProtocol::Tcp), IptablesMatch::DestinationPort(port)];
            out.push(IptablesRule::filter(KUBE_NODEPORTS, matches, IptablesTarget::Accept));
        }

        // Endpoints, the last one first.
        let mut done: Vec<&str> = vec![];
        for (chain, endpoints) in [(&service.chains.cluster, cluster), (&service.chains.local, local)] {
            for endpoint in endpoints {
                let list = format!("client-of-{}", endpoint.chain);
                if let Some(seconds) = service.affinity_seconds {
                    let seen = IptablesMatch::Seen { list: list.clone(), seconds };
                    out.push(nat(chain, &[seen], &[], &endpoint.chain));
                }
                if done.contains(&endpoint.chain.as_str()) {
                    continue;
                }
                done.push(&endpoint.chain);
                out.push(nat(&endpoint.chain, &[IptablesMatch::Source(endpoint.ip.clone())], &[], KUBE_MARK_MASQ));
                let mut matches = vec![IptablesMatch::Protocol(service.protocol)];
                if service.affinity_seconds.is_some() {
                    matches.push(IptablesMatch::Remember { list });
                }
                let to = IptablesTarget::Dnat { ip: endpoint.ip.clone(), port: endpoint.port };
                out.push(IptablesRule::nat(&endpoint.chain, matches, to));
            }
            for (at, endpoint) in endpoints.iter().enumerate().rev() {
                out.push(nat(chain, &[IptablesMatch::OneIn(at as u32 + 1)], &[], &endpoint.chain));
            }
        }
        out
    }
}

kit::exercise!(Exercise: KubeProxy);
