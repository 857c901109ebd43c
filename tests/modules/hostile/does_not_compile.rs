//! Kind: compile — it is no Rust

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Maybe
    }
}

kit::exercise!(Exercise: Taints);
