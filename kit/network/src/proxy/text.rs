//! Rules as text: what `iptables-restore` reads.

use super::iptables::{Config, LocalDetector};
use kit_contract::network::{
    IptablesMatch, IptablesRule, IptablesTable, IptablesTarget, KUBE_EXTERNAL_SERVICES, KUBE_MARK_MASQ, KUBE_NODEPORTS,
    KUBE_PROXY_FIREWALL, KUBE_SERVICES, ProxyEndpoint, ProxyPort,
};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// `address:port`, with brackets around IPv6 addresses; as it is if it is no address.
pub fn address_and_port(ip: &str, port: u16) -> String {
    ip.parse::<IpAddr>().map_or_else(|_| format!("{ip}:{port}"), |ip| SocketAddr::new(ip, port).to_string())
}

/// Appends a rule as a line. `comment` stands first, as in kube-proxy's rules.
pub fn write_rule(out: &mut String, rule: &IptablesRule, comment: Option<&str>, config: &Config) {
    // Writing to a String can't fail.
    out.push_str("-A ");
    out.push_str(&rule.chain);
    if let Some(comment) = comment {
        let quote = if comment.contains(' ') { "\"" } else { "" };
        let _ = write!(out, " -m comment --comment {quote}{comment}{quote}");
    }
    for part in &rule.matches {
        write_match(out, part, config);
    }
    match &rule.target {
        IptablesTarget::Jump(chain) => {
            out.push_str(" -j ");
            out.push_str(chain);
        }
        IptablesTarget::Dnat { ip, port } => {
            out.push_str(" -j DNAT --to-destination ");
            out.push_str(&address_and_port(ip, *port));
        }
        IptablesTarget::Accept => out.push_str(" -j ACCEPT"),
        IptablesTarget::Reject => out.push_str(" -j REJECT"),
        IptablesTarget::Drop => out.push_str(" -j DROP"),
        IptablesTarget::Return => out.push_str(" -j RETURN"),
    }
    out.push('\n');
}

fn write_match(out: &mut String, part: &IptablesMatch, config: &Config) {
    let _ = match part {
        IptablesMatch::Protocol(protocol) => write!(out, " -m {0} -p {0}", protocol.lower()),
        IptablesMatch::Source(cidr) => write!(out, " -s {cidr}"),
        IptablesMatch::Destination(cidr) => write!(out, " -d {cidr}"),
        IptablesMatch::DestinationPort(port) => write!(out, " --dport {port}"),
        IptablesMatch::FromPod => from_pod(out, "", &config.pods),
        IptablesMatch::NotFromPod => from_pod(out, " !", &config.pods),
        IptablesMatch::FromNode => write!(out, " -m addrtype --src-type LOCAL"),
        IptablesMatch::ToNode => write!(out, " -m addrtype --dst-type LOCAL"),
        IptablesMatch::OneIn(count) => {
            write!(out, " -m statistic --mode random --probability {:.10}", 1.0 / f64::from(*count))
        }
        IptablesMatch::Seen { list, seconds } => {
            write!(out, " -m recent --name {list} --rcheck --seconds {seconds} --reap")
        }
        IptablesMatch::Remember { list } => write!(out, " -m recent --name {list} --set"),
    };
}

/// `pkg/proxy/util/localdetector.go`.
fn from_pod(out: &mut String, not: &str, pods: &LocalDetector) -> std::fmt::Result {
    match pods {
        LocalDetector::None => Ok(()),
        LocalDetector::Range(cidr) => write!(out, "{not} -s {cidr}"),
        LocalDetector::Interface(name) => write!(out, "{not} -i {name}"),
        LocalDetector::InterfacePrefix(prefix) => write!(out, "{not} -i {prefix}+"),
    }
}

/// What kube-proxy says about a rule of a service port. Without comments on endpoints, iptables of large clusters are 40 % smaller.
pub fn comment(rule: &IptablesRule, port: &ProxyPort, endpoints: &[&ProxyEndpoint], is_large: bool) -> Option<String> {
    let (name, chains) = (&port.name, &port.chains);
    let jump = match &rule.target {
        IptablesTarget::Jump(chain) => Some(chain.as_str()),
        _ => None,
    };
    let destination = rule.matches.iter().find_map(|part| match part {
        IptablesMatch::Destination(ip) => Some(ip.as_str()),
        _ => None,
    });
    let refused = || match rule.target {
        IptablesTarget::Reject => format!("{name} has no endpoints"),
        _ => format!("{name} has no local endpoints"),
    };
    let has = |part: IptablesMatch| rule.matches.contains(&part);
    let chain = rule.chain.as_str();
    Some(match (rule.table, chain) {
        (IptablesTable::Filter, KUBE_SERVICES | KUBE_EXTERNAL_SERVICES) => refused(),
        (IptablesTable::Filter, KUBE_PROXY_FIREWALL) => format!("{name} traffic not accepted by {}", chains.firewall),
        (IptablesTable::Filter, KUBE_NODEPORTS) => format!("{name} health check node port"),
        (IptablesTable::Filter, _) => return None,
        (IptablesTable::Nat, KUBE_SERVICES) if destination == Some(&port.cluster_ip) => format!("{name} cluster IP"),
        (IptablesTable::Nat, KUBE_SERVICES) => {
            let is_balancer = port.load_balancer_ips.iter().any(|ip| Some(ip.as_str()) == destination);
            format!("{name} {} IP", if is_balancer { "loadbalancer" } else { "external" })
        }
        (IptablesTable::Nat, KUBE_NODEPORTS) => name.clone(),
        (IptablesTable::Nat, _) if chain == chains.external => {
            let kind = match (jump == Some(KUBE_MARK_MASQ), has(IptablesMatch::FromNode), has(IptablesMatch::FromPod)) {
                (true, true, _) => "masquerade LOCAL traffic",
                (true, false, _) => "masquerade traffic",
                (false, true, _) => "route LOCAL traffic",
                (false, false, true) => "pod traffic",
                (false, false, false) => return None,
            };
            format!("{kind} for {name} external destinations")
        }
        (IptablesTable::Nat, _) if chain == chains.firewall => format!("{name} loadbalancer IP"),
        (IptablesTable::Nat, _) if chain == chains.cluster || chain == chains.local => {
            match endpoints.iter().find(|endpoint| Some(endpoint.chain.as_str()) == jump) {
                Some(_) if is_large => return None,
                Some(endpoint) => format!("{name} -> {}", address_and_port(&endpoint.ip, endpoint.port)),
                None => format!("{name} cluster IP"),
            }
        }
        (IptablesTable::Nat, _) if is_large => return None,
        (IptablesTable::Nat, _) => name.clone(),
    })
}
