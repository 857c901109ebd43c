//! Containers whose program is not in their image: the runtime can't start them.
//!
//! Only of one image is known all that is in it. Sources: `startContainer` of `pkg/kubelet/kuberuntime/kuberuntime_container.go`;
//! `internal/cri/server/container_start.go` of containerd, which counts such a start as an end with 128; CRI-O, which looks before it
//! makes the container, by crun (`find_executable` of `src/libcrun/utils.c`); the words of runc are those of its `init_linux.go`.

use super::{Run, State};
use crate::kubelet::cri::Runtime;
use crate::kubelet::image::called;
use crate::kubelet::stress;
use kit_api::core::{Container, ContainerStateTerminated};
use kit_api::jiff::Timestamp;
use kit_api::time;
use kit_time::agenda::Instant;

/// The image whose programs are known, and they.
const KNOWN: &str = "busybox";
const PROGRAMS: &str = include_str!("../../program/busybox.txt");
/// Where they are.
const PATH: [&str; 4] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];
/// With which code containerd says that a container has ended that never began, and why.
const CODE: i32 = 128;
const REASON: &str = "StartError";

/// The program of a container, if it isn't there. What is mounted may bring it.
pub(super) fn absent(container: &Container) -> Option<String> {
    let word = container.command.iter().chain(&container.args).flatten().next()?;
    if called(container.image.as_deref()?) != KNOWN || stress::behaviour(container).is_some() {
        return None;
    }
    let name = match word.rsplit_once('/') {
        Some((directory, name)) if PATH.contains(&directory) => name,
        Some(_) => "",
        None => word,
    };
    let is_there = PROGRAMS.split_whitespace().any(|known| known == name);
    let mut mounts = container.volume_mounts.iter().flatten();
    (!is_there && !mounts.any(|mount| word.starts_with(&mount.mount_path))).then(|| word.clone())
}

/// What containerd says of it, with the words of runc.
fn containerd(word: &str) -> String {
    let why = match word.contains('/') {
        true => format!("stat {word}: no such file or directory"),
        false => "executable file not found in $PATH".into(),
    };
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         unable to start container process: error during container init: exec: {word:?}: {why}: unknown"
    )
}

/// What CRI-O says of it, with the words of crun.
fn crio(word: &str) -> String {
    let place = if word.contains('/') { "" } else { " in $PATH" };
    format!("container create failed: executable file `{word}` not found{place}: No such file or directory")
}

impl Run {
    /// Why the runtime doesn't even make the container.
    pub(super) fn is_not_made(&self, runtime: Runtime) -> Option<String> {
        let word = self.life.as_ref()?.absent.as_deref()?;
        (runtime == Runtime::CriO).then(|| crio(word))
    }

    /// Why it doesn't start, though it was made.
    pub(super) fn is_not_started(&self) -> Option<String> {
        self.life.as_ref()?.absent.as_deref().map(containerd)
    }

    /// It has not even begun, and that is an end, too.
    pub(super) fn fail_to_start(&mut self, why: String, now: Instant, time: Timestamp) {
        self.state = State::Running { since: now, at: time, ready: false };
        self.exit(CODE, now, time, "Never");
        if let State::Ended(ended) = &mut self.state {
            *ended = ContainerStateTerminated {
                exit_code: CODE,
                reason: Some(REASON.into()),
                message: Some(why.clone()),
                started_at: Some(time::seconds(Timestamp::UNIX_EPOCH)),
                finished_at: Some(time::seconds(time)),
                ..ContainerStateTerminated::default()
            };
        }
        self.failed = Some(("RunContainerError", why));
    }
}

#[cfg(test)]
mod tests {
    use crate::kubelet::cri::Runtime;
    use crate::kubelet::testing::{Bench, with_programs};
    use serde_json::json;

    #[test]
    fn a_program_that_is_not_there_is_an_end_with_128() {
        let mut bench = Bench::new(with_programs);
        let (name, path) = ("executable file not found in $PATH", "stat /bin/nope: no such file or directory");
        for (pod, word, policy, why, shown) in [
            ("name", "nope", "Always", Some(name), "RunContainerError"),
            ("path", "/bin/nope", "Never", Some(path), "StartError"),
            ("applet", "/bin/awk", "Always", None, "Running"),
            ("mounted", "/scripts/run", "Always", None, "Running"),
        ] {
            let mount = json!({"name": "scripts", "mountPath": "/scripts"});
            let container = json!({"name": "main", "image": "busybox", "command": [word], "volumeMounts": [mount]});
            let volumes = json!([{"name": "scripts", "emptyDir": {}}]);
            bench.pod(pod, json!({"restartPolicy": policy, "containers": [container], "volumes": volumes}));
            bench.wait(0.9);
            assert_eq!(bench.shown(pod), shown, "{word}");
            bench.wait(4.0);
            let status = bench.status(pod, "/containerStatuses/0");
            let Some(why) = why else { continue };
            let state = if policy == "Never" { "state" } else { "lastState" };
            let ended = &status[state]["terminated"];
            let start = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                         unable to start container process: error during container init: exec";
            let why = format!("{start}: \"{word}\": {why}: unknown");
            assert_eq!(
                (&ended["exitCode"], &ended["reason"], &ended["message"]),
                (&json!(128), &json!("StartError"), &json!(why))
            );
            let told = format!("Warning Failed: Error: {why}");
            assert!(bench.events(pod).iter().any(|event| event.starts_with(&told)), "{:?}", bench.events(pod));
            // The first restart comes at once, and the next one waits.
            let restarts = i32::from(policy == "Always");
            assert_eq!(status["restartCount"], restarts, "{status}");
            assert_eq!(bench.shown(pod), if restarts > 0 { "CrashLoopBackOff" } else { "StartError" });
        }
    }

    #[test]
    fn cri_o_looks_before_it_makes_a_container() {
        let mut bench = Bench::new(with_programs);
        bench.kubelets.nodes.values_mut().for_each(|kubelet| kubelet.images.runtime = Runtime::CriO);
        bench.pod("pod", json!({"containers": [{"name": "main", "image": "busybox", "command": ["nope"]}]}));
        bench.wait(3.0);
        let why = "container create failed: executable file `nope` not found in $PATH: No such file or directory";
        let status = bench.status("pod", "/containerStatuses/0");
        assert_eq!(status["state"]["waiting"], json!({"reason": "CreateContainerError", "message": why}));
        assert_eq!(status["restartCount"], 0);
    }
}
