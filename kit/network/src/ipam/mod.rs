//! Who gets which addresses: ranges for nodes, and out of them an address for each pod.

pub mod cidr;
pub mod host_local;
pub mod node_ranges;
