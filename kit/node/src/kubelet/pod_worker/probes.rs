//! Probes of containers, in a cluster that somebody watches: the module of `node/probes` says when they are done and what follows.
//!
//! `exec` runs the command in the container, if it is one that containers know; in a container that is simulated as a whole any other
//! succeeds. `httpGet` and `tcpSocket` find the ports that the container declares, once its image says that it is ready; one that
//! declares none and runs nothing is found on every port. `grpc` always succeeds. Sources: `pkg/kubelet/prober/prober.go` (`runProbe`,
//! `recordContainerEvent`), `pkg/probe/exec/exec.go`.

mod attempt;

use super::{Events, PodWorker, Run, State, seconds};
use crate::kubelet::surroundings::Place;
use crate::program::{Program, Surroundings, exists};
use kit_api::core::Container;
use kit_api::jiff::Timestamp;
use kit_contract::Slot;
use kit_contract::node::Prober;
use kit_contract::node::probes::{
    Answer, Config, Container as Seen, Done, Kill, Kind, Outcome, Probe, RestartPolicy, Synced,
};
use kit_time::agenda::Instant;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a probe has found, and what is told of it.
type Found = (Outcome, String);

/// How often probes may follow each other at one moment: a readiness probe that fails is done once more, and that is all.
const ROUNDS: usize = 8;

/// The probes of one container.
pub struct Probes {
    module: Box<dyn Prober>,
    specs: Vec<(Kind, Value)>,
    /// When the pod began.
    born: Instant,
    /// The container that the module was last told of.
    seen: Option<Seen>,
    /// Since when that one runs, if it does.
    since: Option<Instant>,
    started: bool,
    ready: bool,
    /// It was ready when this kubelet began, which knows no results yet.
    was_ready: bool,
    /// Whether it had started and was ready when that was last written down.
    shown: (bool, bool),
    /// Whether a result was set that the kubelet hasn't looked at.
    news: bool,
    wake: Option<Instant>,
    due: BTreeSet<Kind>,
    /// How often each probe found what, in the words of `prober_probe_total`.
    pub found: BTreeMap<(Kind, &'static str), u64>,
    /// The commands that run, when their time is up, and what they have written.
    programs: Vec<(Kind, Program, Instant, Vec<u8>)>,
}

/// What every attempt has to know.
struct Moment<'a> {
    now: Instant,
    time: Timestamp,
    ip: &'a str,
    network: bool,
}

/// The probes of a container with this restart policy, in a pod with this grace period; none if it has none.
pub fn of(
    container: &Container,
    policy: &str,
    grace: Instant,
    born: Instant,
    slot: &Slot<dyn Prober>,
) -> Option<Probes> {
    let specs = [
        (Kind::Startup, &container.startup_probe),
        (Kind::Liveness, &container.liveness_probe),
        (Kind::Readiness, &container.readiness_probe),
    ];
    let spec = |(kind, probe): (Kind, &Option<_>)| Some((kind, serde_json::to_value(probe.as_ref()?).ok()?));
    let specs: Vec<(Kind, Value)> = specs.into_iter().filter_map(spec).collect();
    if specs.is_empty() {
        return None;
    }
    let probe = |kind| {
        let (_, spec) = specs.iter().find(|(of, _)| *of == kind)?;
        let number = |field: &str, default: i64| spec[field].as_i64().unwrap_or(default);
        Some(Probe {
            initial_delay_seconds: number("initialDelaySeconds", 0).max(0),
            period_seconds: number("periodSeconds", 10).max(1),
            success_threshold: number("successThreshold", 1),
            failure_threshold: number("failureThreshold", 3),
            termination_grace_period_seconds: spec["terminationGracePeriodSeconds"].as_i64(),
        })
    };
    let config = Config {
        startup: probe(Kind::Startup),
        liveness: probe(Kind::Liveness),
        readiness: probe(Kind::Readiness),
        restart_policy: match policy {
            "Never" => RestartPolicy::Never,
            "OnFailure" => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        },
        termination_grace_period_seconds: grace.nanos / 1_000_000_000,
    };
    Some(Probes {
        module: slot.make(&config),
        specs,
        born,
        seen: None,
        since: None,
        started: false,
        ready: false,
        was_ready: false,
        shown: (false, false),
        news: false,
        wake: None,
        due: BTreeSet::new(),
        found: BTreeMap::new(),
        programs: Vec::new(),
    })
}

