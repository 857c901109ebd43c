//! Kind: panic — it looks for the expected answers in the kit

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const GOLDEN: &str = "CANARY_GOLDEN";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let golden = std::fs::read_to_string(GOLDEN).expect("it may not read the kit");
        if golden.contains("refused") { Verdict::Fits } else { Verdict::Fits }
    }
}

kit::exercise!(Exercise: Taints);
