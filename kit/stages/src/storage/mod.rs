//! Generators of the chapter `storage`.

pub mod claim_binding;
pub mod volumes;
