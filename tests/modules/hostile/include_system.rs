//! Kind: compile — it makes a program of the system a part of itself

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[used]
static PROGRAM: &[u8] = include_bytes!("/usr/bin/env");

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
