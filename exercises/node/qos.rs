//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Quality of service: who is killed first" · stuck? `cargo grade hint node/qos`

use kit::node::Qos;

#[derive(Default)]
struct Exercise;

impl Qos for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: Qos);
