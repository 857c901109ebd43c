//! Who gets which addresses: ranges for nodes, and out of them an address for each pod.

pub mod controller;
pub mod host_local;
pub mod node_ranges;

pub use kit_api::cidr;
