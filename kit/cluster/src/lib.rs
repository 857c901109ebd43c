//! The simulated cluster around the modules: deterministic, on a virtual clock, without I/O.
//!
//! So far it holds what every component will stand on: the [`agenda`] that decides what happens next, and
//! [`random`] numbers that don't depend on what else happened. The components themselves are still to come.

pub mod agenda;
pub mod cache;
pub mod cluster;
pub mod controllers;
pub mod engine;
pub mod explain;
pub mod kubelet;
pub mod object;
pub mod raft;
pub mod random;
pub mod scheduler;
pub mod server;
pub mod timeline;
pub mod work_queue;
