//! The reference for `network/dns`.
//!
//! The names follow `plugin/kubernetes` of CoreDNS: `parseRequest`, `findServices`, `endpointHostname`,
//! `serviceRecordForIP`.

// ANCHOR: solution
use kit::network::dns::{Answer, Cluster, Data, Dns, Endpoint, Kind, Port, Question, Record, ServiceKind, Slice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The core of CoreDNS' plugin `kubernetes`.
#[derive(Default)]
pub struct Exercise;

// ANCHOR: answer
impl Dns for Exercise {
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let Some(below) = question.name.strip_suffix(&format!("{}.", cluster.domain)) else {
            return reverse(question, cluster);
        };
        let mut labels: Vec<&str> = below.split_terminator('.').collect();
        labels.reverse();
        let request = match labels[..] {
            [] | ["svc"] => return Answer::NoData,
            ["svc", namespace] if cluster.namespaces.iter().any(|n| n == namespace) => return Answer::NoData,
            ["svc", namespace, service] => Request { namespace, service, host: None, port: None },
            ["svc", namespace, service, host] => Request { namespace, service, host: Some(host), port: None },
            ["svc", namespace, service, protocol, port] => {
                let port = (port.strip_prefix('_').unwrap_or(port), protocol.strip_prefix('_').unwrap_or(protocol));
                Request { namespace, service, host: None, port: Some(port) }
            }
            _ => return Answer::NxDomain,
        };
        request.answer(question, cluster)
    }
}
// ANCHOR_END: answer

/// What a name below `svc` asks for.
struct Request<'a> {
    namespace: &'a str,
    service: &'a str,
    host: Option<&'a str>,
    /// Name and protocol.
    port: Option<(&'a str, &'a str)>,
}

/// An address with a port, and what SRV records call it.
struct Pair<'a> {
    address: &'a str,
    port: Option<u16>,
    target: String,
}

// ANCHOR: pairs
impl Request<'_> {
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let service = cluster.services.iter().find(|s| s.namespace == self.namespace && s.name == self.service);
        let Some(service) = service else { return Answer::NxDomain };
        let name = service_name(self.service, self.namespace, cluster);
        let pairs = match &service.kind {
            ServiceKind::ExternalName(external) => return self.external(question, external),
            ServiceKind::ClusterIps(addresses) if self.host.is_none() => {
                let ports = service.ports.iter().filter(|port| self.wants(port));
                ports
                    .flat_map(|port| addresses.iter().map(move |address| (address, port.port)))
                    .map(|(address, port)| Pair { address, port: Some(port), target: name.clone() })
                    .collect()
            }
            _ => self.endpoints(cluster, &name),
        };
        if pairs.is_empty() { Answer::NxDomain } else { records(question, &pairs) }
    }

    /// The pairs of all ready endpoints that are asked for.
    fn endpoints<'c>(&self, cluster: &'c Cluster, service: &str) -> Vec<Pair<'c>> {
        let mut pairs = Vec::new();
        let slices = cluster.slices.iter().filter(|s| s.namespace == self.namespace && s.service == self.service);
        for slice in slices {
            for (address, host) in ready(slice).filter(|(_, host)| self.host.is_none_or(|wanted| wanted == host)) {
                let target = format!("{host}.{service}");
                if slice.ports.is_empty() && self.port.is_none() {
                    pairs.push(Pair { address, port: None, target: target.clone() });
                }
                for port in slice.ports.iter().filter(|port| self.wants(port)) {
                    pairs.push(Pair { address, port: Some(port.port), target: target.clone() });
                }
            }
        }
        pairs
    }

    fn wants(&self, port: &Port) -> bool {
        self.port.is_none_or(|(name, protocol)| {
            port.name.eq_ignore_ascii_case(name) && port.protocol.eq_ignore_ascii_case(protocol)
        })
    }

    fn external(&self, question: &Question, external: &str) -> Answer {
        if self.host.is_some() || self.port.is_some() || external.parse::<IpAddr>().is_ok() {
            return Answer::NxDomain;
        }
        match question.kind {
            Kind::A | Kind::Aaaa | Kind::Cname => {
                let target = format!("{}.", external.strip_suffix('.').unwrap_or(external));
                let answer = vec![Record { name: question.name.clone(), data: Data::Cname(target) }];
                Answer::Records { answer, additional: Vec::new() }
            }
            _ => Answer::NoData,
        }
    }
}
// ANCHOR_END: pairs

