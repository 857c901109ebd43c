//! Scenarios: what is asked of a module, and the golden answers beside it.

use crate::verdict::manifest;
use crate::workspace::{files, read, stem};
use anyhow::{Context, Result, bail};
use kit_cluster::engine::Clock;
use kit_cluster::recording::Recorder;
use kit_cluster::timeline::{Failure, Play, Timeline};
use kit_contract::{Args, Modules, Player, remote};
use kit_serverless::script as day;
use kit_stages::control_plane::raft as group;
use kit_stages::control_plane::{concurrency, work_queue};
use kit_stages::network::{blue_green, kube_proxy, pod_network};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// One scenario file.
#[derive(Debug)]
pub struct Scenario {
    pub name: String,
    pub path: PathBuf,
    /// One sentence: what the learner reads when it fails.
    pub why: String,
    /// The heading of the chapter that explains it, as an anchor.
    pub read: String,
    /// 1 for the idea itself, 2 for what follows from it, 3 for fine points.
    pub level: u8,
    /// The arguments of `new`.
    pub new: Value,
    pub script: Script,
}

/// What is played.
#[derive(Debug)]
pub enum Script {
    /// Questions, one after the other, to one module.
    Cases(Vec<Step>),
    /// A whole cluster with the module in its slot.
    Timeline(Box<Timeline>),
    /// A group of members, each of them a module on its own.
    Group(Box<group::Script>),
    /// The workers of a controller, with the module as their queue.
    Workers(Box<work_queue::Script>),
    /// The module as one of several clients of the API server.
    Writers(Box<concurrency::Script>),
    /// The nodes of a cluster, with the module as their network's agent, and packets.
    Nodes(Box<pod_network::Script>),
    /// Packets that walk through the rules that the module writes.
    Packets(Box<kube_proxy::Script>),
    /// A Service under load, with the module as the controller of a release.
    Release(Box<blue_green::Script>),
    /// A day of requests, with the module as the platform that takes them.
    Day(Box<day::Script>),
}

/// One question.
#[derive(Debug)]
pub struct Step {
    pub say: Option<String>,
    pub call: String,
    pub args: Value,
}

/// A question and its answer, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub say: Option<String>,
    /// The call and its arguments: one line, or the call and then a line for each part.
    pub asked: Vec<String>,
    pub answer: Vec<String>,
}

/// What the reference says to a scenario.
#[derive(Debug)]
pub struct Expected {
    pub seen: Vec<Seen>,
    /// Its answers in JSON, where it is asked what the module is asked: values are compared, whatever they look like.
    answers: Vec<String>,
}

/// What a file says.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    why: String,
    #[serde(default)]
    read: String,
    #[serde(default = "usual")]
    level: u8,
    #[serde(default)]
    templates: Map<String, Value>,
    #[serde(default = "empty")]
    new: Value,
    #[serde(default)]
    steps: Option<Vec<Map<String, Value>>>,
    #[serde(flatten)]
    timeline: Map<String, Value>,
}

fn empty() -> Value {
    Value::Object(Map::new())
}

fn usual() -> u8 {
    2
}

/// The field that says what kind a scenario without steps is of.
const KINDS: [&str; 8] = ["timeline", "group", "workers", "client", "backend", "release", "service", "day"];

impl Scenario {
    /// All scenarios of a folder, the most basic and the shortest first: who fails many should
    /// read the simplest one first.
    pub fn load_all(dir: &Path) -> Result<Vec<Scenario>> {
        let templates = shared_templates(dir)?;
        let mut scenarios = files(dir, "yaml")
            .iter()
            .filter(|path| !stem(path).starts_with('_'))
            .map(|path| Scenario::load(path, &templates, true))
            .collect::<Result<Vec<_>>>()?;
        scenarios
            .sort_by_key(|scenario| (scenario.level, !matches!(scenario.script, Script::Cases(_)), scenario.len()));
        Ok(scenarios)
    }

