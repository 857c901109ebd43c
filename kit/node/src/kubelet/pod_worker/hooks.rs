//! Hooks of containers, carried out: `postStart` after each start, and a `preStop` that is a command, as programs beside the container's.
//!
//! Sources: `startContainer` and `executePreStopHook` of `pkg/kubelet/kuberuntime/kuberuntime_container.go`, and
//! `pkg/kubelet/lifecycle/handlers.go`. While a `postStart` hook runs its container waits for all that anybody can see. A hook that fails
//! is told in an event, without what it said. Upstream containers that come after it in the spec begin only then; here all begin beside each other.

use super::{PodWorker, Run, State, seconds};
use crate::kubelet::surroundings::Place;
use crate::program::{Program, Surroundings, exists};
use crate::termination;
use kit_api::core::LifecycleHandler;
use kit_contract::node::probes::Outcome;
use kit_time::agenda::Instant;
use serde_json::json;

/// The hooks of one container.
#[derive(Default)]
pub struct Hooks {
    /// The run whose `postStart` hook has begun, whether there is one or not.
    greeted: Option<Instant>,
    /// What goes on of it.
    start: Option<Going>,
    /// The `preStop` hook is to begin.
    asked: bool,
    /// What goes on of that.
    stop: Option<Going>,
}

/// A hook that goes on.
enum Going {
    /// Until then.
    Sleep(Instant),
    Command(Box<Program>, Vec<String>, Vec<u8>),
}

/// What came of a hook: why it failed, if it did.
type Came = Result<(), String>;

impl Hooks {
    /// The container was there before the kubelet.
    pub(super) fn pass(&mut self, run: Option<Instant>) {
        self.greeted = run;
    }

    /// Whether the `postStart` hook of a run has not ended yet.
    pub(super) fn hold_back(&self) -> bool {
        self.start.is_some()
    }

    fn wake(&self) -> Option<Instant> {
        let of = |going: &Going| match going {
            Going::Sleep(until) => Some(*until),
            Going::Command(program, ..) => program.wake(),
        };
        let asked = self.asked.then(Instant::default);
        self.start.iter().chain(&self.stop).filter_map(of).chain(asked).min()
    }
}

impl Going {
    /// Goes on; what came of it once it has ended. With its container it is `broken` off.
    fn step(&mut self, broken: bool, place: &Place<'_>, now: Instant) -> Option<Came> {
        match self {
            Going::Sleep(until) => (broken || now >= *until).then_some(Ok(())),
            Going::Command(program, words, out) => {
                let ended = program.step(now, place.server.time());
                program.take().into_iter().for_each(|(_, bytes)| out.extend(bytes));
                let code = if broken { ended.or(Some(137)) } else { ended }?;
                let command = words.join(" ");
                let said = String::from_utf8_lossy(out);
                Some(if code == 0 { Ok(()) } else { Err(format!("command '{command}' exited with {code}: {said}")) })
            }
        }
    }
}

impl PodWorker {
    /// When a hook wants to go on.
    pub(super) fn wake_hooks(&self) -> Option<Instant> {
        self.runs().filter_map(|run| run.hooks.wake()).min()
    }

    /// Lets hooks begin, go on and end; `true` if others see a difference.
    pub(super) fn play_hooks(&mut self, now: Instant, place: &Place<'_>) -> bool {
        let names: Vec<String> = self.runs().filter(|run| run.has_hooks()).map(|run| run.name.clone()).collect();
        let mut changed = false;
        for name in names {
            changed |= self.play_start(&name, now, place).unwrap_or_default();
            changed |= self.play_stop(&name, now, place).unwrap_or_default();
        }
        changed
    }

    fn run_mut(&mut self, name: &str) -> Option<&mut Run> {
        self.runs_mut().find(|run| run.name == name)
    }

    /// Begins a command in a container, if there is such a program; otherwise it is known what came of it.
    fn call(&mut self, name: &str, words: Vec<String>, now: Instant, place: &Place<'_>) -> Result<Going, Came> {
        let word = words.first().cloned().unwrap_or_default();
        if !exists(&word, place.link.is_some()) {
            let runs_command = self.inside(name).is_some_and(|life| life.command());
            // What an image has is unknown where it isn't a shell's.
            return Err(if runs_command {
                Err(format!("exec: {word:?}: executable file not found in $PATH"))
            } else {
                Ok(())
            });
        }
        let Some(around) = self.visit(name, place, now) else { return Err(Ok(())) };
        let around = Surroundings { tty: false, stdin: false, ..around };
        Ok(Going::Command(Box::new(Program::new(words.clone(), around, false)), words, Vec::new()))
    }

