//! The kubelet's own server: logs of containers, and what somebody does inside them.
//!
//! Sources: `pkg/kubelet/server/server.go` (`getContainerLogs`, `getExec`, `getAttach`), `pkg/kubelet/kubelet_pods.go`
//! (`validateContainerLogStatus`), `kubelet/pkg/cri/streaming/remotecommand`. Whoever asks is the API server, which has
//! checked who wants it.

use super::cri::Runtime;
use super::log::{Log, Reader};
use super::pod_worker::life::Written;
use super::surroundings::Place;
use super::{Kubelet, Kubelets};
use crate::program::link::Link;
use crate::program::{Channel, Program, exists};
use kit_api::core::{ContainerStatus, Pod};
use kit_client::component::World;
use kit_server::{Container as Target, Error, LogOptions};
use kit_time::agenda::Instant;
use std::collections::{BTreeSet, VecDeque};

/// How much of what an attached container writes waits for its reader, in bytes; the oldest is dropped.
const ROOM: usize = 1 << 20;

/// The log of one run of a container, as the kubelet keeps it.
pub struct Kept<'a> {
    /// The name of its file (`BuildPodLogsDirectory`, `BuildContainerLogsDirectory`).
    pub path: String,
    /// Whether the container runs.
    pub goes_on: bool,
    /// What it has written.
    pub log: &'a Log,
}

/// Whether a pod sees the processes of its node.
fn sees_host(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.host_pid == Some(true))
}

impl Kubelet {
    /// What runs on the node: whose, and with which command. Of pods that see all of this themselves nothing is told.
    fn processes(&self) -> Vec<(String, Vec<String>)> {
        let runtime = if self.images.runtime == Runtime::CriO { "/usr/bin/crio" } else { "/usr/bin/containerd" };
        let system = ["/sbin/init", runtime, "/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml"];
        let system = system.map(|command| ("root".to_string(), command.split(' ').map(str::to_string).collect()));
        let pods = self.pods.values().filter(|running| !running.worker.pod().is_some_and(sees_host));
        system.into_iter().chain(pods.flat_map(|running| running.worker.processes())).collect()
    }

    fn kept(&self) -> Vec<Kept<'_>> {
        let mut all = Vec::new();
        for (uid, running) in &self.pods {
            let folder = format!("/var/log/pods/{}_{}_{uid}", running.key.namespace, running.key.name);
            for (container, run, goes_on, log) in running.worker.logs() {
                all.push(Kept { path: format!("{folder}/{container}/{run}.log"), goes_on, log });
            }
        }
        all
    }
}

/// Why the kubelet does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Nobody answers at this address.
    Unreachable(String),
    /// It answers with this code and text.
    Said(u16, String),
}

/// Somebody who reads the log of one run of a container.
pub struct LogReader {
    target: Target,
    run: Option<Instant>,
    previous: bool,
    follow: bool,
    reader: Reader,
}

/// Something that goes on inside a container for somebody outside.
pub struct Session {
    target: Target,
    /// The run of the container that it belongs to.
    run: Instant,
    what: What,
    ended: Option<i32>,
}

enum What {
    /// A program of its own.
    Exec(Box<Program>),
    /// What the container writes from now on; `closes` if its input ends with this.
    Attach { written: VecDeque<(Channel, Vec<u8>)>, size: usize, closes: bool },
}

/// What a session gives its reader.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// What was written.
    pub written: Vec<(Channel, Vec<u8>)>,
    /// The exit code, once everything was given.
    pub ended: Option<i32>,
}

impl Kubelets {
    /// The address of a node's kubelet, and whether it answers there.
    fn reach(&self, node: &str) -> Result<(), Refused> {
        match self.nodes.get(node) {
            Some(kubelet) if kubelet.up && kubelet.connected => Ok(()),
            Some(kubelet) => Err(Refused::Unreachable(kubelet.shape.address(kubelet.index))),
            None => Err(Refused::Said(404, format!("no such host {node:?}"))),
        }
    }

    /// The logs that the kubelet of each node keeps; none if the node is down.
    pub fn logs_of_nodes(&self) -> impl Iterator<Item = (&str, Option<Vec<Kept<'_>>>)> {
        self.nodes.iter().map(|(node, kubelet)| (node.as_str(), kubelet.up.then(|| kubelet.kept())))
    }

