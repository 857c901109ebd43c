//! Contracts of the chapter `scheduler`.

pub mod taints;

pub use taints::*;