    /// One scenario, with the templates of its folder. It belongs to no exercise, so that it may leave out why it
    /// exists and where to read.
    pub fn load_one(path: &Path) -> Result<Scenario> {
        Scenario::load(path, &shared_templates(folder(path))?, false)
    }

    fn load(path: &Path, shared: &Map<String, Value>, of_an_exercise: bool) -> Result<Scenario> {
        let file: File = parse(path)?;
        for (field, text) in [("why", &file.why), ("read", &file.read)] {
            if of_an_exercise && text.is_empty() {
                bail!("{}: missing field `{field}`", path.display());
            }
        }
        Scenario::of(file, path, shared)
    }

    /// One that was drawn, and stands in no file.
    pub fn fresh(value: Value) -> Result<Scenario> {
        let path = Path::new("fresh");
        Scenario::of(typed(path, value)?, path, &Map::new())
    }

    fn of(file: File, path: &Path, shared: &Map<String, Value>) -> Result<Scenario> {
        let File { why, read, level, templates: mut own, new, steps, timeline: body } = file;
        let mut templates = shared.clone();
        templates.append(&mut own);
        let expanded = |mut body: Value| -> Result<Value> {
            expand(&mut body, &templates).with_context(|| path.display().to_string())?;
            Ok(body)
        };
        let kind = KINDS.into_iter().find(|kind| body.contains_key(*kind));
        let unknown = body.keys().find(|field| *field != "timeline").cloned();
        let is_empty = body.is_empty();
        let body = Value::Object(body);
        let script = match (steps, kind) {
            (Some(steps), _) if is_empty => Script::Cases(cases(path, steps, &templates)?),
            (None, Some("timeline")) => {
                let mut timeline = expanded(body)?;
                manifest::include(&mut timeline, folder(path)).with_context(|| path.display().to_string())?;
                Script::Timeline(Box::new(typed(path, timeline)?))
            }
            (None, Some("group")) => Script::Group(Box::new(typed(path, body)?)),
            (None, Some("workers")) => Script::Workers(Box::new(typed(path, body)?)),
            (None, Some("client")) => Script::Writers(Box::new(typed(path, body)?)),
            (None, Some("backend")) => Script::Nodes(Box::new(typed(path, body)?)),
            (None, Some("release")) => Script::Release(Box::new(typed(path, expanded(body)?)?)),
            (None, Some("day")) => Script::Day(Box::new(typed(path, expanded(body)?)?)),
            (None, Some("service")) => Script::Packets(Box::new(typed(path, expanded(body)?)?)),
            _ => {
                let unknown = unknown.map(|field| format!("unknown field `{field}`: ")).unwrap_or_default();
                bail!(
                    "{}: {unknown}a scenario has `steps`, a `timeline`, a `group`, `workers`, a `client`, a `backend`, a \
                     `release`, a `service` or a `day`",
                    path.display()
                );
            }
        };
        Ok(Scenario { name: stem(path), path: path.into(), why, read, level, new, script })
    }

    /// How many questions and answers its transcript has.
    pub fn len(&self) -> usize {
        match &self.script {
            Script::Cases(steps) => steps.len(),
            // The first is the cluster as it is at the beginning.
            Script::Timeline(timeline) => timeline.timeline.len() + 1,
            Script::Group(script) if script.storm.is_some() => 1,
            Script::Group(script) => script.play.len(),
            Script::Workers(script) => script.play.len(),
            Script::Writers(_) => 1,
            Script::Nodes(script) => script.play.len(),
            Script::Packets(script) => script.len(),
            Script::Release(script) => script.len(),
            Script::Day(script) => script.len(),
        }
    }

    /// Whether each of its modules has a process of its own: the members of a group, the candidates of an election, the containers that are probed,
    /// and the nodes that are short of something.
    pub fn is_apart(&self, exercise: &str) -> bool {
        match &self.script {
            Script::Group(_) => true,
            Script::Timeline(_) => matches!(exercise, "failure/leader_election" | "node/eviction" | "node/probes"),
            _ => false,
        }
    }

