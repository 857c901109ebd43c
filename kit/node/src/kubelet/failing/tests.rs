use crate::kubelet::testing::Bench;
use serde_json::{Value, json};

fn asks(cpu: &str) -> Value {
    json!({"containers": [{"name": "main", "image": "web", "resources": {"requests": {"cpu": cpu}}}]})
}

#[test]
fn a_pod_that_was_bound_to_a_full_node_fails() {
    let mut bench = Bench::new(|kubelets| kubelets);
    bench.pod("first", asks("3"));
    bench.pod("second", asks("2"));
    bench.pod("third", asks("1"));
    let mut picky = asks("0");
    picky["nodeSelector"] = json!({"disk": "ssd"});
    bench.pod("picky", picky);
    bench.wait(2.0);
    let message = "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 4000";
    assert_eq!(["/phase", "/reason"].map(|at| bench.status("second", at)), ["Failed", "OutOfcpu"]);
    assert_eq!(bench.status("second", "/message"), format!("Pod was rejected: {message}"));
    assert_eq!(bench.events("second"), [format!("Warning OutOfcpu: {message}")]);
    assert_eq!(bench.status("third", "/phase"), "Running");
    assert_eq!(bench.status("picky", "/reason"), "NodeAffinity");

    // What is gone takes nothing any more.
    bench.delete("first");
    bench.wait(1.0);
    bench.pod("fourth", asks("3"));
    bench.wait(1.0);
    assert_eq!(bench.status("fourth", "/phase"), "Running");
}
