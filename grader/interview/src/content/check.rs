//! Holds the content against what it must be.

use crate::content::Choice;
use crate::content::design::Design;
use crate::content::warmup::{Kind, Next, Warmup};
use crate::content::{Content, FOLDER};
use anyhow::Context;
use kit_cluster::engine::Clock;
use kit_cluster::timeline::{Failure, Play, Timeline};
use kit_contract::Args;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What joins the lines that the engine shows to one option.
const JOINT: &str = " · ";

/// What the engine shows of all questions that ask what happens next, in the kit's folder. Whoever shows questions and
/// links no engine reads it: the book.
const TRANSCRIPTS: &str = "solutions/interviews/transcripts.json";

/// Everything that is wrong, each with its place.
pub fn check(root: &Path, content: &Content) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut shown = BTreeMap::new();
    for (page, all) in &content.warmups {
        let mut seen = BTreeSet::new();
        for one in all {
            let mut say = |what: String| wrong.push(format!("{FOLDER}/warmups/{page}.yaml: {}: {what}", one.id));
            if !seen.insert(&one.id) {
                say("two questions have this id".into());
            }
            if let Err(what) = source(&one.source).and_then(|()| reads(root, page, one.read.as_deref())) {
                say(what);
            }
            warmup(one).into_iter().for_each(&mut say);
            match one.next.as_ref().map(plays) {
                Some(Ok(played)) => drop(shown.insert(format!("{page}/{}", one.id), played)),
                Some(Err(what)) => say(what),
                None => {}
            }
        }
    }
    for (name, one) in &content.designs {
        let place = format!("{FOLDER}/design/{name}.yaml");
        wrong.extend(design(root, one).into_iter().map(|what| format!("{place}: {what}")));
    }
    // Questions that can't be played are named already.
    if wrong.is_empty() && std::fs::read_to_string(root.join(TRANSCRIPTS)).ok() != Some(as_json(&shown)) {
        wrong.push(format!("{TRANSCRIPTS} isn't what the engine shows now: run `cargo grade interview check --write`"));
    }
    wrong
}

/// What the engine shows of each question that asks what happens next, as JSON by the questions' names.
///
/// # Errors
///
/// If a question can't be played; the message names it.
pub fn transcripts(content: &Content) -> anyhow::Result<String> {
    let mut shown = BTreeMap::new();
    for (name, one) in content.each_warmup() {
        if let Some(next) = &one.next {
            let played = next.shown().map_err(anyhow::Error::msg).with_context(|| name.clone())?;
            shown.insert(name, played);
        }
    }
    Ok(as_json(&shown))
}

/// Writes the file of transcripts anew.
///
/// # Errors
///
/// If a question can't be played, or the file can't be written.
pub fn write(root: &Path, content: &Content) -> anyhow::Result<()> {
    let path = root.join(TRANSCRIPTS);
    std::fs::write(&path, transcripts(content)?).with_context(|| format!("can't write {}", path.display()))
}

fn as_json(shown: &BTreeMap<String, Shown>) -> String {
    let json = serde_json::to_string_pretty(shown).expect("texts are JSON");
    json + "\n"
}

/// A source that a reader can look up.
fn source(source: &str) -> Result<(), String> {
    let known = ["https://", "pkg/", "staging/", "cmd/", "plugin/", "book/"];
    match known.iter().any(|start| source.starts_with(start)) {
        true => Ok(()),
        false => Err(format!("the source is a URL or a path in upstream's tree, and not {source:?}")),
    }
}

/// A page of the book that is there, and has the heading.
fn reads(root: &Path, page: &str, heading: Option<&str>) -> Result<(), String> {
    let path = root.join("book/src").join(page).with_extension("md");
    let text = std::fs::read_to_string(&path).map_err(|_| format!("the book has no page {page}.md"))?;
    let Some(heading) = heading else { return Ok(()) };
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let found = headings(&text).any(|line| anchor(line) == heading);
    found.then_some(()).ok_or_else(|| format!("{page}.md has no heading #{heading}"))
}

