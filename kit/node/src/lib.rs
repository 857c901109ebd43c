//! What runs on a node: the kubelet, with containers whose behaviour is simulated.
//!
//! [`kubelet`] is the component of a cluster. [`cgroup`], [`eviction`], [`runtime`], [`shutdown`] and [`termination`] hold what a
//! kubelet decides, without any input or output, as recorded tables have it; the component doesn't ask all of them yet.

pub mod cgroup;
pub mod database;
pub mod eviction;
pub mod kubelet;
pub mod program;
pub mod runtime;
pub mod shutdown;
pub mod termination;
