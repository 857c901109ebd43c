//! The network of a cluster, without any input or output of its own: what Kubernetes' components and plugins decide about
//! addresses, names, services, policies and packets.

pub mod cloud;
pub mod datapath;
pub mod dns;
pub mod endpoints;
pub mod fabric;
pub mod ipam;
pub mod policy;
pub mod proxy;

#[cfg(test)]
#[path = "../../controllers/src/testing.rs"]
mod testing;
