//! Ranges of addresses in CIDR notation, for both families alike.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `10.244.1.0/24`: a network, or an address in it with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// How many of its first bits all addresses of the network share.
    pub prefix: u8,
}

/// How many bits an address of this family has.
pub fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as a number.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// A number as an address of the family of `like`.
pub fn address(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// The address that comes next; after the last one the first.
pub fn next(of: IpAddr) -> IpAddr {
    address(number(of).wrapping_add(1), of)
}

impl Cidr {
    /// The bits that addresses of the network don't share.
    fn rest(self) -> u128 {
        let free = u32::from(bits(self.address) - self.prefix);
        1_u128.checked_shl(free).map_or(u128::MAX, |size| size - 1)
    }

    /// The network's first address.
    pub fn first(self) -> IpAddr {
        address(number(self.address) & !self.rest(), self.address)
    }

    /// The network's last address, which IPv4 broadcasts to.
    pub fn last(self) -> IpAddr {
        address(number(self.address) | self.rest(), self.address)
    }

    /// Whether an address is one of the network's.
    pub fn contains(self, other: IpAddr) -> bool {
        self.address.is_ipv4() == other.is_ipv4() && (self.first()..=self.last()).contains(&other)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid CIDR address: {text}");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits(address)).ok_or_else(wrong)?;
        Ok(Cidr { address, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// As its text.
impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
