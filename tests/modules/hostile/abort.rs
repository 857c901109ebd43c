//! Kind: crash — it aborts

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::process::abort()
    }
}

kit::exercise!(Exercise: Taints);
