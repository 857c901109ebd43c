//! Stages of the chapter `control_plane`.

pub mod concurrency;
pub mod fresh;
pub mod raft;
pub mod work_queue;
