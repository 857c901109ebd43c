use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

/// A pod of one container, with this in it.
fn pod(bench: &mut Bench, name: &str, mut container: Value) {
    container["name"] = "main".into();
    bench.pod(name, json!({"terminationGracePeriodSeconds": 2, "containers": [container]}));
}

fn shell(script: &str, probes: Value) -> Value {
    let mut container = probes;
    container["image"] = "busybox".into();
    container["command"] = json!(["sh", "-c", script]);
    container
}

#[test]
fn readiness_follows_its_probe() {
    let mut bench = Bench::new(with_programs);
    let probe = json!({"exec": {"command": ["cat", "/tmp/up"]}, "periodSeconds": 2, "failureThreshold": 2});
    let script = "sleep 5; touch /tmp/up; sleep 10; rm /tmp/up; sleep infinity";
    pod(&mut bench, "web", shell(script, json!({"readinessProbe": probe})));
    let mut turns: Vec<(i64, bool)> = Vec::new();
    for tenth in 0..300 {
        bench.wait(0.1);
        let ready = bench.status("web", "/containerStatuses/0/ready") == true;
        if turns.last().map(|(_, last)| *last) != Some(ready) {
            turns.push((tenth / 10, ready));
        }
    }
    // Ready with the first success; not ready with the second failure in a row.
    let seconds: Vec<i64> = turns.iter().map(|(at, _)| *at).collect();
    assert_eq!(turns.iter().map(|(_, ready)| *ready).collect::<Vec<_>>(), [false, true, false]);
    assert!((5..=8).contains(&seconds[1]) && (17..=20).contains(&seconds[2]), "{seconds:?}");
    let told = "Warning Unhealthy: Readiness probe failed: cat: can't open '/tmp/up': No such file or directory";
    assert!(bench.events("web").iter().any(|event| event.starts_with(told)), "{:?}", bench.events("web"));
    assert_eq!(bench.status("web", "/containerStatuses/0/restartCount"), 0);
}

