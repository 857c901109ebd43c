use crate::kubelet::testing::{Bench, with_programs};
use kit_client::fault::Fault;
use serde_json::{Value, json};

fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "busybox:1", "command": ["sh", "-c", script]})
}

fn sidecar(name: &str, script: &str) -> Value {
    let mut container = shell(name, script);
    container["restartPolicy"] = "Always".into();
    container
}

/// The states of all containers of the pod, init containers first, with how often each was started again.
fn states(bench: &Bench) -> Vec<String> {
    let of = |list: &str| bench.status("pod", list).as_array().cloned().unwrap_or_default();
    let state = |status: &Value| {
        let state = &status["state"];
        let said = match () {
            () if state["running"].is_object() => "runs".to_string(),
            () if state["terminated"].is_object() => format!("exit {}", state["terminated"]["exitCode"]),
            () => state["waiting"]["reason"].as_str().unwrap_or_default().to_string(),
        };
        format!("{} {said} {}", status["name"].as_str().unwrap_or_default(), status["restartCount"])
    };
    of("/initContainerStatuses").iter().chain(&of("/containerStatuses")).map(state).collect()
}

#[test]
fn what_a_pod_does_follows_from_its_containers() {
    /// What it is about, the policy, init containers and mains, how long it is watched, and what is there then.
    type Case<'a> = (&'a str, &'a str, Vec<Value>, Vec<Value>, f64, &'a str, &'a [&'a str]);
    let cases: Vec<Case<'_>> = vec![
        (
            "what has failed is started again, what has succeeded isn't",
            "OnFailure",
            vec![],
            vec![shell("good", "sleep 1"), shell("bad", "sleep 3; exit 1")],
            7.0,
            "Running",
            &["bad runs 1", "good exit 0 0"],
        ),
        (
            "sidecars end when the rest has ended, the first one last",
            "Never",
            vec![sidecar("log", "sleep infinity"), sidecar("proxy", "sleep infinity")],
            vec![shell("task", "sleep 2")],
            12.0,
            "Succeeded",
            &["log exit 137 0", "proxy exit 137 0", "task exit 0 0"],
        ),
        (
            "a sidecar that ends is started again while the rest runs, whatever the policy",
            "Never",
            vec![sidecar("log", "sleep 2")],
            vec![shell("task", "sleep infinity")],
            4.5,
            "Running",
            &["log runs 1", "task runs 0"],
        ),
        (
            "an init container that fails under Never fails the pod, and ends its sidecars",
            "Never",
            vec![sidecar("log", "sleep infinity"), shell("first", "sleep 1; exit 3")],
            vec![shell("task", "sleep 2")],
            9.0,
            "Failed",
            &["log exit 137 0", "first exit 3 0", "task PodInitializing 0"],
        ),
    ];
    for (what, policy, inits, containers, seconds, phase, expected) in cases {
        let mut bench = Bench::new(with_programs);
        bench.pod(
            "pod",
            json!({
                "restartPolicy": policy, "terminationGracePeriodSeconds": 2,
                "initContainers": inits, "containers": containers,
            }),
        );
        bench.wait(seconds);
        assert_eq!(
            (bench.status("pod", "/phase"), states(&bench)),
            (json!(phase), expected.iter().map(|of| of.to_string()).collect()),
            "{what}"
        );
    }
}

#[test]
fn a_pod_whose_sandbox_is_lost_begins_anew_with_its_init_containers() {
    let mut bench = Bench::new(with_programs);
    bench.pod(
        "pod",
        json!({
            "initContainers": [sidecar("log", "sleep infinity"), shell("first", "sleep 2")],
            "containers": [shell("main", "sleep infinity")],
        }),
    );
    bench.wait(6.0);
    assert_eq!(states(&bench), ["log runs 0", "first exit 0 0", "main runs 0"]);
    bench.fault(&Fault::Crash("node-1".into()));
    bench.fault(&Fault::Restart("node-1".into()));
    bench.wait(1.0);
    assert_eq!(states(&bench), ["log runs 1", "first runs 1", "main PodInitializing 0"]);
    bench.wait(5.0);
    assert_eq!(states(&bench), ["log runs 1", "first exit 0 1", "main runs 1"]);
    let told = "Normal SandboxChanged: Pod sandbox changed, it will be killed and re-created.".to_string();
    assert!(bench.events("pod").contains(&told), "{:?}", bench.events("pod"));
}

#[test]
fn who_comes_to_look_around_runs_once_beside_the_others() {
    let mut bench = Bench::new(with_programs);
    bench.pod("pod", json!({"containers": [shell("main", "sleep infinity")]}));
    bench.wait(3.0);
    bench.debug("pod", shell("look", "echo here; sleep 2; exit 3"));
    bench.wait(1.5);
    let of = |bench: &Bench, pointer: &str| bench.status("pod", &format!("/ephemeralContainerStatuses/0/{pointer}"));
    assert!(of(&bench, "state/running").is_object(), "{}", bench.status("pod", ""));
    assert_eq!(bench.log("pod", "look"), "here\n");
    bench.wait(30.0);
    assert_eq!((of(&bench, "state/terminated/exitCode"), of(&bench, "restartCount")), (json!(3), json!(0)));
    assert_eq!(states(&bench), ["main runs 0"]);
    assert_eq!(bench.status("pod", "/phase"), "Running");
    // It ends with its pod.
    bench.debug("pod", shell("stay", "sleep infinity"));
    bench.wait(2.0);
    bench.delete("pod");
    bench.wait(31.0);
    assert!(bench.status("pod", "").is_null());
}
