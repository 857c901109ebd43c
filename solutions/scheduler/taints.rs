//! Placeholder.
use kit::scheduler::*;
/// P
#[derive(Default)] pub struct Exercise;
impl Taints for Exercise { fn filter(&self, _: &[Toleration], taints: &[Taint]) -> Verdict { taints.first().map_or(Verdict::Fits, |t| Verdict::Refused(t.clone())) } }
