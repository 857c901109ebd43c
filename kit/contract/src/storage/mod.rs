//! Contracts of the chapter `storage`.

pub mod claim_binding;

pub use claim_binding::ClaimBinding;
