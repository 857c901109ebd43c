//! Stores beside the embedded one: so far, the same store replicated by Raft over a simulated network.
//!
//! The embedded store is the module of `control_plane/store`. [`replicated`] puts one of it behind each member of a
//! group, so that scenarios can lose leaders, minorities and quorums.

pub mod replicated;

pub use replicated::{Replicated, Unavailable};
