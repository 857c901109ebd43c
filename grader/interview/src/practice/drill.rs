//! Questions about one exercise, one after the other, for as long as somebody wants.

use super::deck::Deck;
use super::item::{Given, Item};
use super::screen::{self, BOLD, DIM, GREEN, RED, Screen, Typed, paint};
use super::{Place, rating};
use crate::history::Review;
use anyhow::Result;

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Right answers.
    pub right: usize,
    /// All answers.
    pub of: usize,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "right {} of {}", self.right, self.of)
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Marked {
    /// From 0 to 1.
    pub points: f64,
    /// How long it took, in milliseconds.
    pub ms: i64,
    /// Whether options were looked at that somebody was to know without.
    pub helped: bool,
}

impl Marked {
    /// As the history keeps it.
    pub fn review(self) -> Review {
        Review { rating: rating(self), right: self.points, ms: self.ms }
    }
}

/// Asks about an exercise until somebody has enough, or until `count` questions.
///
/// # Errors
///
/// If there is no such exercise, or what is answered can't be kept.
pub fn drill(
    exercise: &str,
    seed: &str,
    count: Option<u64>,
    place: &mut Place<'_>,
    screen: &mut Screen<'_>,
) -> Result<Tally> {
    let mut deck = Deck::of(exercise)?;
    let mut tally = Tally::default();
    screen.say([
        format!("  {} · seed {seed}", paint(BOLD, exercise)),
        paint(DIM, "  The reference is the judge. An empty line skips, `quit` or Ctrl-D ends."),
    ])?;
    for number in 1..=count.unwrap_or(u64::MAX) {
        let item = deck.item(seed, number)?;
        let Some(marked) = ask(&item, &format!("question {number}"), place, screen)? else { break };
        let now = place.clock.now();
        // What somebody knows needs no card, unless it has one.
        let known = place.history.cards()?.iter().any(|card| card.name == item.name());
        if marked.points < 1.0 || known {
            place.history.review(&item.name(), marked.review(), now)?;
        } else {
            place.history.answered(&item.name(), marked.review(), now)?;
        }
        tally.of += 1;
        tally.right += usize::from(marked.points == 1.0);
        if count.is_some() {
            screen.say([format!("\n  {tally}")])?;
            continue;
        }
        let more = screen.ask(&format!("\n  {tally} · next one? [Y/n] "))?;
        match more {
            Typed::Line(answer) if !answer.to_lowercase().starts_with('n') => {}
            _ => break,
        }
    }
    let wrong = tally.of - tally.right;
    let later = match wrong {
        0 => String::new(),
        1 => ". The other one comes again: `cargo grade practice`".into(),
        _ => format!(". The other {wrong} come again: `cargo grade practice`"),
    };
    screen.say([format!("\n  {tally}{later}\n  the same questions: cargo grade practice {exercise} --seed {seed}")])?;
    Ok(tally)
}

/// Asks one question and says what is to be said of the answer; none if somebody has enough.
///
/// # Errors
///
/// If nothing can be read or shown any more.
pub fn ask(item: &Item, head: &str, place: &Place<'_>, screen: &mut Screen<'_>) -> Result<Option<Marked>> {
    screen.say([
        "".to_string(),
        paint(DIM, format_args!("  ── {head} {}", "─".repeat(72_usize.saturating_sub(head.chars().count())))),
    ])?;
    screen.say(screen::told(&item.told))?;
    screen.say([String::new()])?;
    screen.say(screen::fill(&format!("  {}", item.ask), 2).iter().map(|line| paint(BOLD, line)))?;
    if item.typed {
        screen.say([paint(DIM, "    Type it, or `?` for options.")])?;
    } else {
        screen.say(screen::options(item))?;
    }
    let began = place.clock.now();
    let mut helped = false;
    let given = loop {
        let typed = match screen.ask("  > ")? {
            Typed::Quit => return Ok(None),
            Typed::Line(line) => line,
        };
        if typed == "?" {
            helped |= item.typed;
            screen.say(screen::options(item))?;
            continue;
        }
        match item.parse(&typed, helped) {
            Ok(given) => break given,
            Err(what) => screen.say([format!("    {what}")])?,
        }
    };
    let right = item.is_right(&given);
    let marked = Marked { points: f64::from(u8::from(right)), ms: place.clock.now() - began, helped };
    let head = match (&given, right) {
        (_, true) => paint(GREEN, "  ✓ Right."),
        (Given::Skipped, _) => format!("  {} It is: {}", paint(RED, "–"), item.right()),
        _ => format!("  {} Not so. Right is: {}", paint(RED, "✗"), item.right()),
    };
    screen.say(screen::fill(&head, 4))?;
    for line in item.explained(&given) {
        screen.say(screen::fill(&format!("    {line}"), 4))?;
    }
    if !right {
        screen.say([paint(DIM, format_args!("    read {}", item.read))])?;
    }
    Ok(Some(marked))
}
