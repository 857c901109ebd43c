//! Kind: out_of_memory — it fills 4 GiB with ones, a little at a time

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for _ in 0..64 {
            all.push(vec![1; 64 << 20]);
            std::hint::black_box(&all);
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
