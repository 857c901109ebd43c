//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Autoscaling: from a metric to a number of replicas" · stuck? `cargo grade hint workloads/hpa`

use kit::workloads::HorizontalPodAutoscaler;

#[derive(Default)]
struct Exercise;

impl HorizontalPodAutoscaler for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: HorizontalPodAutoscaler);
