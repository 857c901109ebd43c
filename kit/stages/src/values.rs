//! Values that bite: what generators of several exercises draw from.

use proptest::prelude::*;
use proptest::sample::select;

/// A label's or taint's value: absent things stay the caller's business.
pub fn value() -> BoxedStrategy<String> {
    select(vec!["", "a", "b", "A", "ab", "1", "01", "none", "a, b", "true"]).prop_map(str::to_string).boxed()
}

/// An amount of a resource: small, usual, and larger than 32 bits and than what a double holds exactly.
pub fn amount() -> BoxedStrategy<i64> {
    let odd = vec![
        0,
        1,
        2,
        3,
        99,
        100,
        101,
        250,
        999,
        1000,
        1 << 20,
        (1 << 20) + 1,
        (1 << 31) + 1,
        (1 << 40) + 7,
        (1 << 53) + 1,
    ];
    prop_oneof![2 => select(odd), 2 => 0_i64..5000, 1 => (0_i64..1 << 12).prop_map(|n| n << 20)].boxed()
}

/// Percents, and often those that a double doesn't come back from: `0.29 * 100.0` is less than 29, and `(1.0 - 0.44) * 100.0` is not 56.
pub fn percent() -> BoxedStrategy<i64> {
    let odd = vec![29_i64, 57, 58, 71, 43, 42, 34, 55, 56, 67, 68, 78, 80, 81, 89, 90, 91, 92, 93, 44, 45, 33, 32];
    prop_oneof![3 => select(odd), 1 => 0_i64..=100].boxed()
}

/// What one percent may be: with it, all percents are exact amounts.
pub fn hundredth() -> BoxedStrategy<i64> {
    select(vec![1_i64, 10, 40, 1 << 20, 12_345_678_901, (1 << 45) + 1]).boxed()
}
