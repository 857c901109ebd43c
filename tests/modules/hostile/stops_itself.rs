//! Kind: timeout — it stops its own process

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

unsafe extern "C" {
    fn raise(signal: i32) -> i32;
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        // SAFETY: a signal to itself. 19 is SIGSTOP.
        unsafe { raise(19) };
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
