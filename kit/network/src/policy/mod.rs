//! Network policies: which connections of pods are refused.
//!
//! Kubernetes' own NetworkPolicy is a function, the exercise `network/network_policy`; [`objects`] reads it from what
//! people apply, [`index`] asks it for a whole cluster, and [`calico`] makes chains of it. [`cilium`] has the policies of one
//! plugin that go further, and [`hubble`] the records of what became of connections.

pub mod calico;
pub mod cilium;
pub mod hubble;
pub mod index;
pub mod objects;

pub use kit_contract::network::network_policy::Direction;