    /// These logs, of containers that run, were rotated.
    pub fn forget_logs(&mut self, paths: &BTreeSet<String>) {
        for path in paths {
            // /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/RUN.log
            let mut parts = path.split('/').skip(4);
            let (Some(pod), Some(container)) = (parts.next(), parts.next()) else { continue };
            let uid = pod.rsplit('_').next().unwrap_or_default();
            let kubelet = self.pods.get(uid).and_then(|node| self.nodes.get_mut(node));
            let running = kubelet.and_then(|kubelet| kubelet.pods.get_mut(uid));
            running.into_iter().for_each(|running| running.worker.forget_log(container));
        }
    }

    /// Begins to read a log.
    ///
    /// # Errors
    ///
    /// [`Refused`] in the kubelet's words.
    pub fn logs(&self, target: &Target, options: &LogOptions, now: Instant) -> Result<LogReader, Refused> {
        self.reach(&target.node)?;
        let name = &target.pod.name;
        let running = self.nodes.get(&target.node).and_then(|kubelet| kubelet.pods.get(self.uid_of(target)));
        let running = running.ok_or_else(|| Refused::Said(404, format!("pod {name:?} not found\n")))?;
        let seen = running.worker.see(&target.container, now);
        let seen = seen.ok_or_else(|| {
            Refused::Said(400, format!("container {:?} in pod {name:?} is not available", target.container))
        })?;
        let before =
            has_log(&seen.status, &target.container, name, options.previous).map_err(|why| Refused::Said(400, why))?;
        let Some(logs) = seen.logs else { return Err(Refused::Said(500, "this container keeps no log".into())) };
        // A run that has not begun yet has no log of its own: the newest there is, is then that of the run before.
        let previous = options.previous && seen.running.is_some();
        let reader = logs[usize::from(previous)].reader(options);
        let follow = options.follow && !before && seen.running.is_some();
        Ok(LogReader { target: target.clone(), run: seen.running, previous, follow, reader })
    }

    /// The next piece of a log, and whether more may come once there is none.
    pub fn read(&self, reader: &mut LogReader, now: Instant) -> (Option<Vec<u8>>, bool) {
        let target = &reader.target;
        let running = self.nodes.get(&target.node).filter(|kubelet| kubelet.up && kubelet.connected);
        let running = running.and_then(|kubelet| kubelet.pods.get(self.uid_of(target)));
        let Some(seen) = running.and_then(|running| running.worker.see(&target.container, now)) else {
            return (None, false);
        };
        // What was read may be the run before by now.
        let moved = seen.running.is_some() && seen.running != reader.run;
        let Some(logs) = seen.logs.filter(|_| !(moved && reader.previous)) else { return (None, false) };
        let piece = logs[usize::from(reader.previous || moved)].read(&mut reader.reader);
        let follows = reader.follow && seen.running == reader.run && reader.reader.left != Some(0);
        (piece.map(|(_, text)| text), follows)
    }

    /// Runs a command in a container.
    ///
    /// # Errors
    ///
    /// [`Refused`] in the kubelet's or the runtime's words.
    pub fn exec(
        &mut self,
        target: &Target,
        command: Vec<String>,
        stdin: bool,
        tty: bool,
        world: &World<'_>,
    ) -> Result<u64, Refused> {
        let run = self.runs(target, world, &format!("container not found ({:?})", target.container))?;
        if let Some(word) = command.first().filter(|word| !exists(word, self.wires.is_some())) {
            let why = match word.contains('/') {
                true => format!("stat {word}: no such file or directory"),
                false => "executable file not found in $PATH".into(),
            };
            // What the runtime says is no answer of HTTP: the connection is there already.
            let message = format!(
                "OCI runtime exec failed: exec failed: unable to start container process: exec: {word:?}: {why}: unknown"
            );
            let chain = "error executing command in container: failed to exec in container: failed to start exec";
            return Err(Refused::Said(200, format!("{chain} {:?}: {message}", format!("{:064x}", self.session + 1))));
        }
        let place = self.place(&target.node, self.uid_of(target), world);
        let found = self
            .worker(target)
            .zip(place)
            .and_then(|(worker, place)| worker.visit(&target.container, &place, world.now));
        let Some(mut around) = found else {
            return Err(Refused::Said(500, format!("container not found ({:?})", target.container)));
        };
        (around.stdin, around.tty) = (stdin, tty);
        if tty {
            around.environment.push(("TERM".into(), "xterm".into()));
        }
        let mut program = Program::new(command, around, false);
        let ended = program.step(world.now, world.time());
        self.rouse(target);
        Ok(self.open(Session { target: target.clone(), run, what: What::Exec(Box::new(program)), ended }))
    }

