//! Questions about one exercise, as many as anybody wants: drawn from its generator, and answered by the reference.

use super::dice::Dice;
use super::item::{Choice, Item, JOINT};
use super::near::{self, Words};
use super::reference::{Reference, Script};
use super::screen::{WIDTH, rows};
use super::table::{self, Ask};
use super::{members, packets, tame, why, writers};
use anyhow::{Context, Result, anyhow};
use kit_contract::api::quantity::{Format, Quantity};
use kit_stages::fresh::{self, Fresh, Generator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So many options at most.
const OPTIONS: usize = 4;
/// So many lines may stand before the question, and so many may the options take: a terminal has 24.
const TOLD: usize = 12;
const CHOSEN: usize = 8;
/// So many lines of options are read as they are.
const SHORT: usize = 5;
/// So many scenarios are drawn for one question before it may be one that is not so good.
const DRAWN: u64 = 24;
/// So many in all.
const MOST: u64 = 96;
/// So many scenarios are drawn for what other questions are answered with.
const OTHERS: u64 = 24;
/// A longer history is not made shorter: that takes too long.
const LONG: usize = 40;
/// So many changes of a question are tried.
const CHANGES: usize = 48;
/// So many are tried of a question that takes a whole API server.
const FEW: usize = 10;

/// The questions of one exercise.
pub struct Deck {
    exercise: String,
    generator: Generator,
    reference: Reference,
    /// Words of questions, and of answers, by name.
    words: Words,
    said: Words,
    /// What other questions of each kind are answered with, and the words of these questions.
    others: BTreeMap<String, Vec<(BTreeSet<String>, String)>>,
}

/// An answer that may become an option.
struct Candidate {
    lines: Vec<String>,
    near: Option<String>,
}

impl Deck {
    /// Shuffled the same every time.
    ///
    /// # Errors
    ///
    /// If there is no such exercise, or nothing draws questions about it.
    pub fn of(exercise: &str) -> Result<Deck> {
        let (generator, _) = fresh::of(exercise, &solutions::modules())
            .with_context(|| format!("nothing draws questions about {exercise} yet"))?;
        let reference = Reference::of(exercise).with_context(|| format!("no exercise is named {exercise}"))?;
        let mut deck = Deck {
            exercise: exercise.into(),
            generator,
            reference,
            words: Words::new(),
            said: Words::new(),
            others: BTreeMap::new(),
        };
        for number in 1..=OTHERS {
            let mut dice = Dice::of(exercise, "others", number);
            let Some(scenario) = deck.draw("others", number, &mut dice) else { continue };
            deck.learn(&scenario);
        }
        Ok(deck)
    }

    fn learn(&mut self, scenario: &Drawn) {
        let script = match scenario {
            Drawn::Writers(script) | Drawn::Packets(script) => return near::learn(script, &mut self.words),
            Drawn::Steps(script) => script,
        };
        let Some(answers) = self.reference.play(script) else { return };
        let words = script.words();
        for ((call, args), answer) in script.steps.iter().zip(answers) {
            near::learn(args, &mut self.words);
            if let Ok(value) = serde_json::from_str(&answer) {
                near::learn(&value, &mut self.said);
            }
            let kind = if call == script.asked().0 { &script.kind } else { call };
            let known = self.others.entry(kind.clone()).or_default();
            if !known.iter().any(|(_, other)| *other == answer) {
                known.push((words.clone(), answer));
            }
        }
    }

    fn draw(&mut self, seed: &str, number: u64, dice: &mut Dice) -> Option<Drawn> {
        if self.exercise.starts_with("control_plane/raft_") {
            return members::draw(&self.exercise, &mut self.reference, dice).map(Drawn::Steps);
        }
        let scenario = Fresh::draw(&self.generator, &self.exercise, seed, number).ok()?.scenario();
        let scenario = tame::tamed(&self.exercise, scenario);
        match (scenario.get("client"), scenario.get("service")) {
            (Some(_), _) => Some(Drawn::Writers(scenario)),
            (_, Some(_)) => Some(Drawn::Packets(scenario)),
            _ => Script::of(&scenario).map(Drawn::Steps),
        }
    }

    /// Question `number` of a seed: the same on every machine, whatever was drawn before it.
    ///
    /// # Errors
    ///
    /// If no question can be made of what is drawn, which is a mistake in this program.
    pub fn item(&mut self, seed: &str, number: u64) -> Result<Item> {
        let exercise = self.exercise.clone();
        let asks: Vec<&'static Ask> = table::of(&exercise).collect();
        let mut dice = Dice::of(&exercise, seed, number);
        let weighted: Vec<&'static Ask> = asks.iter().flat_map(|ask| vec![*ask; ask.weight]).collect();
        let wanted = dice.one(&weighted).context("an exercise is asked something")?;
        let plain = dice.chance(1, 5);
        let mut best: Option<Item> = None;
        for attempt in 0..MOST {
            let drawn = number.wrapping_mul(MOST).wrapping_add(attempt);
            let Some(scenario) = self.draw(seed, drawn, &mut dice) else { continue };
            let picky = attempt < DRAWN;
            let item = match scenario {
                Drawn::Writers(script) => self.of_writers(&script, wanted, &mut dice),
                Drawn::Packets(script) => self.of_packets(&script, wanted, &mut dice),
                Drawn::Steps(script) => self.of_steps(&script, picky.then_some(wanted), &asks, &mut dice),
            };
            let Some(item) = item else { continue };
            // What is usual needs no question most of the time, and what nobody can read needs none at all.
            if picky && (usual(&item.right()) && !plain || ugly(&item)) {
                continue;
            }
            let near = item.options.iter().filter(|option| option.near.is_some()).count();
            let good = item.options.len() >= 3 && near > 0;
            if best.as_ref().is_none_or(|best| best.options.len() < item.options.len()) {
                best = Some(item);
            }
            if good || (!picky && best.is_some()) {
                break;
            }
        }
        let item =
            best.ok_or_else(|| anyhow!("no question about {exercise} comes out of seed {seed}, number {number}"))?;
        Ok(Item { seed: seed.into(), number, ..item })
    }

    /// A question out of a scenario: one of its steps, with those before it that matter.
    fn of_steps(
        &mut self,
        script: &Script,
        wanted: Option<&'static Ask>,
        asks: &[&'static Ask],
        dice: &mut Dice,
    ) -> Option<Item> {
        let remembers = table::remembers(&self.exercise);
        let last = script.steps.len() - 1;
        let kind = |at: usize| if at == last { &script.kind } else { &script.steps[at].0 };
        let fits = |ask: &Ask, at: usize| ask.call == kind(at) && wanted.is_none_or(|wanted| wanted.call == ask.call);
        // A story that was told for the sake of its end is asked about its end.
        let first = if self.exercise.starts_with("control_plane/raft_") { last } else { 0 };
        let begins = table::begins(&self.exercise);
        let places = (first..script.steps.len()).filter_map(|at| Some((at, *asks.iter().find(|ask| fits(ask, at))?)));
        let mut tried = 0;
        for (at, ask) in dice.shuffled(places.collect()) {
            let begin = match (remembers, begins) {
                (false, _) => at,
                (true, None) => 0,
                (true, Some(begins)) => script.steps[..=at].iter().rposition(|(call, _)| call == begins).unwrap_or(0),
            };
            let steps = script.steps[begin..=at].to_vec();
            let short = Script { new: script.new.clone(), steps, kind: kind(at).clone() };
            // A history of hundreds of steps is not for the head, and neither is it worth to be made smaller.
            if short.steps.len() > LONG || self.last_rows(&short)? > TOLD {
                continue;
            }
            tried += 1;
            if tried > 3 {
                return None;
            }
            let short = if remembers { self.with_history(short) } else { Some(short) };
            if let Some(item) = short.and_then(|short| self.of_script(&short, ask, dice)) {
                return Some(item);
            }
        }
        None
    }

    /// How many lines the last question takes at least.
    fn last_rows(&self, script: &Script) -> Option<usize> {
        let (call, args) = script.asked();
        let shown = self.reference.show_args(call, args)?;
        Some(rows(&shown.into_iter().map(|(_, lines)| (String::new(), together(lines))).collect::<Vec<_>>()))
    }

    /// A script without the steps that change nothing about its end, if it takes too much room. None if it takes too much
    /// even so.
    fn with_history(&mut self, mut short: Script) -> Option<Script> {
        let mut answers = self.reference.play(&short)?;
        let (call, right) = (short.asked().0.to_string(), answers.last()?.clone());
        let mut next = 0;
        while rows(&self.told(&short, &answers)?) > TOLD {
            if next + 1 >= short.steps.len() || !table::can_be_shorter(&self.exercise) {
                return None;
            }
            let mut fewer = short.clone();
            fewer.steps.remove(next);
            let played = self.reference.play(&fewer).filter(|answers| {
                table::can_happen(&self.exercise, &fewer.steps, answers)
                    && answers.last().is_some_and(|last| self.reference.same(&call, last, &right))
            });
            match played {
                Some(played) => (short, answers) = (fewer, played),
                None => next += 1,
            }
        }
        Some(short)
    }

    /// What is told before the question.
    fn told(&self, script: &Script, answers: &[String]) -> Option<Vec<(String, Vec<String>)>> {
        let mut told = Vec::new();
        told.extend(table::set_up(&self.exercise, &script.new["config"]).map(|(name, line)| (name.into(), vec![line])));
        for ((call, args), answer) in script.steps.iter().zip(answers).take(script.steps.len() - 1) {
            let shown = self.reference.show_args(call, args)?;
            let shown: Vec<_> = shown.iter().map(|(name, lines)| argument(name, &lines.join(", "))).collect();
            let mut said = self.reference.show(call, answer)?;
            if self.exercise.starts_with("control_plane/raft_") {
                let ask = table::of(&self.exercise).find(|ask| ask.call == call);
                said = ask.map_or(said.clone(), |ask| ask.part(said));
            }
            let said = said.join(JOINT);
            let line = shown.join(JOINT);
            told.push((
                call.clone(),
                match said.as_str() {
                    "done" => vec![line],
                    said => vec![line, format!("→ {said}")],
                },
            ));
        }
        let (call, args) = script.asked();
        let shown = self.reference.show_args(call, args)?;
        if script.steps.len() > 1 || shown.is_empty() {
            let lines = shown.into_iter().map(|(name, lines)| argument(name, &lines.join(", "))).collect::<Vec<_>>();
            told.push((call.into(), vec![lines.join(JOINT), "→ ?".into()]));
        } else {
            // The name of the only argument says nothing new.
            let alone = shown.len() == 1 && told.is_empty();
            let titled = shown.into_iter().map(|(name, lines)| match name {
                "memory_capacity" => (name.to_string(), vec![bytes(&args[name])]),
                _ if alone => (String::new(), together(lines)),
                _ => (name.to_string(), together(lines)),
            });
            told.extend(titled);
        }
        Some(told)
    }

    fn of_script(&mut self, script: &Script, ask: &'static Ask, dice: &mut Dice) -> Option<Item> {
        let answers = self.reference.play(script)?;
        let told = self.told(script, &answers)?;
        if rows(&told) > TOLD {
            return None;
        }
        let (call, args) = script.asked();
        let right = answers.last()?;
        let value: Value = serde_json::from_str(right).ok()?;
        let show = |deck: &Deck, answer: &str| Some(ask.part(deck.reference.show(call, answer)?));
        let lines = show(self, right)?;
        let here = script.words();
        let mut candidates: Vec<Candidate> = Vec::new();
        // Questions that are nearly this one.
        for change in dice.shuffled(near::questions(args, &self.words)).into_iter().take(CHANGES) {
            let mut other = script.clone();
            other.steps.pop();
            other.steps.push((call.into(), change.of(args)));
            let answer = self.reference.play(&other).and_then(|answers| answers.last().cloned());
            let fits = |answer: &&String| !self.reference.same(call, answer, right);
            let Some(answer) = answer.as_ref().filter(fits) else { continue };
            // Who is not there can't be in an answer.
            let asked = other.words();
            let named = serde_json::from_str(answer).map(|value: Value| near::words_of(&value)).unwrap_or_default();
            if named.iter().any(|word| asked.contains(word) && !here.contains(word)) || !alike(answer, &value) {
                continue;
            }
            if let Some(lines) = show(self, answer) {
                candidates.push(Candidate { lines, near: Some(change.said) });
            }
        }
        // The same question after another history.
        for at in 0..script.steps.len() - 1 {
            let mut other = script.clone();
            let (gone, args) = other.steps.remove(at);
            let Some(answers) = self.reference.play(&other) else { continue };
            if !table::can_happen(&self.exercise, &other.steps, &answers) {
                continue;
            }
            let shown = self.reference.show_args(&gone, &args)?;
            let shown: Vec<_> = shown.iter().map(|(name, lines)| argument(name, &lines.join(", "))).collect();
            let said = format!("without the step `{gone} {}`", shown.join(JOINT));
            let answer = answers.last().filter(|answer| !self.reference.same(call, answer, right));
            if let Some(lines) = answer.and_then(|answer| show(self, answer)) {
                candidates.push(Candidate { lines, near: Some(said) });
            }
        }
        // What stands beside it in the question.
        let args: Vec<&Value> = script.steps.iter().map(|(_, args)| args).collect();
        for answer in near::beside(&value, &args) {
            let answer = answer.to_string();
            if !self.reference.same(call, &answer, right)
                && let Some(lines) = show(self, &answer)
            {
                candidates.push(Candidate { lines, near: None });
            }
        }
        let mut candidates = dice.shuffled(candidates);
        // What other questions are answered with, as long as they name nothing that isn't here.
        let others = self.others.get(&script.kind).cloned().unwrap_or_default();
        let mut far: Vec<String> = Vec::new();
        for (theirs, answer) in others {
            let words = serde_json::from_str(&answer).map(|value: Value| near::words_of(&value)).unwrap_or_default();
            if words.iter().all(|word| here.contains(word) || !theirs.contains(word)) {
                far.push(answer);
            }
        }
        let far = dice.shuffled(far);
        // Members of a group may differ in much and all be right, so that nothing is made up about them.
        let bent = match self.exercise.starts_with("control_plane/raft_") {
            true => Vec::new(),
            false => near::answers(&value, &self.said, &here),
        };
        let bent = dice.shuffled(bent).into_iter().map(|value| value.to_string());
        let always = table::always(&self.exercise, call).iter().map(ToString::to_string);
        for answer in bent.chain(far).chain(always).filter(|answer| alike(answer, &value)) {
            if self.reference.same(call, &answer, right) {
                continue;
            }
            if let Some(lines) = show(self, &answer) {
                candidates.push(Candidate { lines, near: None });
            }
        }
        let options = options(lines.clone(), candidates, dice)?;
        Some(Item { typed: ask.typed, ..self.asked(ask, told, options, why::of(&self.exercise, script, &answers)) })
    }

    /// A question to be chosen from, before it has its number.
    fn asked(&self, ask: &Ask, told: Vec<(String, Vec<String>)>, options: Vec<Choice>, why: Vec<String>) -> Item {
        Item {
            exercise: self.exercise.clone(),
            seed: String::new(),
            number: 0,
            told,
            ask: ask.ask.into(),
            options,
            typed: false,
            why,
            read: format!("book/src/{}.md#{}", self.exercise, ask.read),
        }
    }

    fn of_writers(&mut self, script: &Value, ask: &'static Ask, dice: &mut Dice) -> Option<Item> {
        let told = writers::told(script);
        let lines = writers::end(script)?;
        if rows(&told) > TOLD {
            return None;
        }
        let mut candidates = Vec::new();
        let changes = near::questions(script, &self.words).into_iter();
        let about = |said: &String| ["client", "unseen", "others"].iter().any(|part| said.contains(part));
        let changes = changes.filter(|change| about(&change.said) && !change.said.contains("uid"));
        for change in dice.shuffled(changes.collect()).into_iter().take(FEW) {
            if let Some(lines) = writers::end(&change.of(script)) {
                candidates.push(Candidate { lines, near: Some(change.said) });
            }
        }
        // Another outcome for the same object.
        for outcome in dice.shuffled(writers::OUTCOMES.to_vec()) {
            let mut lines = lines.clone();
            if let Some(first) = lines.first_mut() {
                *first = outcome.into();
            }
            candidates.push(Candidate { lines, near: None });
        }
        let candidates = dice.shuffled(candidates);
        let why = why::of_writers(script, &lines);
        Some(self.asked(ask, told, options(lines, candidates, dice)?, why))
    }

    fn of_packets(&mut self, script: &Value, ask: &'static Ask, dice: &mut Dice) -> Option<Item> {
        let sent = packets::sent(script)?;
        let one = dice.shuffled(sent.iter().collect()).into_iter().next()?;
        let told = packets::told(script, &one.packet);
        if rows(&told) > TOLD {
            return None;
        }
        let mut candidates = Vec::new();
        let changes = near::questions(script, &self.words);
        for change in dice.shuffled(changes).into_iter().take(FEW) {
            let same = packets::sent(&change.of(script)).into_iter().flatten().find(|other| other.packet == one.packet);
            if let Some(other) = same {
                candidates.push(Candidate { lines: other.ends, near: Some(change.said) });
            }
        }
        // Where others end that are sent to the same service.
        candidates.extend(sent.iter().map(|other| Candidate { lines: other.ends.clone(), near: None }));
        let candidates = dice.shuffled(candidates);
        let why = why::of_packets(script, &one.packet, &one.ends);
        Some(self.asked(ask, told, options(one.ends.clone(), candidates, dice)?, why))
    }
}

/// What was drawn.
enum Drawn {
    Steps(Script),
    Writers(Value),
    Packets(Value),
}

/// Whether an answer has as many items as the right one, where there is one for each thing that was asked about.
fn alike(answer: &str, right: &Value) -> bool {
    let each = |item: &Value| item.is_array() || item.is_number() || item.is_null();
    match (serde_json::from_str(answer), right) {
        (Ok(Value::Array(other)), Value::Array(right)) if right.iter().all(each) => other.len() == right.len(),
        _ => true,
    }
}

/// An argument and its name, which says nothing new where it is the only one, or a map of its own.
fn argument(name: &str, text: &str) -> String {
    match name {
        "event" | "ops" | "request" | "node" | "pod" | "key" => text.to_string(),
        _ => format!("{name} {text}"),
    }
}

/// The right answer and some others, in any order; none if they don't fit, or there is no other.
fn options(right: Vec<String>, candidates: Vec<Candidate>, dice: &mut Dice) -> Option<Vec<Choice>> {
    let choice = |lines: Vec<String>, right, near| {
        let lines = lines.iter().map(|line| line.trim().to_string()).collect();
        Choice { lines, right, near }
    };
    let mut options: Vec<Choice> = vec![choice(right, true, None)];
    for Candidate { lines, near } in candidates {
        let new = choice(lines, false, near);
        let text = new.text();
        match options.iter().position(|option| option.text() == text) {
            Some(at) if options[at].right => {}
            // The shortest change says most.
            Some(at) => {
                let known = &mut options[at].near;
                if let Some(near) = new.near.filter(|near| known.as_ref().is_none_or(|known| near.len() < known.len()))
                {
                    *known = Some(near);
                }
            }
            None if options.len() < OPTIONS && !text.is_empty() && height(&text) <= CHOSEN => options.push(new),
            None => {}
        }
    }
    if all(&options) > SHORT {
        apart(&mut options);
    }
    while options.len() > 2 && all(&options) > CHOSEN {
        options.pop();
    }
    let texts: BTreeSet<String> = options.iter().map(Choice::text).collect();
    let fits = options.len() > 1 && texts.len() == options.len() && all(&options) <= CHOSEN;
    fits.then(|| dice.shuffled(options))
}

/// How many lines of the screen an option takes.
fn height(text: &str) -> usize {
    rows(&[("1)".into(), vec![text.to_string()])])
}

fn all(options: &[Choice]) -> usize {
    options.iter().map(|option| height(&option.text())).sum()
}

/// Takes out what all options have in common, as long as something is left of each.
fn apart(options: &mut [Choice]) {
    let Some(first) = options.first().cloned() else { return };
    for line in &first.lines {
        let everywhere = options.iter().all(|option| option.lines.contains(line) && option.lines.len() > 1);
        if everywhere {
            for option in options.iter_mut() {
                if let Some(at) = option.lines.iter().position(|one| one == line) {
                    option.lines.remove(at);
                }
            }
        }
    }
}

/// Bytes as manifests have them.
fn bytes(value: &Value) -> String {
    Quantity::new(value.as_i64().unwrap_or(0), Format::BinarySI).to_string()
}

/// Short things on one line.
fn together(lines: Vec<String>) -> Vec<String> {
    let short = lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= 12);
    if short { vec![lines.join(", ")] } else { lines }
}

/// Whether nobody likes to read it: long numbers, escapes.
fn ugly(item: &Item) -> bool {
    let texts = item.told.iter().flat_map(|(_, lines)| lines).cloned().chain(item.options.iter().map(Choice::text));
    texts.into_iter().any(|text| {
        let mut digits = 0;
        let long = text.chars().any(|c| {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            digits > 7
        });
        long || text.contains('\\')
    })
}

/// Whether it is the answer that most questions have.
fn usual(right: &str) -> bool {
    const USUAL: [&str; 9] = [
        "none",
        "no action",
        "nothing",
        "wait until something is added",
        "0",
        "done",
        "false",
        "admitted",
        "deleted nothing",
    ];
    USUAL.contains(&right) || right.starts_with("no action ")
}

/// The width that questions are made for.
const _: () = assert!(WIDTH <= 80);
