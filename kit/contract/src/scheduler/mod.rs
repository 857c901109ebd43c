//! Contracts of the chapter `scheduler`.

pub mod resources_fit;
pub mod taints;

pub use resources_fit::ResourcesFit;
pub use taints::*;
