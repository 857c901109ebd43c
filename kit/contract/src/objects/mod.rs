//! Contracts of the chapter `objects`.

pub mod quantity;
pub mod selector;

pub use quantity::*;
pub use selector::*;