#[test]
fn what_fails_its_liveness_probe_is_started_again() {
    let mut bench = Bench::new(with_programs);
    let probe = json!({"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1, "initialDelaySeconds": 1});
    pod(
        &mut bench,
        "live",
        shell("touch /tmp/ok; sleep 5; rm /tmp/ok; sleep infinity", json!({"livenessProbe": probe})),
    );
    bench.wait(5.0);
    assert_eq!(bench.shown("live"), "Running");
    // Three failures, two seconds of grace, and a restart.
    bench.wait(8.0);
    let state = bench.status("live", "/containerStatuses/0");
    assert_eq!(
        (&state["restartCount"], &state["lastState"]["terminated"]["exitCode"]),
        (&json!(1), &json!(137)),
        "{state}"
    );
    let events = bench.events("live");
    for told in [
        "Warning Unhealthy: Liveness probe failed:  (x3)",
        "Normal Killing: Container main failed liveness probe, will be restarted",
    ] {
        assert!(events.iter().any(|event| event == told), "{events:?}");
    }
}

#[test]
fn probes_over_the_network_find_declared_ports() {
    /// A container, the kind of its probe, whether it is ready after a while, and what is said if not.
    type Case<'a> = (Value, bool, &'a str);
    let http = |path: &str, port: Value| json!({"httpGet": {"path": path, "port": port}});
    let tcp = |port: i32| json!({"tcpSocket": {"port": port}});
    let grpc = |port: i32| json!({"grpc": {"port": port}});
    let nginx = |probe: Value| json!({"image": "nginx", "ports": [{"name": "http", "containerPort": 80}], "readinessProbe": probe});
    let cases: &[Case<'_>] = &[
        (nginx(http("/", json!(80))), true, ""),
        (nginx(http("/", json!("http"))), true, ""),
        (nginx(http("/healthz", json!(80))), false, "Readiness probe failed: HTTP probe failed with statuscode: 404"),
        (
            nginx(http("/", json!(8080))),
            false,
            "Readiness probe failed: Get \"http://10.244.0.2:8080/\": dial tcp 10.244.0.2:8080: connect: connection refused",
        ),
        (nginx(tcp(80)), true, ""),
        (nginx(tcp(81)), false, "Readiness probe failed: dial tcp 10.244.0.2:81: connect: connection refused"),
        (json!({"image": "app", "readinessProbe": http("/ready", json!(9000))}), true, ""),
        (json!({"image": "app", "ports": [{"containerPort": 9000}], "readinessProbe": grpc(9000)}), true, ""),
        (
            nginx(grpc(80)),
            false,
            "Readiness probe failed: timeout: failed to connect service \"10.244.0.2:80\" within 1s: context deadline exceeded",
        ),
        (
            json!({"image": "app", "ports": [{"containerPort": 80}], "readinessProbe": grpc(9000)}),
            false,
            "Readiness probe failed: timeout: failed to connect service \"10.244.0.2:9000\" within 1s: context deadline exceeded",
        ),
        (json!({"image": "mysql", "readinessProbe": {"exec": {"command": ["mysqladmin", "ping"]}}}), true, ""),
        (
            shell("sleep infinity", json!({"readinessProbe": {"exec": {"command": ["mysqladmin", "ping"]}}})),
            false,
            "Readiness probe errored and resulted in unknown state: rpc error: code = Unknown desc = failed to exec in container: exec: \"mysqladmin\": executable file not found in $PATH",
        ),
        (
            shell("sleep infinity", json!({"readinessProbe": {"exec": {"command": ["sleep", "5"]}}})),
            false,
            "Readiness probe failed: command timed out: \"sleep 5\" timed out after 1s",
        ),
    ];
    for (container, ready, told) in cases {
        let mut bench = Bench::new(with_programs);
        pod(&mut bench, "web", container.clone());
        bench.wait(5.0);
        let said = bench.events("web").into_iter().find(|event| event.contains("Unhealthy")).unwrap_or_default();
        assert_eq!(bench.status("web", "/containerStatuses/0/ready"), *ready, "{container}");
        // What isn't ready with the first probe is asked once more at once.
        let said = said.trim_start_matches("Warning Unhealthy: ").trim_end_matches(" (x2)");
        assert_eq!(said, *told, "{container}");
    }
}

#[test]
fn a_kill_has_the_grace_of_its_probe_and_says_what_follows() {
    for (policy, told, restarts) in [
        ("Always", "Normal Killing: Container main failed liveness probe, will be restarted", 1),
        ("Never", "Normal Killing: Container main failed liveness probe", 0),
    ] {
        let mut bench = Bench::new(with_programs);
        let exec = json!({"command": ["test", "-e", "/tmp/ok"]});
        let probe =
            json!({"exec": exec, "periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 5});
        let mut container = shell("sleep infinity", json!({"livenessProbe": probe}));
        container["name"] = "main".into();
        bench.pod(
            "web",
            json!({"restartPolicy": policy, "terminationGracePeriodSeconds": 60, "containers": [container]}),
        );
        bench.wait(5.0);
        assert!(bench.events("web").iter().any(|event| event == told), "{:?}", bench.events("web"));
        assert!(bench.status("web", "/containerStatuses/0/state/running").is_object(), "it has five seconds");
        bench.wait(5.0);
        let state = bench.status("web", "/containerStatuses/0");
        assert_eq!(state["restartCount"], restarts, "{state}");
        assert_eq!(state["state"]["terminated"]["exitCode"] == 137, policy == "Never", "{state}");
    }
}

#[test]
fn readiness_is_asked_until_the_pod_has_gone() {
    let mut bench = Bench::new(with_programs);
    let exec =
        |file: &str| json!({"exec": {"command": ["test", "-e", file]}, "periodSeconds": 1, "failureThreshold": 1});
    let probes = json!({"readinessProbe": exec("/tmp/up"), "livenessProbe": exec("/tmp/up")});
    let script = "touch /tmp/up; trap 'rm /tmp/up; sleep 8; exit 0' TERM; while true; do sleep 1; done";
    let mut container = shell(script, probes);
    container["name"] = "main".into();
    bench.pod("web", json!({"terminationGracePeriodSeconds": 20, "containers": [container]}));
    bench.wait(3.0);
    assert_eq!(bench.status("web", "/containerStatuses/0/ready"), true);
    bench.delete("web");
    bench.wait(4.0);
    assert_eq!(bench.status("web", "/containerStatuses/0/ready"), false);
    assert!(!bench.events("web").iter().any(|event| event.contains("Liveness")), "{:?}", bench.events("web"));
}

#[test]
fn a_startup_probe_holds_the_others_back() {
    let mut bench = Bench::new(with_programs);
    let exec =
        |file: &str| json!({"exec": {"command": ["test", "-e", file]}, "periodSeconds": 1, "failureThreshold": 9});
    let probes =
        json!({"startupProbe": exec("/tmp/up"), "livenessProbe": exec("/tmp/up"), "readinessProbe": exec("/tmp/up")});
    pod(&mut bench, "slow", shell("sleep 5; touch /tmp/up; sleep infinity", probes.clone()));
    bench.wait(4.0);
    assert_eq!(
        (bench.status("slow", "/containerStatuses/0/started"), bench.shown("slow")),
        (json!(false), "Running".into())
    );
    bench.wait(4.0);
    let state = bench.status("slow", "/containerStatuses/0");
    assert_eq!((&state["started"], &state["ready"], &state["restartCount"]), (&json!(true), &json!(true), &json!(0)));
    assert!(!bench.events("slow").iter().any(|event| event.contains("Liveness") || event.contains("Readiness")));

    pod(&mut bench, "never", shell("sleep infinity", probes));
    bench.wait(14.0);
    let told = "Normal Killing: Container main failed startup probe, will be restarted".to_string();
    assert!(bench.events("never").contains(&told), "{:?}", bench.events("never"));
    assert_eq!(bench.status("never", "/containerStatuses/0/restartCount"), 1);
}
