use crate::kubelet::testing::{Bench, with_programs};
use kit_client::fault::Fault;
use serde_json::{Value, json};

fn container(name: &str, image: &str, script: Option<&str>) -> Value {
    let mut container = json!({"name": name, "image": image});
    if let Some(script) = script {
        container["command"] = json!(["sh", "-c", script]);
    }
    container
}

#[test]
fn each_step_of_a_container_is_an_event() {
    let mut bench = Bench::new(with_programs);
    bench.pod("web", json!({"containers": [container("web", "nginx:1", None)]}));
    bench.wait(2.0);
    let size = crate::kubelet::image::size("nginx:1");
    let pulled = format!(
        "Normal Pulled: Successfully pulled image \"nginx:1\" in 100ms (100ms including waiting). Image size: {size} bytes."
    );
    let all = |bench: &Bench, name: &str| {
        let mut events = bench.events(name);
        events.sort();
        events
    };
    let started = ["Normal Created: Created container: web", "Normal Started: Started container web"];
    assert_eq!(all(&bench, "web"), [started[0], &pulled, "Normal Pulling: Pulling image \"nginx:1\"", started[1]]);
    // The second finds the image there.
    bench.pod("again", json!({"containers": [container("web", "nginx:1", None)]}));
    bench.wait(2.0);
    let present = "Normal Pulled: Container image \"nginx:1\" already present on machine";
    assert_eq!(all(&bench, "again"), [started[0], present, started[1]]);
    let id = bench.status("web", "/containerStatuses/0/imageID");
    assert_eq!(id, bench.status("again", "/containerStatuses/0/imageID"));
    assert!(id.as_str().is_some_and(|id| id.starts_with("docker.io/library/nginx@sha256:")), "{id}");
    assert_ne!(
        bench.status("web", "/containerStatuses/0/containerID"),
        bench.status("again", "/containerStatuses/0/containerID")
    );
    bench.delete("again");
    assert_eq!(all(&bench, "again"), [started[0], "Normal Killing: Stopping container web", present, started[1]]);
}

#[test]
fn images_that_are_not_there_are_tried_again_and_again() {
    let mut bench = Bench::new(with_programs);
    /// An image, its pull policy, what the pod shows after so many seconds, and the events in the end.
    type Case<'a> = (&'a str, &'a str, &'a [(f64, &'a str)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "broken:1",
            "IfNotPresent",
            &[(0.5, "ErrImagePull"), (1.0, "ImagePullBackOff"), (15.5, "ErrImagePull"), (12.0, "ImagePullBackOff")],
            &[
                "Normal BackOff: Back-off pulling image \"broken:1\" (x",
                "Normal Pulling: Pulling image \"broken:1\" (x2)",
                "Warning Failed: Error: ErrImagePull (x2)",
                "Warning Failed: Error: ImagePullBackOff (x",
                "Warning Failed: Failed to pull image \"broken:1\": rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/broken:1\"",
            ],
        ),
        (
            "app",
            "Never",
            &[(0.5, "ErrImageNeverPull")],
            &[
                "Warning ErrImageNeverPull: Container image \"app\" is not present with pull policy of Never",
                "Warning Failed: Error: ErrImageNeverPull",
            ],
        ),
        (
            "App",
            "Always",
            &[(0.5, "InvalidImageName")],
            &[
                "Warning Failed: Error: InvalidImageName",
                "Warning InspectFailed: Failed to apply default image tag \"App\": couldn't parse image name \"App\": invalid reference format",
            ],
        ),
    ];
    for (image, policy, shown, events) in cases {
        let mut container = container("main", image, None);
        container["imagePullPolicy"] = json!(policy);
        let name = policy.to_lowercase();
        bench.pod(&name, json!({"containers": [container]}));
        for (seconds, status) in *shown {
            bench.wait(*seconds);
            assert_eq!(bench.shown(&name), *status, "{image}");
        }
        let mut got = bench.events(&name);
        got.sort();
        assert_eq!(got.len(), events.len(), "{got:?}");
        assert!(got.iter().zip(*events).all(|(got, expected)| got.starts_with(expected)), "{got:#?}");
    }
    let message = bench.status("ifnotpresent", "/containerStatuses/0/state/waiting/message");
    let text = message.as_str().unwrap_or_default();
    assert!(text.starts_with("Back-off pulling image \"broken:1\": ErrImagePull: rpc error"), "{text}");
}

