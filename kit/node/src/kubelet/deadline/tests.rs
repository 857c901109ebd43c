use crate::kubelet::testing::Bench;
use serde_json::json;

#[test]
fn a_pod_that_runs_too_long_fails_and_nobody_is_to_blame() {
    let mut bench = Bench::new(|kubelets| kubelets);
    bench.pod("short", json!({"activeDeadlineSeconds": 30, "containers": [{"name": "main", "image": "web"}]}));
    bench.pod("long", json!({"containers": [{"name": "main", "image": "web"}]}));
    bench.wait(29.0);
    assert_eq!(bench.status("short", "/phase"), "Running");
    bench.wait(5.0);
    assert_eq!(["/phase", "/reason"].map(|at| bench.status("short", at)), ["Failed", "DeadlineExceeded"]);
    assert_eq!(bench.status("short", "/message"), "Pod was active on the node longer than the specified deadline");
    assert!(!bench.status("short", "/conditions").to_string().contains("DisruptionTarget"));
    let told = "Normal DeadlineExceeded: Pod was active on the node longer than the specified deadline";
    assert!(bench.events("short").iter().any(|event| event == told), "{:?}", bench.events("short"));
    bench.wait(600.0);
    assert_eq!(bench.status("long", "/phase"), "Running");
}

#[test]
fn a_pod_that_has_ended_in_time_stays_as_it_is() {
    let mut bench = Bench::new(|kubelets| kubelets);
    let spec = json!({"activeDeadlineSeconds": 30, "restartPolicy": "Never", "containers": [{"name": "main", "image": "task"}]});
    bench.pod("task", spec);
    bench.wait(60.0);
    assert_eq!(bench.status("task", "/phase"), "Succeeded");
    assert!(!bench.events("task").iter().any(|event| event.contains("DeadlineExceeded")));
}
