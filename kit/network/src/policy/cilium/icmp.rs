//! Rules about ICMP. In policy maps a message's type stands where other protocols have their port.
//!
//! Sources: `pkg/policy/api/icmp.go`, `rule_validation.go` beside it, and `policy_can_access` in `bpf/lib/policy.h`.

use super::rule::{Ports, ProtocolNumber};
use serde::Deserialize;

/// As ICMP stands in IP headers, and ICMPv6.
pub const PROTOCOLS: [ProtocolNumber; 2] = [1, 58];
/// So many types has one rule at most.
const MOST_FIELDS: usize = 40;

/// Names of types of ICMP.
const V4: [(&str, u8); 14] = [
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];
/// Names of types of ICMPv6.
const V6: [(&str, u8); 27] = [
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// Types of messages.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IcmpRule {
    /// At most 40.
    pub fields: Vec<IcmpField>,
}

/// One type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IcmpField {
    /// `IPv4`, which is also what an empty one means, or `IPv6`.
    #[serde(default)]
    pub family: String,
    /// A number, or the name that the family has for one.
    #[serde(rename = "type")]
    pub kind: IcmpType,
}

/// As it is written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IcmpType {
    /// `8`
    Number(u8),
    /// `EchoRequest`, or `"8"`.
    Name(String),
}

impl IcmpRule {
    /// Checks it as Cilium does before it takes a rule.
    ///
    /// # Errors
    ///
    /// There are too many types, or one is unknown.
    pub fn check(&self) -> Result<(), String> {
        if self.fields.len() > MOST_FIELDS {
            return Err(format!("too many types, the max is {MOST_FIELDS}"));
        }
        self.fields.iter().try_for_each(|field| field.parse().map(|_| ()))
    }
}

impl IcmpField {
    /// The protocol, and the type in place of a port. A rule for type 0 is, as one for port 0, for all of them.
    ///
    /// # Errors
    ///
    /// The family or the type is unknown.
    pub fn parse(&self) -> Result<(ProtocolNumber, Ports), String> {
        let [v4, v6] = PROTOCOLS;
        let (protocol, names): (_, &[(&str, u8)]) = match self.family.as_str() {
            "" | "IPv4" => (v4, &V4),
            "IPv6" => (v6, &V6),
            other => return Err(format!("wrong family: {other}")),
        };
        let number = match &self.kind {
            IcmpType::Number(number) => *number,
            IcmpType::Name(text) => {
                let named = names.iter().find(|(name, _)| name == text).map(|(_, number)| *number);
                let unknown = || format!("ICMP type {text} not found in {}", self.family);
                named.or_else(|| text.parse().ok()).ok_or_else(unknown)?
            }
        };
        let number = u16::from(number);
        Ok((protocol, Ports::Range(number, if number == 0 { u16::MAX } else { number })))
    }
}