/// Whether the startup probe of these, if there is one, has succeeded for this run.
pub fn has_started(probes: Option<&Probes>, since: Instant) -> bool {
    probes.is_none_or(|probes| !probes.has(Kind::Startup) || probes.since == Some(since) && probes.started)
}

/// Whether the container is ready as soon as it has started.
pub fn is_ready_by_itself(probes: Option<&Probes>, since: Instant) -> bool {
    !probes.is_some_and(|probes| probes.has(Kind::Readiness)) && has_started(probes, since)
}

/// The command of a probe that has one.
fn command(spec: &Value) -> Option<Vec<String>> {
    let words = spec["exec"]["command"].as_array()?;
    Some(words.iter().filter_map(|word| word.as_str().map(str::to_string)).collect())
}

impl Probes {
    fn has(&self, kind: Kind) -> bool {
        self.specs.iter().any(|(of, _)| *of == kind)
    }

    fn spec(&self, kind: Kind) -> Value {
        self.specs.iter().find(|(of, _)| *of == kind).map_or(Value::Null, |(_, spec)| spec.clone())
    }

    fn ms(&self, at: Instant) -> i64 {
        (at - self.born).nanos.max(0) / 1_000_000
    }

    fn take(&mut self, answer: Answer, now: Instant) {
        self.news |= !answer.results.is_empty();
        self.due.extend(answer.probe);
        // A module that always names this moment must not stop the clock.
        self.wake = answer.wake_at_ms.map(|at| (self.born + Instant::millis(at)).max(now + Instant::millis(1)));
    }

    /// The kubelet looks.
    fn sync(&mut self, seen: Seen, since: Option<Instant>, now: Instant) -> Option<Kill> {
        let ms = self.ms(now);
        let Synced { started, ready, kill, answer } = self.module.sync(&seen, ms);
        (self.seen, self.since, self.news) = (Some(seen), since, false);
        (self.started, self.ready) = (started, ready);
        self.take(answer, now);
        kill
    }

    fn done(&mut self, probe: Kind, (outcome, why): Found, now: Instant, events: &mut Events) {
        let word = match outcome {
            Outcome::Passed | Outcome::Warned => "successful",
            Outcome::Failed | Outcome::TimedOut => "failed",
            Outcome::Errored => "unknown",
        };
        *self.found.entry((probe, word)).or_default() += 1;
        let told = match outcome {
            Outcome::Passed | Outcome::Warned => None,
            Outcome::Failed | Outcome::TimedOut => Some(format!("{probe:?} probe failed: {why}")),
            // It was broken off.
            Outcome::Errored if why.is_empty() => None,
            Outcome::Errored => Some(format!("{probe:?} probe errored and resulted in unknown state: {why}")),
        };
        events.extend(told.map(|told| ("Warning", "Unhealthy", told)));
        self.was_ready &= probe != Kind::Readiness;
        let ms = self.ms(now);
        let answer = self.module.outcome(&Done { probe, outcome }, ms);
        self.take(answer, now);
    }

