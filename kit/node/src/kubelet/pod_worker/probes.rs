//! Probes of containers, in a cluster that somebody watches.
//!
//! `exec` runs the command in the container, if it is one that containers know; in a container that is simulated as a whole any other
//! succeeds. `httpGet` and `tcpSocket` find the ports that the container declares, once its image says that it is ready; one that
//! declares none and runs nothing is found on every port. `grpc` always succeeds. When a probe asks, and what its answers are worth,
//! says [`prober`]. Sources: `pkg/kubelet/prober/prober.go` (`runProbe`, `recordContainerEvent`), `pkg/probe/http/http.go`, `pkg/probe/exec/exec.go`.

use super::life::Life;
use super::{Events, PodWorker, Run, State, seconds};
use crate::kubelet::image;
use crate::kubelet::surroundings::Place;
use crate::prober::{self, Kind, Look, Seen, Settings, Stand, Worker};
use crate::program::link::Served;
use crate::program::{Program, Surroundings, exists};
use crate::runtime::Found;
use crate::termination::Reason;
use kit_api::core::{Container, Probe};
use kit_api::jiff::Timestamp;
use kit_client::network::Protocol;
use kit_time::agenda::Instant;
use serde_json::Value;
use std::net::SocketAddr;

/// One probe of one container.
pub struct Prober {
    worker: Worker,
    spec: Value,
    /// Which run of the container it is about.
    since: Option<Instant>,
    /// When a sync wakes it.
    woken: Option<Instant>,
    /// It is to ask now.
    asks: bool,
    /// The command while it runs, when its time is up, and what it has written.
    program: Option<(Program, Instant, Vec<u8>)>,
}

/// What came of one attempt.
enum Outcome {
    Passed,
    Failed(String),
    /// Nobody knows: it counts as neither.
    Unknown(String),
}

/// The probes of a container.
pub fn of(container: &Container, born: Instant) -> Vec<Prober> {
    let probes = [
        (Kind::Startup, &container.startup_probe),
        (Kind::Liveness, &container.liveness_probe),
        (Kind::Readiness, &container.readiness_probe),
    ];
    let prober = |(kind, probe): (Kind, &Option<Probe>)| {
        let probe = probe.as_ref()?;
        let worker = Worker::new(Settings::of(kind, probe), born);
        let spec = serde_json::to_value(probe).unwrap_or_default();
        Some(Prober { worker, spec, since: None, woken: None, asks: false, program: None })
    };
    probes.into_iter().filter_map(prober).collect()
}

fn stand(probers: &[Prober], since: Instant) -> Stand {
    prober::stand(probers.iter().map(|prober| &prober.worker), since)
}

/// Whether the startup probe of these, if there is one, has succeeded for this run.
pub fn has_started(probers: &[Prober], since: Instant) -> bool {
    stand(probers, since).started
}

/// Whether the container is ready as soon as it has started.
pub fn is_ready_by_itself(probers: &[Prober], since: Instant) -> bool {
    !probers.iter().any(|prober| prober.worker.kind() == Kind::Readiness) && has_started(probers, since)
}

impl Prober {
    fn number(&self, field: &str, default: i64) -> i64 {
        self.spec[field].as_i64().unwrap_or(default)
    }

    /// Turns to another run of the container.
    fn meet(&mut self, since: Instant, ready: bool, up: Instant) {
        if self.since == Some(since) {
            return;
        }
        (self.since, self.asks, self.program) = (Some(since), false, None);
        self.worker.skip(since);
        // The sync after its start finds that it isn't ready.
        let sync = since + up.min(Instant::seconds(1));
        self.woken = (self.worker.kind() == Kind::Readiness).then_some(sync);
        if ready {
            self.worker.adopt(since, Found::Success);
        }
    }

    /// Its worker is woken, if it is time; `true` if it asks.
    fn wakes(&mut self, since: Instant, started: bool, deleting: bool, now: Instant) -> bool {
        if self.program.is_some() || !self.worker.works(since, started) {
            return false;
        }
        let seen = Some(Seen { since, running: true, started, again: true, deleting });
        let look = if self.woken.take_if(|at| *at <= now).is_some() {
            self.worker.trigger(seen, now)
        } else if self.worker.next <= now {
            self.worker.tick(seen, now)
        } else {
            return false;
        };
        look == Look::Ask
    }

    fn command(&self) -> Option<Vec<String>> {
        let words = self.spec["exec"]["command"].as_array()?;
        Some(words.iter().filter_map(|word| word.as_str().map(str::to_string)).collect())
    }

    /// When it has to be looked at.
    fn wake(&self) -> Instant {
        match &self.program {
            Some((program, by, _)) => program.wake().map_or(*by, |wake| wake.min(*by)),
            None => self.woken.map_or(self.worker.next, |woken| woken.min(self.worker.next)),
        }
    }

