//! Fresh scenarios of the Raft exercises: whole schedules of faults, in which every promise is held.

use crate::fresh::Generator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

/// A group of modules in a storm; of replication, whose lesson holds the elections, a shorter one. A storm makes its own
/// history shorter, so that nothing is left to shrink but the kinds of its faults.
pub fn fresh(length: &'static str) -> Generator {
    let faults = subsequence(vec!["crash", "cut", "loss", "delay"], 1..=4);
    (select(vec![3, 3, 5, 4]), (0_u64..1 << 32).no_shrink(), faults)
        .prop_map(move |(members, seed, faults)| {
            json!({
                "why": "Whatever is lost, late, repeated or cut, and whoever loses power, no promise of Raft is broken.",
                "read": "the-promises",
                "group": {"members": members, "seed": seed},
                "storm": {"seeds": 1, "length": length, "faults": faults},
            })
        })
        .boxed()
}
