//! Incidents: a cluster that something is wrong with, to be mended with kubectl, and what mended means.
//!
//! # How to write one
//!
//! An incident is a file `solutions/interviews/incidents/NAME.yaml`, and says all that the fields of [`Incident`] say. In its order:
//!
//! 1. `apply` is what runs well. The nodes are there, then come these objects, and [`age`](Incident::age) passes.
//! 2. `break` is what somebody did, as steps of a [timeline](crate::timeline), with `run` between them. It ends with a `run`
//!    that is long enough for the symptoms to be there: events, restarts, a deadline that has passed.
//! 3. `prompt` is what the page says: what people notice, never why.
//! 4. `healed` is the end state, in [conditions](crate::timeline::Condition). Whatever leads there is right, so say what users
//!    need (endpoints, available replicas) and not how it is reached.
//! 5. `keep` is what must still be true at the end, and `always` what must be true all the time: what nobody who is on call
//!    would be forgiven. Each should refuse one of the `shortcuts`.
//! 6. `routes` are at least two different ways out, each for a person (`kubectl`: lines for a shell, which begin with `kubectl` or
//!    with `cargo grade cluster fault`) and for the test (`steps`).
//!
//! Containers do what their `command` says as far as the shell of the kit knows it; give whatever ends badly a command that
//! says why before it ends, so that `kubectl logs` has something to show.
//!
//! `kit/cluster/tests/cluster/incidents.rs` plays every file: it is broken, waiting doesn't help, each route heals it, no shortcut
//! does. `tests/kubectl/incidents` plays the routes with a real kubectl.

use crate::cluster::Config;
use crate::engine::Engine;
use crate::timeline::{Condition, Failure, Seen, Span, Step, act};
use kit_apimachinery::object::Object;
use kit_time::agenda::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// When the objects come: nodes have registered, and etcd and every process have a leader.
const READY: Instant = Instant::seconds(20);
/// So many options has a question.
const OPTIONS: usize = 4;

/// A cluster that something is wrong with.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// The file's name, without `.yaml`.
    pub name: String,
    /// One line, as the page's subject has it.
    pub title: String,
    /// The exercise that it belongs to, such as `scheduler/taints`.
    pub chapter: String,
    /// For whom it is.
    pub level: Level,
    /// How long somebody of that level should need.
    pub minutes: u32,
    /// Where Kubernetes says how this behaves: the address of a page, or a file upstream.
    pub source: String,
    /// What the candidate reads.
    pub prompt: String,
    /// The cluster.
    #[serde(default)]
    pub cluster: Config,
    /// How many seconds of the cluster pass in one second, where it runs live.
    #[serde(default = "one")]
    pub speed: f64,
    /// What runs well.
    pub apply: Vec<Value>,
    /// How long it did.
    #[serde(default = "ten_minutes")]
    pub age: Span,
    /// What somebody did then.
    #[serde(rename = "break")]
    pub breaks: Vec<Step>,
    /// What is true once it is mended.
    pub healed: Vec<Condition>,
    /// How long that must go on being true.
    #[serde(default = "half_a_minute")]
    pub hold: Span,
    /// What must be true at the end as well.
    #[serde(default)]
    pub keep: Vec<Condition>,
    /// What must be true all the time, from the beginning on.
    #[serde(default)]
    pub always: Vec<Condition>,
    /// What is asked afterwards.
    pub question: Question,
    /// Each tells more than the one before, and costs points.
    pub hints: Vec<String>,
    /// What had happened, how one sees it, and how it is prevented; Markdown.
    pub debrief: String,
    /// Ways out.
    pub routes: Vec<Route>,
    /// Ways that are not accepted.
    #[serde(default)]
    pub shortcuts: Vec<Route>,
}

/// For whom a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Who runs clusters.
    Senior,
    /// Who designs them.
    Staff,
}

impl Level {
    /// As a heading has it.
    pub fn title(self) -> &'static str {
        match self {
            Level::Senior => "Senior",
            Level::Staff => "Staff",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Senior => "senior",
            Level::Staff => "staff",
        })
    }
}

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let level = [Level::Senior, Level::Staff].into_iter().find(|level| level.to_string() == text);
        level.ok_or_else(|| format!("a level is senior or staff, and not {text:?}"))
    }
}