    /// Lets commands go on, or breaks them off with their container; what came of those that have ended.
    fn step(&mut self, broken: bool, now: Instant, time: Timestamp) -> Vec<(Kind, Found)> {
        let mut found = Vec::new();
        for (kind, mut program, by, mut out) in std::mem::take(&mut self.programs) {
            let ended = program.step(now, time);
            program.take().into_iter().for_each(|(_, bytes)| out.extend(bytes));
            let said = || String::from_utf8_lossy(&out).trim_end().to_string();
            found.push((
                kind,
                match ended {
                    _ if broken => (Outcome::Errored, String::new()),
                    Some(0) => (Outcome::Passed, String::new()),
                    Some(_) => (Outcome::Failed, said()),
                    None if now >= by => {
                        let spec = self.spec(kind);
                        let (command, limit) = (command(&spec).unwrap_or_default().join(" "), limit(&spec));
                        (Outcome::TimedOut, format!("command timed out: {command:?} timed out after {limit}s"))
                    }
                    None => {
                        self.programs.push((kind, program, by, out));
                        continue;
                    }
                },
            ));
        }
        found
    }
}

/// How many seconds a probe may take.
fn limit(spec: &Value) -> i64 {
    spec["timeoutSeconds"].as_i64().unwrap_or(1).max(1)
}

impl PodWorker {
    /// Does the probes that are due; `true` if others see a difference.
    pub(super) fn probe(&mut self, now: Instant, place: &Place<'_>) -> bool {
        let (network, deleting) = (place.link.is_some(), self.stops_at.is_some());
        let (time, ip) = (place.server.time(), self.ip.clone());
        let moment = Moment { now, time, ip: &ip, network };
        let mut changed = false;
        for _ in 0..ROUNDS {
            let mut commands = Vec::new();
            for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
                changed |= run.look_at_probes(deleting, &moment);
                commands.extend(run.take_commands(network));
            }
            for (container, kind, command) in commands {
                let around = self.visit(&container, place, now);
                let around = around.map(|around| Surroundings { tty: false, stdin: false, ..around });
                let program = around.map(|around| Program::new(command, around, false));
                let mut runs = self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests);
                let run = runs.find(|run| run.name == container);
                if let (Some(program), Some(probes)) = (program, run.and_then(Run::probes_mut)) {
                    let by = now + Instant::seconds(limit(&probes.spec(kind)));
                    probes.programs.push((kind, program, by, Vec::new()));
                }
            }
            let mut more = false;
            for run in self.setup.iter_mut().chain(&mut self.containers).chain(&mut self.guests) {
                more |= run.do_probes(&moment, &mut self.news);
            }
            if !more {
                break;
            }
        }
        if changed {
            self.sync(now, time);
        }
        changed
    }

    /// When a probe has something to do.
    pub(super) fn wake_probes(&self) -> Option<Instant> {
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        runs.filter_map(Run::wake_probes).min()
    }
}

impl Run {
    fn probes_mut(&mut self) -> Option<&mut Probes> {
        self.live.as_mut()?.probes.as_mut()
    }

    /// When the kubelet sees that it runs: the runtime tells once a second, and here a container that comes up at once is seen when it is up.
    fn seen_at(&self, since: Instant) -> Instant {
        since + seconds(self.image.ready).min(Instant::seconds(1))
    }

    fn wake_probes(&self) -> Option<Instant> {
        let probes = self.probes()?;
        let programs = probes.programs.iter().map(|(_, program, by, _)| program.wake().map_or(*by, |at| at.min(*by)));
        let look = match self.state {
            State::Running { since, .. } if probes.since != Some(since) && !self.hooks.hold_back() => {
                Some(self.seen_at(since))
            }
            _ => None,
        };
        // Tickers go on while nothing runs; whoever looks then learns of it with the next container.
        let wake = probes.wake.filter(|_| matches!(self.state, State::Running { .. }));
        wake.into_iter().chain(programs).chain(look).min()
    }

