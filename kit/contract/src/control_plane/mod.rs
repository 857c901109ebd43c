//! Contracts of the chapter `control_plane`.

pub mod store;

pub use store::*;
