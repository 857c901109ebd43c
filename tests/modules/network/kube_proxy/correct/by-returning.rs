//! Passes: chains say who does not belong there and send those back; a table of doors, and one chain that decides for all of them.

use kit::network::IptablesMatch as When;
use kit::network::IptablesTarget as Then;
use kit::network::*;

#[derive(Default)]
struct Exercise;

struct Rules<'a> {
    service: &'a ProxyPort,
    node: &'a ProxyNode,
    rules: Vec<IptablesRule>,
}

impl KubeProxy for Exercise {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        let mut rules = Rules { service, node, rules: Vec::new() };
        rules.refusals();
        rules.inside();
        rules.outside();
        rules.endpoints();
        rules.rules
    }
}

impl Rules<'_> {
    fn nat(&mut self, chain: &str, when: Vec<When>, then: Then) {
        self.rules.push(IptablesRule {
            table: IptablesTable::Nat,
            chain: chain.to_owned(),
            matches: when,
            target: then,
        });
    }

    fn filter(&mut self, chain: &str, when: Vec<When>, then: Then) {
        self.rules.push(IptablesRule {
            table: IptablesTable::Filter,
            chain: chain.to_owned(),
            matches: when,
            target: then,
        });
    }

    fn door(&self, ip: &str, port: u16) -> Vec<When> {
        vec![When::Destination(ip.to_owned()), When::Protocol(self.service.protocol), When::DestinationPort(port)]
    }

    /// Packets that are still for the service when filter sees them were let in by nobody. So it is enough to refuse them all, with or without
    /// endpoints.
    fn refusals(&mut self) {
        let service = self.service;
        let refuse = if service.endpoints.anywhere { Then::Drop } else { Then::Reject };
        self.filter(KUBE_SERVICES, self.door(&service.cluster_ip, service.port), refuse.clone());
        for ip in service.external_ips.iter().chain(&service.load_balancer_ips) {
            self.filter(KUBE_EXTERNAL_SERVICES, self.door(ip, service.port), refuse.clone());
            if service.endpoints.anywhere {
                self.filter(KUBE_PROXY_FIREWALL, self.door(ip, service.port), Then::Drop);
            }
        }
        if let Some(port) = service.node_port {
            let door = vec![When::Protocol(service.protocol), When::DestinationPort(port), When::ToNode];
            self.filter(KUBE_EXTERNAL_SERVICES, door, refuse);
        }
        if let Some(port) = service.health_check_node_port {
            let door = vec![When::ToNode, When::Protocol(ServiceProtocol::Tcp), When::DestinationPort(port)];
            self.filter(KUBE_NODEPORTS, door, Then::Accept);
        }
    }

    fn inside(&mut self) {
        let service = self.service;
        let (chain, endpoints) = match service.internal_policy {
            ProxyPolicy::Cluster => (service.chains.cluster.clone(), &service.endpoints.cluster),
            ProxyPolicy::Local => (service.chains.local.clone(), &service.endpoints.local),
        };
        if endpoints.is_empty() {
            return;
        }
        let door = self.door(&service.cluster_ip, service.port);
        match (self.node.masquerade_all, self.node.detects_pods) {
            (true, _) => self.nat(KUBE_SERVICES, door.clone(), Then::jump(KUBE_MARK_MASQ)),
            (_, true) => {
                self.nat(KUBE_SERVICES, [vec![When::NotFromPod], door.clone()].concat(), Then::jump(KUBE_MARK_MASQ))
            }
            _ => {}
        }
        self.nat(KUBE_SERVICES, door, Then::Jump(chain));
    }

    fn outside(&mut self) {
        let service = self.service;
        let chains = &service.chains;
        for ip in &service.external_ips {
            self.nat(KUBE_SERVICES, self.door(ip, service.port), Then::jump(&chains.external));
        }
        for ip in &service.load_balancer_ips {
            let to = if service.source_ranges.is_empty() { &chains.external } else { &chains.firewall };
            self.nat(KUBE_SERVICES, self.door(ip, service.port), Then::jump(to));
        }
        for range in &service.source_ranges {
            self.nat(&chains.firewall, vec![When::Source(range.clone())], Then::jump(&chains.external));
        }
        if let Some(port) = service.node_port {
            let door = vec![When::Protocol(service.protocol), When::DestinationPort(port), When::ToNode];
            self.nat(KUBE_NODEPORTS, door, Then::jump(&chains.external));
        }
        // What is marked is let through, so nothing is marked that nobody serves.
        if !service.endpoints.anywhere {
            return;
        }
        // One chain decides for all of them.
        let chain = &chains.external;
        if service.external_policy == ProxyPolicy::Cluster {
            self.nat(chain, vec![], Then::jump(KUBE_MARK_MASQ));
            return self.nat(chain, vec![], Then::jump(&chains.cluster));
        }
        self.nat(chain, vec![When::FromNode], Then::jump(KUBE_MARK_MASQ));
        self.nat(chain, vec![When::FromNode], Then::jump(&chains.cluster));
        self.nat(chain, vec![When::FromNode], Then::Return);
        if self.node.detects_pods {
            self.nat(chain, vec![When::FromPod], Then::jump(&chains.cluster));
            self.nat(chain, vec![When::FromPod], Then::Return);
        }
        self.nat(chain, vec![], Then::jump(&chains.local));
    }

    fn endpoints(&mut self) {
        let service = self.service;
        let (chains, endpoints) = (&service.chains, &service.endpoints);
        for (chain, all) in [(&chains.cluster, &endpoints.cluster), (&chains.local, &endpoints.local)] {
            for endpoint in all {
                let Some(seconds) = service.affinity_seconds else { break };
                self.nat(
                    chain,
                    vec![When::Seen { list: endpoint.chain.clone(), seconds }],
                    Then::jump(&endpoint.chain),
                );
            }
            let mut left = all.len() as u32;
            for endpoint in all {
                self.nat(chain, vec![When::OneIn(left)], Then::jump(&endpoint.chain));
                left -= 1;
            }
        }
        let mut all: Vec<_> = endpoints.cluster.iter().chain(&endpoints.local).collect();
        all.sort_by(|a, b| a.chain.cmp(&b.chain));
        all.dedup_by(|a, b| a.chain == b.chain);
        for ProxyEndpoint { ip, port, chain } in all {
            self.nat(chain, vec![When::Source(ip.clone())], Then::jump(KUBE_MARK_MASQ));
            let to = Then::Dnat { ip: ip.clone(), port: *port };
            let mut when = vec![When::Protocol(service.protocol)];
            if service.affinity_seconds.is_some() {
                when.push(When::Remember { list: chain.clone() });
            }
            self.nat(chain, when, to);
        }
    }
}

kit::exercise!(Exercise: KubeProxy);
