//! What is beside the embedded store, which is the module of `control_plane/store`.
//!
//! [`quorum`] is the members of a cluster's etcd, which agree on the order of the API server's writes. The crate `kit-store`
//! has whole stores with etcd's semantics: on disk, replicated, and etcd itself.

pub mod quorum;

pub use quorum::Quorum;
