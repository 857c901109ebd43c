//! The simulated cluster around the modules: deterministic, on a virtual clock, without I/O.
//!
//! So far it holds what every component will stand on: the [`agenda`] that decides what happens next, and
//! [`random`] numbers that don't depend on what else happened. The components themselves are still to come.

pub mod agenda;
pub mod controllers;
pub mod random;
pub mod scheduler;
