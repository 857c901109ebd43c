//! The Cluster Autoscaler: orders machines for pods that fit nowhere, and gives back those that nobody needs.
//!
//! Every ten seconds the [`component`] looks at the cluster. Pods that the scheduler found no node for are packed into machines
//! that don't exist yet ([`scale_up`], in a [`snapshot`] that asks the scheduler's own filters), and an [`expander`] picks one
//! group of machines. Nodes with little on them whose pods fit elsewhere are unneeded ([`scale_down`]); after ten minutes of that
//! [`removal`] drains them and gives them back. The [`cloud`] is behind a trait, as it is upstream.
//!
//! It is an add-on. Source: `cluster-autoscaler` of `kubernetes/autoscaler`, branch `cluster-autoscaler-release-1.33`, with its
//! default flags. What isn't here: balancing of similar groups, provisioning requests, autoprovisioned groups, limits of cores
//! and memory, GPUs, drains by priority, and machines that never register.

pub mod cloud;
pub mod component;
pub mod drainability;
pub mod expander;
pub mod removal;
pub mod scale_down;
pub mod scale_up;
pub mod settings;
pub mod snapshot;
pub mod status;

pub use component::ClusterAutoscaler;
