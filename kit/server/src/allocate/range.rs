//! Ranges out of which addresses and ports are given away.
//!
//! Sources: `pkg/registry/core/service/ipallocator/ipallocator.go`, `pkg/registry/core/service/portallocator/allocator.go`
//! and `pkg/registry/core/service/allocator/bitmap.go`. The lower part of a range, its static band, is left to those who
//! ask for an address or port of their own (KEP-3070, KEP-3668). Who doesn't care gets one of it only when all others are
//! given away. Upstream picks at random within the band; here it is the first that is free there.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why nothing was given away, in upstream's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// What was asked for doesn't belong to the range.
    NotInRange(String),
    /// Somebody has the address.
    AddressTaken,
    /// Somebody has the port.
    PortTaken,
    /// Somebody has everything.
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::NotInRange(message) => message,
            Refused::AddressTaken => "provided IP is already allocated",
            Refused::PortTaken => "provided port is already allocated",
            Refused::Full => "range is full",
        })
    }
}

/// A part of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// For those who ask for one; for others last.
    Static,
    /// For those who don't care.
    Dynamic,
}

/// The numbers behind addresses and ports.
#[derive(Debug, Clone)]
struct Numbers {
    first: u128,
    /// How many there are, from the first on.
    size: u128,
    /// How many of them are in the static band.
    band: u128,
    used: BTreeSet<u128>,
}

impl Numbers {
    /// Numbers of which a share of the whole is static: between 16 and `most`, or nothing if there are 16 or fewer
    /// (`calculateRangeOffset`).
    fn new(first: u128, size: u128, whole: u128, share: u128, most: u128) -> Numbers {
        let band = if whole <= 16 { 0 } else { (whole / share).clamp(16, most) };
        Numbers { first, size, band: band.min(size), used: BTreeSet::new() }
    }

    fn holds(&self, number: u128) -> bool {
        number.checked_sub(self.first).is_some_and(|offset| offset < self.size)
    }

    fn band_of(&self, number: u128) -> Band {
        if number < self.first + self.band { Band::Static } else { Band::Dynamic }
    }

    fn first_free(&self) -> Option<u128> {
        let (dynamic, end) = (self.first + self.band, self.first + self.size);
        (dynamic..end).chain(self.first..dynamic).find(|number| !self.used.contains(number))
    }

    fn free(&self) -> u128 {
        self.size.saturating_sub(self.used.len() as u128)
    }

    /// Gives a number away: `None` if it isn't one of these, `Some(false)` if somebody has it.
    fn take(&mut self, number: u128) -> Option<bool> {
        self.holds(number).then(|| self.used.insert(number))
    }
}

/// The addresses of one ServiceCIDR.
#[derive(Debug, Clone)]
pub struct AddressRange {
    cidr: String,
    is_v4: bool,
    numbers: Numbers,
}

impl AddressRange {
    /// The range of this CIDR; of an address within one, the whole of it.
    ///
    /// # Errors
    ///
    /// If it isn't one, or too large for addresses of IPv6.
    pub fn new(cidr: &str) -> Result<AddressRange, String> {
        let bad = || format!("`{cidr}` is no range of addresses such as 10.96.0.0/16");
        let (address, prefix) = cidr.split_once('/').ok_or_else(bad)?;
        let (address, prefix): (IpAddr, u32) =
            (address.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?);
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let host = bits.checked_sub(prefix).ok_or_else(bad)?;
        if address.is_ipv6() && prefix < 64 {
            return Err(format!("shortest allowed prefix length for service CIDR is 64, got {prefix}"));
        }
        let whole = 1_u128 << host;
        let network = number(address) & !(whole - 1);
        // Nobody gets the address of the network, nor with IPv4 the one that is for all (`hostsPerNetwork`).
        let kept_back = if address.is_ipv4() { 2 } else { 1 };
        let size = whole.saturating_sub(kept_back);
        let numbers = Numbers::new(network.saturating_add(1), size, whole, 16, 256);
        let shown = of_number(network, address.is_ipv4());
        Ok(AddressRange { cidr: format!("{shown}/{prefix}"), is_v4: address.is_ipv4(), numbers })
    }

    /// Whether an address lies in the CIDR, be it one that is never given away.
    pub fn covers(&self, address: IpAddr) -> bool {
        let all = self.numbers.first.saturating_sub(1)..=self.numbers.first + self.numbers.size;
        address.is_ipv4() == self.is_v4 && all.contains(&number(address))
    }

    /// The first address that can be given away.
    pub fn first(&self) -> IpAddr {
        self.address(self.numbers.first)
    }

    /// The last one.
    pub fn last(&self) -> IpAddr {
        self.address((self.numbers.first + self.numbers.size).saturating_sub(1))
    }

