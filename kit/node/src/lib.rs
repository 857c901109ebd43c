//! What runs on a node: the kubelet, with containers whose behaviour is simulated.
//!
//! [`kubelet`] is the component of a cluster. [`admission`], [`cgroup`], [`eviction`], [`runtime`], [`shutdown`] and
//! [`termination`] hold what a kubelet decides, without any input or output, as recorded tables have it. The component asks all of
//! them but [`cgroup`]. What [`runtime`] says of a pod's containers it asks in `kubelet::pod_worker::sync`: at each look in a cluster
//! that somebody watches, and after a reboot in scenarios. Decisions about containers are those of the module of `node/pod_lifecycle`; [`eviction`] asks one, too.

pub mod admission;
pub mod cgroup;
pub mod database;
pub mod eviction;
pub mod kubelet;
pub mod program;
pub mod runtime;
pub mod shutdown;
pub mod termination;
