//! The simulated cluster around the modules: deterministic, on a virtual clock, without I/O.
//!
//! The [`engine`] wakes one component at a time, in the order that the [`agenda`] gives. A component sees the world
//! through its [`cache`] and changes it only by requests to the API [`server`], which alone talks to the store.
//! [`cluster`] puts components and modules together, and [`timeline`] plays what scenarios do to them. All chance is
//! drawn from [`random`], and every decision is kept in the [log](explain).

pub mod agenda;
pub mod cache;
pub mod cluster;
pub mod control_plane;
pub mod controllers;
pub mod engine;
pub mod explain;
pub mod informer;
pub mod kubelet;
pub mod leader_election;
pub mod object;
pub mod raft;
pub mod random;
pub mod scheduler;
pub mod server;
pub mod store;
pub mod timeline;
pub mod work_queue;
pub mod workers;
pub mod writers;