/// `web.shop.svc.cluster.local.`
fn service_name(service: &str, namespace: &str, cluster: &Cluster) -> String {
    format!("{service}.{namespace}.svc.{}.", cluster.domain)
}

// ANCHOR: hostname
/// The ready addresses of a slice, each with the name of its endpoint.
fn ready(slice: &Slice) -> impl Iterator<Item = (&str, String)> {
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.ready != Some(false));
    ready.flat_map(|endpoint| endpoint.addresses.iter().map(|address| (address.as_str(), hostname(endpoint, address))))
}

/// A name may not end with a dash, which `fd00::` would give.
fn hostname(endpoint: &Endpoint, address: &str) -> String {
    match &endpoint.hostname {
        Some(hostname) if !hostname.is_empty() => hostname.clone(),
        _ => {
            let dashed = address.replace(['.', ':'], "-");
            if dashed.ends_with('-') { dashed + "0" } else { dashed }
        }
    }
}
// ANCHOR_END: hostname

// ANCHOR: records
fn records(question: &Question, pairs: &[Pair<'_>]) -> Answer {
    let (mut answer, mut additional) = (Vec::new(), Vec::new());
    for pair in pairs {
        let address = address_record(pair.address);
        match question.kind {
            Kind::A if matches!(address, Data::A(_)) => add(&mut answer, &question.name, address),
            Kind::Aaaa if matches!(address, Data::Aaaa(_)) => add(&mut answer, &question.name, address),
            Kind::Srv => {
                let Some(port) = pair.port else { continue };
                let weight = u16::try_from(100 / pairs.len()).unwrap_or(1).max(1);
                add(&mut answer, &question.name, Data::Srv { weight, port, target: pair.target.clone() });
                add(&mut additional, &pair.target, address);
            }
            _ => {}
        }
    }
    if answer.is_empty() { Answer::NoData } else { Answer::Records { answer, additional } }
}

fn address_record(address: &str) -> Data {
    if address.contains(':') { Data::Aaaa(address.into()) } else { Data::A(address.into()) }
}

/// No record twice.
fn add(records: &mut Vec<Record>, name: &str, data: Data) {
    let record = Record { name: name.into(), data };
    if !records.contains(&record) {
        records.push(record);
    }
}
// ANCHOR_END: records

// ANCHOR: reverse
fn reverse(question: &Question, cluster: &Cluster) -> Answer {
    let Some(address) = reversed_address(&question.name) else { return Answer::NxDomain };
    let owner = cluster.services.iter().find(|service| match &service.kind {
        ServiceKind::ClusterIps(addresses) => addresses.contains(&address),
        _ => false,
    });
    let mut answer = Vec::new();
    if let Some(service) = owner {
        add(&mut answer, &question.name, Data::Ptr(service_name(&service.name, &service.namespace, cluster)));
    } else {
        for slice in &cluster.slices {
            let service = service_name(&slice.service, &slice.namespace, cluster);
            for (_, host) in ready(slice).filter(|(of, _)| *of == address) {
                add(&mut answer, &question.name, Data::Ptr(format!("{host}.{service}")));
            }
        }
    }
    if answer.is_empty() { Answer::NxDomain } else { Answer::Records { answer, additional: Vec::new() } }
}

/// The address that a name below `in-addr.arpa.` or `ip6.arpa.` stands for, in its shortest form.
fn reversed_address(name: &str) -> Option<String> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa.") {
        let numbers: Vec<&str> = numbers.rsplit('.').collect();
        return Some(numbers.join(".").parse::<Ipv4Addr>().ok()?.to_string());
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa.")?.rsplit('.').collect();
    if digits.len() != 32 || digits.iter().any(|digit| digit.len() != 1) {
        return None;
    }
    let groups: Vec<String> = digits.chunks(4).map(|four| four.concat()).collect();
    Some(groups.join(":").parse::<Ipv6Addr>().ok()?.to_string())
}
// ANCHOR_END: reverse
// ANCHOR_END: solution
