//! Kind: timeout — it never answers

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        loop {
            std::hint::black_box(());
        }
    }
}

kit::exercise!(Exercise: Taints);
