//! Kind: exited_early — it ends its process after half of the answers

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Exercise {
    asked: AtomicUsize,
}

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 1 {
            std::process::exit(0);
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
