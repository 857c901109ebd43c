//! Kind: panic — it looks behind the end of a list

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let list: Vec<Verdict> = Vec::new();
        list[std::hint::black_box(7)].clone()
    }
}

kit::exercise!(Exercise: Taints);
