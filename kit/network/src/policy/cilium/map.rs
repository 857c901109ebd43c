//! The policy map of one endpoint: what the datapath looks up for the first packet of a connection.
//!
//! Sources: `pkg/policy/mapstate.go` for what is in the map, `bpf/lib/policy.h` for the lookup.

use super::identity::IdentityId;
use super::rule::{ANY, ProtocolNumber};
use crate::policy::Direction;
use std::collections::BTreeMap;

/// What an entry is found by. More of the protocol and port given is more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Of connections that come in, or go out.
    pub direction: Direction,
    /// The peer; 0 is everybody.
    pub identity: IdentityId,
    /// [`ANY`], or one; a port needs one.
    pub protocol: ProtocolNumber,
    /// The first port.
    pub port: u16,
    /// How many leading bits of the port count: 16 is one port, 0 all.
    pub prefix: u8,
}

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// It is dropped.
    pub deny: bool,
    /// It goes to a proxy, which has the last word.
    pub proxy: bool,
    /// Which policies the entry comes from.
    pub derived_from: Vec<String>,
}

/// Entries by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyMap {
    entries: BTreeMap<Key, Entry>,
}

/// A range of ports as blocks of powers of two, as few as there can be (`PortRangeToMaskedPorts`).
pub fn blocks(first: u16, last: u16) -> Vec<(u16, u8)> {
    let (mut next, last) = (u32::from(first), u32::from(last));
    let mut blocks = Vec::new();
    while next <= last {
        let aligned = if next == 0 { 16 } else { next.trailing_zeros().min(16) };
        let fits = (last - next + 1).ilog2();
        let free = aligned.min(fits);
        blocks.push((next as u16, 16 - free as u8));
        next += 1 << free;
    }
    blocks
}

impl Key {
    fn specificity(&self) -> u8 {
        if self.protocol == ANY { 0 } else { 8 + self.prefix }
    }

    fn covers_ports(&self, other: &Key) -> bool {
        let same_protocol = self.protocol == ANY || self.protocol == other.protocol;
        same_protocol
            && (self.prefix == 0
                || (self.prefix <= other.prefix && (self.port ^ other.port) >> (16 - self.prefix) == 0))
    }

    fn matches(&self, protocol: ProtocolNumber, port: u16) -> bool {
        self.covers_ports(&Key { protocol, port, prefix: 16, ..*self })
    }
}

impl PolicyMap {
    /// Adds what rules allow. A proxy stays one: the entry is the same, and the proxy knows who is meant.
    pub fn allow(&mut self, key: Key, proxy: bool, policy: &str) {
        let entry = self.entries.entry(key).or_insert(Entry { deny: false, proxy, derived_from: Vec::new() });
        entry.proxy |= proxy;
        if !entry.derived_from.iter().any(|known| known == policy) {
            entry.derived_from.push(policy.to_string());
        }
    }

    /// Adds what rules deny, after all that they allow. A lookup takes the most specific entry, so whatever is allowed
    /// within the denied goes, and where everybody is allowed a more specific port, the denied are excepted there.
    pub fn deny(&mut self, key: Key, policy: &str) {
        let entry = Entry { deny: true, proxy: false, derived_from: vec![policy.to_string()] };
        let mut exceptions = Vec::new();
        self.entries.retain(|other, known| {
            if known.deny || other.direction != key.direction || !key.covers_ports(other) {
                return true;
            }
            if other.identity == 0 && key.identity != 0 {
                exceptions.push(Key { identity: key.identity, ..*other });
                return true;
            }
            key.identity != 0 && other.identity != key.identity
        });
        for key in exceptions.into_iter().chain([key]) {
            let known = self.entries.entry(key).or_insert(entry.clone());
            if !known.deny {
                *known = entry.clone();
            }
            if !known.derived_from.iter().any(|known| known == policy) {
                known.derived_from.push(policy.to_string());
            }
        }
    }

    /// The entry for a connection. Of the most specific entry for the peer and the most specific for everybody the one
    /// with more of the port wins, and the peer's own where they are equal. `None`: there is none, it is dropped.
    pub fn lookup(
        &self,
        direction: Direction,
        identity: IdentityId,
        protocol: ProtocolNumber,
        port: u16,
    ) -> Option<(&Key, &Entry)> {
        let of = |identity: IdentityId| {
            let from = Key { direction, identity, protocol: 0, port: 0, prefix: 0 };
            let to = Key { direction, identity, protocol: u8::MAX, port: u16::MAX, prefix: u8::MAX };
            let matching = self.entries.range(from..=to).filter(|(key, _)| key.matches(protocol, port));
            matching.max_by_key(|(key, _)| key.specificity())
        };
        match (of(identity), of(0)) {
            (Some(own), Some(all)) if all.0.specificity() > own.0.specificity() => Some(all),
            (own, all) => own.or(all),
        }
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_becomes_few_blocks() {
        type Case = (u16, u16, &'static [(u16, u8)]);
        let cases: [Case; 5] = [
            (80, 80, &[(80, 16)]),
            (0, 65535, &[(0, 0)]),
            (8000, 8100, &[(8000, 10), (8064, 11), (8096, 14), (8100, 16)]),
            (1, 4, &[(1, 16), (2, 15), (4, 16)]),
            (65535, 65535, &[(65535, 16)]),
        ];
        for (first, last, expected) in cases {
            assert_eq!(blocks(first, last), expected, "{first} to {last}");
        }
    }

    #[test]
    fn a_denied_peer_is_excepted_from_what_everybody_may() {
        let key =
            |identity, protocol, port, prefix| Key { direction: Direction::Ingress, identity, protocol, port, prefix };
        let mut map = PolicyMap::default();
        map.allow(key(0, 6, 80, 16), false, "everybody");
        map.deny(key(300, ANY, 0, 0), "not-them");
        let denied = |identity, port| map.lookup(Direction::Ingress, identity, 6, port).map(|(_, entry)| entry.deny);
        assert_eq!(denied(300, 80), Some(true));
        assert_eq!(denied(301, 80), Some(false));
        assert_eq!(denied(301, 81), None);
    }
}
