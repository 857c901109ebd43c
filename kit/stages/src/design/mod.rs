//! Generators of the chapter `design`.

pub mod serverless;
