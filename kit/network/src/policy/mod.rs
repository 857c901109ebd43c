//! Network policies: which connections of pods are refused.
//!
//! Kubernetes' own NetworkPolicy is a function, the exercise `network/network_policy`; [`objects`] reads it from what
//! people apply. [`cilium`] has the policies of one plugin that go further.

pub mod cilium;
pub mod hubble;
pub mod index;
pub mod objects;

pub use kit_contract::network::network_policy::Direction;
