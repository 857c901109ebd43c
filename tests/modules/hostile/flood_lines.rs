//! Kind: output_flood — it prints without end

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        loop {
            println!("and another line");
        }
    }
}

kit::exercise!(Exercise: Taints);