/// The lines that are headings; in a block of code `#` begins a comment.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    let mut fence = None;
    text.lines().filter(move |whole| {
        // A block in a quote is one, too, and ends with the quote at the latest.
        let quoted = whole.starts_with('>');
        let line = whole.trim_start_matches(['>', ' ']);
        let marks = |mark: char| line.len() - line.trim_start_matches(mark).len();
        match fence {
            Some((_, _, true)) if !quoted => fence = None,
            Some((mark, count, _)) if marks(mark) >= count && line.trim_end().trim_start_matches(mark).is_empty() => {
                fence = None;
            }
            Some(_) => {}
            None => {
                let opened = ['`', '~'].map(|mark| (mark, marks(mark), quoted));
                fence = opened.into_iter().find(|(_, count, _)| *count >= 3);
            }
        }
        fence.is_none() && whole.starts_with('#')
    })
}

fn warmup(one: &Warmup) -> Vec<String> {
    let kind = match one.kind() {
        Ok(kind) => kind,
        Err(what) => return vec![what],
    };
    let mut wrong = Vec::new();
    match kind {
        Kind::One(options) => {
            wrong.extend(choices(options));
            if options.iter().filter(|option| option.right).count() != 1 {
                wrong.push("exactly one option is right".into());
            }
        }
        Kind::Several(options) => {
            wrong.extend(choices(options));
            let right = options.iter().filter(|option| option.right).count();
            if right == 0 || right == options.len() {
                wrong.push("some options are right and some are wrong".into());
            }
        }
        Kind::Number(number) => {
            let near = |is: f64| (is - number.is).abs() <= number.give;
            if number.wrong.is_empty() || number.wrong.iter().any(|wrong| near(wrong.is)) {
                wrong.push("at least one number is wrong, and none of those is right".into());
            }
        }
        Kind::Order(order) => {
            let place = |what: &String| order.first_to_last.iter().position(|one| one == what);
            if order.first_to_last.iter().collect::<BTreeSet<_>>().len() < 3.max(order.first_to_last.len()) {
                wrong.push("at least three different things have an order".into());
            }
            if order.wrong.is_empty() {
                wrong.push("`wrong` names at least one pair that people turn round".into());
            }
            for [first, second, _] in &order.wrong {
                match (place(first), place(second)) {
                    (Some(first), Some(second)) if first > second => {}
                    (Some(_), Some(_)) => wrong.push(format!("{first:?} does come before {second:?}")),
                    _ => wrong.push(format!("{first:?} and {second:?} stand in `first_to_last`")),
                }
            }
        }
    }
    wrong
}

fn choices(options: &[Choice]) -> Vec<String> {
    let mut wrong = Vec::new();
    if !(2..=6).contains(&options.len()) {
        wrong.push("two to six options".into());
    }
    if options.iter().map(|option| option.text.trim()).collect::<BTreeSet<_>>().len() < options.len() {
        wrong.push("two options are alike".into());
    }
    wrong.extend(
        options
            .iter()
            .filter(|option| option.why.trim().len() < 10)
            .map(|option| format!("{:?} doesn't say why", option.text)),
    );
    wrong
}

/// Whether the engine shows what the right option says.
fn plays(next: &Next) -> Result<Shown, String> {
    let shown = next.shown()?;
    let right = next.options.iter().find(|option| option.right).map_or("", |option| &option.text);
    match shown.answer == right {
        true => Ok(shown),
        false => Err(format!("the engine shows {:?}, and the right option says {right:?}", shown.answer)),
    }
}

/// What the engine shows of a question.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// What can be read before the answer.
    pub transcript: Vec<String>,
    /// What happens next.
    pub answer: String,
}

impl Next {
    /// What the reference shows of it. It is played once.
    ///
    /// # Errors
    ///
    /// If it can't be played; the message says why.
    pub fn shown(&self) -> Result<Shown, String> {
        self.played.get_or_init(|| self.play_it()).clone()
    }

