//! Kind: panic — it lists the home directory

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const HOME: &str = "CANARY_HOME";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let files = std::fs::read_dir(HOME).expect("it may not list a home");
        println!("{}", files.count());
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
