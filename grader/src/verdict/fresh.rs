//! Fresh scenarios: what goldens explain is proved by scenarios that nobody wrote down, with the reference as the judge.

use crate::module::process::{Kind, Loss};
use crate::verdict::grade::{Graded, expected, play_beside};
use crate::verdict::report::{Difference, ExerciseResult, Fresh, KUBERNETES, ScenarioResult, Status};
use crate::verdict::scenario::{Expected, Scenario, Script, Seen};
use crate::workspace::{Entry, Workspace};
use anyhow::Result;
use kit_stages::fresh;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many smaller scenarios are tried at most to find the smallest.
const TRIES: usize = 1500;
/// So many scenarios are played in one process: what a correct module needs of time and memory adds up.
const TOGETHER: u64 = 1000;

/// Why fresh scenarios are there, for those that don't say it themselves.
const FRESH: &str = "What no golden shows is answered as Kubernetes answers it.";
const VARIED: &str = "The changed rule holds, and all other rules are those of Kubernetes.";

/// Which fresh scenarios are played.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Fresh scenarios, which are drawn and stand in no file")]
pub struct Plan {
    /// How many are played after an exercise's own scenarios; without it, as many as take a few tens of milliseconds
    #[arg(long = "fresh", global = true, value_name = "N")]
    pub count: Option<u64>,
    /// Where they are drawn from; without it, the same seed for everybody in one version of the kit
    #[arg(long, global = true, value_name = "SEED")]
    pub seed: Option<String>,
    /// Where they are kept once they are drawn, for whoever plays them with many modules of one exercise.
    #[arg(skip)]
    pub kept: Option<Kept>,
}

/// Scenarios that were drawn, by number.
pub type Kept = Arc<Mutex<BTreeMap<u64, Arc<Card>>>>;

/// A scenario that was drawn, and what the reference says to it.
#[derive(Debug)]
pub struct Card {
    scenario: Scenario,
    expected: Expected,
}

impl Card {
    fn of(scenario: Value, graded: &Graded<'_>) -> Result<Card> {
        let scenario = Scenario::fresh(scenario)?;
        let expected = expected(&scenario, graded)?;
        Ok(Card { scenario, expected })
    }
}

impl Plan {
    /// The seed, which is the same for everybody unless somebody sets another.
    pub fn seed(&self) -> String {
        self.seed.clone().unwrap_or_else(|| format!("{KUBERNETES}-1"))
    }
}

/// Where a module parts from the reference.
struct Parting {
    at: usize,
    expected: Vec<Seen>,
    yours: Vec<Seen>,
    loss: Option<Loss>,
}

/// All fresh scenarios that are played of an exercise.
struct Deck<'a> {
    exercise: &'a str,
    generator: fresh::Generator,
    of: u64,
    seed: String,
    kept: Option<Kept>,
}

impl<'a> Deck<'a> {
    fn of(workspace: &Workspace, entry: &'a Entry, graded: &Graded<'_>) -> Option<Self> {
        let plan = &workspace.fresh;
        let (generator, usual) = match workspace.variation_of(entry) {
            Some(variation) => variation.scenarios(&graded.reference)?,
            None => fresh::of(&entry.name, &graded.reference)?,
        };
        Some(Deck {
            exercise: &entry.name,
            generator,
            of: plan.count.unwrap_or(usual),
            seed: plan.seed(),
            kept: plan.kept.clone(),
        })
    }

    fn draw(&self, number: u64) -> Result<fresh::Fresh> {
        let drawn = fresh::Fresh::draw(&self.generator, self.exercise, &self.seed, number);
        drawn.map_err(|e| anyhow::anyhow!("fresh scenario {number} of seed {}: {e}", self.seed))
    }

    /// Plays the scenario of this number, now and then in a new process.
    fn part(&self, number: u64, graded: &Graded<'_>) -> Result<Option<Parting>> {
        if number.is_multiple_of(TOGETHER) {
            graded.begin(false);
        }
        part(self.card(number, graded)?.as_ref(), graded)
    }

