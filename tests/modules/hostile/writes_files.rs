//! Kind: panic — it writes a file into the kit

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const FILE: &str = "CANARY_FOLDER/written";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::fs::write(FILE, "it was here").expect("it may write nothing");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
