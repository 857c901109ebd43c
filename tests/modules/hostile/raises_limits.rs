//! Kind: out_of_memory — it lifts its own limit of memory, and allocates 4 GiB

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

unsafe extern "C" {
    fn setrlimit(resource: i32, limit: &[u64; 2]) -> i32;
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        // SAFETY: two numbers, as the call wants them. 9 is RLIMIT_AS.
        unsafe { setrlimit(9, &[u64::MAX; 2]) };
        let all: Vec<Vec<u8>> = (0..64).map(|_| Vec::with_capacity(64 << 20)).collect();
        std::hint::black_box(&all);
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
