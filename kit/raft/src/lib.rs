//! Raft, whole, as the paper and etcd have it: one member as a state machine without input or output.
//!
//! [`Raft`] is asked by [`tick`](Raft::tick), [`step`](Raft::step) and proposals, and says in [`Ready`] what to write,
//! to send and to apply. Time and chance come as arguments. What the exercises `control_plane/raft_election` and
//! `control_plane/raft_replication` ask for is the core of it; around that are pre-vote, membership changes,
//! snapshots, linearizable reads and the transfer of leadership. [`simulation`] plays whole groups over a [`network`]
//! that loses, delays, repeats and cuts, and holds every step against the properties that Raft promises.
//! Networks, disks and clocks are simulated there; the members are not.
//!
//! Sources: Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm* (sections are cited as §),
//! Ongaro's thesis, and etcd-io/raft, which etcd uses.

pub mod client;
mod election;
mod flaw;
mod follower;
pub mod group;
mod leader;
pub mod linearizable;
mod log;
mod membership;
mod message;
pub mod network;
mod node;
mod progress;
pub mod quorum;
mod read;
pub mod simulation;
mod storage;
pub mod watch;

pub use log::Log;
pub use membership::{Change, ChangeError, Membership, Outcome, Step};
pub use message::{Body, Entry, HardState, Id, Index, Message, Payload, Snapshot, Term};
pub use node::{Config, Raft, Ready, Refusal, Role};
pub use read::ReadState;
pub use storage::{MemoryStorage, Saved, Storage, Write};

#[cfg(test)]
mod tests;
