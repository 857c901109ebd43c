//! Kind: compile — it links what is not there, so that the linker speaks of a file that systems must have

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[link(name = "crt1.o")]
unsafe extern "C" {
    fn missing();
}

#[used]
static LINKED: unsafe extern "C" fn() = missing;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
