//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Rolling updates: never too few, never too many" · stuck? `cargo grade hint workloads/rolling_update`

use kit::workloads::RollingUpdate;

#[derive(Default)]
struct Exercise;

impl RollingUpdate for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: RollingUpdate);
