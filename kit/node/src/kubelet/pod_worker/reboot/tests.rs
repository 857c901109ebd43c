use crate::kubelet::Kubelets;
use crate::kubelet::image::Image;
use crate::kubelet::testing::{Bench, with_programs};
use kit_client::fault::Fault;
use serde_json::json;

/// A pod with a task that is done, and one that runs when its node is lost: the phase and the states afterwards.
fn after_a_reboot(policy: &str, programs: bool) -> (String, [String; 2]) {
    let mut bench = Bench::new(|kubelets| {
        let images = [("task", Image { exits_after: Some(1.0), ..Image::default() }), ("server", Image::default())];
        let kubelets = Kubelets { registry: images.map(|(name, image)| (name.to_string(), image)).into(), ..kubelets };
        if programs { with_programs(kubelets) } else { kubelets }
    });
    let containers = json!([{"name": "task", "image": "task"}, {"name": "server", "image": "server"}]);
    bench.pod("pod", json!({"restartPolicy": policy, "containers": containers}));
    bench.wait(4.0);
    bench.fault(&Fault::Crash("node-1".into()));
    bench.fault(&Fault::Restart("node-1".into()));
    bench.wait(4.0);
    let state = |index: usize| {
        let status = bench.status("pod", &format!("/containerStatuses/{index}"));
        let exit = &status["state"]["terminated"]["exitCode"];
        let is = if exit.is_null() { "runs".to_string() } else { format!("exit {exit}") };
        format!("{is}, {} restarts", status["restartCount"])
    };
    (bench.status("pod", "/phase").as_str().unwrap_or_default().to_string(), [state(1), state(0)])
}

#[test]
fn only_what_a_pod_still_wants_begins_anew() {
    for programs in [false, true] {
        let seen = |policy| after_a_reboot(policy, programs);
        let (phase, [task, server]) = seen("Never");
        assert_eq!((&*phase, &*task, &*server), ("Failed", "exit 0, 0 restarts", "exit 255, 0 restarts"));
        let (phase, [task, server]) = seen("OnFailure");
        assert_eq!((&*phase, &*task, &*server), ("Running", "exit 0, 0 restarts", "runs, 1 restarts"));
    }
}
