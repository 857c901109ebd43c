//! Passes: writes down all names of the cluster first, and then looks the question up.

use kit::network::dns::{Answer, Cluster, Data, Dns, Kind, Question, Record, ServiceKind};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

#[derive(Default)]
struct Exercise;

#[derive(Default)]
struct Zone {
    /// Names to pairs: address, port, target.
    pairs: BTreeMap<String, Vec<(String, Option<u16>, String)>>,
    aliases: BTreeMap<String, String>,
    empty: BTreeSet<String>,
    owners: BTreeMap<String, String>,
    pointers: BTreeMap<String, BTreeSet<String>>,
}

impl Zone {
    fn new(cluster: &Cluster) -> Zone {
        let mut zone = Zone::default();
        let svc = format!("svc.{}.", cluster.domain);
        zone.empty.extend([svc.clone(), format!("{}.", cluster.domain)]);
        zone.empty.extend(cluster.namespaces.iter().map(|namespace| format!("{namespace}.{svc}")));
        let mut headless = BTreeMap::new();
        for service in &cluster.services {
            let name = format!("{}.{}.{svc}", service.name, service.namespace);
            match &service.kind {
                ServiceKind::ClusterIps(addresses) => {
                    headless.insert(name.clone(), false);
                    for address in addresses {
                        zone.owners.insert(address.clone(), name.clone());
                        for port in &service.ports {
                            zone.pair(&name, (&port.name, &port.protocol), address, Some(port.port), &name);
                        }
                    }
                }
                ServiceKind::Headless => {
                    headless.insert(name.clone(), true);
                }
                ServiceKind::ExternalName(target) if target.parse::<IpAddr>().is_err() => {
                    let dot = if target.ends_with('.') { "" } else { "." };
                    zone.aliases.insert(name, format!("{target}{dot}"));
                }
                ServiceKind::ExternalName(_) => {}
            }
        }
        for slice in &cluster.slices {
            let service = format!("{}.{}.{svc}", slice.service, slice.namespace);
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready.unwrap_or(true)) {
                for address in &endpoint.addresses {
                    let mut host = endpoint.hostname.clone().unwrap_or_default();
                    if host.is_empty() {
                        host = address.chars().map(|c| if c == '.' || c == ':' { '-' } else { c }).collect();
                        if host.ends_with('-') {
                            host.push('0');
                        }
                    }
                    let target = format!("{host}.{service}");
                    zone.pointers.entry(address.clone()).or_default().insert(target.clone());
                    let Some(headless) = headless.get(&service) else { continue };
                    let mut ports: Vec<_> =
                        slice.ports.iter().map(|p| (&*p.name, &*p.protocol, Some(p.port))).collect();
                    if ports.is_empty() {
                        ports.push(("", "", None));
                    }
                    for (name, protocol, port) in ports {
                        let pair = (address.clone(), port, target.clone());
                        zone.pairs.entry(target.clone()).or_default().push(pair);
                        if *headless {
                            zone.pair(&service, (name, protocol), address, port, &target);
                        }
                    }
                }
            }
        }
        zone
    }

    /// Below the service itself and below its port. No label is empty, so ports without a name can't be asked for.
    fn pair(&mut self, service: &str, of: (&str, &str), address: &str, port: Option<u16>, target: &str) {
        let below = format!("{}.{}.{service}", of.0.to_lowercase(), of.1.to_lowercase());
        for name in [service.to_string(), below] {
            self.pairs.entry(name).or_default().push((address.into(), port, target.into()));
        }
    }
}

impl Dns for Exercise {
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let zone = Zone::new(cluster);
        let owner = question.name.clone();
        let records = |set: BTreeSet<Data>| -> Vec<Record> {
            set.into_iter().map(|data| Record { name: owner.clone(), data }).collect()
        };
        if let Some(address) = address(&question.name) {
            let names = match zone.owners.get(&address) {
                Some(service) => BTreeSet::from([service.clone()]),
                None => zone.pointers.get(&address).cloned().unwrap_or_default(),
            };
            if names.is_empty() {
                return Answer::NxDomain;
            }
            let answer = records(names.into_iter().map(Data::Ptr).collect());
            return Answer::Records { answer, additional: Vec::new() };
        }
        if zone.empty.contains(&question.name) {
            return Answer::NoData;
        }
        if let Some(target) = zone.aliases.get(&question.name) {
            return match question.kind {
                Kind::A | Kind::Aaaa | Kind::Cname => Answer::Records {
                    answer: records(BTreeSet::from([Data::Cname(target.clone())])),
                    additional: Vec::new(),
                },
                _ => Answer::NoData,
            };
        }
        let below = question.name.strip_suffix(&format!(".svc.{}.", cluster.domain)).unwrap_or_default();
        let name = if below.split('.').count() == 4 {
            let rest: Vec<&str> = question.name.splitn(3, '.').collect();
            let bare = |label: &str| label.strip_prefix('_').unwrap_or(label).to_string();
            format!("{}.{}.{}", bare(rest[0]), bare(rest[1]), rest[2])
        } else {
            question.name.clone()
        };
        let Some(pairs) = zone.pairs.get(&name) else { return Answer::NxDomain };
        let data = |address: &str| match address.contains(':') {
            true => Data::Aaaa(address.into()),
            false => Data::A(address.into()),
        };
        let (mut answer, mut additional) = (BTreeSet::new(), BTreeSet::new());
        for (address, port, target) in pairs {
            match (question.kind, data(address), port) {
                (Kind::A, data @ Data::A(_), _) | (Kind::Aaaa, data @ Data::Aaaa(_), _) => {
                    answer.insert(data);
                }
                (Kind::Srv, data, Some(port)) => {
                    let weight = std::cmp::max(1, 100 / pairs.len()) as u16;
                    answer.insert(Data::Srv { weight, port: *port, target: target.clone() });
                    additional.insert(Record { name: target.clone(), data });
                }
                _ => {}
            }
        }
        if answer.is_empty() {
            return Answer::NoData;
        }
        Answer::Records { answer: records(answer), additional: additional.into_iter().collect() }
    }
}

/// The address of a name in a reverse tree; a text that is no address if it isn't one.
fn address(name: &str) -> Option<String> {
    let (labels, six) = match (name.strip_suffix(".in-addr.arpa."), name.strip_suffix(".ip6.arpa.")) {
        (Some(labels), _) => (labels, false),
        (_, Some(labels)) => (labels, true),
        _ => return None,
    };
    let labels: Vec<&str> = labels.split('.').rev().collect();
    if !six {
        return Some(labels.join("."));
    }
    let number = labels.iter().try_fold(0_u128, |number, label| {
        let digit = u128::from_str_radix(label, 16).ok().filter(|_| label.len() == 1)?;
        Some(number << 4 | digit)
    });
    match number {
        Some(number) if labels.len() == 32 => Some(Ipv6Addr::from(number).to_string()),
        _ => Some("none".into()),
    }
}

kit::exercise!(Exercise: Dns);
