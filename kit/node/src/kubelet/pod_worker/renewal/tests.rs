use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

/// A container of some pod, its image and command before, the image after, and the pod's restart policy.
struct Case {
    what: &'static str,
    pod: Value,
    pointer: &'static str,
    image: &'static str,
    /// How long the pod is left alone before.
    before: f64,
    /// What is said of the container some seconds after: its state, how often it was started again, and its image.
    after: (&'static str, i64, &'static str),
    told: Option<&'static str>,
}

fn see(bench: &Bench, list: &str) -> (String, i64, String) {
    let status = bench.status("pod", &format!("/{list}/0"));
    let state = &status["state"];
    let said = match () {
        () if state["running"].is_object() => "running".into(),
        () if state["terminated"].is_object() => format!("exit {}", state["terminated"]["exitCode"]),
        () => state["waiting"]["reason"].as_str().unwrap_or_default().to_string(),
    };
    let image = status["image"].as_str().unwrap_or_default().to_string();
    (said, status["restartCount"].as_i64().unwrap_or_default(), image)
}

fn cases() -> Vec<Case> {
    let pod = |policy: &str, image: &str| {
        let main = json!({"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"});
        json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 2, "containers": [main]})
    };
    let with_init = |restarts: Value, image: &str| {
        let mut pod = pod("Always", "web:1");
        pod["initContainers"] = json!([{"name": "first", "image": image, "restartPolicy": restarts}]);
        pod
    };
    let changed = "Normal Killing: Container main definition changed, will be restarted";
    let (main, first) = ("/spec/containers/0/image", "/spec/initContainers/0/image");
    vec![
        Case {
            what: "a container that runs is started again",
            pod: pod("Always", "web:1"),
            pointer: main,
            image: "web:2",
            before: 3.0,
            after: ("running", 1, "web:2"),
            told: Some(changed),
        },
        Case {
            what: "the same image by another name is another",
            pod: pod("Always", "web:1"),
            pointer: main,
            image: "docker.io/library/web:1",
            before: 3.0,
            after: ("running", 1, "docker.io/library/web:1"),
            told: Some(changed),
        },
        Case {
            what: "an image that can't be pulled is forgotten",
            pod: pod("Always", "broken:1"),
            pointer: main,
            image: "web:2",
            before: 60.0,
            after: ("running", 0, "web:2"),
            told: None,
        },
        Case {
            what: "a sidecar is started again",
            pod: with_init(json!("Always"), "proxy:1"),
            pointer: first,
            image: "proxy:2",
            before: 3.0,
            after: ("running", 1, "proxy:2"),
            told: Some("Normal Killing: Init container first definition changed"),
        },
    ]
}

#[test]
fn a_container_of_another_image_begins_anew() {
    for programs in [false, true] {
        for Case { what, pod, pointer, image, before, after, told } in cases() {
            let mut bench = Bench::new(|kubelets| if programs { with_programs(kubelets) } else { kubelets });
            bench.pod("pod", pod);
            bench.wait(before);
            bench.change("pod", pointer, json!(image));
            bench.wait(6.0);
            let list = if pointer.contains("init") { "initContainerStatuses" } else { "containerStatuses" };
            assert_eq!(see(&bench, list), (after.0.into(), after.1, after.2.into()), "{what}, programs: {programs}");
            assert_eq!(bench.status("pod", "/phase"), "Running", "{what}");
            let events = bench.events("pod");
            let killing: Vec<_> = events.iter().filter(|event| event.contains("Killing")).map(String::as_str).collect();
            assert_eq!(killing, told.into_iter().collect::<Vec<_>>(), "{what}, programs: {programs}");
        }
    }
}

#[test]
fn it_is_started_again_whatever_the_policy_says_and_waits_for_nothing() {
    // A program that is killed, and one that waits after it crashed: how often each was started again, and what it has written.
    let cases = [("Never", "echo hello; sleep infinity", 1), ("Always", "echo hello; exit 1", 4)];
    for (policy, script, restarts) in cases {
        let mut bench = Bench::new(with_programs);
        let main = json!({"name": "main", "image": "busybox:1", "command": ["sh", "-c", script]});
        bench.pod("pod", json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 2, "containers": [main]}));
        bench.wait(if policy == "Never" { 3.0 } else { 50.0 });
        let mut phases = std::collections::BTreeSet::new();
        bench.change("pod", "/spec/containers/0/image", json!("busybox:2"));
        for _ in 0..45 {
            phases.insert(bench.status("pod", "/phase").to_string());
            bench.wait(0.1);
        }
        let (_, count, image) = see(&bench, "containerStatuses");
        assert_eq!((count, image.as_str()), (restarts, "busybox:2"), "{policy}");
        assert_eq!(phases.into_iter().collect::<Vec<_>>(), ["\"Running\""], "{policy}");
        assert!(bench.log("pod", "main").contains("hello"), "{policy}");
    }
}

#[test]
fn an_init_container_that_runs_or_has_run_is_left_alone() {
    for before in [1.0, 8.0] {
        let mut bench = Bench::new(with_programs);
        let shell =
            |name: &str, script: &str| json!({"name": name, "image": "busybox:1", "command": ["sh", "-c", script]});
        bench.pod(
            "pod",
            json!({"initContainers": [shell("first", "sleep 4")], "containers": [shell("main", "sleep infinity")]}),
        );
        bench.wait(before);
        bench.change("pod", "/spec/initContainers/0/image", json!("busybox:2"));
        bench.wait(8.0);
        assert_eq!(see(&bench, "initContainerStatuses").0, "exit 0");
        assert_eq!(bench.status("pod", "/containerStatuses/0/restartCount"), 0);
        assert!(!bench.events("pod").iter().any(|event| event.contains("Killing")), "{:?}", bench.events("pod"));
    }
}

#[test]
fn a_hook_comes_before_the_signal() {
    let mut bench = Bench::new(with_programs);
    let script = "trap 'echo told; exit 0' TERM; while true; do sleep 0.1; done";
    let main = json!({
        "name": "main", "image": "busybox:1", "command": ["sh", "-c", script],
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    });
    bench.pod("pod", json!({"containers": [main]}));
    bench.wait(3.0);
    bench.change("pod", "/spec/containers/0/image", json!("busybox:2"));
    bench.wait(4.5);
    assert_eq!((bench.log("pod", "main").as_str(), see(&bench, "containerStatuses").1), ("", 0));
    bench.wait(3.0);
    assert_eq!(see(&bench, "containerStatuses").1, 1);
}