    fn play_it(&self) -> Result<Shown, String> {
        match (&self.play, &self.cluster) {
            (Some(questions), None) => {
                let unknown = || format!("no exercise is named {}", questions.exercise);
                let mut player = solutions::modules().player(&questions.exercise).ok_or_else(unknown)?;
                let arguments = |value: &serde_json::Value| value.to_string();
                let new = arguments(&questions.new.clone().into());
                player.start(&args(&new)?)?;
                let mut transcript = Vec::new();
                let mut last = None;
                for step in &questions.steps {
                    if let Some(answer) = last.take() {
                        transcript.push(format!("    {answer}"));
                    }
                    let Some((call, value)) = step.iter().next().filter(|_| step.len() == 1) else {
                        return Err("a step is one call with its arguments".into());
                    };
                    let text = arguments(value);
                    let asked = args(&text)?;
                    let shown = player.show_args(call, &asked)?;
                    let shown = shown.iter().map(|(name, lines)| format!("{name} {}", lines.join(", ")));
                    transcript.push(format!("{call}  {}", shown.collect::<Vec<_>>().join(JOINT)));
                    let answer = player.ask(call, &asked)?;
                    let lines = player.show_answer(call, &answer)?;
                    last = Some(lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(JOINT));
                }
                Ok(Shown { transcript, answer: last.ok_or("no question is asked")? })
            }
            (None, Some(timeline)) => seen(timeline),
            _ => Err("`next` has either `play` or `cluster`".into()),
        }
    }
}

/// What an observer sees of a timeline: all but the last step's lines, and those.
fn seen(timeline: &Timeline) -> Result<Shown, String> {
    let why = |failure: Failure| match failure {
        Failure::Lost => "a module was lost".to_string(),
        Failure::Wrong(why) => why,
    };
    let (mut play, mut lines) = Play::start(timeline, &solutions::modules(), Clock::default()).map_err(why)?;
    let mut transcript = vec!["t=0s     the cluster has come to rest".to_string()];
    while let Some((title, seen)) = play.step().map_err(why)? {
        transcript.extend(std::mem::replace(&mut lines, seen).into_iter().map(|line| format!("    {line}")));
        transcript.push(title);
    }
    Ok(Shown { transcript, answer: if lines.is_empty() { "nothing changes".into() } else { lines.join(JOINT) } })
}

fn args(json: &str) -> Result<Args<'_>, String> {
    serde_json::from_str(json).map_err(|error| format!("the arguments are a map of names to values: {error}"))
}

fn design(root: &Path, one: &Design) -> Vec<String> {
    let mut wrong = Vec::new();
    wrong.extend(one.source.iter().filter_map(|one| source(one).err()));
    wrong.extend(reads(root, &one.chapter, None).err());
    let weights: u32 = one.rubric.iter().map(|line| u32::from(line.weight)).sum();
    if weights != 100 {
        wrong.push(format!("the weights of the rubric add up to {weights}, and not to 100"));
    }
    let lines: BTreeSet<&str> = one.rubric.iter().map(|line| line.id.as_str()).collect();
    if lines.len() < one.rubric.len() {
        wrong.push("two lines of the rubric have one id".into());
    }
    let dimensions: BTreeSet<_> = one.rubric.iter().map(|line| line.dimension).collect();
    if dimensions.len() < 5 {
        wrong.push("the rubric has a line for each of the five dimensions".into());
    }
    for probe in &one.probes {
        if probe.lines.is_empty() || probe.lines.iter().any(|line| !lines.contains(line.as_str())) {
            wrong.push(format!("the probe {:?} is about lines of the rubric", probe.ask));
        }
    }
    if !one.probes.is_sorted_by_key(|probe| probe.at) || one.probes.iter().any(|probe| probe.at > 90) {
        wrong.push("probes unlock one after the other, the last after 90 % at most".into());
    }
    let counts = [("facts", one.facts.len(), 5), ("probes", one.probes.len(), 4), ("rubric", one.rubric.len(), 5)];
    for (what, count, least) in counts.into_iter().chain([("red_flags", one.red_flags.len(), 3)]) {
        if count < least {
            wrong.push(format!("{what} has {count} items, and needs {least}"));
        }
    }
    if one.facts.iter().any(|fact| fact.words.iter().any(|word| *word != word.to_lowercase())) {
        wrong.push("the words of facts are in small letters".into());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_in_code_is_no_heading() {
        let page =
            "# A\n```console\n# b\n```\n> ```yaml\n> # c\n> ```\n## D\n````\n```\n# e\n````\n> ```\n> # f\n\n### G\n";
        assert_eq!(headings(page).collect::<Vec<_>>(), ["# A", "## D", "### G"]);
    }
}
