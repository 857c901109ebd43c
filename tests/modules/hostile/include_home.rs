//! Kind: compile — it makes a key of the home directory a part of itself

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

const KEY: &[u8] = include_bytes!("CANARY_HOME/.ssh/id_ed25519");

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        println!("{KEY:?}");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
