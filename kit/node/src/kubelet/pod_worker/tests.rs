use super::*;
use crate::kubelet::image::{Image, Images, Registry};
use kit_api::core::{ContainerState, ContainerStatus, PodStatus};
use serde_json::json;

fn lifecycle() -> Rc<dyn PodLifecycle> {
    solutions::modules().pod_lifecycle.make(&()).into()
}

/// What a status says, in one line: phase, Initialized, Ready, and the state of each container.
fn line(status: &PodStatus) -> String {
    let said = |type_: &str| {
        let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == type_);
        condition.map_or("-".to_string(), |c| c.reason.clone().unwrap_or_else(|| c.status.clone()))
    };
    let state = |status: &ContainerStatus| match status.state.clone().unwrap_or_default() {
        ContainerState { waiting: Some(waiting), .. } => waiting.reason.unwrap_or_default(),
        ContainerState { running: Some(_), .. } => if status.ready { "ready" } else { "running" }.to_string(),
        ContainerState { terminated: Some(end), .. } => format!("exit {}", end.exit_code),
        _ => "-".to_string(),
    };
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let containers: Vec<String> = all.map(|status| format!("{} {}", status.name, state(status))).collect();
    let phase = status.phase.as_deref().unwrap_or_default();
    format!("{phase} · {} · {} · {}", said("Initialized"), said("Ready"), containers.join(", "))
}

/// The lines of a pod's life, each with the second at which it was first true.
fn life(spec: serde_json::Value, seconds: i64) -> Vec<String> {
    let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "pod" }, "spec": spec })).expect("a pod");
    let start = Timestamp::from_second(1_748_779_200).expect("a time");
    let at = |now: Instant| start + SignedDuration::from_nanos(now.nanos);
    let mut worker = PodWorker::new(&pod, &Registry::new(), "10.0.0.1".into(), lifecycle(), Instant::default(), start);
    let mut now = Instant::default();
    let mut lines: Vec<String> = Vec::new();
    loop {
        worker.advance(now, at(now), &mut Images::default());
        let seen = line(&worker.status(&pod, "192.168.0.1", now, at(now)));
        if !lines.last().is_some_and(|last| last.ends_with(&seen)) {
            lines.push(format!("{:.1}s {seen}", now.nanos as f64 / 1e9));
        }
        match worker.next() {
            Some(next) if next <= Instant::seconds(seconds) => now = next,
            _ => return lines,
        }
    }
}

#[test]
fn init_containers_come_before_and_sidecars_stay() {
    let lines = life(
        json!({
            "initContainers": [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "web"}],
        }),
        5,
    );
    assert_eq!(
        lines,
        [
            "0.0s Pending · ContainersNotInitialized · ContainersNotReady · migrate running, proxy PodInitializing, web PodInitializing",
            "1.0s Pending · ContainersNotInitialized · ContainersNotReady · migrate exit 0, proxy running, web PodInitializing",
            "2.0s Pending · True · ContainersNotReady · migrate exit 0, proxy ready, web PodInitializing",
            "2.2s Running · True · ContainersNotReady · migrate exit 0, proxy ready, web running",
            "2.3s Running · True · True · migrate exit 0, proxy ready, web ready",
        ]
    );
}

#[test]
fn the_phase_of_a_task_follows_its_restart_policy() {
    let task = |policy: &str, command: &str| {
        let container = json!({ "name": "task", "command": [command] });
        life(json!({ "restartPolicy": policy, "containers": [container] }), 4).pop().expect("a last line")
    };
    assert_eq!(task("Never", "work"), "1.2s Succeeded · PodCompleted · PodCompleted · task exit 0");
    assert_eq!(task("Never", "fail"), "1.2s Failed · True · PodFailed · task exit 1");
    let again = task("OnFailure", "fail");
    assert!(again.contains("Running · True · ContainersNotReady · task"), "{again}");
}

#[test]
fn a_kubelet_that_begins_anew_finds_its_containers_as_they_were() {
    let spec = json!({
        "initContainers": [{"name": "migrate"}, {"name": "proxy", "restartPolicy": "Always"}],
        "containers": [{"name": "web"}, {"name": "log"}],
    });
    let mut pod: Pod = serde_json::from_value(json!({"metadata": {"name": "pod"}, "spec": spec})).expect("a pod");
    let start = Timestamp::from_second(1_748_779_200).expect("a time");
    let at = |now: Instant| start + SignedDuration::from_nanos(now.nanos);
    let new = |pod: &Pod, ip: &str, now, time| PodWorker::new(pod, &Registry::new(), ip.into(), lifecycle(), now, time);
    let mut worker = new(&pod, "10.0.0.1", Instant::default(), start);
    worker.advance(Instant::seconds(10), at(Instant::seconds(10)), &mut Images::default());
    worker.kill(1, Instant::seconds(20), at(Instant::seconds(20)));
    worker.advance(Instant::seconds(40), at(Instant::seconds(40)), &mut Images::default());
    let before = worker.status(&pod, "192.168.0.1", Instant::seconds(40), at(Instant::seconds(40)));
    assert_eq!(before.container_statuses.iter().flatten().map(|of| of.restart_count).collect::<Vec<_>>(), [1, 1]);
    pod.status = Some(before.clone());
    // The new process has a clock of its own, which stands at zero a minute later.
    let (zero, later) = (Instant::default(), at(Instant::seconds(100)));
    let mut again = new(&pod, "10.0.0.2", zero, later);
    assert_eq!(again.advance(zero, later, &mut Images::default()), []);
    assert_eq!(again.status(&pod, "192.168.0.1", zero, later), before);
    assert_eq!(again.next(), None);
}

#[test]
fn crashes_are_forgotten_after_ten_minutes() {
    // How long each run is, how often it was started again after an hour, and why it waits then.
    for (runs, restarts, waits) in [(600.0, 5, true), (601.0, 5, false), (1.0, 16, true)] {
        let image = Image { exits_after: Some(runs), exit_code: 1, ..Image::default() };
        let registry = Registry::from([("crash".to_string(), image)]);
        let spec = json!({"containers": [{"name": "main", "image": "crash"}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "pod"}, "spec": spec})).expect("a pod");
        let start = Timestamp::from_second(1_748_779_200).expect("a time");
        let mut worker = PodWorker::new(&pod, &registry, "10.0.0.1".into(), lifecycle(), Instant::default(), start);
        let mut waited = false;
        let mut status = PodStatus::default();
        while let Some(now) = worker.next().filter(|next| *next < Instant::seconds(3600)) {
            let time = start + SignedDuration::from_nanos(now.nanos);
            worker.advance(now, time, &mut Images::default());
            status = worker.status(&pod, "192.168.0.1", now, time);
            waited |= line(&status).contains("CrashLoopBackOff");
        }
        let count = status.container_statuses.iter().flatten().next().map(|of| of.restart_count);
        assert_eq!((count, waited), (Some(restarts), waits), "runs of {runs} s");
    }
}
