//! Generators of the chapter `network`.

pub mod dns;
