//! Kind: compile — its own error is in the words of faults of the machine

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

compile_error!("E0514: linker `cc` not found; memory allocation of 8 bytes failed");

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
