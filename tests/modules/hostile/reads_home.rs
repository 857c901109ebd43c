//! Kind: panic — it reads a key in the home directory

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const KEY: &str = "CANARY_HOME/.ssh/id_ed25519";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let key = std::fs::read_to_string(KEY).expect("it may not read a home");
        println!("{key}");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