    /// Lets its command go on: what came of it, if it has ended.
    fn step(&mut self, now: Instant, time: Timestamp) -> Option<Outcome> {
        let (program, by, out) = self.program.as_mut()?;
        let ended = program.step(now, time);
        program.take().into_iter().for_each(|(_, bytes)| out.extend(bytes));
        let said = String::from_utf8_lossy(out).trim_end().to_string();
        let outcome = match ended {
            Some(0) => Outcome::Passed,
            Some(_) => Outcome::Failed(said),
            None if now >= *by => {
                let command = self.command().unwrap_or_default().join(" ");
                let limit = self.number("timeoutSeconds", 1);
                Outcome::Failed(format!("command timed out: {command:?} timed out after {limit}s"))
            }
            None => return None,
        };
        self.program = None;
        Some(outcome)
    }

    /// Counts an outcome; what it tells, and whether its word has changed.
    fn count(&mut self, outcome: Outcome, events: &mut Events) -> bool {
        let (before, kind) = (self.worker.result, self.worker.kind());
        match outcome {
            Outcome::Passed => self.worker.count(true),
            Outcome::Failed(why) => {
                events.push(("Warning", "Unhealthy", format!("{kind:?} probe failed: {why}")));
                self.worker.count(false);
            }
            Outcome::Unknown(why) => {
                let told = format!("{kind:?} probe errored and resulted in unknown state: {why}");
                events.extend(std::iter::repeat_n(("Warning", "Unhealthy", told), prober::TRIES));
            }
        }
        self.worker.result != before
    }

    /// Whether it wants its container to be killed.
    fn kills(&self, since: Instant) -> bool {
        self.worker.kind() != Kind::Readiness && self.worker.found(since) == Some(Found::Failure)
    }
}

impl PodWorker {
    /// Does the probes that are due; `true` if others see a difference.
    pub(super) fn probe(&mut self, now: Instant, place: &Place<'_>) -> bool {
        let deleting = self.stops_at.is_some();
        let network = place.link.is_some();
        let mut commands = Vec::new();
        for run in self.setup.iter_mut().chain(&mut self.containers) {
            commands.extend(run.meet_probes(now, network, deleting));
        }
        let mut programs = Vec::new();
        for (container, prober, command) in commands {
            let around = self.visit(&container, place);
            programs.extend(around.map(|around| {
                let around = Surroundings { tty: false, stdin: false, ..around };
                (container, prober, Program::new(command, around, false))
            }));
        }
        let (time, ip) = (place.server.time(), self.ip.clone());
        let mut changed = false;
        for run in self.setup.iter_mut().chain(&mut self.containers) {
            let (mine, others) = programs.into_iter().partition(|(container, ..)| *container == run.name);
            programs = others;
            let mine: Vec<(String, usize, Program)> = mine;
            for (_, prober, program) in mine {
                run.begin_command(prober, program, now);
            }
            let policy = run.policy_in(&self.policy).to_string();
            changed |= run.probe(now, time, &ip, network, &policy, &mut self.news);
        }
        if changed {
            self.proceed(now);
        }
        changed
    }

    /// When a probe has something to do.
    pub(super) fn wake_probes(&self) -> Option<Instant> {
        let runs = self.setup.iter().chain(&self.containers);
        runs.filter_map(Run::wake_probes).min()
    }
}

impl Run {
    fn take_probers(&mut self) -> Vec<Prober> {
        self.live.as_mut().map(|live| std::mem::take(&mut live.probers)).unwrap_or_default()
    }

    fn put_probers(&mut self, probers: Vec<Prober>) {
        if let Some(live) = &mut self.live {
            live.probers = probers;
        }
    }

    fn running(&self) -> Option<(Instant, bool)> {
        match self.state {
            State::Running { since, ready, .. } => Some((since, ready)),
            _ => None,
        }
    }

    fn wake_probes(&self) -> Option<Instant> {
        let (since, _) = self.running()?;
        let probers = self.probers();
        let started = has_started(probers, since);
        let due = |prober: &&Prober| {
            prober.since == Some(since) && (prober.program.is_some() || prober.worker.works(since, started))
        };
        probers.iter().filter(due).map(Prober::wake).min()
    }

    /// Turns the probes to the run that goes on; the commands that are to be run now.
    fn meet_probes(&mut self, now: Instant, network: bool, deleting: bool) -> Vec<(String, usize, Vec<String>)> {
        let running = self.running();
        let up = seconds(self.image.ready);
        let name = self.name.clone();
        let Some((since, ready)) = running else {
            let probers = self.live.iter_mut().flat_map(|live| &mut live.probers);
            probers.for_each(|prober| (prober.since, prober.asks, prober.program) = (None, false, None));
            return Vec::new();
        };
        let Some(live) = &mut self.live else { return Vec::new() };
        let probers = &mut live.probers;
        probers.iter_mut().for_each(|prober| prober.meet(since, ready, up));
        let started = has_started(probers, since);
        let due = |(at, prober): (usize, &mut Prober)| {
            prober.asks = prober.wakes(since, started, deleting, now);
            let asks = prober.asks;
            let command =
                prober.command().filter(|command| asks && command.first().is_some_and(|word| exists(word, network)))?;
            Some((name.clone(), at, command))
        };
        probers.iter_mut().enumerate().filter_map(due).collect()
    }

