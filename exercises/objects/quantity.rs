//! # Quantities: 500m, 256Mi and why they are exact
//!
//! Half a core is `0.5` or `500m`, and `1Gi` is not `1G`. You read such amounts, write them in the one canonical form,
//! compare them and add them up, without ever losing a billionth.
//!
//! About 15 minutes · builds on nothing · book: "Quantities: 500m, 256Mi and why they are exact"
//! stuck? `cargo grade hint objects/quantity`

use kit::objects::{BINARY_SUFFIXES, DECIMAL_SUFFIXES, NotAQuantity, Quantities};

#[derive(Default)]
struct Exercise;

impl Quantities for Exercise {
    /// The same amount in canonical form, or `Err(NotAQuantity)`.
    ///
    /// A quantity is a sign that may be left out, digits with a point that may be left out, and a suffix: one of
    /// `DECIMAL_SUFFIXES`, one of `BINARY_SUFFIXES`, or `e` or `E` with a whole number behind it, a power of ten.
    /// What is finer than a nano is rounded to the next nano away from zero. No text has more than 30 characters,
    /// none with a binary suffix more than 20 digits, and no exponent is below -15 or above 18.
    ///
    /// The canonical form has no point, and the greatest suffix of its own family that allows this. A binary amount
    /// of less than 1024, or with a part of a byte, is written in the decimal family. Powers of ten (`12e6`) go in
    /// steps of three, and `e0` is left out. Zero is `0`.
    fn canonical(&self, text: &str) -> Result<String, NotAQuantity> {
        let _ = (text, DECIMAL_SUFFIXES, BINARY_SUFFIXES);
        todo!("read the amount as a whole number of nanos, and write it from there")
    }

    /// Whole units, rounded away from zero.
    fn value(&self, text: &str) -> i64 {
        let _ = text;
        todo!("divide the nanos")
    }

    /// Thousandths, rounded away from zero.
    fn milli_value(&self, text: &str) -> i64 {
        let _ = text;
        todo!("divide the nanos by something else")
    }

    /// -1 where `a` is the smaller amount, 0 where they are equal however they are written, 1 where it is the greater.
    fn compare(&self, a: &str, b: &str) -> i32 {
        let _ = (a, b);
        todo!("compare amounts, not texts")
    }

    /// The sum in canonical form, in the family of `a`; in that of `b` if `a` is zero.
    fn add(&self, a: &str, b: &str) -> String {
        let _ = (a, b);
        todo!("add the nanos")
    }

    /// The difference, under the same rule.
    fn sub(&self, a: &str, b: &str) -> String {
        let _ = (a, b);
        todo!("subtract the nanos")
    }
}

kit::exercise!(Exercise: Quantities);
