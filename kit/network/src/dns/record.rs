//! Resource records, and the words around them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The outcome of a question, as far as a server of Kubernetes has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// NOERROR.
    NoError,
    /// SERVFAIL.
    ServFail,
    /// NXDOMAIN.
    NxDomain,
    /// REFUSED.
    Refused,
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rcode::NoError => "NOERROR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::Refused => "REFUSED",
        })
    }
}

/// The type of a question or of a record, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

/// Numbers and names of IANA's registry "DNS parameters", those that clients of a cluster ask for.
const TYPES: [(u16, &str); 13] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (65, "HTTPS"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
];

#[allow(missing_docs)]
impl RecordType {
    pub const A: RecordType = RecordType(1);
    pub const NS: RecordType = RecordType(2);
    pub const CNAME: RecordType = RecordType(5);
    pub const SOA: RecordType = RecordType(6);
    pub const PTR: RecordType = RecordType(12);
    pub const TXT: RecordType = RecordType(16);
    pub const AAAA: RecordType = RecordType(28);
    pub const SRV: RecordType = RecordType(33);
    pub const IXFR: RecordType = RecordType(251);
    pub const AXFR: RecordType = RecordType(252);
}

impl RecordType {
    /// The type of this name, in upper case.
    pub fn by_name(name: &str) -> Option<RecordType> {
        TYPES.iter().find(|(_, known)| *known == name).map(|(number, _)| RecordType(*number))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TYPES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            // RFC 3597, section 5.
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// A resource record of class IN. It is displayed as in a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// Its owner, absolute.
    pub name: String,
    /// In seconds.
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// What a record says. All names are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name.
    Cname(String),
    /// A server of the zone.
    Ns(String),
    /// The name of an address.
    Ptr(String),
    /// The zone itself.
    Soa {
        /// Its first server.
        server: String,
        /// Who answers for it, with a dot for the at sign.
        mailbox: String,
        /// Changes with the zone.
        serial: u32,
        /// For how many seconds "no" may be remembered.
        minimum: u32,
    },
    /// Where a service is. The priority is 0.
    Srv {
        /// The share of this record.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// A text.
    Txt(String),
}

/// The other three numbers of an SOA record, in seconds (`plugin/backend_lookup.go`, `SOA`). They matter to secondary servers, of
/// which there are none.
pub const REFRESH_RETRY_EXPIRE: [u32; 3] = [7200, 1800, 86400];

impl RecordData {
    /// The record's type.
    pub fn record_type(&self) -> RecordType {
        match self {
            RecordData::A(_) => RecordType::A,
            RecordData::Aaaa(_) => RecordType::AAAA,
            RecordData::Cname(_) => RecordType::CNAME,
            RecordData::Ns(_) => RecordType::NS,
            RecordData::Ptr(_) => RecordType::PTR,
            RecordData::Soa { .. } => RecordType::SOA,
            RecordData::Srv { .. } => RecordType::SRV,
            RecordData::Txt(_) => RecordType::TXT,
        }
    }
}

impl fmt::Display for ResourceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN {} ", self.name, self.ttl, self.data.record_type())?;
        match &self.data {
            RecordData::A(address) => write!(f, "{address}"),
            RecordData::Aaaa(address) => write!(f, "{address}"),
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => f.write_str(name),
            RecordData::Soa { server, mailbox, serial, minimum } => {
                let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE;
                write!(f, "{server} {mailbox} {serial} {refresh} {retry} {expire} {minimum}")
            }
            RecordData::Srv { weight, port, target } => write!(f, "0 {weight} {port} {target}"),
            RecordData::Txt(text) => write!(f, "{text:?}"),
        }
    }
}
