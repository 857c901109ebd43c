//! What is beside the embedded store: the same store behind Raft, over a simulated network.
//!
//! The embedded store is the module of `control_plane/store`. [`replicated`] puts one of it behind each member of a group;
//! [`quorum`] is the members of a cluster's etcd, which agree on the order of the API server's writes.

pub mod quorum;
pub mod replicated;

pub use quorum::Quorum;
pub use replicated::{Replicated, Unavailable};
