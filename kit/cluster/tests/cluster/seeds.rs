//! One seed, one history, in every run and every build: each write, by whom and when, and all that an observer sees.

use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Play, Timeline, Trace};
use serde_json::json;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

fn history(seed: u64) -> (Vec<String>, Vec<Trace>) {
    let timeline: Timeline = serde_json::from_value(json!({
        "cluster": {"nodes": 6, "zones": 3, "seed": seed},
        "apply": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
                "replicas": 8, "selector": {"matchLabels": {"app": "web"}}, "template": {
                    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                },
            }},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        ],
        "timeline": [
            {"crash": "node-3"}, {"run": "30s"}, {"kill": {"pod/web#1": 137}}, {"scale": {"deployment/web": 20}},
            {"run": "400s"}, {"restart": "node-3"}, {"lag": {"replicaset-controller": "3s"}},
            {"scale": {"deployment/web": 3}}, {"run": "60s"},
        ],
        "observe": ["nodes", "pods", "endpoints", "deployments", "replica_sets", "events"],
    }))
    .expect("a good timeline");
    let (mut play, mut lines) = Play::start(&timeline, &solutions::modules(), Clock::default()).expect("it starts");
    while let Some((_, seen)) = play.step().expect("it goes on") {
        lines.extend(seen);
    }
    (lines, play.trace().to_vec())
}

#[test]
fn the_same_seed_has_the_same_history() {
    let (first, again, other) = (history(7), history(7), history(8));
    assert!(first.1.len() > 200, "only {} writes", first.1.len());
    assert_eq!(first.0, again.0);
    assert_eq!(first.1, again.1);
    // Names are drawn, and nothing that an observer sees depends on them here.
    assert_ne!(first.1, other.1);
}

/// Debug and release builds have the same history: they are compared with the same file.
#[test]
fn every_build_has_the_same_history() {
    let (mut lines, trace) = history(7);
    let writes = serde_json::to_string(&trace).expect("a trace is plain data");
    let mut hasher = SipHasher13::new();
    hasher.write(writes.as_bytes());
    lines.push(format!("{} writes with the hash {:x}", trace.len(), hasher.finish()));
    insta::assert_snapshot!(lines.join("\n"));
}
