//! Kind: panic — it leaves a child in a session of its own behind

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::process::{Command, Stdio};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let child = Command::new("/usr/bin/setsid").args(["sleep", "20"]).stdin(Stdio::null()).spawn();
        child.expect("it may start no program");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
