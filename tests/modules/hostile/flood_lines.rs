//! Kind: output_flood — it prints a gigabyte of lines

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        for _ in 0..1 << 26 {
            println!("and another line");
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
