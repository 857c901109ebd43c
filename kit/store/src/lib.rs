//! A key-value store with the semantics of etcd v3, four times: in memory, on disk, replicated by Raft, and etcd itself.
//!
//! [`Kv`] is what all of them can do. [`Memory`] and [`Disk`] are embedded, [`Replicated`] is a group of members over a
//! simulated network, [`Etcd`] (with the feature `etcd`) asks a real server. One suite of stories holds all of them to the
//! answers that a real etcd gave.

pub mod api;
mod bytes;
mod check;
mod disk;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod kv;
mod lease;
mod memory;
mod module;
mod replicated;
#[cfg(feature = "etcd")]
mod server;
mod size;
mod state;
mod txn;
mod watch;

pub use bytes::Bytes;
pub use disk::Disk;
pub use error::{Error, Result};
#[cfg(feature = "etcd")]
pub use etcd::Etcd;
pub use kv::{Kv, Options};
pub use memory::Memory;
pub use module::Module;
pub use replicated::{Member, Replicated};
#[cfg(feature = "etcd")]
pub use server::Server;
