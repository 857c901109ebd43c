//! Passes: begins with the type of the question, and each type looks for what it needs by itself.

use kit::network::dns::{Answer, Cluster, Data, Dns, Endpoint, Kind, Question, Record, Service, ServiceKind, Slice};
use std::net::IpAddr;

#[derive(Default)]
struct Exercise;

impl Dns for Exercise {
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let lookup = Lookup { name: &question.name, cluster };
        match question.kind {
            Kind::Ptr if question.name.ends_with(".arpa.") => lookup.pointers(),
            Kind::A => lookup.addresses(false),
            Kind::Aaaa => lookup.addresses(true),
            Kind::Srv => lookup.places(),
            Kind::Cname => match lookup.alias() {
                Some(target) => lookup.tell([Data::Cname(target)], []),
                None => lookup.nothing(),
            },
            _ => lookup.nothing(),
        }
    }
}

struct Lookup<'a> {
    name: &'a str,
    cluster: &'a Cluster,
}

impl<'a> Lookup<'a> {
    fn tell(&self, data: impl IntoIterator<Item = Data>, more: impl IntoIterator<Item = Record>) -> Answer {
        let mut answer = vec![];
        for data in data {
            let record = Record { name: self.name.to_string(), data };
            if !answer.contains(&record) {
                answer.push(record);
            }
        }
        let mut additional: Vec<Record> = vec![];
        for record in more {
            if !additional.contains(&record) {
                additional.push(record);
            }
        }
        if answer.is_empty() { self.nothing() } else { Answer::Records { answer, additional } }
    }

    /// The answer without a record.
    fn nothing(&self) -> Answer {
        let Cluster { domain, namespaces, .. } = self.cluster;
        let inner = self.name == format!("{domain}.")
            || self.name == format!("svc.{domain}.")
            || namespaces.iter().any(|namespace| self.name == format!("{namespace}.svc.{domain}."));
        let exists = inner || self.alias().is_some() || !self.pairs().is_empty();
        if exists { Answer::NoData } else { Answer::NxDomain }
    }

    /// What stands before the service, and the service.
    fn service(&self) -> Option<(Vec<&'a str>, &'a Service)> {
        self.cluster.services.iter().find_map(|service| {
            let before = self.name.strip_suffix(&self.full(service))?;
            match before.strip_suffix('.') {
                None if before.is_empty() => Some((vec![], service)),
                None => None,
                Some(before) => Some((before.split('.').collect(), service)),
            }
        })
    }

    fn full(&self, service: &Service) -> String {
        format!("{}.{}.svc.{}.", service.name, service.namespace, self.cluster.domain)
    }

    fn alias(&self) -> Option<String> {
        match self.service()? {
            (before, Service { kind: ServiceKind::ExternalName(target), .. })
                if before.is_empty() && target.parse::<IpAddr>().is_err() =>
            {
                Some(if target.ends_with('.') { target.clone() } else { target.clone() + "." })
            }
            _ => None,
        }
    }

