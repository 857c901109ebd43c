//! Kind: exited_early — another thread ends the process while the module thinks

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::thread::spawn(|| std::process::exit(0));
        std::thread::sleep(std::time::Duration::from_secs(60));
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
