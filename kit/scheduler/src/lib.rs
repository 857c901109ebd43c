//! The scheduler: for each pod that has no node, the nodes that could take it and the best of them.
//!
//! Changes of the cluster come in and are kept as [`nodes`] with their pods and as [`objects`]; pods without a node go into the queue. For each
//! pod that the queue lets go, one [`cycle`] asks the modules in the [`framework`] and, where no node is left, [`preemption`];
//! then [`component`] binds the pod, or says why it can't be placed. [`hints`] say which waiting pods a change could help.
//!
//! Source: `pkg/scheduler` with its default profile. Resource claims, disks that a pod names itself, extenders and other
//! profiles are left out.

pub mod class;
pub mod component;
pub mod cycle;
pub mod framework;
pub mod hints;
pub mod message;
pub mod metrics;
pub mod nodes;
pub mod objects;
pub mod preemption;
pub mod report;
pub mod tables;
mod volume_limits;
pub mod volumes;

pub use component::Scheduler;