    /// The first one that isn't in the static band.
    pub fn dynamic_from(&self) -> IpAddr {
        self.address(self.numbers.first + self.numbers.band)
    }

    /// How many are in the static band.
    pub fn static_band(&self) -> u128 {
        self.numbers.band
    }

    /// How many there are.
    pub fn size(&self) -> u128 {
        self.numbers.size
    }

    /// How many can still be given away.
    pub fn free(&self) -> u128 {
        self.numbers.free()
    }

    /// How many are given away.
    pub fn used(&self) -> usize {
        self.numbers.used.len()
    }

    /// Whether somebody has an address.
    pub fn has(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_v4 && self.numbers.used.contains(&number(address))
    }

    /// The band of an address.
    pub fn band_of(&self, address: IpAddr) -> Band {
        self.numbers.band_of(number(address))
    }

    /// Gives away an address that was asked for; it may lie in any band.
    ///
    /// # Errors
    ///
    /// If it doesn't belong to the range, or somebody has it.
    pub fn allocate(&mut self, address: IpAddr) -> Result<(), Refused> {
        let taken = if address.is_ipv4() == self.is_v4 { self.numbers.take(number(address)) } else { None };
        match taken {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::AddressTaken),
            None => Err(Refused::NotInRange(format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
                self.cidr
            ))),
        }
    }

    /// Gives away any address.
    ///
    /// # Errors
    ///
    /// If there is none left.
    pub fn allocate_next(&mut self) -> Result<IpAddr, Refused> {
        let number = self.numbers.first_free().ok_or(Refused::Full)?;
        self.numbers.used.insert(number);
        Ok(self.address(number))
    }

    /// Takes an address back; of no effect if nobody has it.
    pub fn release(&mut self, address: IpAddr) {
        if address.is_ipv4() == self.is_v4 {
            self.numbers.used.remove(&number(address));
        }
    }

    fn address(&self, number: u128) -> IpAddr {
        of_number(number, self.is_v4)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn of_number(number: u128, is_v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_v4 => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

/// The node ports, `--service-node-port-range`.
#[derive(Debug, Clone)]
pub struct PortRange {
    numbers: Numbers,
}

impl PortRange {
    /// The ports from the first to the last, both included.
    ///
    /// # Errors
    ///
    /// If the last is less than the first.
    pub fn new(first: u16, last: u16) -> Result<PortRange, String> {
        let size =
            u128::from(last).checked_sub(first.into()).ok_or("a range of ports ends where it begins, or later")? + 1;
        Ok(PortRange { numbers: Numbers::new(first.into(), size, size, 32, 128) })
    }

    /// The first port that isn't in the static band.
    pub fn dynamic_from(&self) -> u128 {
        self.numbers.first + self.numbers.band
    }

    /// How many are in the static band.
    pub fn static_band(&self) -> u128 {
        self.numbers.band
    }

    /// How many can still be given away.
    pub fn free(&self) -> u128 {
        self.numbers.free()
    }

    /// How many are given away.
    pub fn used(&self) -> usize {
        self.numbers.used.len()
    }

    /// Whether somebody has a port.
    pub fn has(&self, port: i64) -> bool {
        u128::try_from(port).is_ok_and(|port| self.numbers.used.contains(&port))
    }

    /// The band of a port.
    pub fn band_of(&self, port: i64) -> Band {
        u128::try_from(port).map_or(Band::Static, |port| self.numbers.band_of(port))
    }

    /// Gives away a port that was asked for; it may lie in any band.
    ///
    /// # Errors
    ///
    /// If it doesn't belong to the range, or somebody has it.
    pub fn allocate(&mut self, port: i64) -> Result<(), Refused> {
        match u128::try_from(port).ok().and_then(|port| self.numbers.take(port)) {
            Some(true) => Ok(()),
            Some(false) => Err(Refused::PortTaken),
            None => Err(Refused::NotInRange(format!(
                "provided port is not in the valid range. The range of valid ports is {self}"
            ))),
        }
    }

    /// Gives away any port.
    ///
    /// # Errors
    ///
    /// If there is none left.
    pub fn allocate_next(&mut self) -> Result<i64, Refused> {
        let number = self.numbers.first_free().ok_or(Refused::Full)?;
        self.numbers.used.insert(number);
        i64::try_from(number).map_err(|_| Refused::Full)
    }

    /// Takes a port back; of no effect if nobody has it.
    pub fn release(&mut self, port: i64) {
        if let Ok(port) = u128::try_from(port) {
            self.numbers.used.remove(&port);
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Numbers { first, size, .. } = self.numbers;
        if size == 1 { write!(f, "{first}") } else { write!(f, "{first}-{}", first + size - 1) }
    }
}
