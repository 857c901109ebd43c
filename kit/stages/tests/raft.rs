//! The reference members of the Raft exercises, through more storms than the scenarios have.

use kit_stages::control_plane::raft::{self, Script};
use serde_json::json;

fn storm(exercise: &str, members: u64, seed: u64) -> Vec<String> {
    let script: Script = serde_json::from_value(json!({
        "group": {"members": members, "seed": seed},
        "storm": {"seeds": 40, "length": "2s", "faults": ["crash", "cut", "loss", "delay"]},
    }))
    .expect("a script");
    let modules = solutions::modules();
    let mut seen = Vec::new();
    raft::play(&script, exercise, &modules, &modules, &mut |_, lines| seen.extend(lines)).expect("a script that fits");
    seen
}

#[test]
fn no_storm_breaks_a_promise_of_the_reference() {
    for exercise in ["control_plane/raft_election", "control_plane/raft_replication"] {
        for (members, seed) in [(3, 1000), (4, 2000), (5, 3000)] {
            let seen = storm(exercise, members, seed);
            assert_eq!(seen.first().map(String::as_str), Some("no promise is broken"), "{exercise}: {seen:#?}");
        }
    }
}
