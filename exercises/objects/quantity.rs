//! # TODO: title
//!
//! TODO: what it is, in three lines.
//!
//! About 30 minutes · builds on nothing · book: "Quantities: 500m, 256Mi and why they are exact" · stuck? `cargo grade hint objects/quantity`

use kit::objects::Quantities;

#[derive(Default)]
struct Exercise;

impl Quantities for Exercise {
    /// TODO: what to answer.
    fn decide(&self, question: &str) -> String {
        let _ = question;
        todo!("answer the question")
    }
}

kit::exercise!(Exercise: Quantities);
