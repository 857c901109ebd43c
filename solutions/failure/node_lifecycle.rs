//! The reference for `failure/node_lifecycle`.

// ANCHOR: solution
use kit::failure::NodeLifecycle;

/// TODO: how it works.
#[derive(Default)]
pub struct Exercise;

impl NodeLifecycle for Exercise {
    fn decide(&self, question: &str) -> String {
        question.to_string()
    }
}
// ANCHOR_END: solution
