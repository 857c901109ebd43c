//! A lost node, held against what a real control plane did: `tests/conformance/timelines/node_failure.json`.
//!
//! The recording samples about once a second, its kubelets had renewed their leases up to 5 s before they stopped, and
//! it sees pods start where a line here shows a whole second. So the same states must come in the same order, and as
//! far
//! from when the loss was noticed, within three seconds.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::{Value, json};

type Changes = Vec<(f64, String)>;

/// When a subject had which value, in the recording.
fn recorded(subject: &str) -> Changes {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/timelines/node_failure.json");
    let text = std::fs::read_to_string(path).expect("the recording is there");
    let recording: Value = serde_json::from_str(&text).expect("the recording is JSON");
    let samples = recording["timeline"].as_array().expect("a timeline");
    let changes = samples.iter().filter_map(|sample| {
        let value = sample["changes"][subject][1].as_str()?;
        Some((sample["t"].as_f64()?, value.to_string()))
    });
    changes.collect()
}

/// The same in the lines of a timeline.
fn played(lines: &[String], subject: &str) -> Changes {
    let lines = lines.iter().filter_map(|line| {
        let (at, rest) = line.split_once(char::is_whitespace)?;
        let value = rest.trim().strip_prefix(subject)?.strip_prefix(": ")?;
        let at: kit_api::duration::Duration = at.strip_prefix("t=")?.parse().ok()?;
        let value = value.rsplit_once(" → ").map_or(value, |(_, now)| now);
        Some((at.nanos as f64 / 1e9, value.to_string()))
    });
    lines.collect()
}

#[test]
fn a_lost_node_is_what_a_real_control_plane_made_of_it() {
    let timeline: Timeline = serde_json::from_value(json!({
        "cluster": {"nodes": 3, "zones": 3},
        "apply": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {
                "replicas": 6, "selector": {"matchLabels": {"app": "web"}}, "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                },
            }},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        ],
        "timeline": [{"crash": "node-3"}, {"run": "421s"}, {"restart": "node-3"}, {"run": "20s"}],
        "observe": ["nodes", "pods", "endpoints"],
    }))
    .expect("a good timeline");
    let (mut play, _) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    let mut lines = Vec::new();
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    // The recording writes no taints as an empty text, and says more of a healthy node.
    let normal = |value: &str| match value {
        "none" => String::new(),
        value if value.starts_with("True") => "True".into(),
        value if value.starts_with("Unknown") => "Unknown".into(),
        value => value.to_string(),
    };
    for (theirs, ours) in [
        ("node/node-3 Ready", "node/node-3 Ready"),
        ("node/node-3 taints", "node/node-3 taints"),
        ("endpointslice of web", "endpoints of web"),
    ] {
        let mut real = recorded(theirs);
        // The deletion and the new endpoints are one line here and two samples there.
        real.retain(|(_, value)| value != "4 ready of 6, terminating 2");
        let ours = played(&lines, ours);
        let values = |changes: &Changes| changes.iter().map(|(_, value)| normal(value)).collect::<Vec<_>>();
        assert_eq!(values(&ours), values(&real), "{theirs}");
        for ((ours_at, value), (real_at, _)) in ours.iter().zip(&real) {
            // Counted from when the loss was noticed, and after the return from the return.
            let since = |at: f64, first: f64| if at < 415.0 { at - first } else { at - 420.0 };
            let (ours_at, real_at) = (since(*ours_at, ours[0].0), since(*real_at, real[0].0));
            assert!(
                (ours_at - real_at).abs() <= 3.0,
                "{theirs}: {value} after {ours_at} s, recorded after {real_at} s"
            );
        }
        assert!(
            (ours[0].0 - real[0].0).abs() <= 8.0,
            "{theirs}: first at {} s, recorded at {} s",
            ours[0].0,
            real[0].0
        );
    }
}
