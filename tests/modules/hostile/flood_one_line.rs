//! Kind: output_flood — it prints one line without end to stderr

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        loop {
            eprint!("{}", "x".repeat(4096));
        }
    }
}

kit::exercise!(Exercise: Taints);