    pub fn golden_path(&self) -> PathBuf {
        self.path.with_extension("golden")
    }

    /// What happened in the cluster of a timeline, for the pictures of the book.
    pub fn recording_path(&self) -> PathBuf {
        self.path.with_extension("recording.json")
    }

    /// Plays it with these modules, and beside them with those that are right where that is needed.
    /// If the worker is lost, it ends before the question that it was lost on.
    pub fn play(&self, exercise: &str, modules: &Modules, reference: &Modules, clock: &Clock) -> Result<Vec<Seen>> {
        match &self.script {
            Script::Cases(steps) => self.ask(steps, exercise, modules, &self.expected(exercise, reference)?),
            Script::Timeline(_) => self.record(modules, clock, None),
            Script::Group(script) => self.acts(|see| group::play(script, exercise, modules, reference, see)),
            Script::Workers(script) => self.acts(|see| work_queue::play(script, modules, see)),
            Script::Writers(script) => self.acts(|see| concurrency::play(script, modules, reference, see)),
            Script::Nodes(script) => self.acts(|see| pod_network::play(script, modules, see)),
            Script::Packets(script) => self.acts(|see| kube_proxy::play(script, modules, reference, see)),
            Script::Release(script) => self.acts(|see| blue_green::play(script, modules, see)),
            Script::Day(script) => self.acts(|see| day::play(script, modules, see)),
        }
    }

    /// What the reference says.
    pub fn expected(&self, exercise: &str, reference: &Modules) -> Result<Expected> {
        match &self.script {
            Script::Cases(steps) => self.ask_reference(steps, exercise, reference),
            _ => {
                let seen = self.play(exercise, reference, reference, &Clock::default())?;
                Ok(Expected { seen, answers: Vec::new() })
            }
        }
    }

