//! Kind: compile — it takes a password out of the compiler's environment

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const PASSWORD: &str = env!("CANARY_PASSWORD");

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        println!("{PASSWORD}");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
