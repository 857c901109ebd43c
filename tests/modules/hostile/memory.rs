//! Kind: out_of_memory — it allocates 4 GiB

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let all: Vec<Vec<u8>> = (0..64).map(|_| Vec::with_capacity(64 << 20)).collect();
        std::hint::black_box(&all);
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
