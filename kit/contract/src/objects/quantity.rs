//! Amounts of resources, as manifests and the API write them.
//!
//! Source: `staging/src/k8s.io/apimachinery/pkg/api/resource/quantity.go` and `suffix.go`.

use crate::Show;
use serde::{Deserialize, Serialize};

// ANCHOR: contract
contract! {
    /// Reads, writes, compares and adds amounts such as `500m` and `256Mi`, exactly.
    ///
    /// All amounts asked are smaller than 2^63 units, and so are sums and differences. No text has more than 30
    /// characters, none with a binary suffix more than 20 digits, and no exponent is below -15 or above 18. (Kubernetes
    /// also reads `1e-50`, as one nano, and `0e99`, as zero. Neither is asked.)
    pub trait Quantities {
        /// The same amount in canonical form.
        ///
        /// An error where the text is not a sign that may be left out, then digits with a point that may be left out,
        /// then a suffix. What is finer than a nano is rounded to the next nano away from zero.
        fn canonical(&self, text: &str) -> Result<String, NotAQuantity>;

        /// Whole units, rounded away from zero: how memory is counted, in bytes.
        fn value(&self, text: &str) -> i64;

        /// Thousandths, rounded away from zero: how CPU is counted.
        fn milli_value(&self, text: &str) -> i64;

        /// -1 where `a` is the smaller amount, 0 where they are equal however they are written, 1 where it is the greater.
        fn compare(&self, a: &str, b: &str) -> i32;

        /// The sum in canonical form, in the family of `a`; in that of `b` if `a` is zero.
        fn add(&self, a: &str, b: &str) -> String;

        /// The difference, under the same rule.
        fn sub(&self, a: &str, b: &str) -> String;
    }
}

/// The decimal family: the suffix at place `i` stands for 1000 to the power of `i - 3`.
pub const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

/// The binary family: the suffix at place `i` stands for 1024 to the power of `i`.
pub const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The text means no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotAQuantity;
// ANCHOR_END: contract

impl Show for NotAQuantity {
    fn lines(&self) -> Vec<String> {
        vec!["not a quantity".into()]
    }
}
