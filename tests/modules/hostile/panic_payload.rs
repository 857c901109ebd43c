//! Kind: panic — its panic carries something that panics when it is dropped

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("again")
    }
}

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::panic::panic_any(Grenade)
    }
}

kit::exercise!(Exercise: Taints);