/// The question about the root cause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question.
    pub ask: String,
    /// Four answers; one is right.
    pub options: Vec<Choice>,
}

/// An option to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What it says.
    pub text: String,
    /// Whether it is right.
    #[serde(default)]
    pub right: bool,
    /// Why it is right, or wrong.
    pub why: String,
}

/// A way out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What it does.
    pub name: String,
    /// The same for a shell, line by line.
    pub kubectl: Vec<String>,
    /// The same as steps of a timeline.
    pub steps: Vec<Step>,
}

fn one() -> f64 {
    1.0
}

fn ten_minutes() -> Span {
    Span(Instant::seconds(600))
}

fn half_a_minute() -> Span {
    Span(Instant::seconds(30))
}

impl Incident {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it can't be read, or something in it is wrong; the text says what and where.
    pub fn load(path: &Path) -> Result<Incident, String> {
        let named = |why: String| format!("{}: {why}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let incident = Incident::read(&text).map_err(named)?;
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some(stem) if stem == incident.name => Ok(incident),
            stem => Err(named(format!("name: it is `{}`, and the file's is `{}`", incident.name, stem.unwrap_or("")))),
        }
    }

    /// All incidents of a folder, by name.
    ///
    /// # Errors
    ///
    /// If one of them is wrong.
    pub fn load_all(folder: &Path) -> Result<Vec<Incident>, String> {
        let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        paths.sort();
        paths.iter().map(|path| Incident::load(path)).collect()
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// What is wrong in it, and where.
    pub fn read(text: &str) -> Result<Incident, String> {
        let mut value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        value.apply_merge().map_err(|error| error.to_string())?;
        let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
        let incident: Incident =
            serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string().as_str() {
                "." => error.inner().to_string(),
                place => format!("{place}: {}", error.inner()),
            })?;
        incident.complaints().into_iter().next().map_or(Ok(incident), Err)
    }

    /// What its types can't say.
    fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut need = |good: bool, why: &str| wrong.extend((!good).then(|| why.to_string()));
        let texts = [&self.title, &self.chapter, &self.source, &self.prompt, &self.debrief, &self.question.ask];
        need(
            texts.iter().all(|text| !text.trim().is_empty()),
            "title, chapter, source, prompt, debrief and question.ask are not empty",
        );
        need((0.01..=10_000.0).contains(&self.speed), "speed: it lies between 0.01 and 10000");
        need(self.minutes > 0, "minutes: nobody mends anything in none");
        need(!self.breaks.is_empty(), "break: nothing is broken");
        need(!self.healed.is_empty(), "healed: without a condition it is never broken");
        need(!self.hints.is_empty(), "hints: there is none");
        need(self.routes.len() > 1, "routes: there are two different ways out");
        let options = &self.question.options;
        need(options.len() == OPTIONS, "question.options: there are four");
        need(options.iter().filter(|option| option.right).count() == 1, "question.options: one is `right: true`");
        need(options.iter().all(|option| !option.why.trim().is_empty()), "question.options: each says why");
        for route in self.routes.iter().chain(&self.shortcuts) {
            let known = |line: &String| line.starts_with("kubectl ") || line.starts_with("cargo grade cluster fault ");
            if route.kubectl.is_empty() || !route.kubectl.iter().all(known) {
                wrong.push(format!(
                    "route `{}`: kubectl: its lines begin with `kubectl` or `cargo grade cluster fault`",
                    route.name
                ));
            }
        }
        wrong
    }

    /// How much of the cluster's time has passed when somebody is called.
    pub fn played(&self) -> Instant {
        let runs = self.breaks.iter().filter_map(|step| if let Step::Run(span) = step { Some(span.0) } else { None });
        runs.fold(READY + self.age.0, |sum, span| sum + span)
    }

    /// Lets it happen in a cluster that has just begun.
    ///
    /// # Errors
    ///
    /// If a module was lost, or the API server refuses a step.
    pub fn begin(&self, engine: &mut Engine) -> Result<(), Failure> {
        engine.run_until(READY)?;
        act(engine, &Step::Apply(self.apply.clone()))?;
        engine.run_until(READY + self.age.0)?;
        play(engine, &self.breaks)
    }
}