#[test]
fn a_container_that_crashes_backs_off() {
    let mut bench = Bench::new(with_programs);
    bench.pod("crash", json!({"containers": [container("main", "busybox", Some("sleep 2; exit 3"))]}));
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..400 {
        bench.wait(0.1);
        let shown = format!("{} {}", bench.shown("crash"), bench.status("crash", "/containerStatuses/0/restartCount"));
        if seen.last() != Some(&shown) {
            seen.push(shown);
        }
    }
    assert_eq!(
        seen[..8],
        [
            "ContainerCreating 0",
            "Running 0",
            "Error 0",
            "Running 1",
            "Error 1",
            "CrashLoopBackOff 1",
            "Running 2",
            "Error 2"
        ]
    );
    let back_off = bench.events("crash").into_iter().find(|event| event.contains("BackOff")).unwrap_or_default();
    assert!(
        back_off.starts_with("Warning BackOff: Back-off restarting failed container main in pod crash_default("),
        "{back_off}"
    );
}

#[test]
fn a_container_that_a_probe_restarts_again_and_again_backs_off() {
    let mut bench = Bench::new(with_programs);
    let mut main = container("main", "busybox", Some("sleep 1000"));
    main["livenessProbe"] = json!({"exec": {"command": ["false"]}, "periodSeconds": 5, "failureThreshold": 1});
    bench.pod("sick", json!({"containers": [main], "terminationGracePeriodSeconds": 1}));
    let mut restarts = Vec::new();
    for _ in 0..8 {
        bench.wait(75.0);
        restarts.push(bench.status("sick", "/containerStatuses/0/restartCount").as_i64());
    }
    // The first two are at once: of nothing that ended before, and of an end that was not counted yet. Then 10 s, 20 s, 40 s, 80 s, 160 s.
    assert_eq!(restarts, [4, 5, 6, 6, 6, 7, 7, 7].map(Some));
    let message = bench.status("sick", "/containerStatuses/0/state/waiting/message");
    assert!(
        message.as_str().is_some_and(|text| text.starts_with("back-off 5m0s restarting failed container=main")),
        "{message}"
    );
}

#[test]
fn init_containers_run_one_after_the_other_to_their_end() {
    /// What the init containers do, the restart policy, and what the pod shows in turn.
    type Case<'a> = (&'a str, &'a [Option<&'a str>], &'a str, &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        ("two", &[Some("sleep 3"), Some("sleep 2")], "Always", &["Init:0/2", "Init:1/2", "PodInitializing", "Running"]),
        ("never", &[Some("sleep 1; exit 1"), Some("echo no")], "Never", &["Init:0/2", "Init:Error"]),
        (
            "crash",
            &[Some("exit 7")],
            "Always",
            &["Init:0/1", "Init:Error", "Init:CrashLoopBackOff", "Init:Error", "Init:CrashLoopBackOff"],
        ),
        ("image", &[None], "Always", &["Init:0/1", "PodInitializing", "Running"]),
    ];
    for (name, scripts, policy, shown) in cases {
        let mut bench = Bench::new(with_programs);
        let inits: Vec<Value> = scripts
            .iter()
            .enumerate()
            .map(|(index, script)| container(&format!("init-{index}"), "busybox:1", script.or(Some("sleep 1"))))
            .collect();
        let mains = [container("main", "busybox:1", Some("sleep infinity"))];
        bench.pod(name, json!({"restartPolicy": policy, "initContainers": inits, "containers": mains}));
        let mut seen: Vec<String> = Vec::new();
        for _ in 0..300 {
            bench.wait(0.1);
            let status = bench.shown(name);
            if seen.last() != Some(&status) {
                seen.push(status);
            }
        }
        seen.truncate(shown.len());
        assert_eq!(seen, *shown, "{name}");
    }
}

