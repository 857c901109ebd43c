//! A key-value store with the semantics of etcd v3, three times: in memory, on disk, and replicated by Raft.
//!
//! [`Kv`] is what all of them can do, and a real etcd, which `kit-etcd` asks. [`Memory`] and [`Disk`] are embedded,
//! [`Replicated`] is a group of members over a simulated network. One suite of stories holds all of them to the answers
//! that a real etcd gave.

pub mod api;
mod bytes;
mod check;
mod disk;
mod error;
mod kv;
mod lease;
mod memory;
mod module;
mod replicated;
mod size;
mod state;
mod txn;
mod watch;

pub use bytes::Bytes;
pub use disk::Disk;
pub use error::{Error, Result};
pub use kv::{Kv, Options};
pub use memory::Memory;
pub use module::Module;
pub use replicated::{Member, Replicated};
