//! Kind: panic — it locks files, watches folders and asks to be heard first

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::io::Error;

unsafe extern "C" {
    fn open(path: *const u8, flags: i32) -> i32;
    fn flock(fd: i32, operation: i32) -> i32;
    fn inotify_init1(flags: i32) -> i32;
    fn setpriority(which: i32, who: u32, priority: i32) -> i32;
    fn setsid() -> i32;
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        // What it may do and should not is an answer, and mostly a wrong one.
        let tries: [fn() -> i32; 4] = [
            || unsafe { flock(open(c"/proc/self/exe".as_ptr().cast(), 0), 1) },
            || unsafe { inotify_init1(0) },
            || unsafe { setpriority(0, 0, 10) },
            || unsafe { setsid() },
        ];
        let said: Vec<String> =
            tries.iter().filter(|call| call() == -1).map(|_| Error::last_os_error().to_string()).collect();
        assert!(said.len() < 4 || said.iter().any(|e| !e.contains("not permitted")), "4 times: {}", said[0]);
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
