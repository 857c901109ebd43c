use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

const HEAD: &str = "PID   USER     TIME  COMMAND\n";

fn container(name: &str, image: &str, script: Option<&str>) -> Value {
    let command = script.map(|script| json!(["sh", "-c", script]));
    json!({"name": name, "image": image, "command": command})
}

/// The restarts of a container and the code and reason of its last end.
fn ends(bench: &Bench, name: &str, index: usize) -> (i64, i64, String) {
    let of = |field: &str| bench.status(name, &format!("/containerStatuses/{index}/{field}"));
    let last = |field: &str| {
        let now = of(&format!("state/terminated/{field}"));
        if now.is_null() { of(&format!("lastState/terminated/{field}")) } else { now }
    };
    let number = |value: Value| value.as_i64().unwrap_or(-1);
    (number(of("restartCount")), number(last("exitCode")), last("reason").as_str().unwrap_or_default().to_string())
}

#[test]
fn a_container_ends_by_a_signal_from_inside_if_it_minds_it() {
    // A script or an image, the signal, and how often it was started again, its exit code and the reason.
    let cases: &[(Value, &str, (i64, i64, &str))] = &[
        (container("main", "busybox", Some("sleep 9999")), "-TERM", (0, -1, "")),
        (container("main", "busybox", Some("sleep 9999")), "-9", (0, -1, "")),
        (container("main", "busybox", Some("trap 'exit 7' TERM; sleep 9999 & wait")), "-TERM", (1, 7, "Error")),
        (container("main", "busybox", Some("trap 'exit 7' TERM; sleep 9999 & wait")), "-9", (0, -1, "")),
        (container("main", "nginx", None), "-TERM", (1, 0, "Completed")),
        (container("main", "nginx", None), "-9", (0, -1, "")),
    ];
    for (container, signal, (restarts, code, reason)) in cases {
        let mut bench = Bench::new(with_programs);
        bench.pod("pod", json!({"containers": [container]}));
        bench.wait(3.0);
        let said = bench.exec("pod", "main", &["kill", signal, "1"], 0.0);
        assert!(said.1 == Some(0) || said.1 == Some(137), "{said:?}");
        bench.wait(5.0);
        assert_eq!(ends(&bench, "pod", 0), (*restarts, *code, reason.to_string()), "{container} {signal}");
    }
}

#[test]
fn containers_see_their_own_processes_or_all_of_their_pod() {
    let mut bench = Bench::new(with_programs);
    let containers =
        json!([container("web", "nginx", None), container("side", "busybox", Some("while true; do sleep 9999; done"))]);
    bench.pod("own", json!({"containers": containers}));
    bench.pod("shared", json!({"containers": containers, "shareProcessNamespace": true}));
    bench.wait(3.0);
    let ps = |bench: &mut Bench, name: &str, container: &str| bench.exec(name, container, &["ps"], 0.0).0;
    let nginx = |at: u32| {
        let second = at + 1;
        format!(
            "{at:>5} root      0:00 nginx: master process nginx -g daemon off;\n{second:>5} 101       0:00 nginx: worker process\n"
        )
    };
    let side = |at: u32| {
        let second = at + 1;
        format!("{at:>5} root      0:00 sh -c while true; do sleep 9999; done\n{second:>5} root      0:00 sleep 9999\n")
    };
    assert_eq!(ps(&mut bench, "own", "web"), format!("{HEAD}{}    9 root      0:00 ps\n", nginx(1)));
    assert_eq!(ps(&mut bench, "own", "side"), format!("{HEAD}{}    9 root      0:00 ps\n", side(1)));
    let all = format!("{HEAD}    1 65535     0:00 /pause\n{}{}", nginx(8), side(16));
    assert_eq!(ps(&mut bench, "shared", "side"), format!("{all}   24 root      0:00 ps\n"));
    // Nobody is process 1 but the pause container: whatever is not caught ends others.
    assert_eq!(bench.exec("shared", "side", &["kill", "-9", "1", "8"], 0.0), (String::new(), Some(0)));
    bench.wait(3.0);
    assert_eq!(ends(&bench, "shared", 1), (1, 137, "Error".into()));
    assert_eq!(ends(&bench, "shared", 0), (0, -1, String::new()));
    // So does the kubelet's signal: nobody waits for the grace period.
    bench.delete("shared");
    bench.delete("own");
    bench.wait(3.0);
    let left = |name: &str| bench.server.fetch::<kit_api::core::Pod>("default", name).is_ok();
    assert_eq!((left("shared"), left("own")), (false, true));
}

