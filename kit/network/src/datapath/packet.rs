//! What travels: packets, and the frames that carry them from one interface to the next.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of an interface that was given none: the kernel draws one, here it follows from who owns it, so that it is
    /// the same in each run. The second bit says that no vendor gave it.
    pub fn of(owner: &str) -> Mac {
        let hash = owner
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let [a, b, c, d, e, _, _, _] = hash.to_be_bytes();
        Mac([0x02, a, b, c, d, e])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid MAC address: {text}");
        let bytes = text.split(':').map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2));
        let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(wrong)?;
        bytes.try_into().map(Mac).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP, and ICMPv6 between addresses of IPv6.
    Icmp,
    /// A whole packet without any header between: protocol 4.
    Ipip,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
            Protocol::Icmp => "ICMP",
            Protocol::Ipip => "IPIP",
        })
    }
}

/// An address and a port. Where there are no ports, the port is 0; an echo has its identifier there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct End {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.address) {
            (0, address) => write!(f, "{address}"),
            (port, IpAddr::V4(address)) => write!(f, "{address}:{port}"),
            (port, IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
        }
    }
}

/// What tells one connection from all others, seen in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Flow {
    /// The protocol.
    pub protocol: Protocol,
    /// Who sends.
    pub source: End,
    /// Who is meant.
    pub destination: End,
}

impl Flow {
    /// A connection's first direction.
    pub fn new(protocol: Protocol, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Flow {
        let end = |(address, port)| End { address, port };
        Flow { protocol, source: end(source), destination: end(destination) }
    }

    /// The other direction. Both directions of an echo have the identifier where the port of the source is.
    pub fn reversed(self) -> Flow {
        let mut back = Flow { source: self.destination, destination: self.source, ..self };
        if self.protocol == Protocol::Icmp {
            std::mem::swap(&mut back.source.port, &mut back.destination.port);
        }
        back
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} → {}", self.protocol, self.source, self.destination)
    }
}

/// What an ICMP error tells the sender of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Icmp {
    /// Too long for the next link, and it must not be fragmented. The number is what fits.
    FragmentationNeeded(u32),
    /// It went through too many routers.
    TimeExceeded,
    /// There is no route.
    NetUnreachable,
    /// There is a route, and nobody there.
    HostUnreachable,
    /// Nobody listens, or a rule says so.
    PortUnreachable,
    /// A rule says that it is forbidden.
    AdministrativelyProhibited,
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Icmp::FragmentationNeeded(mtu) => write!(f, "fragmentation needed, {mtu} bytes fit"),
            Icmp::TimeExceeded => f.write_str("time exceeded"),
            Icmp::NetUnreachable => f.write_str("network unreachable"),
            Icmp::HostUnreachable => f.write_str("host unreachable"),
            Icmp::PortUnreachable => f.write_str("port unreachable"),
            Icmp::AdministrativelyProhibited => f.write_str("administratively prohibited"),
        }
    }
}

/// What is in a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// What an application sends.
    Data,
    /// TCP's answer where nobody listens, or where a rule says so.
    Reset,
    /// An error, about a packet of this flow as whoever complains saw it.
    Error(Icmp, Flow),
    /// A frame within UDP (RFC 7348).
    Vxlan {
        /// The network identifier.
        vni: u32,
        /// The frame.
        frame: Box<Frame>,
    },
    /// A packet within a packet (RFC 2003).
    Packet(Box<Packet>),
}

/// A packet. Lengths are bytes of the whole packet, with its own header and without that of the frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// From where to where.
    pub flow: Flow,
    /// How long it is.
    pub length: u32,
    /// How many routers it may still pass.
    pub ttl: u8,
    /// No router may cut it into pieces. TCP sets it, to find out what fits (RFC 1191).
    pub dont_fragment: bool,
    /// Into how many pieces it was cut.
    pub pieces: u32,
    /// What rules on this host noted about it. It stays on the host.
    pub mark: u32,
    /// What is in it.
    pub content: Content,
}

impl Packet {
    /// A small packet, as those that open a connection.
    pub fn new(flow: Flow) -> Packet {
        let dont_fragment = flow.protocol == Protocol::Tcp;
        Packet { flow, length: 60, ttl: 64, dont_fragment, pieces: 1, mark: 0, content: Content::Data }
    }

    /// The same, so long.
    pub fn with_length(self, length: u32) -> Packet {
        Packet { length, ..self }
    }

    /// How deep packets lie in packets.
    pub fn depth(&self) -> usize {
        match &self.content {
            Content::Vxlan { frame, .. } => 1 + frame.packet.depth(),
            Content::Packet(inner) => 1 + inner.depth(),
            _ => 0,
        }
    }
}

/// What an interface sends to another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Which interface sends it.
    pub source: Mac,
    /// Which one it is for.
    pub destination: Mac,
    /// What it carries.
    pub packet: Packet,
}
