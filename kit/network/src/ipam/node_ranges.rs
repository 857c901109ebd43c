//! The range of each node, cut out of the cluster's.
//!
//! Source: `pkg/controller/nodeipam/ipam/cidrset/cidr_set.go`.

use super::cidr::{Cidr, address, bits, number};
use std::collections::BTreeSet;

/// A range of IPv6 is cut into at most two to this many.
const MOST_BITS: u8 = 16;

/// The ranges of all nodes.
#[derive(Debug, Clone)]
pub struct NodeRanges {
    cluster: Cidr,
    prefix: u8,
    count: u128,
    used: BTreeSet<u128>,
    /// Where the search goes on: what was just given back is not given away next.
    next: u128,
}

impl NodeRanges {
    /// A cluster's range, to be cut into ranges with prefixes of this length.
    ///
    /// # Errors
    ///
    /// If it can't be cut so, in upstream's words.
    pub fn new(cluster: Cidr, prefix: u8) -> Result<Self, String> {
        let cut = prefix.checked_sub(cluster.prefix).filter(|_| prefix <= bits(cluster.address));
        match cut {
            Some(cut) if cluster.address.is_ipv4() || cut <= MOST_BITS => {
                let cluster = Cidr { address: cluster.first(), ..cluster };
                Ok(NodeRanges { cluster, prefix, count: 1 << cut, used: BTreeSet::new(), next: 0 })
            }
            _ => Err("New CIDR set failed; the node CIDR size is too big".into()),
        }
    }

    /// Gives the next free range away.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn allocate_next(&mut self) -> Result<Cidr, String> {
        let free = (self.next..self.count).chain(0..self.next).find(|at| !self.used.contains(at));
        let at =
            free.ok_or("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")?;
        self.next = (at + 1) % self.count;
        self.used.insert(at);
        let first = number(self.cluster.address) | at << (bits(self.cluster.address) - self.prefix);
        Ok(Cidr { address: address(first, self.cluster.address), prefix: self.prefix })
    }

    /// Marks all ranges as used that a range touches: a node has it already.
    ///
    /// # Errors
    ///
    /// If it lies outside of the cluster's.
    pub fn occupy(&mut self, range: Cidr) -> Result<(), String> {
        self.used.extend(self.touched(range)?);
        Ok(())
    }

    /// Takes back all ranges that a range touches.
    ///
    /// # Errors
    ///
    /// If it lies outside of the cluster's.
    pub fn release(&mut self, range: Cidr) -> Result<(), String> {
        for at in self.touched(range)? {
            self.used.remove(&at);
        }
        Ok(())
    }

    fn touched(&self, range: Cidr) -> Result<std::ops::RangeInclusive<u128>, String> {
        let NodeRanges { cluster, prefix, count, .. } = *self;
        if !cluster.contains(range.first()) && !range.contains(cluster.address) {
            let shown = Cidr { address: range.first(), ..range };
            return Err(format!("cidr {shown} is out the range of cluster cidr {cluster}"));
        }
        if range.prefix <= cluster.prefix {
            return Ok(0..=count - 1);
        }
        let at = |address| (number(address) ^ number(cluster.address)) >> (bits(address) - prefix);
        Ok(at(range.first())..=at(range.last()))
    }
}
