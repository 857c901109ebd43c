//! Contracts of the chapter `objects`.

pub mod quantity;

pub use quantity::*;
