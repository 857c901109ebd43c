//! Passes: goes down the tree of names, one label after the other, and narrows a list of ports and endpoints.

use kit::network::dns::{Answer, Cluster, Data, Dns, Kind, Question, Record, ServiceKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Default)]
struct Exercise;

impl Dns for Exercise {
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let mut labels: Vec<&str> = question.name.trim_end_matches('.').split('.').collect();
        for wanted in cluster.domain.rsplit('.') {
            if labels.pop() != Some(wanted) {
                return pointers(question, cluster);
            }
        }
        match labels.pop() {
            None => return Answer::NoData,
            Some("svc") => {}
            Some(_) => return Answer::NxDomain,
        }
        let Some(namespace) = labels.pop() else { return Answer::NoData };
        let Some(name) = labels.pop() else {
            let exists = cluster.namespaces.iter().any(|known| known.as_str() == namespace);
            return if exists { Answer::NoData } else { Answer::NxDomain };
        };
        let found = cluster.services.iter().find(|s| (&*s.namespace, &*s.name) == (namespace, name));
        let Some(service) = found else { return Answer::NxDomain };
        let own = format!("{name}.{namespace}.svc.{}.", cluster.domain);
        if let ServiceKind::ExternalName(target) = &service.kind {
            if !labels.is_empty() || target.parse::<Ipv4Addr>().is_ok() || target.parse::<Ipv6Addr>().is_ok() {
                return Answer::NxDomain;
            }
            if !matches!(question.kind, Kind::A | Kind::Aaaa | Kind::Cname) {
                return Answer::NoData;
            }
            let target = format!("{}.", target.trim_end_matches('.'));
            return one(&question.name, Data::Cname(target));
        }
        // What is asked for: everything, one host, or one port.
        let (host, port) = match labels[..] {
            [] => (None, None),
            [host] => (Some(host), None),
            [port, protocol] => {
                let bare = |label: &str| label.trim_start_matches('_').to_lowercase();
                (None, Some(format!("{}/{}", bare(port), bare(protocol))))
            }
            _ => return Answer::NxDomain,
        };
        let is_wanted = |name: &str, protocol: &str| match &port {
            None => true,
            Some(wanted) => *wanted == format!("{}/{}", name.to_lowercase(), protocol.to_lowercase()),
        };
        let mut pairs: Vec<(&str, Option<u16>, String)> = Vec::new();
        match (&service.kind, host) {
            (ServiceKind::ClusterIps(addresses), None) => {
                for port in &service.ports {
                    if is_wanted(&port.name, &port.protocol) {
                        pairs.extend(addresses.iter().map(|a| (a.as_str(), Some(port.port), own.clone())));
                    }
                }
            }
            _ => {
                for (slice, address, called) in ready(cluster) {
                    let of = &cluster.slices[slice];
                    if of.namespace != namespace || of.service != name || host.is_some_and(|host| host != called) {
                        continue;
                    }
                    let target = format!("{called}.{own}");
                    for port in &of.ports {
                        if is_wanted(&port.name, &port.protocol) {
                            pairs.push((address, Some(port.port), target.clone()));
                        }
                    }
                    if of.ports.is_empty() && is_wanted("", "") {
                        pairs.push((address, None, target));
                    }
                }
            }
        }
        if pairs.is_empty() {
            return Answer::NxDomain;
        }
        let mut answer: Vec<Record> = Vec::new();
        let mut additional: Vec<Record> = Vec::new();
        for (address, port, target) in &pairs {
            let is_six = address.contains(':');
            let data = if is_six { Data::Aaaa(address.to_string()) } else { Data::A(address.to_string()) };
            match question.kind {
                Kind::A if !is_six => answer.push(Record { name: question.name.clone(), data }),
                Kind::Aaaa if is_six => answer.push(Record { name: question.name.clone(), data }),
                Kind::Srv => {
                    if let Some(port) = *port {
                        let weight = if pairs.len() > 100 { 1 } else { 100 / pairs.len() as u16 };
                        let srv = Data::Srv { weight, port, target: target.clone() };
                        answer.push(Record { name: question.name.clone(), data: srv });
                        additional.push(Record { name: target.clone(), data });
                    }
                }
                _ => {}
            }
        }
        for records in [&mut answer, &mut additional] {
            records.sort();
            records.dedup();
        }
        if answer.is_empty() { Answer::NoData } else { Answer::Records { answer, additional } }
    }
}

fn one(name: &str, data: Data) -> Answer {
    Answer::Records { answer: vec![Record { name: name.into(), data }], additional: vec![] }
}

/// All ready addresses: the number of the slice, the address, what its endpoint is called.
fn ready(cluster: &Cluster) -> Vec<(usize, &str, String)> {
    let mut all = Vec::new();
    for (number, slice) in cluster.slices.iter().enumerate() {
        for endpoint in &slice.endpoints {
            if let Some(false) = endpoint.ready {
                continue;
            }
            for address in &endpoint.addresses {
                let called = match endpoint.hostname.as_deref().unwrap_or("") {
                    "" if address.ends_with(':') => format!("{}0", address.replace(':', "-")),
                    "" => address.replace([':', '.'], "-"),
                    hostname => hostname.to_string(),
                };
                all.push((number, address.as_str(), called));
            }
        }
    }
    all
}

fn pointers(question: &Question, cluster: &Cluster) -> Answer {
    let wanted: Vec<&str> = question.name.trim_end_matches('.').split('.').collect();
    let is_it = |address: &str| match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let labels: Vec<String> = address.octets().iter().rev().map(u8::to_string).collect();
            labels.iter().map(String::as_str).chain(["in-addr", "arpa"]).eq(wanted.iter().copied())
        }
        Ok(IpAddr::V6(address)) => {
            let digits = address.octets().into_iter().rev().flat_map(|o| [o & 15, o >> 4]).map(|d| format!("{d:x}"));
            let labels: Vec<String> = digits.chain(["ip6".to_string(), "arpa".to_string()]).collect();
            labels == wanted
        }
        Err(_) => false,
    };
    for service in &cluster.services {
        if let ServiceKind::ClusterIps(addresses) = &service.kind {
            if addresses.iter().any(|address| is_it(address)) {
                let name = format!("{}.{}.svc.{}.", service.name, service.namespace, cluster.domain);
                return one(&question.name, Data::Ptr(name));
            }
        }
    }
    let mut names: Vec<String> = Vec::new();
    for (slice, address, called) in ready(cluster) {
        if is_it(address) {
            let of = &cluster.slices[slice];
            names.push(format!("{called}.{}.{}.svc.{}.", of.service, of.namespace, cluster.domain));
        }
    }
    names.sort();
    names.dedup();
    let records = names.into_iter().map(|name| Record { name: question.name.clone(), data: Data::Ptr(name) });
    let answer: Vec<Record> = records.collect();
    if answer.is_empty() { Answer::NxDomain } else { Answer::Records { answer, additional: vec![] } }
}

kit::exercise!(Exercise: Dns);
