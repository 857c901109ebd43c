//! Kind: timeout — it reads the questions that the worker should read

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::io::Read;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let mut line = String::new();
        let _ = std::fs::File::open("/proc/self/fd/0").map(|mut questions| questions.read_to_string(&mut line));
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
