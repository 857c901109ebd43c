//! Kind: timeout — it waits without using the processor

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::thread::sleep(std::time::Duration::from_secs(60));
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
