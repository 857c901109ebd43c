//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Node failure: from silence to eviction" · stuck? `cargo grade hint failure/node_lifecycle`

use kit::failure::NodeLifecycle;

#[derive(Default)]
struct Exercise;

impl NodeLifecycle for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: NodeLifecycle);
