//! Kind: crash — it calls itself without end

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

#[allow(unconditional_recursion)]
fn deeper(n: u64) -> u64 {
    std::hint::black_box(deeper(std::hint::black_box(n + 1)) + 1)
}

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        if deeper(1) > 0 { Verdict::Fits } else { panic!("never") }
    }
}

kit::exercise!(Exercise: Taints);
