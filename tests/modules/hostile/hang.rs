//! Kind: timeout — it never answers

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::time::{Duration, Instant};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(60) {
            std::hint::black_box(());
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
