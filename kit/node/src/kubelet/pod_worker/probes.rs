//! Probes of containers, in a cluster that somebody watches.
//!
//! `exec` runs the command in the container, if it is one that containers know; in a container that is simulated as a whole any other
//! succeeds. `httpGet` and `tcpSocket` find the ports that the container declares, once its image says that it is ready; one that
//! declares none and runs nothing is found on every port. `grpc` always succeeds. Sources: `pkg/kubelet/prober/worker.go` (`doProbe`),
//! `prober.go` (`runProbe`, `recordContainerEvent`), `pkg/probe/http/http.go`, `pkg/probe/exec/exec.go`.

use super::life::Life;
use super::{Events, PodWorker, Run, State, seconds};
use crate::kubelet::image;
use crate::kubelet::surroundings::Place;
use crate::program::link::Served;
use crate::program::{Program, Surroundings, exists};
use kit_api::core::Container;
use kit_api::jiff::Timestamp;
use kit_client::network::Protocol;
use kit_time::agenda::Instant;
use serde_json::Value;
use std::net::SocketAddr;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// One probe of one container.
pub struct Prober {
    kind: Kind,
    spec: Value,
    /// When its ticker began.
    born: Instant,
    /// Which run of the container it is about.
    since: Option<Instant>,
    next: Instant,
    passed: i64,
    failed: i64,
    good: bool,
    /// It has failed, and waits for the next run of the container.
    held: bool,
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
    let prober = |(kind, probe): (Kind, &Option<_>)| {
        let spec = serde_json::to_value(probe.as_ref()?).unwrap_or_default();
        let next = Instant::default();
        Some(Prober {
            kind,
            spec,
            born,
            since: None,
            next,
            passed: 0,
            failed: 0,
            good: false,
            held: false,
            program: None,
        })
    };
    probes.into_iter().filter_map(prober).collect()
}

/// Whether the startup probe of these, if there is one, has succeeded for this run.
pub fn has_started(probers: &[Prober], since: Instant) -> bool {
    probers
        .iter()
        .filter(|prober| prober.kind == Kind::Startup)
        .all(|prober| prober.since == Some(since) && prober.good)
}

/// Whether the container is ready as soon as it has started.
pub fn is_ready_by_itself(probers: &[Prober], since: Instant) -> bool {
    !probers.iter().any(|prober| prober.kind == Kind::Readiness) && has_started(probers, since)
}

impl Prober {
    fn number(&self, field: &str, default: i64) -> i64 {
        self.spec[field].as_i64().unwrap_or(default)
    }

    fn period(&self) -> Instant {
        Instant::seconds(self.number("periodSeconds", 10).max(1))
    }

    /// Turns to another run of the container.
    fn meet(&mut self, since: Instant, ready: bool, up: Instant) {
        if self.since == Some(since) {
            return;
        }
        let first = since + Instant::seconds(self.number("initialDelaySeconds", 0).max(0));
        let period = self.period().nanos;
        self.next = match self.kind {
            // What is not ready is probed as soon as its container runs.
            Kind::Readiness => first.max(since + up.min(Instant::seconds(1))),
            _ => self.born + Instant { nanos: ((first - self.born).nanos.max(1) + period - 1) / period * period },
        };
        (self.since, self.passed, self.failed, self.held, self.program) = (Some(since), 0, 0, false, None);
        self.good = self.kind == Kind::Liveness || ready;
    }

    fn command(&self) -> Option<Vec<String>> {
        let words = self.spec["exec"]["command"].as_array()?;
        Some(words.iter().filter_map(|word| word.as_str().map(str::to_string)).collect())
    }

    /// Whether it has anything to do, with the container started or not.
    fn works(&self, started: bool) -> bool {
        // The others begin when the startup probe has succeeded, and with that it is over.
        !self.held && started != (self.kind == Kind::Startup)
    }

