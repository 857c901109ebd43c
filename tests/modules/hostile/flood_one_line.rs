//! Kind: output_flood — it prints one line of a gigabyte to stderr

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        for _ in 0..1 << 18 {
            eprint!("{}", "x".repeat(4096));
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
