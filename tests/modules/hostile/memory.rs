//! Kind: out_of_memory — it allocates without end

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let mut all: Vec<Vec<u8>> = Vec::new();
        loop {
            all.push(Vec::with_capacity(64 << 20));
            std::hint::black_box(&all);
        }
    }
}

kit::exercise!(Exercise: Taints);
