//! The network of a cluster, without any input or output of its own: what Kubernetes' components and plugins decide about
//! addresses, names, services, policies and packets.

pub mod endpoints;
pub mod dns;
pub mod datapath;
pub mod cloud;
pub mod ipam;
pub mod proxy;
pub mod policy;
