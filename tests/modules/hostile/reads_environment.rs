//! Kind: panic — it looks for a password in the environment

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        let own = std::env::vars().map(|(name, value)| format!("{name}={value}"));
        let parent = std::fs::read_to_string(format!("/proc/{}/environ", std::os::unix::process::parent_id()));
        let all: Vec<String> = own.chain([parent.unwrap_or_default()]).collect();
        if all.concat().contains("CANARY_PASSWORD") {
            Verdict::Fits
        } else {
            panic!("Permission denied: there is nothing")
        }
    }
}

kit::exercise!(Exercise: Taints);
