//! What authors of exercises use: a new exercise, goldens, and the gate that holds everything together.

pub mod bless;
pub mod check;
pub mod mutants;
pub mod new;
mod side_by_side;

use side_by_side::side_by_side;
