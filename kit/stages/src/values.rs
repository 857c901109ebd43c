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