#[test]
fn somebody_who_looks_around_sees_the_container_that_they_name() {
    let mut bench = Bench::new(with_programs);
    let script = "echo secret > /tmp/key; trap 'exit 3' TERM; sleep 9999 & wait";
    bench.pod("pod", json!({"containers": [container("main", "busybox", Some(script))]}));
    bench.wait(3.0);
    bench.debug("pod", container("blind", "busybox", Some("ps -o pid,comm; cat /tmp/key")));
    let mut guest = container("guest", "busybox", Some("ps -o pid,comm; cat /proc/1/root/tmp/key; kill 1; sleep 9999"));
    guest["targetContainerName"] = "main".into();
    bench.debug("pod", guest);
    bench.wait(3.0);
    let missing = "cat: can't open '/tmp/key': No such file or directory\n";
    assert_eq!(bench.log("pod", "blind"), format!("PID   COMMAND\n    1 sh\n    2 ps\n{missing}"));
    assert_eq!(bench.log("pod", "guest"), "PID   COMMAND\n    1 sh\n    2 sleep\n    9 sh\n   10 ps\nsecret\n");
    // The container ends, and with its process 1 all who are there.
    assert_eq!(ends(&bench, "pod", 0), (1, 3, "Error".into()));
    assert_eq!(bench.status("pod", "/ephemeralContainerStatuses/1/state/terminated/exitCode"), 137);
}

#[test]
fn who_stands_still_answers_nothing_uses_nothing_and_hears_only_sigkill() {
    let mut bench = Bench::new(with_programs);
    let mut web = container("web", "nginx", None);
    web["ports"] = json!([{"containerPort": 80}]);
    web["livenessProbe"] = json!({"httpGet": {"port": 80}, "periodSeconds": 2, "failureThreshold": 2});
    let side = container("side", "busybox", Some("sleep 9999 & while true; do sleep 9999; done"));
    bench.pod(
        "pod",
        json!({"shareProcessNamespace": true, "terminationGracePeriodSeconds": 3, "containers": [web, side]}),
    );
    bench.wait(3.0);
    let exec = |bench: &mut Bench, script: &str| bench.exec("pod", "side", &["sh", "-c", script], 0.1).0;
    // The worker of nginx is 9. The pause container is process 1, and minds no signal.
    assert_eq!(exec(&mut bench, "kill -STOP 1 9; ps -o pid,stat,comm").matches(" T ").count(), 1);
    bench.wait(1.0);
    let used = bench.kubelets.nodes["node-1"].pods.values().next().map(|it| it.worker.usage_of_containers()[0].2.0);
    assert_eq!(used, Some(0));
    assert_eq!(exec(&mut bench, "kill -CONT 9; cat /proc/9/status | grep State"), "State:\tS (sleeping)\n");
    bench.wait(9.0);
    assert_eq!(ends(&bench, "pod", 1).0, 0, "{:?}", bench.events("pod"));
    // SIGTERM waits for those who stand still; SIGKILL doesn't.
    let script = "kill -STOP 17; kill 17; kill -0 17 && echo there; kill -9 17; sleep 1; kill -0 17";
    let said = bench.exec("pod", "side", &["sh", "-c", script], 2.0).0;
    assert!(said.contains("there\n") && said.contains("No such process"), "{said}");
    _ = exec(&mut bench, "kill -STOP 9");
    bench.wait(14.0);
    assert_eq!(ends(&bench, "pod", 1), (1, 137, "Error".into()), "{:?}", bench.events("pod"));
    let told = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
    assert!(bench.events("pod").iter().any(|event| event.contains("Liveness") && event.contains(told)));
}
