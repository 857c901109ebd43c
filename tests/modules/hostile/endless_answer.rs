//! Kind: output_flood — it writes an answer of a gigabyte

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::io::Write;

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        for fd in 3..16 {
            if let Ok(mut pipe) = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}")) {
                for _ in 0..1 << 18 {
                    let _ = pipe.write_all(&[b'x'; 4096]);
                }
            }
        }
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
