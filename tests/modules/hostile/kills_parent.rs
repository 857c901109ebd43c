//! Kind: panic — it kills the grader

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

unsafe extern "C" {
    fn kill(pid: i32, signal: i32) -> i32;
}

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let parent = std::os::unix::process::parent_id() as i32;
        // SAFETY: it has none, and needs none.
        if unsafe { kill(parent, 9) } == 0 { Verdict::Fits } else { panic!("{}", std::io::Error::last_os_error()) }
    }
}

kit::exercise!(Exercise: Taints);
