use crate::kubelet::testing::{Bench, with_programs};
use serde_json::{Value, json};

/// A pod of a shell that ends well when it is asked to, with these hooks.
fn pod(bench: &mut Bench, name: &str, hooks: Value) {
    let script = "trap 'exit 0' TERM; sleep 9999 & wait";
    let container = json!({"name": "main", "image": "busybox", "command": ["sh", "-c", script], "lifecycle": hooks});
    bench.pod(name, json!({"terminationGracePeriodSeconds": 10, "containers": [container]}));
}

fn command(script: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", script]}})
}

fn has(bench: &Bench, pod: &str, told: &str) -> bool {
    bench.events(pod).iter().any(|event| event.starts_with(told))
}

#[test]
fn a_container_waits_for_its_post_start_hook_and_ends_if_that_fails() {
    let mut bench = Bench::new(with_programs);
    pod(&mut bench, "good", json!({"postStart": command("sleep 5; echo hi > /tmp/hi")}));
    pod(&mut bench, "bad", json!({"postStart": command("echo why; exit 3")}));
    pod(&mut bench, "http", json!({"postStart": {"httpGet": {"port": 80, "path": "/up"}}}));
    pod(&mut bench, "sleep", json!({"postStart": {"sleep": {"seconds": 2}}}));
    bench.wait(1.0);
    assert_eq!([bench.shown("good"), bench.shown("sleep")], ["ContainerCreating", "ContainerCreating"]);
    assert_eq!(bench.status("good", "/phase"), "Pending");
    bench.wait(6.0);
    assert_eq!([bench.shown("good"), bench.shown("sleep")], ["Running", "Running"]);
    assert_eq!(bench.status("good", "/containerStatuses/0/ready"), true);
    assert_eq!(bench.exec("good", "main", &["cat", "/tmp/hi"], 0.0).0, "hi\n");
    for bad in ["bad", "http"] {
        assert_eq!(bench.shown(bad), "CrashLoopBackOff", "{:?}", bench.events(bad));
        assert!(has(&bench, bad, "Warning FailedPostStartHook: PostStartHook failed"));
        assert!(has(&bench, bad, "Normal Killing: FailedPostStartHook"));
        assert_eq!(bench.status(bad, "/containerStatuses/0/restartCount"), 1);
    }
    assert!(!has(&bench, "good", "Warning"), "{:?}", bench.events("good"));
}

#[test]
fn a_failed_post_start_hook_is_why_its_container_waits() {
    let mut bench = Bench::new(with_programs);
    pod(&mut bench, "bad", json!({"postStart": command("exit 3")}));
    bench.wait(0.5);
    let waiting = bench.status("bad", "/containerStatuses/0/state/waiting");
    let uid = bench.get("bad").metadata.uid.unwrap_or_default();
    let message = format!(
        "Exec lifecycle hook ([sh -c exit 3]) for Container \"main\" in Pod \"bad_default({uid})\" failed - error: \
         command 'sh -c exit 3' exited with 3: "
    );
    assert_eq!(waiting, json!({"reason": "PostStartHookError", "message": message}));
}

#[test]
fn a_pre_stop_hook_is_a_program_of_its_container() {
    // A hook, how long the pod takes to go, and whether it is told that the hook failed.
    let cases = [
        ("quick", "true", 1.0, false),
        ("slow", "sleep 4", 5.0, false),
        ("bad", "exit 1", 1.0, true),
        ("too-slow", "sleep 60", 11.0, true),
    ];
    let mut bench = Bench::new(with_programs);
    for (name, script, within, fails) in cases {
        pod(&mut bench, name, json!({"preStop": command(script)}));
        bench.wait(2.0);
        bench.delete(name);
        if within > 1.0 {
            bench.wait(within - 2.0);
            assert_eq!(bench.status(name, "/phase"), "Running", "{name}");
        }
        bench.wait(3.0);
        assert!(bench.status(name, "/phase").is_null(), "{name}");
        assert_eq!(
            has(&bench, name, "Warning FailedPreStopHook: PreStopHook failed"),
            fails,
            "{name} {:?}",
            bench.events(name)
        );
    }
}
