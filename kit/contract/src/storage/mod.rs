//! Contracts of the chapter `storage`.

pub mod claim_binding;
pub mod volumes;

pub use claim_binding::ClaimBinding;
pub use volumes::Volumes;