/// Does one step after the other.
///
/// # Errors
///
/// If a module was lost, or the API server refuses a step.
pub fn play(engine: &mut Engine, steps: &[Step]) -> Result<(), Failure> {
    for step in steps {
        match step {
            Step::Run(span) => engine.run_until(engine.now() + span.0)?,
            step => act(engine, step).map_err(|error| Failure::Wrong(format!("{step}: {}", error.message)))?,
        }
    }
    Ok(())
}

/// Watches a cluster from the moment when somebody was called.
pub struct Judge {
    healed: Vec<Condition>,
    hold: Instant,
    keep: Vec<Condition>,
    always: Vec<Condition>,
    begun: Instant,
    /// The changes that were looked at.
    seen: Option<usize>,
    /// Since when all conditions hold.
    since: Option<Instant>,
    /// What was seen when something broke that must always hold, and when that was.
    broken: BTreeMap<usize, (Instant, String)>,
}

/// How a cluster stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether all `conditions` hold now.
    pub healed: bool,
    /// Since how many seconds of the cluster's time they do, without a break.
    pub held: Option<f64>,
    /// Whether everything in `keep` holds now, and everything in `always` always did.
    pub kept: bool,
    /// Whether it has held for long enough, and everything is kept: the incident is over.
    pub solved: bool,
    /// What must be true.
    pub conditions: Vec<Seen>,
    /// What must be true at the end as well.
    pub keep: Vec<Seen>,
    /// What must have been true all the time.
    pub always: Vec<Seen>,
}

impl Judge {
    /// Of an incident that has just begun.
    pub fn new(incident: &Incident) -> Judge {
        let Incident { healed, hold, keep, always, .. } = incident.clone();
        let begun = incident.played();
        Judge { healed, hold: hold.0, keep, always, begun, seen: None, since: None, broken: BTreeMap::new() }
    }

    /// Looks at the cluster; to be called after each of its events.
    pub fn look(&mut self, engine: &Engine) {
        let more = self.healed.iter().chain(&self.always).any(Condition::is_of_more_than_objects);
        if !self.changed(engine) && !more {
            return;
        }
        self.since = match self.healed.iter().all(|condition| condition.look(engine).holds) {
            true => self.since.or(Some(engine.now())),
            false => None,
        };
        for (index, condition) in self.always.iter().enumerate() {
            let now = condition.look(engine);
            if !now.holds {
                self.broken.entry(index).or_insert((engine.now(), now.seen));
            }
        }
    }

    /// Whether the verdict won't change by waiting: it has held for long enough, or something broke that must always hold.
    pub fn is_decided(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now >= since + self.hold) || !self.broken.is_empty()
    }

    /// Whether anything was written since the last look, besides heartbeats.
    fn changed(&mut self, engine: &Engine) -> bool {
        let server = engine.server();
        let Some(seen) = self.seen.replace(server.end()) else { return true };
        // What is compacted can't be told from anything else.
        let is_heartbeat = |index| match server.change(index) {
            Ok(Some(change)) => matches!(change.object.object, Object::Lease(_)),
            _ => false,
        };
        !(seen..server.end()).all(is_heartbeat)
    }

    /// How it stands.
    pub fn verdict(&mut self, engine: &Engine) -> Verdict {
        self.seen = None;
        self.look(engine);
        let look = |conditions: &[Condition]| conditions.iter().map(|condition| condition.look(engine)).collect();
        let (conditions, keep): (Vec<Seen>, Vec<Seen>) = (look(&self.healed), look(&self.keep));
        let always = self.always.iter().enumerate().map(|(index, condition)| match self.broken.get(&index) {
            None => condition.look(engine),
            Some((at, seen)) => {
                let seen = format!("{seen}, {} after the incident began", *at - self.begun);
                Seen { text: condition.to_string(), holds: false, seen }
            }
        });
        let always: Vec<Seen> = always.collect();
        let healed = conditions.iter().all(|seen| seen.holds);
        let held = self.since.map(|since| engine.now() - since);
        let kept = keep.iter().chain(&always).all(|seen| seen.holds);
        let solved = healed && kept && held.is_some_and(|held| held >= self.hold);
        let held = held.map(|held| held.nanos as f64 / 1e9);
        Verdict { healed, held, kept, solved, conditions, keep, always }
    }
}