    /// Plays a script of acts, each of which has a title and what was seen then.
    fn acts(&self, play: impl FnOnce(&mut dyn FnMut(String, Vec<String>)) -> Result<(), String>) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        let mut see = |asked, answer| seen.push(Seen { say: None, asked: vec![asked], answer });
        match remote::catch_lost(|| play(&mut see)) {
            Some(Err(why)) => Err(self.wrong(&format!("step {}", seen.len() + 1), &why)),
            Some(Ok(())) | None => Ok(seen),
        }
    }

    /// Plays a timeline, with somebody who records it.
    pub fn record<'a>(
        &'a self,
        modules: &Modules,
        clock: &Clock,
        recorder: Option<&'a mut Recorder>,
    ) -> Result<Vec<Seen>> {
        let Script::Timeline(timeline) = &self.script else { bail!("{} has no cluster", self.name) };
        let mut seen = Vec::new();
        let mut see = |asked: String, answer: Vec<String>| {
            let waited = asked.contains(" run ");
            let answer = if answer.is_empty() && waited { vec!["nothing changes".into()] } else { answer };
            seen.push(Seen { say: None, asked: vec![asked], answer });
        };
        let played = remote::catch_lost(|| -> Result<(), Failure> {
            let (mut play, lines) = Play::recorded(timeline, modules, clock.clone(), recorder)?;
            see("t=0s     the cluster has come to rest".into(), lines);
            while let Some((title, lines)) = play.step()? {
                see(title, lines);
            }
            Ok(())
        });
        match played {
            None | Some(Ok(()) | Err(Failure::Lost)) => Ok(seen),
            Some(Err(Failure::Wrong(why))) => Err(self.wrong(&format!("step {}", seen.len()), &why)),
        }
    }

    /// Asks all steps of one new instance of the reference.
    fn ask_reference(&self, steps: &[Step], exercise: &str, reference: &Modules) -> Result<Expected> {
        let mut reference = player(exercise, reference)?;
        let new = self.new.to_string();
        reference.start(&arguments(&new).map_err(|e| self.wrong("new", &e))?).map_err(|e| self.wrong("new", &e))?;
        let (mut seen, mut answers) = (Vec::new(), Vec::new());
        for (i, step) in steps.iter().enumerate() {
            let wrong = |e: String| self.wrong(&format!("step {}", i + 1), &e);
            let json = step.args.to_string();
            let args = arguments(&json).map_err(wrong)?;
            let shown = reference.show_args(&step.call, &args).map_err(wrong)?;
            if let Some(extra) = args.keys().find(|name| !shown.iter().any(|(known, _)| known == *name)) {
                return Err(wrong(format!("`{}` takes no argument `{extra}`", step.call)));
            }
            let right = reference.ask(&step.call, &args).map_err(wrong)?;
            let answer = reference.show_answer(&step.call, &right).map_err(wrong)?;
            seen.push(Seen { say: step.say.clone(), asked: question(&step.call, &shown), answer });
            answers.push(right);
        }
        Ok(Expected { seen, answers })
    }

    /// Asks all steps of one new instance, until it is lost.
    pub fn ask(&self, steps: &[Step], exercise: &str, modules: &Modules, expected: &Expected) -> Result<Vec<Seen>> {
        let mut player = player(exercise, modules)?;
        let new = self.new.to_string();
        let started = remote::catch_lost(|| player.start(&arguments(&new)?));
        let is_lost = started.is_none();
        started.transpose().map_err(|e| self.wrong("new", &e))?;
        let mut seen = Vec::new();
        for (i, step) in steps.iter().enumerate().filter(|_| !is_lost) {
            let wrong = |e: String| self.wrong(&format!("step {}", i + 1), &e);
            let json = step.args.to_string();
            let args = arguments(&json).map_err(wrong)?;
            let Some(answer) = remote::catch_lost(|| player.ask(&step.call, &args)) else { break };
            let answer =
                told(player.as_ref(), &step.call, &answer.map_err(wrong)?, &expected.answers[i], &expected.seen[i]);
            seen.push(Seen { answer: answer.map_err(wrong)?, ..expected.seen[i].clone() });
        }
        Ok(seen)
    }

    fn wrong(&self, at: &str, error: &str) -> anyhow::Error {
        anyhow::anyhow!("{}: {at}: {error}", self.path.display())
    }

    /// The golden transcript; an error if there is none or if the scenario was changed after it was blessed.
    pub fn golden(&self) -> Result<Vec<Seen>> {
        let path = self.golden_path();
        let text = read(&path).context("a scenario without a golden: `cargo grade bless` writes it")?;
        let golden = parse_golden(&text).with_context(|| path.display().to_string())?;
        if golden.len() != self.len() {
            bail!(self.stale());
        }
        Ok(golden)
    }

    /// What is wrong with a golden that answers other questions than the scenario asks.
    pub fn stale(&self) -> String {
        let golden = self.golden_path();
        format!("{} is older than its scenario: `cargo grade bless`, then read the difference", golden.display())
    }
}

fn player(exercise: &str, modules: &Modules) -> Result<Box<dyn Player>> {
    modules.player(exercise).with_context(|| format!("no contract in kit/contract is named {exercise}"))
}

