use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

/// A container that says when it was asked to end, and takes so long to do it.
fn slow(name: &str, seconds: &str) -> Value {
    let script = format!("trap 'sleep {seconds}; exit 0' TERM; while true; do sleep 0.1; done");
    json!({"name": name, "image": "busybox", "command": ["sh", "-c", script]})
}

/// How many tenths of a second a pod needs to end.
fn ends(bench: &mut Bench, spec: Value) -> u32 {
    bench.pod("pod", spec);
    bench.wait(10.0);
    assert_eq!(bench.status("pod", "/phase"), "Running");
    bench.delete("pod");
    for tenth in 0..600 {
        if bench.status("pod", "/phase").is_null() {
            return tenth;
        }
        bench.wait(0.1);
    }
    panic!("it never ends")
}

#[test]
fn hooks_and_sidecars_take_their_time_within_the_grace_period() {
    let sidecar = |seconds: &str| {
        let mut container = slow("proxy", seconds);
        container["restartPolicy"] = "Always".into();
        container
    };
    let mut late = slow("main", "1");
    late["lifecycle"] = json!({"preStop": {"exec": {"command": ["sleep", "3"]}}});
    let mut hooked = slow("main", "1");
    hooked["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    /// The main container, sidecars, the grace period, and how long all of it takes.
    type Case = (Value, Vec<Value>, i64, std::ops::RangeInclusive<u32>);
    let cases: Vec<Case> = vec![
        (slow("main", "1"), vec![], 30, 10..=13),
        (slow("main", "50"), vec![], 5, 50..=52),
        (slow("main", "1"), vec![], 100_000_000_000, 10..=13),
        // A moment is always left.
        (slow("main", "50"), vec![], 1, 20..=22),
        (hooked.clone(), vec![], 30, 40..=43),
        (late, vec![], 2, 20..=32),
        (slow("main", "1"), vec![sidecar("2")], 30, 30..=35),
        (slow("main", "50"), vec![sidecar("50")], 3, 50..=52),
    ];
    for (main, sidecars, grace, expected) in cases {
        let mut bench = Bench::new(with_programs);
        let spec = json!({
            "terminationGracePeriodSeconds": grace, "initContainers": sidecars, "containers": [main],
        });
        let took = ends(&mut bench, spec.clone());
        assert!(expected.contains(&took), "{took} tenths: {spec}");
    }
}
