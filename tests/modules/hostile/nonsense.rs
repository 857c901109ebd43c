//! Kind: protocol — it writes noise to every pipe that it can find

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::io::Write;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        for fd in 0..16 {
            if let Ok(mut pipe) = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")) {
                let _ = pipe.write_all(b"\x00\xff not JSON\n");
            }
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