    /// When it has to be looked at.
    fn wake(&self) -> Instant {
        match &self.program {
            Some((program, by, _)) => program.wake().map_or(*by, |wake| wake.min(*by)),
            None => self.next,
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
    fn count(&mut self, outcome: Outcome, now: Instant, events: &mut Events) -> bool {
        self.next = now + self.period();
        let before = self.good;
        let kind = self.kind;
        match outcome {
            Outcome::Passed => {
                (self.passed, self.failed) = (self.passed + 1, 0);
                self.good |= self.passed >= self.number("successThreshold", 1);
            }
            Outcome::Failed(why) => {
                events.push(("Warning", "Unhealthy", format!("{kind:?} probe failed: {why}")));
                (self.passed, self.failed) = (0, self.failed + 1);
                let over = self.failed >= self.number("failureThreshold", 3);
                self.good &= !over;
                self.held = over && kind != Kind::Readiness;
            }
            Outcome::Unknown(why) => {
                let told = format!("{kind:?} probe errored and resulted in unknown state: {why}");
                events.push(("Warning", "Unhealthy", told));
            }
        }
        self.good != before || self.held
    }
}

impl PodWorker {
    /// Does the probes that are due; `true` if others see a difference.
    pub(super) fn probe(&mut self, now: Instant, place: &Place<'_>) -> bool {
        if self.stops_at.is_some() {
            return false;
        }
        let network = place.link.is_some();
        let mut commands = Vec::new();
        for run in self.setup.iter_mut().chain(&mut self.containers) {
            commands.extend(run.meet_probes(now, network));
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
        let due = |prober: &&Prober| prober.since == Some(since) && prober.works(started);
        probers.iter().filter(due).map(Prober::wake).min()
    }

    /// Turns the probes to the run that goes on; the commands that are to be run now.
    fn meet_probes(&mut self, now: Instant, network: bool) -> Vec<(String, usize, Vec<String>)> {
        let running = self.running();
        let up = seconds(self.image.ready);
        let name = self.name.clone();
        let Some((since, ready)) = running else {
            let probers = self.live.iter_mut().flat_map(|live| &mut live.probers);
            probers.for_each(|prober| (prober.since, prober.program) = (None, None));
            return Vec::new();
        };
        let Some(live) = &mut self.live else { return Vec::new() };
        let probers = &mut live.probers;
        probers.iter_mut().for_each(|prober| prober.meet(since, ready, up));
        let started = has_started(probers, since);
        let due = |(at, prober): (usize, &Prober)| {
            let due = prober.works(started) && prober.program.is_none() && prober.next <= now;
            let command =
                prober.command().filter(|command| due && command.first().is_some_and(|word| exists(word, network)))?;
            Some((name.clone(), at, command))
        };
        probers.iter().enumerate().filter_map(due).collect()
    }

    fn begin_command(&mut self, at: usize, program: Program, now: Instant) {
        if let Some(prober) = self.live.as_mut().and_then(|live| live.probers.get_mut(at)) {
            let limit = Instant::seconds(prober.number("timeoutSeconds", 1).max(1));
            prober.program = Some((program, now + limit, Vec::new()));
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
        for at in 0..probers.len() {
            let started = has_started(&probers, since);
            let Some(prober) = probers.get_mut(at).filter(|prober| prober.works(started)) else { continue };
            let outcome = match prober.program.is_some() {
                true => prober.step(now, time),
                false if prober.next > now => None,
                false => Some(self.attempt(prober, since, now, ip, network)),
            };
            let Some(outcome) = outcome else { continue };
            changed |= prober.count(outcome, now, events);
            if prober.held {
                kills = Some((prober.kind, prober.spec["terminationGracePeriodSeconds"].as_i64()));
            }
        }
        let by_itself = is_ready_by_itself(&probers, since);
        let readiness = probers.iter().find(|prober| prober.kind == Kind::Readiness).map(|prober| prober.good);
        let up = now >= since + seconds(self.image.ready);
        if let State::Running { ready, .. } = &mut self.state
            && !probers.is_empty()
        {
            let now_ready = readiness.map_or(by_itself && (up || *ready), |good| good && has_started(&probers, since));
            changed |= std::mem::replace(ready, now_ready) != now_ready;
        }
        self.put_probers(probers);
        if let Some((kind, grace)) = kills {
            let kind = format!("{kind:?}").to_lowercase();
            let grace = grace.map_or_else(|| self.own_grace(), |grace| Instant::seconds(grace.max(0)));
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
