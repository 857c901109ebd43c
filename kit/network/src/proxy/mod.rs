//! kube-proxy: what makes a service out of an address that no host has.
//!
//! [`service`] and [`endpoints`] are what it reads, [`choice`] which endpoints a node uses. From these [`iptables`] makes the input of
//! `iptables-restore`: the rules of each service port are the answers of a module of the exercise `network/kube_proxy`, and the rest stands around them. [`ruleset`] reads such text as iptables
//! would, and [`walk`] follows packets through it, so that rules are judged by what they do. [`nftables`] is the newer mode, [`bpf`] what Calico has in its place, and [`conntrack`] says which UDP flows are to be forgotten.

pub mod bpf;
pub mod chains;
pub mod choice;
pub mod conntrack;
pub mod endpoints;
pub mod iptables;
pub mod nftables;
pub mod ruleset;
pub mod service;
pub mod text;
pub mod walk;

/// One of the two families of addresses. A proxy serves one; a node with both has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }

    /// Whether an address belongs to it.
    pub fn has(self, address: std::net::IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }
}
