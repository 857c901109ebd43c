use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

fn pod(bench: &mut Bench, name: &str, cpu: &str, policy: &str) {
    let amounts = json!({"cpu": cpu, "memory": "64Mi"});
    let main = json!({
        "name": "main", "image": "app:1", "resources": {"requests": amounts, "limits": amounts},
        "resizePolicy": [{"resourceName": "cpu", "restartPolicy": policy}],
    });
    bench.pod(name, json!({"containers": [main]}));
    bench.wait(3.0);
}

/// The CPU that a container was given and has, and the conditions that tell of a resize.
fn seen(bench: &Bench, name: &str) -> (String, String, Vec<String>) {
    let of = |pointer: &str| {
        bench.status(name, &format!("/containerStatuses/0/{pointer}")).as_str().unwrap_or_default().to_string()
    };
    let conditions = bench.status(name, "/conditions");
    let told = |condition: &Value| {
        let word = |field: &str| condition[field].as_str().unwrap_or_default().to_string();
        let about = word("type");
        about
            .starts_with("PodResize")
            .then(|| format!("{about} {} {}", word("reason"), word("message")).trim().to_string())
    };
    let told = conditions.as_array().into_iter().flatten().filter_map(told).collect();
    (of("allocatedResources/cpu"), of("resources/limits/cpu"), told)
}

fn resize(bench: &mut Bench, name: &str, cpu: &str) {
    let amounts = json!({"cpu": cpu, "memory": "64Mi"});
    bench.resize(name, json!({"requests": amounts, "limits": amounts}));
}

#[test]
fn a_container_gets_other_resources_while_it_runs() {
    for (policy, restarts) in [("NotRequired", 0), ("RestartContainer", 1)] {
        let mut bench = Bench::new(with_programs);
        pod(&mut bench, "web", "500m", policy);
        assert_eq!(seen(&bench, "web"), ("500m".into(), "500m".into(), vec![]));
        resize(&mut bench, "web", "800m");
        // It is given at once, and done when the runtime is asked next.
        assert_eq!(seen(&bench, "web"), ("800m".into(), "500m".into(), vec!["PodResizeInProgress".into()]), "{policy}");
        bench.wait(4.0);
        assert_eq!(seen(&bench, "web"), ("800m".into(), "800m".into(), vec![]), "{policy}");
        assert_eq!(bench.status("web", "/containerStatuses/0/restartCount"), restarts, "{policy}");
        let told = "Normal Killing: Container main resize requires restart".to_string();
        assert_eq!(bench.events("web").contains(&told), restarts == 1, "{policy}");
    }
}

#[test]
fn what_a_node_has_no_room_for_waits_or_never_happens() {
    let mut bench = Bench::new(with_programs);
    pod(&mut bench, "web", "1", "NotRequired");
    pod(&mut bench, "other", "2", "NotRequired");
    resize(&mut bench, "web", "9");
    let never = "PodResizePending Infeasible Node didn't have enough capacity: cpu, requested: 9000, capacity: 4000";
    assert_eq!(seen(&bench, "web"), ("1".into(), "1".into(), vec![never.into()]));
    resize(&mut bench, "web", "3");
    let later =
        "PodResizePending Deferred Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000";
    assert_eq!(seen(&bench, "web"), ("1".into(), "1".into(), vec![later.into()]));
    // Room is found with the next sync.
    resize(&mut bench, "other", "500m");
    bench.wait(3.0);
    assert_eq!(seen(&bench, "web").2, [later]);
    bench.wait(95.0);
    assert_eq!(seen(&bench, "web"), ("3".into(), "3".into(), vec![]));
    // What isn't wanted any more is forgotten.
    resize(&mut bench, "other", "2");
    assert_eq!(seen(&bench, "other").2.len(), 1);
    resize(&mut bench, "other", "500m");
    assert_eq!(seen(&bench, "other").2, Vec::<String>::new());
}
