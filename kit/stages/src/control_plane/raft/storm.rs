//! Many groups under faults that are drawn, and the shortest history that breaks a promise.

use super::stage::{Doom, Stage};
use super::{Lesson, Setup, Span};
use kit_contract::Show;
use kit_raft::Id;
use kit_raft::network::{MILLISECOND, Weather};
use kit_time::random::{Purpose, Random};
use serde::Deserialize;

/// Many schedules of faults, one group for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// How many.
    pub seeds: u64,
    /// How long each lasts, before everything is repaired.
    pub length: Span,
    /// What can go wrong.
    pub faults: Vec<Kind>,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Members lose power, some of them in the middle of their outputs, and start again.
    Crash,
    /// Members are cut off, in one direction or both.
    Cut,
    /// Messages get lost.
    Loss,
    /// Messages overtake each other, and some arrive twice.
    Delay,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Crash(Id),
    CrashDuring(Id, u64),
    Restart(Id),
    Isolate { id: Id, out: bool, into: bool },
    Heal,
    Weather(Weather),
}

/// How often a fault is left out in search of a shorter history.
const TRIES: usize = 6;
/// How long a group has, once everything is repaired, and how often it is looked at.
const REPAIRED: i64 = 2500 * MILLISECOND;
const LOOK: i64 = 500 * MILLISECOND;

impl Storm {
    pub(super) fn title(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        format!("storm  {} schedules of {} of faults: {}", self.seeds, self.length, faults.join(", "))
    }

    /// Plays all schedules, up to the first one that breaks a promise. That one is then made shorter.
    pub(super) fn rage<L: Lesson>(&self, setup: &Setup, make: &dyn Fn() -> L) -> Result<Vec<String>, String> {
        if self.faults.is_empty() {
            return Err("a storm needs `faults`".into());
        }
        for seed in 0..self.seeds {
            let setup = Setup { seed: setup.seed + seed, ..setup.clone() };
            let mut faults = self.draw(&setup);
            let Some((mut length, mut lines)) = self.once(&setup, &faults, make) else { continue };
            let mut left = faults.len();
            for _ in 0..TRIES {
                // The last ones first: what came after the break is not needed at all.
                let Some(at) = left.checked_sub(1) else { break };
                left = at;
                let mut fewer = faults.clone();
                fewer.remove(at);
                if let Some((other, with)) = self.once(&setup, &fewer, make).filter(|(other, _)| *other <= length) {
                    (faults, length, lines) = (fewer, other, with);
                }
            }
            lines.push(format!("this is schedule {}, with {} faults", seed + 1, faults.len()));
            return Ok(lines);
        }
        Ok(vec!["no promise is broken".into(), "each time, all members are at one once the faults are over".into()])
    }

    /// One group and one schedule; the length of the history and the broken promise, if there is one.
    fn once<L: Lesson>(
        &self,
        setup: &Setup,
        faults: &[(i64, Fault)],
        make: &dyn Fn() -> L,
    ) -> Option<(usize, Vec<String>)> {
        let mut stage = Stage::new(setup);
        stage.faults = faults.to_vec();
        stage.chores = true;
        let mut lesson = make();
        stage.begin(&mut lesson);
        stage.run(&mut lesson, self.length.nanos);
        if !stage.is_broken() {
            stage.doomed.clear();
            stage.heal();
            for id in stage.members.clone() {
                stage.restart(&mut lesson, id);
            }
            for _ in 0..REPAIRED / LOOK {
                stage.run(&mut lesson, LOOK);
                if stage.is_broken() || lesson.standing(&stage).settled {
                    break;
                }
            }
            if !lesson.standing(&stage).settled {
                // Where leaders change all the time, a slow group never catches up.
                stage.chores = false;
                stage.settle(&mut lesson);
            }
        }
        let standing = lesson.standing(&stage);
        if !stage.is_broken() && !standing.settled {
            let what = format!("everything works again for seconds, and {}", standing.lines.join(", "));
            stage.broken(what);
        }
        Some((stage.length(), stage.broken_with_history()?))
    }

    fn draw(&self, setup: &Setup) -> Vec<(i64, Fault)> {
        let random = Random::new(setup.seed);
        let mut drawn = 0;
        let mut draw = |below: u64| {
            drawn += 1;
            random.below(below, Purpose { component: "storm", object: "", reason: "", attempt: drawn })
        };
        let mut faults = Vec::new();
        let mut at = 0;
        loop {
            at += (20 + draw(180) as i64) * MILLISECOND;
            if at >= self.length.nanos {
                return faults;
            }
            let id = 1 + draw(setup.members);
            let fault = match (self.faults[draw(self.faults.len() as u64) as usize], draw(6)) {
                (Kind::Crash, 0 | 1) => Fault::CrashDuring(id, 1 + draw(3)),
                (Kind::Crash, 2) => Fault::Crash(id),
                (Kind::Crash, _) => Fault::Restart(id),
                (Kind::Cut, 0) => Fault::Isolate { id, out: true, into: true },
                (Kind::Cut, 1) => Fault::Isolate { id, out: true, into: false },
                (Kind::Cut, 2) => Fault::Isolate { id, out: false, into: true },
                (Kind::Cut, _) => Fault::Heal,
                (Kind::Loss, _) => Fault::Weather(Weather { lost: 50 * (1 + draw(6)), ..Weather::CALM }),
                (Kind::Delay, _) => {
                    let most = (5 + draw(80) as i64) * MILLISECOND;
                    Fault::Weather(Weather { most, repeated: 150, ..Weather::CALM })
                }
            };
            faults.push((at, fault));
        }
    }
}

impl<M: Clone + Show> Stage<M> {
    /// A fault of the schedule.
    pub(super) fn fault(&mut self, lesson: &mut impl Lesson<Message = M>, number: usize) {
        match self.faults[number].1 {
            Fault::Crash(id) => self.crash(lesson, id),
            Fault::CrashDuring(id, outputs) => _ = self.doomed.insert(id, Doom::Outputs(outputs)),
            Fault::Restart(id) => {
                // Whoever is there: a schedule in which everybody stays down is no use.
                let id = if self.down.contains(&id) { Some(id) } else { self.down.first().copied() };
                if let Some(id) = id {
                    self.restart(lesson, id);
                }
            }
            Fault::Isolate { id, out, into } => self.isolate(id, out, into),
            Fault::Heal => self.heal(),
            Fault::Weather(weather) => self.net.weather = weather,
        }
    }
}
