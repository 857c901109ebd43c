//! The reference, asked what a person is asked.

use super::near;
use kit_contract::{Args, Player};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Questions to one new module; what it answers to the last is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// What the module is made with.
    pub new: Value,
    /// Calls and their arguments.
    pub steps: Vec<(String, Value)>,
    /// Under which name the question stands in the [table](super::table): its call, unless one call asks several things.
    pub kind: String,
}

impl Script {
    /// Of a scenario as generators draw it; none if it has no questions.
    pub fn of(scenario: &Value) -> Option<Script> {
        let steps = scenario["steps"].as_array()?.iter();
        let steps = steps.map(|step| step.as_object()?.iter().next().map(|(call, args)| (call.clone(), args.clone())));
        let steps: Vec<_> = steps.collect::<Option<_>>()?;
        let kind = steps.last()?.0.clone();
        let new = scenario.get("new").cloned().unwrap_or_else(|| Value::Object(Map::new()));
        Some(Script { new, steps, kind })
    }

    /// The last question.
    pub fn asked(&self) -> (&str, &Value) {
        const NOTHING: (&str, &Value) = ("", &Value::Null);
        self.steps.last().map_or(NOTHING, |(call, args)| (call, args))
    }

    /// All words in it.
    pub fn words(&self) -> BTreeSet<String> {
        let args = self.steps.iter().map(|(_, args)| args);
        args.chain([&self.new]).flat_map(near::words_of).collect()
    }
}

/// The module of one exercise.
pub struct Reference {
    player: Box<dyn Player>,
}

impl Reference {
    /// None if there is no such exercise.
    pub fn of(exercise: &str) -> Option<Reference> {
        Some(Reference { player: solutions::modules().player(exercise)? })
    }

    /// The answers to all questions, as JSON; none if they are no questions of this exercise, or none that the reference
    /// promises to answer: a question that was changed a little may be one that its contract rules out.
    pub fn play(&mut self, script: &Script) -> Option<Vec<String>> {
        quietly(|| {
            let new = script.new.to_string();
            self.player.start(&arguments(&new)?).ok()?;
            let answers = script.steps.iter().map(|(call, args)| {
                let args = args.to_string();
                self.player.ask(call, &arguments(&args)?).ok()
            });
            answers.collect()
        })
    }

    /// The lines of an answer; none if it isn't one.
    pub fn show(&self, call: &str, answer: &str) -> Option<Vec<String>> {
        quietly(|| self.player.show_answer(call, answer).ok())
    }

    /// Whether two answers mean the same.
    pub fn same(&self, call: &str, one: &str, other: &str) -> bool {
        quietly(|| self.player.same(call, one, other).ok()).unwrap_or(false)
    }

    /// The arguments of a call as people read them.
    pub fn show_args(&self, call: &str, args: &Value) -> Option<Vec<(&'static str, Vec<String>)>> {
        let args = args.to_string();
        quietly(|| self.player.show_args(call, &arguments(&args)?).ok())
    }
}

fn arguments(json: &str) -> Option<Args<'_>> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    serde_json::from_str(raw.get()).ok()
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Takes a panic for no answer, and says nothing of it.
pub fn quietly<T>(ask: impl FnOnce() -> Option<T>) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                usual(panic);
            }
        }));
    });
    let before = QUIET.replace(true);
    let answer = catch_unwind(AssertUnwindSafe(ask)).unwrap_or(None);
    QUIET.set(before);
    answer
}
