//! Kind: compile — it asks for a crate whose absence would be the fault of the kit

extern crate kit_api;

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
