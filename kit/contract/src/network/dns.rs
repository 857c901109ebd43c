//! What the DNS server of a cluster answers.
//!
//! Sources: `docs/specification.md` of github.com/kubernetes/dns (the records), and of CoreDNS 1.13
//! `plugin/kubernetes/kubernetes.go` (`findServices`), `plugin/kubernetes/parse.go` (which name asks for what),
//! `plugin/kubernetes/reverse.go` and `plugin/backend_lookup.go` (records from what was found).
//!
//! The kit around the module does the rest: it reads packets, puts names in lower case, follows a CNAME, answers for pods
//! and for the zone itself, adds TTLs, and an SOA record where there is nothing else to say.

mod show;

use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Answers what pods ask the cluster's DNS server.
    pub trait Dns {
        /// The answer to one question.
        ///
        /// All names are absolute, in lower case, and end with a dot. `D` stands for `domain` with a dot at its end. The
        /// question is about `D`, a name below it, or, for `PTR`, a name below `in-addr.arpa.` or `ip6.arpa.`.
        ///
        /// **Which name asks for what**
        ///
        /// | name | |
        /// |---|---|
        /// | `D`, `svc.D` | nothing, but the name exists |
        /// | `NAMESPACE.svc.D` | likewise, if it is one of `namespaces` |
        /// | `SERVICE.NAMESPACE.svc.D` | a service |
        /// | `HOST.SERVICE.NAMESPACE.svc.D` | one endpoint of it |
        /// | `_PORT._PROTOCOL.SERVICE.NAMESPACE.svc.D` | a service, but only this port; each underscore may be missing |
        ///
        /// A name of any other form doesn't exist. `HOST` is the endpoint's `hostname`; if it has none, its address with
        /// `-` for each `.` or `:`, and a `0` added if that ends with `-`.
        ///
        /// **What is found.** First pairs of an address and a port are collected:
        ///
        /// - service with cluster IPs: each of its addresses with each of its ports. Endpoints don't matter.
        /// - headless service: each address of its *ready* endpoints with each port of their slice. A slice without ports
        ///   gives one pair for each address, whose port is unknown and has no name or protocol.
        /// - `HOST`: likewise, but only from endpoints that are called so; for services with cluster IPs, too.
        /// - `_PORT._PROTOCOL`: only ports of this name and protocol (in any case) count.
        ///
        /// Without any pair the name doesn't exist. An endpoint is ready unless `ready` is `Some(false)`.
        ///
        /// **Records**
        ///
        /// - `A`, `AAAA`: one record for each different IPv4 address, or IPv6 address (it has a `:`), of the pairs.
        /// - `SRV`: one record for each different target and port of the pairs whose port is known. The target is
        ///   `SERVICE.NAMESPACE.svc.D`, and `HOST.SERVICE.NAMESPACE.svc.D` for an endpoint; the weight is 100 divided by the
        ///   number of *all* pairs, rounded down, but at least 1. `additional` holds one `A` or `AAAA` record for each
        ///   different target and address of these records.
        /// - all other types: no record.
        /// - External name: a service that has one exists only under its own name, and not at all if the external name is an
        ///   IP address. `A`, `AAAA` and `CNAME` are answered by one `CNAME` record, all else by none. Its target is the
        ///   external name, with a dot added if it has none at its end.
        ///
        /// The owner (`name`) of all records in `answer` is the name of the question.
        ///
        /// **`PTR`.** A name below `in-addr.arpa.` has the four numbers of an IPv4 address, last one first; one below
        /// `ip6.arpa.` the 32 hexadecimal digits of an IPv6 address, likewise. If the address is a cluster IP: the name
        /// `SERVICE.NAMESPACE.svc.D` of its service, and nothing else. If not: `HOST.SERVICE.NAMESPACE.svc.D` for each ready
        /// endpoint that has it, whatever the kind of the service, or if there is none. Else the name doesn't exist; nor does any other name
        /// there. Addresses are written in the shortest form, so that texts can be compared.
        ///
        /// A name that exists without a record for the question is `NoData`, one that doesn't exist `NxDomain`.
        fn answer(&self, question: &Question, cluster: &Cluster) -> Answer;
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// `web.shop.svc.cluster.local.`
    pub name: String,
    /// The type of records that are wanted.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// A type of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name for this one.
    Cname,
    /// How to reach a web server. Browsers ask for it beside `A`; clusters have no such records.
    Https,
    /// The names of an address.
    Ptr,
    /// Where a service is: names and ports.
    Srv,
}

/// What the API holds, as far as it has names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The cluster's domain, without a dot at its end: `cluster.local`.
    pub domain: String,
    /// All namespaces.
    pub namespaces: Vec<String>,
    /// All services.
    #[serde(default)]
    pub services: Vec<Service>,
    /// All EndpointSlices. One service may have several.
    #[serde(default)]
    pub slices: Vec<Slice>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What its name stands for.
    pub kind: ServiceKind,
    /// Only headless services and those with an external name may have none.
    #[serde(default)]
    pub ports: Vec<Port>,
}

/// What the name of a service stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceKind {
    /// `spec.clusterIPs`: addresses of its own, one or two. So it is for the types ClusterIP, NodePort and LoadBalancer.
    ClusterIps(Vec<String>),
    /// `clusterIP: None`: its endpoints.
    Headless,
    /// `type: ExternalName`: another name.
    ExternalName(String),
}

/// A port of a service or of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Empty for a port without a name.
    #[serde(default)]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number.
    pub port: u16,
}

/// An EndpointSlice: some endpoints of a service and the ports that all of these have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// Its namespace, which is that of the service, too.
    pub namespace: String,
    /// The service's name (label `kubernetes.io/service-name`).
    pub service: String,
    /// May be empty.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// May be empty.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

/// Mostly a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// One or more.
    pub addresses: Vec<String>,
    /// `conditions.ready`.
    #[serde(default)]
    pub ready: Option<bool>,
    /// A name of its own, as the pods of a StatefulSet have.
    #[serde(default)]
    pub hostname: Option<String>,
}

/// What is answered. The order of records means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// At least one record.
    Records {
        /// What was asked for.
        answer: Vec<Record>,
        /// What will be asked next: the addresses of SRV targets. Empty for all other types.
        additional: Vec<Record>,
    },
    /// The name exists, but not with this type: NOERROR without an answer.
    NoData,
    /// There is no such name: NXDOMAIN.
    NxDomain,
}

/// A resource record. Its TTL is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// Its owner.
    pub name: String,
    /// What it says of it.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Data {
    /// An IPv4 address.
    A(String),
    /// An IPv6 address.
    Aaaa(String),
    /// The name that this one stands for.
    Cname(String),
    /// The name of an address.
    Ptr(String),
    /// One place of a service. Its priority is 0.
    Srv {
        /// The share of clients that should come here, among all records of the answer.
        weight: u16,
        /// The port.
        port: u16,
        /// The name of the host.
        target: String,
    },
}
// ANCHOR_END: contract
