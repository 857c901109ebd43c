//! Calico's addresses: blocks that nodes claim, and single addresses that they borrow.
//!
//! Source: `libcalico-go/lib/ipam/{ipam,ipam_block}.go` in projectcalico/calico.

use super::{Calico, single};
use crate::ipam::cidr::{Cidr, address, bits, number};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// The prefix of a block: 64 addresses.
pub const BLOCK_PREFIX: u8 = 26;
/// How many blocks a node may claim (`maxBlocksPerHost`).
const MOST_BLOCKS: usize = 20;

/// A block of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Whose it is.
    pub affinity: String,
    /// What is free, in the order in which it is given. What is given back goes to the end.
    free: VecDeque<IpAddr>,
    /// Who has which address: the node, and the sandbox or the purpose.
    pub(super) owners: BTreeMap<IpAddr, (String, String)>,
}

impl Calico {
    /// The blocks that are claimed.
    pub fn blocks(&self) -> &BTreeMap<Cidr, Block> {
        &self.blocks
    }

    fn all_blocks(&self) -> impl Iterator<Item = Cidr> + use<> {
        let (pool, like) = (self.pool, self.pool.address);
        let prefix = BLOCK_PREFIX.max(pool.prefix);
        let (count, size) = (1_u128 << (prefix - pool.prefix), 1_u128 << (bits(like) - prefix));
        (0..count).map(move |at| Cidr { address: address(number(like) + at * size, like), prefix })
    }

    /// Gives an address to somebody on a node: from its own blocks, from one that it claims, or from another node's.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn assign(&mut self, node: &str, owner: &str) -> Result<IpAddr, String> {
        let own = self.blocks.iter().filter(|(_, block)| block.affinity == node);
        let own: Vec<Cidr> = own.map(|(cidr, _)| *cidr).collect();
        let mut candidates = own.clone();
        let with_room =
            |plugin: &Calico, cidr: &Cidr| plugin.blocks.get(cidr).is_some_and(|block| !block.free.is_empty());
        if !own.iter().any(|cidr| with_room(self, cidr)) && own.len() < MOST_BLOCKS {
            let unclaimed = self.all_blocks().find(|cidr| !self.blocks.contains_key(cidr));
            if let Some(cidr) = unclaimed {
                let size = 1_u128 << (bits(cidr.address) - cidr.prefix);
                let free = (0..size).map(|at| address(number(cidr.address) + at, cidr.address)).collect();
                let block = Block { affinity: node.into(), free, owners: BTreeMap::new() };
                self.blocks.insert(cidr, block);
                candidates.push(cidr);
            }
        }
        if !self.strict_affinity {
            candidates.extend(self.blocks.keys().filter(|cidr| !own.contains(cidr)));
        }
        for cidr in candidates {
            if let Some(block) = self.blocks.get_mut(&cidr)
                && let Some(address) = block.free.pop_front()
            {
                block.owners.insert(address, (node.into(), owner.into()));
                return Ok(address);
            }
        }
        Err("failed to request IPv4 addresses: No IPs available in pools".into())
    }

    pub(super) fn release(&mut self, node: &str, owner: Option<&str>) {
        for block in self.blocks.values_mut() {
            let gone = block.owners.iter().filter(|(_, (on, by))| on == node && owner.is_none_or(|owner| by == owner));
            let gone: Vec<IpAddr> = gone.map(|(address, _)| *address).collect();
            for address in gone {
                block.owners.remove(&address);
                block.free.push_back(address);
            }
        }
    }

    pub(super) fn held(&self, node: &str, owner: &str) -> Option<IpAddr> {
        let all = self.blocks.values().flat_map(|block| &block.owners);
        let mut held = all.filter(|(_, (on, by))| on == node && by == owner);
        held.next().map(|(address, _)| *address)
    }

    /// What a node tells others: its blocks, and single addresses that it has borrowed (the rest is aggregated).
    pub(super) fn announced(&self, node: &str) -> Vec<Cidr> {
        let own = self.blocks.iter().filter(|(_, block)| block.affinity == node).map(|(cidr, _)| *cidr);
        let others = self.blocks.values().filter(|block| block.affinity != node);
        let borrowed = others.flat_map(|block| block.owners.iter().filter(|(_, (on, _))| on == node));
        own.chain(borrowed.map(|(address, _)| single(*address))).collect()
    }
}
