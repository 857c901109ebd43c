//! # Taints and tolerations
//!
//! A taint on a node repels pods; a toleration on a pod lets it through. You decide, for one pod and one node, whether
//! the scheduler may place the pod there, and if not, which taint says so.
//!
//! About 20 minutes · builds on nothing · book: "Taints and tolerations" · stuck? `cargo grade hint scheduler/taints`
//!
//! Given to you:
//!
//! - `Taint.key: String`
//! - `Taint.value: Option<String>`
//! - `Taint.effect: String`
//! - `Toleration.key: Option<String>`
//! - `Toleration.operator: Option<String>`
//! - `Toleration.value: Option<String>`
//! - `Toleration.effect: Option<String>`

use kit::scheduler::{Taint, Taints, Toleration, Verdict};

#[derive(Default)]
struct Exercise;

impl Taints for Exercise {
    /// The first taint that keeps the pod away, in the order in which the node lists them.
    ///
    /// Only `NoSchedule` and `NoExecute` taints keep a pod away; `PreferNoSchedule` is a matter of score.
    /// `Verdict::Fits` where none does. What is `None` in a toleration may as well be an empty text.
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let _ = (tolerations, taints);
        todo!("find the first taint that no toleration covers")
    }
}

kit::exercise!(Exercise: Taints);
