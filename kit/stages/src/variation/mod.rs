//! Variations: exercises by a rule that stands in no book, for mock interviews.
//!
//! A variation is a kind with parameters, such as `reserve:resource=memory,parts=10`, and a paragraph that says what is
//! different. Nobody writes its reference: it is the exercise's own one inside an adapter, which changes the question before
//! the reference is asked, or the answer after it, as the parameters say. Each chapter has its kinds in the file with its
//! name. A kind must hold for every question that the exercise's generator draws, and exactly.

mod control_plane;
mod draws;
mod failure;
mod node;
mod objects;
mod scheduler;
mod scheduler_choices;
#[cfg(test)]
mod tests;
mod workloads;

use crate::fresh::{self, Generator};
use kit_contract::{Contract, EXERCISES, Modules, Slot};
use kit_time::random::{Purpose, Random};
use proptest::prelude::*;
use std::fmt;

/// So many times the usual number of fresh scenarios belong to a verdict about a variation: generators aim at the corners of
/// the standard rule, and there are no goldens beside them.
const FACTOR: u64 = 2;

/// An exercise by a changed rule.
#[derive(Debug, Clone)]
pub struct Variation {
    /// `chapter/exercise`.
    pub exercise: &'static str,
    /// `kind:param=value,…`, with all parameters in their order: the same variation always has the same name.
    pub name: String,
    /// What is different, with an example, and what stays as it is: one paragraph.
    pub rule: String,
    /// How long it takes somebody who has solved the exercise.
    pub minutes: u32,
    kind: &'static Kind,
    values: Values,
}

impl PartialEq for Variation {
    fn eq(&self, other: &Self) -> bool {
        (self.exercise, &self.name) == (other.exercise, &other.name)
    }
}

impl Eq for Variation {}

/// The variation of an exercise that goes with a seed; none if the exercise has no variations. The same seed draws the
/// same one on every machine.
pub fn draw(exercise: &str, seed: u64) -> Option<Variation> {
    let kinds: Vec<&'static Kind> = of(exercise).collect();
    let random = Random::new(seed);
    let below = |count: usize, kind: &str, param: &str| {
        let purpose = Purpose { component: exercise, object: kind, reason: param, attempt: 0 };
        usize::try_from(random.below(count as u64, purpose)).unwrap_or_default()
    };
    let kind = *kinds.get(below(kinds.len(), "", "variation"))?;
    let value = |param: &Param| param.value(below(param.count(), kind.name, param.name));
    Some(Variation::of(kind, kind.params.iter().map(|param| (param.name, value(param))).collect()))
}

/// The names of all kinds of variations of an exercise, without parameters.
pub fn all(exercise: &str) -> Vec<&'static str> {
    of(exercise).map(|kind| kind.name).collect()
}

/// The names of all exercises that have variations.
pub fn exercises() -> Vec<&'static str> {
    EXERCISES.iter().copied().filter(|exercise| of(exercise).next().is_some()).collect()
}

/// A variation by its name: a kind, and perhaps parameters; those that are left out have their first value.
///
/// # Errors
///
/// If there is none of this name, in a sentence that says what there is.
pub fn parse(exercise: &str, text: &str) -> Result<Variation, String> {
    let kinds = all(exercise);
    if kinds.is_empty() {
        return Err(format!("{exercise} has no variations; these have: {}", exercises().join(", ")));
    }
    let (name, given) = text.split_once(':').unwrap_or((text, ""));
    let kind = of(exercise).find(|kind| kind.name == name);
    let kind = kind.ok_or_else(|| format!("{exercise} has no variation `{name}`; there are: {}", kinds.join(", ")))?;
    let mut values: Vec<(&'static str, Value)> = kind.params.iter().map(|param| (param.name, param.value(0))).collect();
    for part in given.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (param, value) = part.split_once('=').unwrap_or((part, ""));
        let at = kind.params.iter().position(|known| known.name == param.trim());
        let at = at.ok_or_else(|| {
            let known: Vec<&str> = kind.params.iter().map(|param| param.name).collect();
            format!("the variation `{name}` has no parameter `{}`; it has: {}", param.trim(), known.join(", "))
        })?;
        values[at].1 = kind.params[at].parse(value.trim()).map_err(|takes| {
            format!(
                "the parameter `{}` of the variation `{name}` takes {takes}, and not `{}`",
                param.trim(),
                value.trim()
            )
        })?;
    }
    Ok(Variation::of(kind, values))
}