/// An answer as lines: those of the reference's if it means the same, and others if it doesn't, whatever it looks like.
fn told(player: &dyn Player, call: &str, answer: &str, right: &str, seen: &Seen) -> Result<Vec<String>, String> {
    if player.same(call, answer, right)? {
        return Ok(seen.answer.clone());
    }
    let lines = player.show_answer(call, answer)?;
    Ok(if lines == seen.answer { vec![format!("{answer}   in JSON; expected {right}")] } else { lines })
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn shared_templates(dir: &Path) -> Result<Map<String, Value>> {
    match dir.join("_templates.yaml") {
        path if path.is_file() => parse(&path),
        _ => Ok(Map::new()),
    }
}

/// The questions of a scenario.
fn cases(path: &Path, all: Vec<Map<String, Value>>, templates: &Map<String, Value>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (i, mut step) in all.into_iter().enumerate() {
        let at = || format!("{}: step {}", path.display(), i + 1);
        let say = match step.remove("say") {
            None => None,
            Some(Value::String(say)) => Some(say),
            Some(_) => bail!("{}: `say` is a sentence", at()),
        };
        let mut calls = step.into_iter();
        let (Some((call, mut args)), None) = (calls.next(), calls.next()) else {
            bail!("{}: a step is one call and an optional `say`", at());
        };
        expand(&mut args, templates).with_context(at)?;
        steps.push(Step { say, call, args });
    }
    if steps.is_empty() {
        bail!("{}: a scenario needs steps", path.display());
    }
    Ok(steps)
}

/// A question as people read it.
pub fn question(call: &str, args: &[(&str, Vec<String>)]) -> Vec<String> {
    let text: Vec<_> = args.iter().map(|(name, lines)| format!("{name} {}", lines.join(", "))).collect();
    let line = format!("{call}  {}", text.join(" · ")).trim_end().to_string();
    if line.chars().count() <= 110 {
        return vec![line];
    }
    let mut lines = vec![call.to_string()];
    for (name, parts) in args {
        match parts.as_slice() {
            // The name of the only argument says nothing new.
            parts if args.len() == 1 => lines.extend_from_slice(parts),
            [part] => lines.push(format!("{name} {part}")),
            parts => {
                lines.push(name.to_string());
                lines.extend(parts.iter().map(|part| format!("  {part}")));
            }
        }
    }
    lines
}

fn arguments(json: &str) -> Result<Args<'_>, String> {
    let raw: &RawValue = serde_json::from_str(json).map_err(|e| e.to_string())?;
    serde_json::from_str(raw.get()).map_err(|e| format!("the arguments are a map of names to values: {e}"))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let value: serde_yaml::Value = serde_yaml::from_str(&read(path)?).with_context(|| path.display().to_string())?;
    let mut value = value;
    value.apply_merge().with_context(|| path.display().to_string())?;
    let json = serde_json::to_value(value).with_context(|| path.display().to_string())?;
    typed(path, json)
}

/// What a value says; an error names the place in it.
fn typed<T: serde::de::DeserializeOwned>(path: &Path, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|e| match e.path().to_string().as_str() {
        "." => anyhow::anyhow!("{}: {}", path.display(), e.inner()),
        place => anyhow::anyhow!("{}: {place}: {}", path.display(), e.inner()),
    })
}

/// Replaces `{like: NAME, …}` by the template NAME with the other fields merged over it.
fn expand(value: &mut Value, templates: &Map<String, Value>) -> Result<()> {
    fn merge(under: &mut Value, over: Value) {
        match (under, over) {
            (Value::Object(under), Value::Object(over)) => {
                for (key, item) in over {
                    match under.get_mut(&key) {
                        Some(there) => merge(there, item),
                        None => _ = under.insert(key, item),
                    }
                }
            }
            (under, over) => *under = over,
        }
    }
    fn go(value: &mut Value, templates: &Map<String, Value>, depth: usize) -> Result<()> {
        if depth > 32 {
            bail!("templates refer to each other in a circle");
        }
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| go(item, templates, depth)),
            Value::Object(fields) => {
                if let Some(name) = fields.remove("like") {
                    let name = name.as_str().context("`like` takes the name of a template")?.to_string();
                    let mut base = templates.get(&name).cloned().with_context(|| {
                        let known: Vec<_> = templates.keys().map(String::as_str).collect();
                        format!("there is no template `{name}`; there are: {}", known.join(", "))
                    })?;
                    merge(&mut base, Value::Object(std::mem::take(fields)));
                    *value = base;
                    return go(value, templates, depth + 1);
                }
                fields.values_mut().try_for_each(|item| go(item, templates, depth))
            }
            _ => Ok(()),
        }
    }
    go(value, templates, 0)
}