#[test]
fn sidecars_come_first_and_end_last() {
    let mut bench = Bench::new(with_programs);
    let mut sidecar = container("proxy", "envoy", None);
    sidecar["restartPolicy"] = "Always".into();
    let task = container("task", "busybox", Some("sleep 4"));
    let setup = container("setup", "busybox", Some("sleep 1"));
    bench.pod("job", json!({"restartPolicy": "Never", "initContainers": [sidecar, setup], "containers": [task]}));
    bench.wait(3.0);
    assert_eq!(bench.shown("job"), "Running");
    assert_eq!(bench.status("job", "/initContainerStatuses/0/ready"), true);
    bench.wait(5.0);
    assert_eq!((bench.shown("job"), bench.status("job", "/phase")), ("Completed".into(), json!("Succeeded")));
    assert!(bench.events("job").contains(&"Normal Killing: Stopping container proxy".to_string()));

    // A node that was lost begins with the init containers again.
    let main = container("main", "busybox", Some("sleep infinity"));
    let init = container("init", "busybox", Some("sleep 2"));
    bench.pod("again", json!({"initContainers": [init], "containers": [main]}));
    bench.wait(5.0);
    bench.fault(&Fault::Crash("node-1".into()));
    bench.fault(&Fault::Restart("node-1".into()));
    bench.wait(1.0);
    assert_eq!(bench.shown("again"), "Init:0/1");
    bench.wait(4.0);
    assert_eq!(
        (bench.shown("again"), bench.status("again", "/containerStatuses/0/restartCount")),
        ("Running".into(), json!(1))
    );
}

#[test]
fn programs_go_on_where_nobody_hears_of_their_pod_any_more() {
    let mut bench = Bench::new(with_programs);
    let script = "while true; do date; sleep 1; done";
    bench.pod("pod", json!({"containers": [container("main", "busybox", Some(script))]}));
    bench.wait(3.0);
    bench.fault(&Fault::Partition("node-1".into()));
    let options = kit_server::DeleteOptions { grace_period_seconds: Some(0), ..Default::default() };
    bench.delete_with("pod", &options);
    bench.wait(30.0);
    bench.fault(&Fault::Heal("node-1".into()));
    bench.wait(30.0);
    assert_eq!(bench.kubelets.running().count(), 0);
}

#[test]
fn statuses_are_told_by_name_and_those_of_init_containers_as_in_the_spec() {
    let mut bench = Bench::new(with_programs);
    let names = |list: [&str; 2]| Value::from(list.map(|name| container(name, "app", None)).to_vec());
    bench.pod("web", json!({"initContainers": names(["z", "y"]), "containers": names(["b", "a"])}));
    bench.wait(5.0);
    let told = |field: &str| [0, 1].map(|at| bench.status("web", &format!("/{field}/{at}/name")));
    assert_eq!(told("initContainerStatuses"), ["z", "y"]);
    assert_eq!(told("containerStatuses"), ["a", "b"]);
}

#[test]
fn each_end_says_which_container_it_was() {
    let mut bench = Bench::new(with_programs);
    bench.pod("crash", json!({"containers": [container("main", "busybox", Some("sleep 1; exit 3"))]}));
    bench.wait(1.5);
    let id = |bench: &Bench, of: &str| bench.status("crash", &format!("/containerStatuses/0/{of}"));
    let first = id(&bench, "state/terminated/containerID");
    assert!(first.as_str().is_some_and(|id| id.starts_with("containerd://")), "{first}");
    assert_eq!(first, id(&bench, "containerID"));
    // The first restart comes at once, and the second one waits.
    bench.wait(1.0);
    assert_eq!((id(&bench, "lastState/terminated/containerID"), id(&bench, "restartCount")), (first.clone(), json!(1)));
    bench.wait(2.0);
    let second = id(&bench, "lastState/terminated/containerID");
    assert_eq!(bench.shown("crash"), "CrashLoopBackOff");
    assert_eq!(second, id(&bench, "containerID"));
    assert_ne!(second, first);
}
