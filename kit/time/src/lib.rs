//! Time, order and chance of the simulation: nothing else decides what happens when.

pub mod agenda;
pub mod random;