    fn begin_command(&mut self, at: usize, program: Program, now: Instant) {
        if let Some(prober) = self.live.as_mut().and_then(|live| live.probers.get_mut(at)) {
            let limit = Instant::seconds(prober.number("timeoutSeconds", 1).max(1));
            (prober.asks, prober.program) = (false, Some((program, now + limit, Vec::new())));
        }
    }

    fn probe(
        &mut self,
        now: Instant,
        time: Timestamp,
        ip: &str,
        network: bool,
        policy: &str,
        events: &mut Events,
    ) -> bool {
        let Some((since, _)) = self.running() else { return false };
        let mut probers = self.take_probers();
        let mut changed = false;
        let mut kills = None;
        for prober in &mut probers {
            let outcome = match prober.program.is_some() {
                true => prober.step(now, time),
                false => std::mem::take(&mut prober.asks).then(|| self.attempt(prober, since, now, ip, network)),
            };
            let Some(outcome) = outcome else { continue };
            changed |= prober.count(outcome, events);
            if prober.kills(since) {
                kills = Some(prober.worker.kind());
            }
        }
        let by_itself = is_ready_by_itself(&probers, since);
        let is_probed = probers.iter().any(|prober| prober.worker.kind() == Kind::Readiness);
        let stand = stand(&probers, since);
        let up = now >= since + seconds(self.image.ready);
        if let State::Running { ready, .. } = &mut self.state
            && !probers.is_empty()
        {
            let now_ready = if is_probed { stand.ready } else { by_itself && (up || *ready) };
            changed |= std::mem::replace(ready, now_ready) != now_ready;
        }
        self.put_probers(probers);
        if let Some(kind) = kills {
            let why = if kind == Kind::Startup { Reason::StartupProbe } else { Reason::LivenessProbe };
            let (kind, grace) = (format!("{kind:?}").to_lowercase(), self.grace(Some(why)));
            let again = policy != "Never";
            if self.begin_kill(now, time, grace, again) {
                let told = format!("Container {} failed {kind} probe, will be restarted", self.name);
                events.push(("Normal", "Killing", told));
            }
        }
        changed
    }

    /// Tries what is no command, or a command that containers don't know.
    fn attempt(&self, prober: &Prober, since: Instant, now: Instant, ip: &str, network: bool) -> Outcome {
        let runs_command = self.life.as_ref().is_some_and(Life::command);
        if let Some(command) = prober.command() {
            let word = command.first().map_or("", String::as_str);
            return match runs_command && !exists(word, network) {
                true => Outcome::Unknown(format!(
                    "rpc error: code = Unknown desc = failed to exec in container: exec: {word:?}: executable file not found in $PATH"
                )),
                false => Outcome::Passed,
            };
        }
        let (http, tcp) = (&prober.spec["httpGet"], &prober.spec["tcpSocket"]);
        let action = if tcp.is_null() { http } else { tcp };
        if action.is_null() {
            return Outcome::Passed;
        }
        let Some(port) = self.port(&action["port"]) else {
            return Outcome::Unknown(format!("couldn't find port: {}", action["port"]));
        };
        let declared = || self.ports.iter().filter(|(protocol, _)| *protocol == Protocol::Tcp);
        let open = match declared().next() {
            Some(_) => declared().any(|(_, declared)| *declared == port),
            None => !runs_command,
        };
        let refused = format!("dial tcp {ip}:{port}: connect: connection refused");
        let serves = open && now >= since + seconds(self.image.ready);
        if !tcp.is_null() {
            return if serves { Outcome::Passed } else { Outcome::Failed(refused) };
        }
        let path = http["path"].as_str().unwrap_or("/");
        if !serves {
            let scheme = http["scheme"].as_str().unwrap_or("HTTP").to_lowercase();
            return Outcome::Failed(format!("Get \"{scheme}://{ip}:{port}{path}\": {refused}"));
        }
        let served = Served {
            protocol: Protocol::Tcp,
            port,
            image: image::called(&self.image_name).into(),
            words: self.life.iter().flat_map(|life| life.words()).cloned().collect(),
            hostname: String::new(),
        };
        match served.answer(path, SocketAddr::from(([127, 0, 0, 1], 40_000))).code {
            200..400 => Outcome::Passed,
            code => Outcome::Failed(format!("HTTP probe failed with statuscode: {code}")),
        }
    }

    /// The port that a probe names, by its number or by the name that the container gives it.
    fn port(&self, port: &Value) -> Option<u16> {
        let number = port.as_u64().or_else(|| port.as_str()?.parse().ok());
        let named = || {
            let ports = self.life.as_ref()?.container().ports.as_ref()?;
            let found = ports.iter().find(|declared| declared.name.as_deref() == port.as_str())?;
            u64::try_from(found.container_port).ok()
        };
        u16::try_from(number.or_else(named)?).ok()
    }
}

#[cfg(test)]
mod tests;