/// A transcript as golden text: questions from the first column on (`|` where they go on), answers indented.
pub fn render_golden(why: &str, transcript: &[Seen]) -> String {
    let mut out = format!("# {why}\n");
    for seen in transcript {
        out.push('\n');
        if let Some(say) = &seen.say {
            out.push_str(&format!("# {say}\n"));
        }
        for (i, line) in seen.asked.iter().enumerate() {
            out.push_str(&format!("{}{line}\n", if i == 0 { "" } else { "| " }));
        }
        for line in &seen.answer {
            out.push_str(&format!("    {line}\n"));
        }
    }
    out
}

fn parse_golden(text: &str) -> Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut say = None;
    for (i, line) in text.lines().enumerate() {
        let orphan = || format!("line {} belongs to no question", i + 1);
        if let Some(answer) = line.strip_prefix("    ") {
            seen.last_mut().with_context(orphan)?.answer.push(answer.to_string());
        } else if let Some(more) = line.strip_prefix("| ") {
            seen.last_mut().with_context(orphan)?.asked.push(more.to_string());
        } else if let Some(comment) = line.strip_prefix("# ") {
            say = Some(comment.to_string());
        } else if line.trim().is_empty() {
            // A comment belongs to the question right below it.
            say = None;
        } else {
            seen.push(Seen { say: say.take(), asked: vec![line.to_string()], answer: Vec::new() });
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Scenario> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("one.yaml");
        std::fs::write(&path, text)?;
        std::fs::write(dir.path().join("_templates.yaml"), "pod: {name: web, labels: {app: web, tier: front}}\n")?;
        Scenario::load_all(dir.path())?.pop().context("one scenario")
    }

    #[test]
    fn mistakes_in_scenarios_are_explained() {
        let head = "why: Because.\nread: how-it-works\n";
        let cases = [
            ("steps: []", "missing field `why`"),
            (&format!("{head}steps: []"), "a scenario needs steps"),
            (&format!("{head}stepz: []"), "unknown field `stepz`"),
            (&format!("{head}steps: [{{say: hm}}]"), "a step is one call and an optional `say`"),
            (&format!("{head}steps: [{{filter: {{}}, score: {{}}}}]"), "a step is one call and an optional `say`"),
            (&format!("{head}steps: [{{say: 3, filter: {{}}}}]"), "`say` is a sentence"),
            (
                &format!("{head}steps: [{{filter: {{pod: {{like: job}}}}}}]"),
                "there is no template `job`; there are: pod",
            ),
        ];
        for (text, expected) in cases {
            let error = load(text).err().map(|e| format!("{e:#}")).unwrap_or_default();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn templates_are_merged_in_depth() {
        let text = "why: Because.\nread: x\nsteps: [{filter: {pods: [{like: pod, name: api, labels: {tier: back}}]}}]";
        let Script::Cases(steps) = load(text).expect("a good scenario").script else { panic!("cases") };
        let expected = serde_json::json!({"pods": [{"name": "api", "labels": {"app": "web", "tier": "back"}}]});
        assert_eq!(steps[0].args, expected);
    }

    #[test]
    fn goldens_are_read_as_they_were_written() {
        let lines = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>();
        let transcript = [
            Seen { say: None, asked: lines(&["filter  taints none"]), answer: lines(&["fits"]) },
            Seen { say: Some("again".into()), asked: lines(&["sync", "web", "  pod"]), answer: lines(&["a", "  b"]) },
            Seen { say: None, asked: lines(&["events"]), answer: Vec::new() },
        ];
        let golden = render_golden("Because.", &transcript);
        assert_eq!(parse_golden(&golden).expect("a golden"), transcript);
    }
}
