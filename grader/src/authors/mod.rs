//! What authors of exercises use: a new exercise, goldens, and the gate that holds everything together.

pub mod bless;
pub mod check;
pub mod mutants;
pub mod new;