impl Variation {
    fn of(kind: &'static Kind, values: Vec<(&'static str, Value)>) -> Self {
        let shown: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let values = Values(values);
        Variation {
            exercise: kind.exercise,
            name: format!("{}:{}", kind.name, shown.join(",")),
            rule: (kind.rule)(&values),
            minutes: kind.minutes,
            kind,
            values,
        }
    }

    /// The reference by the changed rule: `reference`, with an adapter in the slot of this exercise.
    pub fn modules(&self, reference: &Modules) -> Modules {
        let mut modules = reference.clone();
        (self.kind.apply)(&self.values, &mut modules);
        modules
    }

    /// What draws its scenarios, and how many of them belong to each verdict. `varied` are its own modules, which are played
    /// along where it depends on the module what can happen next.
    pub fn scenarios(&self, varied: &Modules) -> Option<(Generator, u64)> {
        let (usual, count) = fresh::of(self.exercise, varied)?;
        let generator = match draws::of(self.exercise) {
            Some(more) => prop_oneof![usual, more].boxed(),
            None => usual,
        };
        Some((generator, count * FACTOR))
    }

    /// What its parameters may be, a line for each.
    pub fn parameters(&self) -> Vec<String> {
        self.kind.params.iter().map(|param| format!("{}: {}", param.name, param.takes())).collect()
    }
}

/// A kind of variation: what its parameters make of it.
#[derive(Debug)]
struct Kind {
    exercise: &'static str,
    name: &'static str,
    minutes: u32,
    params: &'static [Param],
    rule: fn(&Values) -> String,
    /// Puts the adapter into the exercise's slot.
    apply: fn(&Values, &mut Modules),
}

/// A parameter of a kind.
#[derive(Debug)]
struct Param {
    name: &'static str,
    may_be: MayBe,
}

#[derive(Debug)]
enum MayBe {
    /// A number from the first to the second; those of the list are drawn.
    Number(i64, i64, &'static [i64]),
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Param {
    const fn number(name: &'static str, least: i64, most: i64, drawn: &'static [i64]) -> Self {
        Param { name, may_be: MayBe::Number(least, most, drawn) }
    }

    const fn word(name: &'static str, words: &'static [&'static str]) -> Self {
        Param { name, may_be: MayBe::Word(words) }
    }

    /// How many values can be drawn.
    fn count(&self) -> usize {
        match self.may_be {
            MayBe::Number(_, _, drawn) => drawn.len(),
            MayBe::Word(words) => words.len(),
        }
    }

    fn value(&self, at: usize) -> Value {
        match self.may_be {
            MayBe::Number(_, _, drawn) => Value::Number(drawn[at]),
            MayBe::Word(words) => Value::Word(words[at]),
        }
    }

    /// The value of this text, or else what it could be.
    fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self.may_be {
            MayBe::Number(least, most, _) => {
                text.parse().ok().filter(|number| (least..=most).contains(number)).map(Value::Number)
            }
            MayBe::Word(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
        };
        value.ok_or_else(|| self.takes())
    }

    fn takes(&self) -> String {
        match self.may_be {
            MayBe::Number(least, most, _) => format!("a whole number from {least} to {most}"),
            MayBe::Word(words) => words.join(" or "),
        }
    }
}

/// The parameters of one variation.
#[derive(Debug, Clone)]
struct Values(Vec<(&'static str, Value)>);

#[derive(Debug, Clone, Copy)]
enum Value {
    Number(i64),
    Word(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Word(word) => f.write_str(word),
        }
    }
}

impl Values {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Value::Number(number)) => number,
            _ => unreachable!("a kind asks for its own numbers only: {name}"),
        }
    }

    /// Of things that are counted.
    fn count(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or_default()
    }

    fn word(&self, name: &str) -> &'static str {
        match self.get(name) {
            Some(Value::Word(word)) => word,
            _ => unreachable!("a kind asks for its own words only: {name}"),
        }
    }
}

/// `1 pod`, `2 pods`.
fn counted(number: i64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// `first pod`, `first 2 pods`.
fn first(number: i64, one: &str) -> String {
    if number == 1 { format!("first {one}") } else { format!("first {number} {one}s") }
}

/// `quarter`, `tenth`: one of so many parts.
fn part(parts: i64) -> String {
    let words = ["half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    let word = usize::try_from(parts - 2).ok().and_then(|at| words.get(at));
    word.map_or_else(|| format!("{parts}th"), ToString::to_string)
}

fn kinds() -> impl Iterator<Item = &'static Kind> {
    [
        objects::KINDS,
        scheduler::KINDS,
        scheduler_choices::KINDS,
        node::KINDS,
        workloads::KINDS,
        control_plane::KINDS,
        failure::KINDS,
    ]
    .into_iter()
    .flatten()
}

fn of(exercise: &str) -> impl Iterator<Item = &'static Kind> {
    kinds().filter(move |kind| kind.exercise == exercise)
}

/// The slot of a module that stands around the one of `slot`.
fn around<C: Contract + ?Sized + 'static>(slot: &mut Slot<C>, wrap: impl Fn(Box<C>) -> Box<C> + 'static) {
    let inner = slot.clone();
    *slot = Slot::by(move |config| wrap(inner.make(config)));
}
