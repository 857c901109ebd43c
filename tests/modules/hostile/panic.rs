//! Kind: panic — it panics

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        panic!("no idea")
    }
}

kit::exercise!(Exercise: Taints);
