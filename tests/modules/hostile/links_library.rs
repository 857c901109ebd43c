//! Kind: compile — it links a library of the system

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[link(name = "m")]
unsafe extern "C" {
    fn cos(x: f64) -> f64;
}

#[used]
static LINKED: unsafe extern "C" fn(f64) -> f64 = cos;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
