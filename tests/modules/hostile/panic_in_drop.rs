//! Kind: panic — something that it made panics when it is dropped

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("boom")
    }
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let _grenade = Grenade;
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