    fn pairs(&self) -> Vec<(&'a str, Option<u16>, String)> {
        let Some((before, service)) = self.service() else { return vec![] };
        let mut port: Option<[String; 2]> = None;
        let mut host: Option<&str> = None;
        match before[..] {
            [] => {}
            [only] => host = Some(only),
            [name, protocol] => {
                port = Some([name, protocol].map(|label| label.strip_prefix('_').unwrap_or(label).to_uppercase()))
            }
            _ => return vec![],
        }
        let is_asked = |name: &str, protocol: &str| {
            port.as_ref().is_none_or(|asked| *asked == [name.to_uppercase(), protocol.to_uppercase()])
        };
        match &service.kind {
            ServiceKind::ExternalName(_) => vec![],
            ServiceKind::ClusterIps(addresses) if host.is_none() => {
                let mut pairs = vec![];
                for address in addresses {
                    for port in service.ports.iter().filter(|port| is_asked(&port.name, &port.protocol)) {
                        pairs.push((address.as_str(), Some(port.port), self.full(service)));
                    }
                }
                pairs
            }
            _ => {
                let mut pairs = vec![];
                for slice in &self.cluster.slices {
                    if (&slice.namespace, &slice.service) != (&service.namespace, &service.name) {
                        continue;
                    }
                    for (address, called) in told(slice) {
                        if host.is_some_and(|host| host != called) {
                            continue;
                        }
                        let target = format!("{called}.{}", self.full(service));
                        if slice.ports.is_empty() && port.is_none() {
                            pairs.push((address, None, target.clone()));
                        }
                        let ports = slice.ports.iter().filter(|port| is_asked(&port.name, &port.protocol));
                        pairs.extend(ports.map(|port| (address, Some(port.port), target.clone())));
                    }
                }
                pairs
            }
        }
    }

    fn addresses(&self, six: bool) -> Answer {
        if let Some(target) = self.alias() {
            return self.tell([Data::Cname(target)], []);
        }
        let wanted = self.pairs().into_iter().filter(|(address, ..)| address.contains(':') == six);
        self.tell(wanted.map(|(address, ..)| data(address)).collect::<Vec<_>>(), [])
    }

    fn places(&self) -> Answer {
        let pairs = self.pairs();
        let weight = (100.0 / pairs.len().max(1) as f64).floor().max(1.0) as u16;
        let with_port: Vec<_> =
            pairs.into_iter().filter_map(|(address, port, to)| Some((address, port?, to))).collect();
        self.tell(
            with_port.iter().map(|(_, port, target)| Data::Srv { weight, port: *port, target: target.clone() }),
            with_port.iter().map(|(address, _, target)| Record { name: target.clone(), data: data(address) }),
        )
    }

    fn pointers(&self) -> Answer {
        let is_it = |address: &str| backwards(address).is_some_and(|name| name == self.name);
        for service in &self.cluster.services {
            match &service.kind {
                ServiceKind::ClusterIps(addresses) if addresses.iter().any(|address| is_it(address)) => {
                    return self.tell([Data::Ptr(self.full(service))], []);
                }
                _ => {}
            }
        }
        let domain = &self.cluster.domain;
        let mut names = vec![];
        for slice in &self.cluster.slices {
            for (address, called) in told(slice) {
                if is_it(address) {
                    names.push(Data::Ptr(format!("{called}.{}.{}.svc.{domain}.", slice.service, slice.namespace)));
                }
            }
        }
        if names.is_empty() { Answer::NxDomain } else { self.tell(names, []) }
    }
}

fn data(address: &str) -> Data {
    if address.contains(':') { Data::Aaaa(address.to_string()) } else { Data::A(address.to_string()) }
}

/// The addresses of a slice that are told, and what they are called.
fn told(slice: &Slice) -> Vec<(&str, String)> {
    let called = |endpoint: &Endpoint, address: &str| match endpoint.hostname.as_deref() {
        None | Some("") => {
            let dashes = address.replace('.', "-").replace(':', "-");
            let end = if dashes.ends_with('-') { "0" } else { "" };
            dashes + end
        }
        Some(hostname) => hostname.into(),
    };
    let mut all = vec![];
    for endpoint in &slice.endpoints {
        if endpoint.ready == Some(true) || endpoint.ready.is_none() {
            all.extend(endpoint.addresses.iter().map(|address| (address.as_str(), called(endpoint, address))));
        }
    }
    all
}

/// The name of an address in its reverse tree.
fn backwards(address: &str) -> Option<String> {
    Some(match address.parse().ok()? {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let digits = format!("{:032x}", u128::from(address));
            digits.chars().rev().flat_map(|digit| [digit, '.']).collect::<String>() + "ip6.arpa."
        }
    })
}

kit::exercise!(Exercise: Dns);
