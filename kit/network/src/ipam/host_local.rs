//! Addresses of pods out of their node's range, as the plugin `host-local` gives them.
//!
//! Source: `plugins/ipam/host-local/backend/allocator/{range,range_set,allocator}.go` of containernetworking/plugins.

use super::cidr::{Cidr, bits, next};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// A range as a configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RangeConfig {
    /// The network.
    pub subnet: String,
    /// The first address for pods; without it the network's second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<IpAddr>,
    /// The last address for pods; without it the network's last one, of IPv4 the last but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<IpAddr>,
    /// The node's own address there, which no pod gets; without it the network's second one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

/// A range with everything filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The network.
    pub subnet: Cidr,
    /// The first address for pods.
    pub start: IpAddr,
    /// The last one.
    pub end: IpAddr,
    /// The node's own.
    pub gateway: IpAddr,
}

impl Range {
    /// Fills in what a configuration leaves open.
    ///
    /// # Errors
    ///
    /// If it makes no sense, in the plugin's words.
    pub fn of(config: &RangeConfig) -> Result<Range, String> {
        let subnet: Cidr = config.subnet.parse()?;
        if subnet.prefix > bits(subnet.address) - 2 {
            return Err(format!("Network {subnet} too small to allocate from"));
        }
        let second = next(subnet.address);
        let gateway = config.gateway.unwrap_or(second);
        if !subnet.contains(gateway) {
            return Err(format!("gateway {gateway} not in network {subnet}"));
        }
        let inside = |what: &str, address: IpAddr| {
            let is_inside = subnet.contains(address);
            is_inside.then_some(address).ok_or_else(|| format!("{what} {address} not in network {subnet}"))
        };
        let start = config.range_start.map_or(Ok(second), |start| inside("RangeStart", start))?;
        let last = match subnet.last() {
            IpAddr::V4(last) => IpAddr::V4((u32::from(last) - 1).into()),
            last => last,
        };
        let end = config.range_end.map_or(Ok(last), |end| inside("RangeEnd", end))?;
        if end < start {
            return Err(format!("{end} is in network {subnet} but before start {start}"));
        }
        Ok(Range { subnet, start, end, gateway })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.subnet.contains(address) && (self.start..=self.end).contains(&address)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

/// The addresses of one node's pods.
#[derive(Debug, Clone)]
pub struct HostLocal {
    ranges: Vec<Range>,
    /// Who has which address. Those of one pod come in the order of their text, which is the order of the files on disk.
    owners: BTreeMap<String, (IpAddr, String)>,
    /// The address that was given away last.
    last: Option<IpAddr>,
}

/// What a pod gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Its address, and the prefix of the network.
    pub address: Cidr,
    /// Where everything goes that is for others.
    pub gateway: IpAddr,
}

impl HostLocal {
    /// No pod has an address yet.
    ///
    /// # Errors
    ///
    /// If the ranges make no sense together.
    pub fn new(ranges: &[RangeConfig]) -> Result<Self, String> {
        let ranges: Vec<Range> = ranges.iter().map(Range::of).collect::<Result<_, _>>()?;
        let first = ranges.first().ok_or("empty range set")?;
        if ranges.iter().any(|range| range.start.is_ipv4() != first.start.is_ipv4()) {
            return Err("mixed address families".into());
        }
        for (at, one) in ranges.iter().enumerate() {
            let overlaps = |other: &&Range| one.start <= other.end && other.start <= one.end;
            if let Some(other) = ranges[at + 1..].iter().find(overlaps) {
                return Err(format!("subnets {one} and {other} overlap"));
            }
        }
        Ok(HostLocal { ranges, owners: BTreeMap::new(), last: None })
    }

    /// The ranges, with everything filled in.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Gives a pod an address: the one that it asks for, or the next free one. The search goes round, so that a pod that
    /// crashes again and again doesn't get the same address.
    ///
    /// # Errors
    ///
    /// If that one can't be had, or none is left, or the pod has one, in the plugin's words.
    pub fn allocate(&mut self, id: &str, requested: Option<IpAddr>) -> Result<Lease, String> {
        if let Some(address) = requested {
            let range = self.range(address);
            let range = *range.ok_or_else(|| format!("{address} not in range set {}", self.shown()))?;
            if address == range.gateway {
                return Err(format!("requested ip {address} is subnet's gateway"));
            }
            return self.reserve(id, address, &range).ok_or_else(|| {
                format!("requested IP address {address} is not available in range set {}", self.shown())
            });
        }
        let mut own = self.owners.values().filter(|(_, owner)| owner == id);
        if let Some((address, _)) = own.find(|(address, _)| self.range(*address).is_some()) {
            return Err(format!("{address} has been allocated to {id}, duplicate allocation is not allowed"));
        }
        let mut at = self.last.and_then(|last| self.ranges.iter().position(|range| range.contains(last)));
        let mut current = self.last.filter(|_| at.is_some());
        let mut began = None;
        loop {
            let place = at.unwrap_or(0);
            let (place, address) = match current {
                None => (place, self.ranges[place].start),
                Some(address) if address == self.ranges[place].end => {
                    let place = (place + 1) % self.ranges.len();
                    (place, self.ranges[place].start)
                }
                Some(address) => (place, next(address)),
            };
            if began == Some(address) {
                return Err(format!("no IP addresses available in range set: {}", self.shown()));
            }
            began = began.or(Some(address));
            (at, current) = (Some(place), Some(address));
            let range = self.ranges[place];
            if address == range.gateway {
                continue;
            }
            if let Some(lease) = self.reserve(id, address, &range) {
                return Ok(lease);
            }
        }
    }

    /// Takes back all addresses of a pod.
    pub fn release(&mut self, id: &str) {
        self.owners.retain(|_, (_, owner)| owner != id);
    }

    fn reserve(&mut self, id: &str, address: IpAddr, range: &Range) -> Option<Lease> {
        let text = address.to_string();
        if self.owners.contains_key(&text) {
            return None;
        }
        self.owners.insert(text, (address, id.into()));
        self.last = Some(address);
        Some(Lease { address: Cidr { address, prefix: range.subnet.prefix }, gateway: range.gateway })
    }

    fn range(&self, address: IpAddr) -> Option<&Range> {
        self.ranges.iter().find(|range| range.contains(address))
    }

    fn shown(&self) -> String {
        self.ranges.iter().map(Range::to_string).collect::<Vec<_>>().join(",")
    }
}
