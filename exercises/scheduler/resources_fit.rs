//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Resources: does the pod fit?" · stuck? `cargo grade hint scheduler/resources_fit`

use kit::scheduler::ResourcesFit;

#[derive(Default)]
struct Exercise;

impl ResourcesFit for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: ResourcesFit);
