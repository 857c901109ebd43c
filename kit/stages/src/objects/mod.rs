//! Generators of the chapter `objects`.

pub mod quantity;
