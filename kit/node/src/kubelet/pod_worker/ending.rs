//! How the containers of a pod go when somebody ends it: [`Ending`] decides, and here it is carried out.
//!
//! In scenarios hooks are simulated: one that sleeps takes its time, any other none. With programs [commands are run](super::hooks).

use super::{PodWorker, Run, State, seconds};
use crate::kubelet::pod_worker::life::Life;
use crate::termination::{self, Ending, Member, Role, Step};
use kit_api::core::Container;
use kit_api::jiff::Timestamp;
use kit_time::agenda::Instant;

/// A pod that is being ended, and nobody knows until when.
pub(super) const OPEN: Instant = Instant { nanos: i64::MAX / 2 };

/// What a container needs of its end.
#[derive(Default)]
pub struct Exit {
    /// How long its `preStop` hook takes.
    pub(super) hook: Option<Instant>,
    /// When that has ended, if it runs.
    hook_ends: Option<Instant>,
    /// When it will have ended, if it has the signal and minds it.
    at: Option<Instant>,
    /// It has.
    gone: bool,
}

impl Exit {
    pub(super) fn new(container: &Container) -> Exit {
        Exit { hook: hook(container), ..Exit::default() }
    }

    /// Its hook has ended, if that was waited for.
    pub(super) fn end_hook(&mut self, now: Instant) {
        self.hook_ends = self.hook_ends.map(|_| now);
    }
}

/// How long the `preStop` hook of a container takes.
fn hook(container: &Container) -> Option<Instant> {
    let hook = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
    if let Some(sleep) = &hook.sleep {
        return Some(termination::time(sleep.seconds));
    }
    let words = || hook.exec.iter().flat_map(|exec| exec.command.iter().flatten()).flat_map(|word| word.split(' '));
    let typed = || words().skip_while(|word| *word != "sleep").nth(1)?.parse::<f64>().ok();
    Some(seconds(typed().unwrap_or_default().clamp(0.0, 1e8)))
}

/// A pod that is being ended.
pub struct Ends {
    grace: Instant,
    ending: Ending,
}

impl PodWorker {
    /// Asks all containers to end within the grace period. Asked again, only a shorter one counts.
    pub fn stop(&mut self, now: Instant, time: Timestamp, grace: Instant) {
        let stopping = self.stops_at.is_some();
        if stopping && self.ends.as_ref().is_some_and(|ends| ends.grace <= grace) {
            return;
        }
        if self.ends.is_none() && self.live.is_some() {
            self.announce_stop();
        }
        if self.held.is_some() {
            self.stops_at = Some(now);
            return;
        }
        self.begin_ending(now, grace);
        self.stops_at = Some(OPEN);
        self.go_on_ending(now, time);
    }

    /// Everything that runs is to end.
    pub(super) fn begin_ending(&mut self, now: Instant, grace: Instant) {
        let live = self.live.is_some();
        let mut members = Vec::new();
        for (run, role) in self.runs_with_roles() {
            // Who only waits has nothing to end; scenarios are told another story.
            if run.exit.gone || live && run.since().is_none() {
                continue;
            }
            members.push(Member {
                name: run.name.clone(),
                role,
                hook: run.exit.hook.is_some(),
                grace: grace.nanos / 1_000_000_000,
            });
        }
        self.ends = Some(Ends { grace, ending: Ending::new(members, now) });
    }

    fn runs_with_roles(&mut self) -> impl Iterator<Item = (&mut Run, Role)> {
        let setup = self.setup.iter_mut().map(|run| {
            let role = if run.is_sidecar() { Role::Sidecar } else { Role::Init };
            (run, role)
        });
        setup.chain(self.containers.iter_mut().chain(&mut self.guests).map(|run| (run, Role::Main)))
    }

    /// Does what is due of its end, if it is being ended.
    pub(super) fn go_on_ending(&mut self, now: Instant, time: Timestamp) {
        let Some(mut ends) = self.ends.take() else { return };
        let live = self.live.is_some();
        loop {
            for (run, _) in self.runs_with_roles() {
                if run.exit.hook_ends.take_if(|at| *at <= now).is_some() {
                    ends.ending.hook_ended(&run.name, now);
                }
                if run.exit.at.take_if(|at| *at <= now).is_some() {
                    run.exit(0, now, time, "Never");
                    run.exit.gone = true;
                    ends.ending.exited(&run.name);
                } else if live && run.since().is_none() {
                    ends.ending.exited(&run.name);
                }
            }
            let steps = ends.ending.advance(now, &*self.lifecycle);
            if steps.is_empty() {
                break;
            }
            for (name, step) in steps {
                let run = self.runs_with_roles().map(|(run, _)| run).find(|run| run.name == name);
                run.into_iter().for_each(|run| run.carry_out(&step, now, time));
            }
        }
        if ends.ending.is_over() {
            self.stops_at = self.stops_at.map(|at| at.min(now));
        }
        self.ends = Some(ends);
    }

    /// When something of its end is due.
    pub(super) fn wake_ending(&self) -> Option<Instant> {
        let ends = self.ends.as_ref().filter(|ends| !ends.ending.is_over())?;
        let runs = self.setup.iter().chain(&self.containers).chain(&self.guests);
        let exits = runs.flat_map(|run| [run.exit.at, run.exit.hook_ends]).flatten();
        exits.chain(ends.ending.next()).filter(|at| *at < OPEN).min()
    }

    /// The node has lost all containers of a pod that was being ended; `false` if it wasn't.
    pub(super) fn lose(&mut self, now: Instant, time: Timestamp) -> bool {
        let Some(mut ends) = self.ends.take() else { return false };
        for (run, _) in self.runs_with_roles() {
            run.exit(255, now, time, "Never");
            run.next = None;
            ends.ending.exited(&run.name);
        }
        self.ends = Some(ends);
        self.go_on_ending(now, time);
        true
    }
}

impl Run {
    fn carry_out(&mut self, step: &Step, now: Instant, time: Timestamp) {
        match step {
            Step::Hook => {
                let ends = self.exit.hook.map(|takes| now + takes);
                self.exit.hook_ends = if self.ask_to_stop() { Some(OPEN) } else { ends };
            }
            Step::Stop(within) => {
                self.exit.hook_ends = None;
                self.signal(time);
                let stop = self.ends_in();
                let minds = !self.life.as_ref().is_some_and(Life::command) && stop <= Instant::seconds(*within);
                self.exit.at = self.exit.at.or(minds.then(|| now + stop));
            }
            Step::Kill => {
                self.exit(137, now, time, "Never");
                (self.exit.at, self.exit.gone) = (None, true);
                self.blame_program();
            }
        }
        // Nothing is started any more.
        if !matches!(self.state, State::Running { .. }) {
            self.next = None;
        }
    }
}

#[cfg(test)]
mod tests;
