//! Questions and answers as people read them: records as `dig` prints them.

use super::{Answer, Cluster, Data, Endpoint, Kind, Port, Question, Record, Service, ServiceKind, Slice};
use crate::show::unordered;
use crate::{Show, flow};

impl Show for Question {
    fn lines(&self) -> Vec<String> {
        vec![format!("{} {}", self.name.escape_debug(), self.kind.text())]
    }
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Cname => "CNAME",
            Kind::Https => "HTTPS",
            Kind::Ptr => "PTR",
            Kind::Srv => "SRV",
        }
    }
}

impl Show for Kind {
    fn lines(&self) -> Vec<String> {
        vec![self.text().into()]
    }
}

impl Show for Cluster {
    fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("domain: {}", flow(&self.domain)), format!("namespaces: {}", flow(&self.namespaces))];
        lines.extend(self.services.iter().flat_map(Show::lines));
        lines.extend(self.slices.iter().flat_map(Show::lines));
        lines
    }
}

impl Show for Service {
    fn lines(&self) -> Vec<String> {
        let kind = match &self.kind {
            ServiceKind::ClusterIps(addresses) => format!("cluster IPs {}", flow(addresses)),
            ServiceKind::Headless => "headless".into(),
            ServiceKind::ExternalName(name) => format!("external name {}", flow(name)),
        };
        vec![format!(
            "service {}/{}: {kind}, ports {}",
            self.namespace.escape_debug(),
            self.name.escape_debug(),
            ports(&self.ports)
        )]
    }
}

impl Show for Slice {
    fn lines(&self) -> Vec<String> {
        let (namespace, service) = (self.namespace.escape_debug(), self.service.escape_debug());
        let mut lines = vec![format!("slice of {namespace}/{service}: ports {}", ports(&self.ports))];
        lines.extend(self.endpoints.iter().flat_map(Show::lines).map(|line| format!("  {line}")));
        lines
    }
}

fn ports(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().flat_map(Show::lines).collect();
    format!("[{}]", ports.join(", "))
}

impl Show for Port {
    fn lines(&self) -> Vec<String> {
        let name = if self.name.is_empty() { String::new() } else { format!("{} ", self.name.escape_debug()) };
        vec![format!("{name}{}/{}", self.port, self.protocol.escape_debug())]
    }
}

impl Show for Endpoint {
    fn lines(&self) -> Vec<String> {
        let ready = match self.ready {
            Some(true) => "ready",
            Some(false) => "not ready",
            None => "readiness unknown",
        };
        let hostname = self.hostname.as_ref().map_or(String::new(), |name| format!(", hostname {}", flow(name)));
        vec![format!("{} {ready}{hostname}", flow(&self.addresses))]
    }
}

impl Show for Answer {
    fn lines(&self) -> Vec<String> {
        match self {
            Answer::Records { answer, additional } => {
                let sorted = |records: &[Record], before: &str| {
                    let mut records: Vec<&Record> = records.iter().collect();
                    records.sort();
                    let lines = records.into_iter().flat_map(Show::lines).map(|line| format!("{before}{line}"));
                    lines.collect::<Vec<_>>()
                };
                let mut lines = vec!["NOERROR".to_string()];
                lines.extend(sorted(answer, "  "));
                lines.extend(sorted(additional, "  additional: "));
                lines
            }
            Answer::NoData => vec!["NODATA: NOERROR, but no record".into()],
            Answer::NxDomain => vec!["NXDOMAIN".into()],
        }
    }

    fn meaning(&self) -> String {
        match self {
            // On the wire this is no other answer.
            Answer::Records { answer, additional } if answer.is_empty() && additional.is_empty() => {
                Answer::NoData.meaning()
            }
            Answer::Records { answer, additional } => format!("{} {}", unordered(answer), unordered(additional)),
            Answer::NoData => "NoData".into(),
            Answer::NxDomain => "NxDomain".into(),
        }
    }
}

impl Show for Record {
    fn lines(&self) -> Vec<String> {
        let data = match &self.data {
            Data::A(address) => format!("A {}", address.escape_debug()),
            Data::Aaaa(address) => format!("AAAA {}", address.escape_debug()),
            Data::Cname(name) => format!("CNAME {}", name.escape_debug()),
            Data::Ptr(name) => format!("PTR {}", name.escape_debug()),
            Data::Srv { weight, port, target } => format!("SRV 0 {weight} {port} {}", target.escape_debug()),
        };
        vec![format!("{} {data}", self.name.escape_debug())]
    }
}
