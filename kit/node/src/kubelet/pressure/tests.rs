use crate::kubelet::Kubelets;
use crate::kubelet::image::Image;
use crate::kubelet::testing::Bench;
use kit_api::core::Node;
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};

/// What is said of a condition of `node-1`: its status and its reason.
fn condition(bench: &Bench, type_: &str) -> (String, String) {
    let node = bench.server.get(&Key::new(Kind::Node, "", "node-1")).expect("the node").get::<Node>().cloned();
    let all = node.and_then(|node| node.status?.conditions).unwrap_or_default();
    let found = all.into_iter().find(|condition| condition.type_ == type_).expect("the condition");
    (found.status, found.reason.unwrap_or_default())
}

/// On a node of 8Gi, with a disk of 100Gi.
fn bench() -> Bench {
    let images = [
        ("steady", Image { memory: 3 << 30, ..Image::default() }),
        ("leaky", Image { memory: 6 << 30, fills_after: Some(60.0), ..Image::default() }),
        ("writer", Image { disk: 90 << 30, ..Image::default() }),
    ];
    let registry = images.map(|(name, image)| (name.to_string(), image)).into();
    Bench::new(|kubelets| Kubelets { registry, ..kubelets })
}

fn runs(image: &str, memory: &str) -> Value {
    json!({"containers": [{"name": "main", "image": image, "resources": {"requests": {"memory": memory}}}]})
}

#[test]
fn who_uses_more_than_it_asked_for_goes_when_memory_is_short() {
    let mut bench = bench();
    bench.pod("steady", runs("steady", "4Gi"));
    bench.pod("leaky", runs("leaky", "1Gi"));
    bench.wait(40.0);
    assert_eq!(condition(&bench, "MemoryPressure").0, "False");
    bench.wait(30.0);
    assert_eq!(condition(&bench, "MemoryPressure"), ("True".into(), "KubeletHasInsufficientMemory".into()));
    assert_eq!(["/phase", "/reason"].map(|at| bench.status("leaky", at)), ["Failed", "Evicted"]);
    let message = bench.status("leaky", "/message").as_str().unwrap_or_default().to_string();
    assert!(
        message.starts_with("The node was low on resource: memory. Threshold quantity: 100Mi, available: "),
        "{message}"
    );
    assert!(message.contains("Container main was using ") && message.contains(", request is 1Gi, "), "{message}");
    assert_eq!(bench.status("steady", "/phase"), "Running");
    let events = bench.events("node-1");
    for told in ["Warning EvictionThresholdMet: Attempting to reclaim memory", "Normal NodeHasInsufficientMemory: "] {
        assert!(events.iter().any(|event| event.starts_with(told)), "{events:?}");
    }

    // Who asks for nothing isn't let in until the pressure is over.
    bench.pod("late", json!({"containers": [{"name": "main", "image": "steady"}]}));
    assert_eq!(bench.status("late", "/reason"), "Evicted");
    assert_eq!(bench.status("late", "/message"), "Pod was rejected: The node had condition: [MemoryPressure]. ");
    bench.pod("asking", runs("steady", "1Gi"));
    bench.wait(5.0);
    assert_eq!(bench.status("asking", "/phase"), "Running");
    bench.wait(310.0);
    assert_eq!(condition(&bench, "MemoryPressure"), ("False".into(), "KubeletHasSufficientMemory".into()));
}

#[test]
fn a_full_disk_costs_whoever_filled_it() {
    let mut bench = bench();
    bench.pod("writer", runs("writer", "1Gi"));
    bench.pod("steady", runs("steady", "1Gi"));
    bench.wait(15.0);
    assert_eq!(condition(&bench, "DiskPressure"), ("True".into(), "KubeletHasDiskPressure".into()));
    assert_eq!(["/phase", "/reason"].map(|at| bench.status("writer", at)), ["Failed", "Evicted"]);
    let disrupted = bench.status("writer", "/conditions").as_array().cloned().unwrap_or_default();
    assert!(disrupted.iter().any(|condition| condition["type"] == "DisruptionTarget"), "{disrupted:?}");
    assert_eq!(bench.status("steady", "/phase"), "Running");
}
