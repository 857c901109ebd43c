//! Kind: exited_early — it ends as if its launcher had failed, and speaks of memory as Rust would

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        eprintln!("fatal runtime error: stack overflow, aborting\nmemory allocation of 8 bytes failed");
        std::process::exit(126)
    }
}

kit::exercise!(Exercise: Taints);
