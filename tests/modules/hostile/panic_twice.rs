//! Kind: crash — it panics while it panics

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("second")
    }
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let _grenade = Grenade;
        panic!("first")
    }
}

kit::exercise!(Exercise: Taints);
