//! # DNS: what the cluster's server answers
//!
//! A pod finds others by name. You are the DNS server: a question comes in, the API says which services and endpoints
//! there are, and you answer with records, with "no such record" or with "no such name".
//!
//! About 40 minutes · builds on nothing · book: "DNS: what the cluster's server answers" · stuck? `cargo grade hint network/dns`
//!
//! Given to you:
//!
//! - `Question.name: String`, such as `web.shop.svc.cluster.local.`, in lower case
//! - `Question.kind: Kind`, one of `A Aaaa Cname Https Ptr Srv`
//! - `Cluster.domain: String` (`cluster.local`), `.namespaces: Vec<String>`, `.services: Vec<Service>`, `.slices: Vec<Slice>`
//! - `Service.namespace`, `.name: String`, `.kind: ServiceKind`, `.ports: Vec<Port>`
//! - `ServiceKind`, one of `ClusterIps(Vec<String>)`, `Headless`, `ExternalName(String)`
//! - `Slice.namespace`, `.service: String`, `.ports: Vec<Port>`, `.endpoints: Vec<Endpoint>`
//! - `Port.name`, `.protocol: String`, `.port: u16`
//! - `Endpoint.addresses: Vec<String>`, `.ready: Option<bool>`, `.hostname: Option<String>`
//! - to make: `Record { name, data }` with `Data::A(address)`, `Data::Aaaa(address)`, `Data::Cname(name)`, `Data::Ptr(name)`,
//!   `Data::Srv { weight, port, target }`

use kit::network::dns::{Answer, Cluster, Dns, Question};
#[allow(unused_imports)] // Until you need them.
use kit::network::dns::{Data, Endpoint, Kind, Port, Record, Service, ServiceKind, Slice};
#[allow(unused_imports)]
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Default)]
struct Exercise;

impl Dns for Exercise {
    /// The answer to one question. `D` stands for the domain with a dot at its end.
    ///
    /// Names: `D`, `svc.D` and `NAMESPACE.svc.D` of a namespace exist, without records. `SERVICE.NAMESPACE.svc.D` is a service,
    /// `HOST.SERVICE.NAMESPACE.svc.D` one endpoint of it, `_PORT._PROTOCOL.SERVICE.NAMESPACE.svc.D` one port of it (both
    /// underscores may be missing). All else doesn't exist.
    ///
    /// Found are pairs of address and port: a service with cluster IPs has each of them with each of its ports; a headless one each address of
    /// its ready endpoints with each port of their slice, or with an unknown port if the slice has none. `HOST` asks for
    /// endpoints whatever the kind of the service: it is `hostname`, or the address with dashes. Without a pair the name doesn't exist.
    ///
    /// `A` and `AAAA` tell the different addresses. `SRV` tells the different targets and known ports, with the weight 100 / number of all
    /// pairs, and the addresses of the targets in `additional`. An external name is a `CNAME`, for `A`, `AAAA` and `CNAME`.
    /// `PTR`: the service with this cluster IP, or else all ready endpoints with this address.
    ///
    /// `NoData` if the name exists without such a record, `NxDomain` if it doesn't. The contract has every detail.
    fn answer(&self, question: &Question, cluster: &Cluster) -> Answer {
        let _ = (question, cluster);
        todo!("cut the domain off the name, split the rest at its dots, and begin with SERVICE.NAMESPACE.svc")
    }
}

kit::exercise!(Exercise: Dns);