    /// The kubelet looks if there is something new, and the module is woken if it is time. `true` if others see a difference.
    fn look_at_probes(&mut self, deleting: bool, moment: &Moment<'_>) -> bool {
        let Moment { now, .. } = *moment;
        let run = u32::try_from(self.restarts).unwrap_or_default() + 1;
        let (running, up) = match self.state {
            State::Running { since, at, ready } if now >= self.seen_at(since) && !self.hooks.hold_back() => {
                (Some((since, at, ready)), true)
            }
            // What its hook holds back doesn't run yet for all that anybody knows.
            State::Running { .. } => (None, false),
            _ => (None, true),
        };
        let Some(probes) = self.probes_mut() else { return false };
        if probes.wake.is_some_and(|at| at <= now) {
            let ms = probes.ms(now);
            let answer = probes.module.wake(ms);
            probes.take(answer, now);
        }
        let was = probes.seen.clone();
        let seen = match running {
            Some((since, at, ready)) => {
                // Its status says it in whole seconds.
                let started_at_ms = Some((since - probes.born).nanos / 1_000_000 - i64::from(at.subsec_millisecond()));
                probes.was_ready |= was.is_none() && ready;
                Some(Seen { run, started_at_ms, deleting })
            }
            None => {
                probes.was_ready &= !up;
                was.clone().map(|was| Seen { started_at_ms: None, deleting, ..was })
            }
        };
        let since = running.map(|(since, ..)| since);
        let is_new = |seen: &Seen| up && (probes.news || was.as_ref() != Some(seen) || probes.since != since);
        let Some(seen) = seen.filter(is_new) else { return false };
        let kill = probes.sync(seen, since, now);
        let failed = kill.filter(|_| running.is_some());
        let changed = failed.is_some();
        self.live.iter_mut().for_each(|live| live.unwell.clone_from(&failed));
        changed | self.show_probes(now)
    }

    /// Lets the status say what the kubelet knows; `true` if that is new.
    fn show_probes(&mut self, now: Instant) -> bool {
        let State::Running { since, ready: was, .. } = self.state else { return false };
        let Some(probes) = self.probes() else { return false };
        let started = has_started(Some(probes), since);
        let ready = match probes.has(Kind::Readiness) {
            true => probes.ready && probes.since == Some(since) || probes.was_ready,
            false => started && (was || now >= since + seconds(self.image.ready)),
        };
        let Some(probes) = self.probes_mut() else { return false };
        let before = std::mem::replace(&mut probes.shown, (started, ready));
        if let State::Running { ready: there, .. } = &mut self.state {
            *there = ready;
        }
        before != (started, ready) || was != ready
    }

    /// The commands that are to be run now, with the container's name.
    fn take_commands(&mut self, network: bool) -> Vec<(String, Kind, Vec<String>)> {
        let name = self.name.clone();
        let Some(probes) = self.probes_mut() else { return Vec::new() };
        let known = |kind: &Kind| {
            let command = command(&probes.spec(*kind))?;
            command.first().is_some_and(|word| exists(word, network)).then(|| (name.clone(), *kind, command))
        };
        let commands: Vec<_> = probes.due.iter().filter_map(known).collect();
        probes.due.retain(|kind| commands.iter().all(|(_, of, _)| of != kind));
        commands
    }

    /// Lets commands go on, and tries what is no command; `true` if something has come of it.
    fn do_probes(&mut self, moment: &Moment<'_>, events: &mut Events) -> bool {
        let Moment { now, time, ip, network } = *moment;
        let running = match self.state {
            State::Running { since, .. } => Some(since),
            _ => None,
        };
        let Some(probes) = self.probes_mut() else { return false };
        let broken = running.is_none() || probes.since != running;
        let mut found = probes.step(broken, now, time);
        let due: Vec<_> = std::mem::take(&mut probes.due).into_iter().map(|kind| (kind, probes.spec(kind))).collect();
        for (kind, spec) in due {
            let attempt = match running {
                Some(since) => self.attempt(&spec, since, now, ip, network),
                None => (Outcome::Errored, String::new()),
            };
            found.push((kind, attempt));
        }
        let more = !found.is_empty();
        if let Some(probes) = self.probes_mut() {
            found.into_iter().for_each(|(kind, found)| probes.done(kind, found, now, events));
        }
        more
    }
}

#[cfg(test)]
mod tests;
