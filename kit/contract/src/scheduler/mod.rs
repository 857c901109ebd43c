//! Contracts of the chapter `scheduler`.

pub mod taints;

pub use taints::*;
pub mod resources_fit;
pub use resources_fit::*;
