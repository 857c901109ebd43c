//! Kind: panic — it takes everybody's rights to a file away

use kit::scheduler::{Taint, Taints, Toleration, Verdict};
use std::os::unix::fs::PermissionsExt;

const FILE: &str = "CANARY_GOLDEN";

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    fn filter(&self, _: &[Toleration], _: &[Taint]) -> Verdict {
        std::fs::set_permissions(FILE, std::fs::Permissions::from_mode(0)).expect("it may change no rights");
        Verdict::Fits
    }
}

kit::exercise!(Exercise: Taints);
