//! Lost nodes, held against what a real control plane did: `tests/conformance/timelines`.
//!
//! A recording samples about once a second, its kubelets had renewed their leases up to 5 s before they stopped, and it
//! sees pods start where a line here shows a whole second. So the same states must come in the same order, and as far
//! from when the loss was noticed, within three seconds.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline};
use serde_json::{Value, json};

type Changes = Vec<(f64, String)>;

/// When a subject had which value, in a recording.
fn recorded(recording: &str, subject: &str) -> Changes {
    let path = format!("{}/../../tests/conformance/timelines/{recording}.json", env!("CARGO_MANIFEST_DIR"));
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
fn seen(lines: &[String], subject: &str) -> Changes {
    let lines = lines.iter().filter_map(|line| {
        let (at, rest) = line.split_once(char::is_whitespace)?;
        let value = rest.trim().strip_prefix(subject)?.strip_prefix(": ")?;
        let at: kit_api::duration::Duration = at.strip_prefix("t=")?.parse().ok()?;
        let value = value.rsplit_once(" → ").map_or(value, |(_, now)| now);
        Some((at.nanos as f64 / 1e9, value.to_string()))
    });
    lines.collect()
}

/// Plays six pods of a service on nodes in three zones, and what the steps do to them.
fn play(nodes: usize, steps: Value) -> Vec<String> {
    let timeline: Timeline = serde_json::from_value(json!({
        "cluster": {"nodes": nodes, "zones": 3},
        "apply": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": {
                "replicas": 6, "selector": {"matchLabels": {"app": "web"}}, "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                },
            }},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        ],
        "timeline": steps,
        "observe": ["nodes", "pods", "endpoints"],
    }))
    .expect("a good timeline");
    let (mut play, _) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    let mut lines = Vec::new();
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    lines
}

/// The recording writes no taints as an empty text, and says more of a healthy node.
fn normal(value: &str) -> String {
    match value {
        "none" => String::new(),
        value if value.starts_with("True") => "True".into(),
        value if value.starts_with("Unknown") => "Unknown".into(),
        value => value.to_string(),
    }
}

/// The same values in the same order, each as long after `zero` of its own side.
fn assert_alike(what: &str, ours: &Changes, real: &Changes, zeros: [f64; 2]) {
    let values = |changes: &Changes| changes.iter().map(|(_, value)| normal(value)).collect::<Vec<_>>();
    assert_eq!(values(ours), values(real), "{what}");
    for ((ours, value), (real, _)) in ours.iter().zip(real) {
        let (ours, real) = (ours - zeros[0], real - zeros[1]);
        assert!((ours - real).abs() <= 3.0, "{what}: {value:?} after {ours} s, recorded after {real} s");
    }
}

/// Splits at the moment when the nodes are back.
fn split(changes: Changes) -> (Changes, Changes) {
    changes.into_iter().partition(|(at, _)| *at < 415.0)
}

#[test]
fn a_lost_node_is_what_a_real_control_plane_made_of_it() {
    let steps = json!([{"crash": "node-3"}, {"run": "421s"}, {"restart": "node-3"}, {"run": "20s"}]);
    let lines = play(3, steps);
    for (theirs, ours) in [
        ("node/node-3 Ready", "node/node-3 Ready"),
        ("node/node-3 taints", "node/node-3 taints"),
        ("endpointslice of web", "endpoints of web"),
    ] {
        let mut real = recorded("node_failure", theirs);
        // The deletion and the new endpoints are one line here and two samples there.
        real.retain(|(_, value)| value != "4 ready of 6, terminating 2");
        let (ours, ours_back) = split(seen(&lines, ours));
        let (real, real_back) = split(real);
        let noticed = [ours[0].0, real[0].0];
        assert!((noticed[0] - noticed[1]).abs() <= 8.0, "{theirs}: first at {} s and {} s", noticed[0], noticed[1]);
        assert_alike(theirs, &ours, &real, noticed);
        assert_alike(theirs, &ours_back, &real_back, [420.0, 420.0]);
    }
}

#[test]
fn a_lost_zone_is_what_a_real_control_plane_made_of_it() {
    let steps = json!([
        {"crash": "node-3"}, {"crash": "node-6"}, {"run": "421s"},
        {"restart": "node-3"}, {"restart": "node-6"}, {"run": "20s"},
    ]);
    let lines = play(6, steps);
    // In the recording the two leases were of different age, so node-6 was noticed a pass before node-3. What must
    // agree is the rhythm: when the first and when the second of them is tainted, whichever that is.
    let tainted = |changes: &dyn Fn(&str) -> Changes| {
        let nodes = ["node/node-3 taints", "node/node-6 taints"];
        let mut all: Changes = nodes.iter().flat_map(|node| changes(node)).collect();
        all.retain(|(at, value)| *at < 415.0 && value.contains("NoExecute"));
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all
    };
    let ours = tainted(&|subject| seen(&lines, subject));
    let real = tainted(&|subject| recorded("zone_outage", subject));
    let first = [ours[0].0, real[0].0];
    assert_alike("NoExecute taints", &ours, &real, first);
    let (mut ours, _) = split(seen(&lines, "endpoints of web"));
    let (mut real, _) = split(recorded("zone_outage", "endpointslice of web"));
    // The two nodes lose their endpoints together here, and a deleted pod is replaced within a second.
    real.retain(|(_, value)| value != "5 ready of 6, terminating 0" && value != "4 ready of 6, terminating 1");
    assert_eq!(
        (ours.remove(0).1, real.remove(0).1),
        ("4 ready of 6, terminating 0".into(), "4 ready of 6, terminating 0".into())
    );
    assert_alike("endpoints", &ours, &real, first);
}
