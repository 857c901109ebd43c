//! Fresh scenarios of the Raft exercises: whole schedules of faults, in which every promise is held.

use crate::fresh::Generator;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

/// A short storm, since many short ones meet more than a few long ones; in some of them the reference runs some of the
/// members. A storm makes its own history shorter, so that nothing is left to shrink but the kinds of its faults.
fn storm(length: &'static str) -> impl Strategy<Value = Value> {
    let faults = subsequence(vec!["crash", "cut", "loss", "delay"], 1..=4);
    let reference = prop_oneof![2 => Just(Vec::new()), 1 => subsequence(vec![1, 2, 3], 1..=2)];
    (select(vec![3, 3, 5, 4]), reference, (0_u64..1 << 32).no_shrink(), faults).prop_map(
        move |(members, reference, seed, faults)| {
            json!({
                "why": "Whatever is lost, late, repeated or cut, and whoever loses power, no promise of Raft is broken.",
                "read": "the-promises",
                "group": {"members": members, "reference": reference, "seed": seed},
                "storm": {"seeds": 1, "length": length, "faults": faults},
            })
        },
    )
}

/// Groups that elect, often with logs of which not all are as up to date.
pub fn elections() -> Generator {
    let log = (1_u64..3, 1_u64..3).prop_map(|(term, index)| json!({"term": term, "index": index}));
    (storm("700ms"), any::<bool>(), vec(log, 5))
        .prop_map(|(mut storm, same, logs)| {
            let members = storm["group"]["members"].as_u64().filter(|_| !same).unwrap_or_default();
            for (id, log) in (1..=members).zip(logs) {
                storm["group"]["logs"][id.to_string()] = log;
            }
            storm
        })
        .boxed()
}

/// Groups that replicate; the stage holds their elections.
pub fn replication() -> Generator {
    storm("700ms").boxed()
}
