//! Kind: timeout — it hangs before the first question

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::time::{Duration, Instant};

struct Exercise;

impl Default for Exercise {
    fn default() -> Self {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            std::hint::black_box(());
        }
        Exercise
    }
}

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
