//! A learner's module: compiled by [`build`], walled in by [`sandbox`], asked by [`process`].

pub mod build;
pub mod process;
pub mod sandbox;
