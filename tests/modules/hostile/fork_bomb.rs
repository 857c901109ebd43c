//! Kind: panic — it starts itself 64 times

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::process::{Command, Stdio};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let own = std::env::current_exe().expect("a program has a path");
        for _ in 0..64 {
            Command::new(&own).stdin(Stdio::null()).spawn().expect("it may start no program");
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
