//! Groups whose members are modules of the exercises, each on its own, under scripted faults or many drawn ones.
//!
//! [`Script`] is what a scenario says. A [`Lesson`] knows the modules of one exercise: what they are asked, what their
//! outputs do, and which promises hold for them. The [`Stage`] is what both lessons share: network, timers, faults and
//! the history that a broken promise is shown with. Members, disks and the network are simulated; the modules are real.

mod raft_election;
mod raft_replication;
mod stage;
mod storm;

pub use storm::Storm;

use kit_api::duration::Duration;
use kit_contract::control_plane::LogEnd;
use kit_contract::{Modules, Show};
use kit_raft::Id;
use kit_raft::network::MILLISECOND;
use serde::Deserialize;
use stage::Stage;
use std::collections::{BTreeMap, BTreeSet};

/// A group and what happens to it: either `play`, one step after the other, or a `storm`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The members.
    pub group: Setup,
    /// The steps.
    #[serde(default)]
    pub play: Vec<Step>,
    /// Many schedules of faults.
    #[serde(default)]
    pub storm: Option<Storm>,
}

/// The members of a group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// How many.
    pub members: u64,
    /// Those that run the reference instead of the module.
    #[serde(default)]
    pub reference: BTreeSet<Id>,
    /// How their logs end (elections only).
    #[serde(default)]
    pub logs: BTreeMap<Id, LogEnd>,
    /// Election timeouts that are not drawn (elections only).
    #[serde(default)]
    pub timeouts: BTreeMap<Id, Span>,
    /// Where chance comes from.
    #[serde(default)]
    pub seed: u64,
}

/// A span of time, written as `1.5s` or `150ms`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Span {
    /// Nanoseconds.
    pub nanos: i64,
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let Duration { nanos } = text.parse().map_err(|e| format!("{text:?} is no span of time: {e}"))?;
        Ok(Span { nanos })
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Duration { nanos: self.nanos }.fmt(f)
    }
}

/// A member by name, or whoever leads.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Who {
    /// This one.
    Member(Id),
    /// The leader.
    Role(Role),
}

/// Whoever leads.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The leader.
    Leader,
}

/// One step of a script.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Lets time pass; then the group is looked at. A slow group has more time, as long as it comes nearer to rest.
    Run(Span),
    /// Lets time pass, and nobody looks.
    Wait(Span),
    /// Lets time pass in which leadership must not move.
    Calm(Span),
    /// A member loses power.
    Crash(Who),
    /// A member loses power at the moment when it has sent its next vote or acknowledgement.
    CrashAfterAnswer(Id),
    /// A member starts again.
    Restart(Id),
    /// Nothing gets from or to a member.
    CutOff(Who),
    /// A member is not heard.
    Mute(Who),
    /// A member hears nothing.
    Deaf(Who),
    /// Between these two nothing passes.
    Part(Id, Id),
    /// Everybody hears everybody again.
    Heal,
    /// So many of a hundred messages are lost.
    Lose(u64),
    /// Messages take up to so long, so that they overtake each other, and some arrive twice.
    Delay(Span),
    /// A member stands for election, held around the modules (replication only).
    Elect(Id),
    /// Clients propose so many commands to a member (replication only).
    Propose(Who, u64),
    /// A member's state machine takes a snapshot (replication only).
    Snapshot(Id),
}

/// What a lesson tells about a group.
pub(super) struct Standing {
    pub leader: Option<Id>,
    pub lines: Vec<String>,
    /// Whether all is as it should be when nothing is broken.
    pub settled: bool,
}

/// What happens to a member.
pub(super) enum Happening<M> {
    Arrives(Id, M),
    ElectionTimeout,
    HeartbeatDue,
}

/// The modules of one exercise.
pub(super) trait Lesson {
    type Message: Clone + Show;
    /// Makes a member's module from what it saved.
    fn start(&mut self, stage: &mut Stage<Self::Message>, id: Id);
    /// Loses everything that a member didn't save.
    fn stop(&mut self, id: Id);
    fn happens(&mut self, stage: &mut Stage<Self::Message>, id: Id, what: Happening<Self::Message>);
    /// A step that only this lesson knows; an error if it doesn't.
    fn act(&mut self, stage: &mut Stage<Self::Message>, step: &Step) -> Result<Vec<String>, String>;
    /// What clients do in a storm, every 40 ms.
    fn chore(&mut self, stage: &mut Stage<Self::Message>, number: u64);
    fn standing(&self, stage: &Stage<Self::Message>) -> Standing;
    /// Whether nothing is on its way any more, so that who looks now sees what there is to see.
    fn rests(&self, _: &Stage<Self::Message>) -> bool {
        true
    }
}