    fn play_start(&mut self, name: &str, now: Instant, place: &Place<'_>) -> Option<bool> {
        let ip = self.ip.clone();
        let run = self.run_mut(name)?;
        let hook = run.handler(true)?.clone();
        let Some(since) = run.since() else {
            run.hooks.start = None;
            return None;
        };
        let mut came = None;
        if run.hooks.greeted != Some(since) {
            run.hooks.greeted = Some(since);
            let going = match &hook {
                LifecycleHandler { exec: Some(exec), .. } => {
                    self.call(name, exec.command.clone().unwrap_or_default(), now, place)
                }
                LifecycleHandler { sleep: Some(sleep), .. } => Ok(Going::Sleep(now + termination::time(sleep.seconds))),
                LifecycleHandler { http_get: Some(get), .. } => {
                    let up = since - seconds(run.image.ready);
                    Err(match run.attempt(&json!({"httpGet": get}), up, now, &ip, place.link.is_some()) {
                        (Outcome::Passed | Outcome::Warned, _) => Ok(()),
                        (_, why) => Err(why),
                    })
                }
                _ => Err(Ok(())),
            };
            match going {
                Ok(going) => self.run_mut(name)?.hooks.start = Some(going),
                Err(known) => came = Some(known),
            }
        }
        let begun = came.is_none();
        let run = self.run_mut(name)?;
        came = came.or_else(|| run.hooks.start.as_mut()?.step(false, place, now));
        let Some(came) = came else { return Some(begun) };
        run.hooks.start = None;
        if let Err(why) = came {
            let pod = run.live.as_ref().map(|live| live.pod_name().to_string()).unwrap_or_default();
            let kind = if hook.exec.is_some() { "Exec" } else { "HTTP" };
            let what = match (&hook.exec, &hook.http_get) {
                (Some(exec), _) => format!("[{}]", exec.command.clone().unwrap_or_default().join(" ")),
                (_, Some(get)) => get.path.clone().unwrap_or_default(),
                _ => String::new(),
            };
            let why =
                format!("{kind} lifecycle hook ({what}) for Container {name:?} in Pod {pod:?} failed - error: {why}");
            run.failed = Some(("PostStartHookError", why));
            let grace = run.grace(false);
            run.begin_kill(now, place.server.time(), grace, false);
            self.news.push(("Warning", "FailedPostStartHook", "PostStartHook failed".into()));
            self.news.push(("Normal", "Killing", "FailedPostStartHook".into()));
        }
        Some(true)
    }

    fn play_stop(&mut self, name: &str, now: Instant, place: &Place<'_>) -> Option<bool> {
        let run = self.run_mut(name)?;
        let broken = run.since().is_none();
        let mut came = None;
        if std::mem::take(&mut run.hooks.asked) && !broken {
            let words = run.handler(false)?.exec.as_ref()?.command.clone().unwrap_or_default();
            match self.call(name, words, now, place) {
                Ok(going) => self.run_mut(name)?.hooks.stop = Some(going),
                Err(known) => came = Some(known),
            }
        }
        let run = self.run_mut(name)?;
        let came = came.or_else(|| run.hooks.stop.as_mut()?.step(broken, place, now))?;
        run.hooks.stop = None;
        run.exit.end_hook(now);
        if came.is_err() {
            self.news.push(("Warning", "FailedPreStopHook", "PreStopHook failed".into()));
        }
        self.go_on_ending(now, place.server.time());
        Some(true)
    }
}

impl Run {
    /// Its hook for its start, or that for its end.
    fn handler(&self, start: bool) -> Option<&LifecycleHandler> {
        let lifecycle = self.life.as_ref()?.container().lifecycle.as_ref()?;
        if start { lifecycle.post_start.as_ref() } else { lifecycle.pre_stop.as_ref() }
    }

    fn has_hooks(&self) -> bool {
        self.handler(true).is_some() || self.handler(false).is_some()
    }

    /// Asks for the hook for its end; `false` if that is no command.
    pub(super) fn ask_to_stop(&mut self) -> bool {
        let is_command =
            self.handler(false).is_some_and(|hook| hook.exec.is_some()) && matches!(self.state, State::Running { .. });
        self.hooks.asked |= is_command;
        is_command
    }
}

#[cfg(test)]
mod tests;
