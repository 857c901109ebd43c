//! Generators of the chapter `objects`.

pub mod quantity;
pub mod selector;
