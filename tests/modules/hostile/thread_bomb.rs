//! Kind: out_of_memory — it starts 1000 threads with small stacks

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::time::Duration;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let nap = || std::thread::sleep(Duration::from_secs(30));
        let start = |_| std::thread::Builder::new().stack_size(32 << 10).spawn(nap);
        let threads: Vec<_> = (0..1000).flat_map(start).collect();
        for thread in threads {
            let _ = thread.join();
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
