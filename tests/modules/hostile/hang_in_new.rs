//! Kind: timeout — it hangs before the first question

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

struct Exercise;

impl Default for Exercise {
    fn default() -> Self {
        loop {
            std::hint::black_box(());
        }
    }
}

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
