//! Contracts of the chapter `control_plane`.

pub mod admission;
pub mod concurrency;
pub mod garbage_collector;
pub mod informer;
pub mod raft_election;
pub mod raft_replication;
pub mod store;
pub mod work_queue;

pub use admission::Admission;
pub use concurrency::*;
pub use garbage_collector::GarbageCollector;
pub use informer::*;
pub use raft_election::*;
pub use raft_replication::*;
pub use store::*;
pub use work_queue::*;
