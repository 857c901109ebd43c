//! Generators of the chapter `control_plane`.

pub mod admission;
pub mod concurrency;
pub mod garbage_collector;
pub mod informer;
pub mod raft;
pub mod store;
pub mod work_queue;