    /// Shows what a container writes from now on.
    ///
    /// # Errors
    ///
    /// [`Refused`] in the kubelet's words.
    pub fn attach(&mut self, target: &Target, stdin: bool, world: &World<'_>) -> Result<u64, Refused> {
        let pod = format!("{}_{}", target.pod.name, target.pod.namespace);
        let run = self.runs(target, world, &format!("container {} not found in pod {pod}", target.container))?;
        let once = self
            .worker(target)
            .and_then(|worker| worker.inside(&target.container))
            .and_then(|life| life.container().stdin_once);
        let what = What::Attach { written: VecDeque::new(), size: 0, closes: stdin && once.unwrap_or_default() };
        Ok(self.open(Session { target: target.clone(), run, what, ended: None }))
    }

    /// What somebody does inside may be for what runs there.
    fn rouse(&mut self, target: &Target) {
        let uid = self.uid_of(target).to_string();
        self.arm(&target.node, &uid);
    }

    fn open(&mut self, session: Session) -> u64 {
        self.session += 1;
        self.sessions.insert(self.session, session);
        self.session
    }

    /// The uid by which the kubelet knows a pod; others know a static pod by that of its mirror (`TranslatePodUID`).
    fn uid_of<'a>(&'a self, target: &'a Target) -> &'a str {
        self.mirrors.get(&target.uid).unwrap_or(&target.uid)
    }

    fn worker(&mut self, target: &Target) -> Option<&mut super::pod_worker::PodWorker> {
        let uid = self.uid_of(target).to_string();
        let kubelet = self.nodes.get_mut(&target.node)?;
        kubelet.pods.get_mut(&uid).map(|running| &mut running.worker)
    }

    fn runs(&mut self, target: &Target, world: &World<'_>, missing: &str) -> Result<Instant, Refused> {
        self.reach(&target.node)?;
        let now = world.now;
        let seen = self.worker(target).and_then(|worker| worker.see(&target.container, now)?.running);
        seen.ok_or_else(|| Refused::Said(500, missing.into()))
    }

    /// A pod as its containers see it.
    pub(super) fn place<'a>(&self, node: &str, uid: &str, world: &'a World<'_>) -> Option<Place<'a>> {
        let kubelet = self.nodes.get(node)?;
        let running = kubelet.pods.get(uid)?;
        let there = world.cache.fetch::<Pod>(&running.key.namespace, &running.key.name);
        // Whoever is cut off goes on with pods that the control plane has forgotten.
        let pod = there.or(running.manifest.as_deref()).or(running.worker.pod())?;
        let place = Place::new(
            world.server,
            self.volumes.clone(),
            pod,
            running.worker.ip(),
            &kubelet.shape.address(kubelet.index),
        );
        let sandbox = || running.net.sandbox.clone();
        Some(Place {
            link: self.wires.clone().map(|wires| Link { wires, sandbox: sandbox() }),
            machine: kubelet.shape.machine(),
            host: if sees_host(pod) { kubelet.processes() } else { Vec::new() },
            node: node.into(),
            disks: self.disks.clone(),
            ..place
        })
    }

    /// Sends input to a session; none ends it.
    pub fn input(&mut self, id: u64, bytes: Option<&[u8]>, world: &mut World<'_>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let target = session.target.clone();
        if let What::Exec(program) = &mut session.what {
            match bytes {
                Some(bytes) => program.input(bytes),
                None => program.close_input(),
            }
            session.ended = session.ended.or(program.step(world.now, world.time()));
            return self.rouse(&target);
        }
        let closes = matches!(session.what, What::Attach { closes: true, .. });
        let program = self.worker(&target).and_then(|worker| worker.inside(&target.container)?.program.as_mut());
        match (program, bytes) {
            (Some(program), Some(bytes)) => program.input(bytes),
            (Some(program), None) if closes => program.close_input(),
            _ => return,
        }
        let uid = self.uid_of(&target).to_string();
        self.go_on(&target.node, &uid, world);
    }

    /// What a session has written since this was last asked; none if there is no such session.
    pub fn output(&mut self, id: u64, world: &World<'_>) -> Option<Output> {
        self.check(world);
        let session = self.sessions.get_mut(&id)?;
        let written = match &mut session.what {
            What::Exec(program) => {
                let written = program.take();
                // A program that waited for room goes on.
                if !written.is_empty() {
                    session.ended = session.ended.or(program.step(world.now, world.time()));
                }
                written
            }
            What::Attach { written, size, .. } => {
                *size = 0;
                written.drain(..).collect()
            }
        };
        let ended = session.ended.filter(|_| written.is_empty());
        Some(Output { written, ended })
    }