    /// The scenario of this number, drawn once if cards are kept.
    fn card(&self, number: u64, graded: &Graded<'_>) -> Result<Arc<Card>> {
        let kept = || self.kept.as_ref().map(|kept| kept.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(card) = kept().and_then(|kept| kept.get(&number).cloned()) {
            return Ok(card);
        }
        let card = Arc::new(Card::of(self.draw(number)?.scenario(), graded)?);
        kept().map(|mut kept| kept.insert(number, card.clone()));
        Ok(card)
    }
}

/// The first fresh scenario that is not answered as the reference answers it. Nothing is made smaller: this is for who
/// only wants to know whether a module is caught.
pub fn first(workspace: &Workspace, entry: &Entry, graded: &Graded<'_>) -> Result<Option<u64>> {
    let Some(deck) = Deck::of(workspace, entry, graded) else { return Ok(None) };
    for number in 1..=deck.of {
        let parting = deck.part(number, graded)?;
        match parting.map(|parting| parting.loss) {
            // What has not begun makes no mistake.
            None | Some(Some(Loss::NotStarted(_))) => {}
            Some(Some(Loss::Grader(message))) => anyhow::bail!("fresh scenario {number}: {message}"),
            Some(_) => return Ok(Some(number)),
        }
    }
    Ok(None)
}

/// Plays fresh scenarios until one is not answered as the reference answers it; none if the exercise has no generator.
pub fn judge(workspace: &Workspace, entry: &Entry, graded: &Graded<'_>) -> Result<Option<Fresh>> {
    let deck = Deck::of(workspace, entry, graded).filter(|deck| deck.of > 0);
    let Some(deck) = deck else { return Ok(None) };
    let why = if workspace.variation_of(entry).is_some() { VARIED } else { FRESH };
    let (of, seed) = (deck.of, deck.seed.clone());
    for number in 1..=of {
        let Some(shared) = deck.part(number, graded)? else { continue };
        let mut drawn = deck.draw(number)?;
        // Once more in a process of its own: what lies there from earlier scenarios is none of this one's business.
        graded.begin(false);
        let Some(mut parting) = part(&Card::of(drawn.scenario(), graded)?, graded)? else {
            // Time and memory that many scenarios use up together are no fault of any.
            if matches!(shared.loss, Some(Loss::Error(Kind::Timeout | Kind::OutOfMemory, _))) {
                continue;
            }
            let message = "alone it is answered as expected, and after other scenarios it is not: what a module \
                remembers belongs into the module, and not into a `static`";
            let result = result(entry, why, &Value::Null, Status::Failed, None, Some(message.into()));
            return Ok(Some(Fresh { seed, played: number, of, scenario: result }));
        };
        let mut scenario = drawn.scenario();
        // A module that hangs would let everybody wait for each smaller scenario, too.
        if !matches!(parting.loss, Some(Loss::Error(Kind::Timeout, _) | Loss::NotStarted(_))) {
            let played = |smaller: &Value| part(&Card::of(smaller.clone(), graded)?, graded);
            drawn.shrink(TRIES, |smaller| match played(&smaller) {
                Ok(Some(found)) if found.is_like(&parting) => {
                    (parting, scenario) = (found, smaller);
                    true
                }
                _ => false,
            });
        }
        let scenario = parting.tell(entry, why, &scenario);
        return Ok(Some(Fresh { seed, played: number, of, scenario }));
    }
    Ok(Some(Fresh { seed, played: of, of, scenario: result(entry, why, &Value::Null, Status::Passed, None, None) }))
}

/// Plays a scenario with the module; none if it comes to the same as the reference.
fn part(card: &Card, graded: &Graded<'_>) -> Result<Option<Parting>> {
    graded.again(matches!(card.scenario.script, Script::Group(_)));
    let yours = play_beside(&card.scenario, graded, &card.expected)?;
    let expected = &card.expected.seen;
    let wrong = expected.iter().zip(&yours).position(|(expected, yours)| expected.answer != yours.answer);
    let loss = graded.loss();
    if wrong.is_none() && loss.is_none() && expected.len() == yours.len() {
        return Ok(None);
    }
    let at = wrong.unwrap_or(yours.len()).min(expected.len().saturating_sub(1));
    let expected = expected.clone();
    Ok(Some(Parting { at, expected, yours, loss: loss.filter(|_| wrong.is_none()) }))
}

impl Parting {
    /// Whether both are of a kind: a smaller scenario must not lead from one mistake to quite another.
    fn is_like(&self, other: &Parting) -> bool {
        let kind = |parting: &Parting| match &parting.loss {
            None => None,
            Some(Loss::Error(kind, _)) => Some(Some(*kind)),
            Some(_) => Some(None),
        };
        kind(self) == kind(other)
    }

    fn tell(self, entry: &Entry, why: &str, scenario: &Value) -> ScenarioResult {
        let Parting { at, expected, yours, loss } = self;
        let (status, kind, message) = match loss {
            None => (Status::Failed, None, None),
            Some(Loss::NotStarted(message)) => (Status::NotStarted, None, Some(message)),
            Some(Loss::Error(kind, message)) => (Status::Error, Some(kind), Some(message)),
            Some(Loss::Grader(message)) => (Status::GraderError, None, Some(message)),
        };
        let mut result = result(entry, why, scenario, status, kind, message);
        result.difference = expected.get(at).map(|moment| Difference {
            question: at + 1,
            of: expected.len(),
            say: None,
            history: expected[..at].iter().map(history).collect(),
            asked: moment.asked.clone(),
            expected: moment.answer.clone(),
            yours: yours.get(at).map(|seen| seen.answer.clone()),
            printed: String::new(),
            turning: None,
        });
        result
    }
}

/// A step before the one that matters: what was asked, and the answer if it said anything.
fn history(seen: &Seen) -> String {
    let asked = seen.asked.join(" · ");
    match seen.answer.join(", ").as_str() {
        "" | "done" => asked,
        answer => format!("{asked} → {answer}"),
    }
}

fn result(
    entry: &Entry,
    why: &str,
    scenario: &Value,
    status: Status,
    kind: Option<Kind>,
    message: Option<String>,
) -> ScenarioResult {
    let text = |field: &str, usual: &str| scenario[field].as_str().unwrap_or(usual).to_string();
    ScenarioResult {
        name: "fresh".into(),
        status,
        kind,
        why: text("why", why),
        read: format!("book/src/{}.md#{}", entry.name, text("read", "how-it-works")),
        message,
        difference: None,
        timeline: false,
        cluster: false,
    }
}

/// How the same fresh scenarios are played again.
pub fn again(result: &ExerciseResult, fresh: &Fresh) -> String {
    let seed = shlex::try_quote(&fresh.seed).unwrap_or_default();
    let varied =
        result.variation.as_ref().map_or(String::new(), |variation| format!(" --variation {}", variation.name));
    format!("cargo grade run {}{varied} --fresh {} --seed {seed}", result.name, fresh.of)
}
