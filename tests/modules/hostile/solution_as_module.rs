//! Kind: compile — it takes a file of the kit for a module of its own

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[path = "CANARY_SOLUTION"]
mod solution;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        solution::fits()
    }
}

kit::exercise!(Exercise: Taints);