    /// Nobody reads a session any more.
    pub fn leave(&mut self, id: u64, world: &mut World<'_>) {
        if self.sessions.get(&id).is_some_and(|session| matches!(session.what, What::Attach { closes: true, .. })) {
            self.input(id, None, world);
        }
        self.sessions.remove(&id);
    }

    /// Ends sessions whose container has ended; with it everything in it is killed.
    fn check(&mut self, world: &World<'_>) {
        let now = world.now;
        let open = self.sessions.iter().filter(|(_, session)| session.ended.is_none());
        let open: Vec<(u64, Target, Instant)> =
            open.map(|(id, session)| (*id, session.target.clone(), session.run)).collect();
        for (id, target, run) in open {
            let there = self.reach(&target.node).is_ok();
            let seen = self.worker(&target).and_then(|worker| worker.see(&target.container, now)?.running);
            if !there || seen != Some(run) {
                self.sessions.entry(id).and_modify(|session| {
                    session.ended = Some(137);
                    if let What::Exec(program) = &mut session.what {
                        program.end(137);
                    }
                });
            }
        }
    }

    /// Lets programs that somebody called go on.
    pub(super) fn run_sessions(&mut self, world: &World<'_>) {
        if self.sessions.is_empty() {
            return;
        }
        self.check(world);
        let mut stepped = Vec::new();
        for session in self.sessions.values_mut().filter(|session| session.ended.is_none()) {
            if let What::Exec(program) = &mut session.what
                && program.wake().is_some_and(|at| at <= world.now)
            {
                session.ended = program.step(world.now, world.time());
                stepped.push(session.target.clone());
            }
        }
        stepped.iter().for_each(|target| self.rouse(target));
    }

    /// When one of them wants to go on.
    pub(super) fn wake_sessions(&self) -> Option<Instant> {
        let open = self.sessions.values().filter(|session| session.ended.is_none());
        let wakes = open.filter_map(|session| match &session.what {
            What::Exec(program) => program.wake(),
            What::Attach { .. } => None,
        });
        wakes.min()
    }

    /// Shows attached sessions what a pod's containers have written.
    pub(super) fn show(&mut self, uid: &str, written: &[Written]) {
        let mirrors = &self.mirrors;
        let is = |target: &String| mirrors.get(target).unwrap_or(target) == uid;
        for session in self.sessions.values_mut().filter(|session| is(&session.target.uid)) {
            let What::Attach { written: waiting, size, .. } = &mut session.what else { continue };
            for piece in written.iter().filter(|piece| piece.container == session.target.container) {
                waiting.push_back((piece.channel, piece.bytes.clone()));
                *size += piece.bytes.len();
                while *size > ROOM
                    && let Some((_, dropped)) = waiting.pop_front()
                {
                    *size -= dropped.len();
                }
            }
        }
    }
}

/// Whether a container has a log to be read; `true` if it is that of an earlier run.
fn has_log(status: &ContainerStatus, container: &str, pod: &str, previous: bool) -> Result<bool, String> {
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.as_ref().is_some_and(|last| last.terminated.is_some());
    let head = format!("container {container:?} in pod {pod:?} is waiting to start");
    match state.waiting.and_then(|waiting| waiting.reason) {
        _ if previous => match last {
            true => Ok(true),
            false => Err(format!("previous terminated container {container:?} in pod {pod:?} not found")),
        },
        _ if state.running.is_some() || state.terminated.is_some() => Ok(false),
        _ if last => Ok(true),
        Some(reason) if reason == "ErrImagePull" => Err(format!("{head}: image can't be pulled")),
        Some(reason) if reason == "ImagePullBackOff" => Err(format!("{head}: trying and failing to pull image")),
        Some(reason) => Err(format!("{head}: {reason}")),
        None => Err(format!("{head} - no logs yet")),
    }
}

impl Refused {
    /// The answer of the API server, which couldn't get what it asked the kubelet for. `path` is what it asked.
    pub fn error(self, path: &str) -> Error {
        match self {
            Refused::Unreachable(address) => {
                Error::internal(format!("Get \"https://{address}:10250{path}\": dial tcp {address}:10250: i/o timeout"))
            }
            Refused::Said(400, why) => Error::bad_request(why),
            Refused::Said(_, why) => Error::internal(format!("Internal error occurred: {why}")),
        }
    }
}