/// Plays a script; `see` hears of each step and what was seen. The play ends where a promise is broken.
///
/// # Errors
///
/// What is wrong with the script.
pub fn play(
    script: &Script,
    exercise: &str,
    modules: &Modules,
    reference: &Modules,
    see: &mut dyn FnMut(String, Vec<String>),
) -> Result<(), String> {
    match exercise {
        "control_plane/raft_election" => {
            let make = || raft_election::Election::new(&script.group, &modules.raft_election, &reference.raft_election);
            run(script, &make, see)
        }
        "control_plane/raft_replication" => {
            let make = || {
                raft_replication::Replication::new(
                    &script.group,
                    &modules.raft_replication,
                    &reference.raft_replication,
                )
            };
            run(script, &make, see)
        }
        _ => Err(format!("{exercise} has no members of a group; `group` is for control_plane/raft_…")),
    }
}

fn run<L: Lesson>(
    script: &Script,
    make: &dyn Fn() -> L,
    see: &mut dyn FnMut(String, Vec<String>),
) -> Result<(), String> {
    if let Some(storm) = &script.storm {
        see(storm.title(), storm.rage(&script.group, make)?);
        return Ok(());
    }
    let mut stage = Stage::new(&script.group);
    let mut lesson = make();
    stage.begin(&mut lesson);
    for step in &script.play {
        let title = stage.title(step);
        let lines = take(&mut stage, &mut lesson, step)?;
        if let Some(broken) = stage.broken_with_history() {
            see(title, broken);
            return Ok(());
        }
        see(title, lines);
    }
    Ok(())
}

fn take<L: Lesson>(stage: &mut Stage<L::Message>, lesson: &mut L, step: &Step) -> Result<Vec<String>, String> {
    let who = |who: &Who, lesson: &L, stage: &Stage<L::Message>| match who {
        Who::Member(id) => Ok(*id),
        Who::Role(Role::Leader) => lesson.standing(stage).leader.ok_or("nobody leads".to_string()),
    };
    let lines = |line: &str| Ok(vec![line.to_string()]);
    match step {
        Step::Run(time) => {
            stage.run(lesson, time.nanos);
            stage.settle(lesson);
            return Ok(lesson.standing(stage).lines);
        }
        Step::Wait(time) => stage.run(lesson, time.nanos),
        Step::Calm(time) => {
            let before = (lesson.standing(stage).leader, stage.greatest_term);
            stage.run(lesson, time.nanos);
            let after = (lesson.standing(stage).leader, stage.greatest_term);
            return lines(match before == after {
                true => "the leader stays, and its term",
                false => "leadership moved, though nothing was wrong",
            });
        }
        Step::Crash(whom) => match who(whom, lesson, stage) {
            Ok(id) => stage.crash(lesson, id),
            Err(nobody) => return lines(&nobody),
        },
        Step::CrashAfterAnswer(id) => stage.doom_answer(*id),
        Step::Restart(id) => stage.restart(lesson, *id),
        Step::CutOff(whom) | Step::Mute(whom) | Step::Deaf(whom) => match who(whom, lesson, stage) {
            Ok(id) => {
                let (out, into) = (!matches!(step, Step::Deaf(_)), !matches!(step, Step::Mute(_)));
                stage.isolate(id, out, into);
            }
            Err(nobody) => return lines(&nobody),
        },
        Step::Part(a, b) => {
            stage.net.cut(*a, *b);
            stage.net.cut(*b, *a);
        }
        Step::Heal => stage.heal(),
        Step::Lose(percent) => stage.net.weather.lost = percent * 10,
        Step::Delay(time) => {
            stage.net.weather.most = time.nanos.max(MILLISECOND);
            stage.net.weather.repeated = 100;
        }
        Step::Propose(whom, count) => match who(whom, lesson, stage) {
            Ok(id) => return lesson.act(stage, &Step::Propose(Who::Member(id), *count)),
            Err(nobody) => return lines(&nobody),
        },
        Step::Elect(_) | Step::Snapshot(_) => return lesson.act(stage, step),
    }
    Ok(Vec::new())
}
