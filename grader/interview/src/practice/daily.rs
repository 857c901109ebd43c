//! A few minutes a day: what is due by spaced repetition, and some new questions.

use super::deck::Deck;
use super::drill::{self, Marked, Tally};
use super::screen::{self, BOLD, DIM, GREEN, RED, Screen, Typed, paint};
use super::{Place, parse_name, plural};
use crate::content::Content;
use crate::history::FRESH;
use crate::session::event::Answer;
use crate::session::plan::Draw;
use crate::session::question::{Question, ShownKind};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// So many questions are new on one day.
pub const NEW: usize = 5;
const DAY: i64 = 86_400_000;

/// Asks what is due, and what is new, for so many minutes.
///
/// # Errors
///
/// If what is answered can't be kept.
pub fn daily(
    content: &Content,
    catalogue: &[String],
    minutes: u32,
    place: &mut Place<'_>,
    screen: &mut Screen<'_>,
) -> Result<Tally> {
    let begin = place.clock.now();
    let mut waiting: Vec<String> = place.history.due(begin)?.into_iter().map(|card| card.name).collect();
    let due = waiting.len();
    let fresh = new(content, catalogue, place)?;
    waiting.extend(fresh.iter().cloned());
    if waiting.is_empty() {
        screen.say(nothing(content, place)?)?;
        return Ok(Tally::default());
    }
    let what = format!("{} due · {} new · {} minutes", due, fresh.len(), minutes);
    screen.say([
        format!("  {} · {what}", paint(BOLD, "practice")),
        paint(DIM, "  An empty line skips, `quit` or Ctrl-D ends. What is answered is kept."),
    ])?;
    let mut decks: BTreeMap<String, Deck> = BTreeMap::new();
    let mut tally = Tally::default();
    let (mut again, mut read) = (Vec::new(), BTreeSet::new());
    let count = waiting.len();
    for (at, name) in waiting.iter().enumerate() {
        if place.clock.now() - begin >= i64::from(minutes) * 60_000 {
            screen.say([format!(
                "\n  Time is up after {}; {} left for next time.",
                plural(u64::from(minutes), "minute"),
                count - at
            )])?;
            break;
        }
        let head = format!("{} of {count}", at + 1);
        let asked = match name.strip_prefix(FRESH) {
            Some(_) => fresh_one(name, &head, &mut decks, place, screen)?,
            None => warmup(content, name, &head, place, screen)?,
        };
        let (marked, page) = match asked {
            Asked::Enough => break,
            Asked::Gone => {
                place.history.forget(name)?;
                continue;
            }
            Asked::Answered(marked, page) => (marked, page),
        };
        let now = place.clock.now();
        again.push(place.history.review(name, marked.review(), now)? - now);
        tally.of += 1;
        tally.right += usize::from(marked.points == 1.0);
        if marked.points < 1.0 {
            read.extend(page);
        }
        screen.say([format!("\n  {tally}")])?;
    }
    screen.say(summary(tally, &again, &read, place.clock.now() - begin, place)?)?;
    Ok(tally)
}

/// What became of a card.
enum Asked {
    /// Somebody has enough.
    Enough,
    /// Its question is no longer there.
    Gone,
    /// It was answered, and is explained at this place.
    Answered(Marked, Option<String>),
}

/// The warm-up questions that are new today, in the order in which exercises are learned.
fn new(content: &Content, catalogue: &[String], place: &Place<'_>) -> Result<Vec<String>> {
    let cards = place.history.cards()?;
    let today = place.midnight(place.clock.now());
    let met = cards.iter().filter(|card| card.added >= today && !card.name.starts_with(FRESH)).count();
    let known: BTreeSet<&str> = cards.iter().map(|card| card.name.as_str()).collect();
    let mut all: Vec<String> =
        content.each_warmup().map(|(name, _)| name).filter(|name| !known.contains(name.as_str())).collect();
    let position = |name: &String| {
        let page = name.rsplit_once('/').map_or("", |(page, _)| page);
        catalogue.iter().position(|one| one == page).unwrap_or(usize::MAX)
    };
    all.sort_by_key(position);
    all.truncate(NEW.saturating_sub(met));
    Ok(all)
}

fn nothing(content: &Content, place: &Place<'_>) -> Result<Vec<String>> {
    let now = place.clock.now();
    let next = place.history.cards()?.first().map(|card| when(card.due - now));
    let mut lines = match next {
        Some(when) => vec![format!("  Nothing is due. The next question comes {when}.")],
        None if content.each_warmup().next().is_none() => vec!["  There are no questions here yet.".to_string()],
        None => vec!["  Nothing is due.".to_string()],
    };
    lines.push("  As many as you like about one exercise: cargo grade practice scheduler/taints".into());
    Ok(lines)
}

fn fresh_one(
    name: &str,
    head: &str,
    decks: &mut BTreeMap<String, Deck>,
    place: &Place<'_>,
    screen: &mut Screen<'_>,
) -> Result<Asked> {
    let Some((exercise, seed, number)) = parse_name(name) else { return Ok(Asked::Gone) };
    if !decks.contains_key(exercise) {
        let Ok(deck) = Deck::of(exercise) else { return Ok(Asked::Gone) };
        decks.insert(exercise.into(), deck);
    }
    let item = decks.get_mut(exercise).map(|deck| deck.item(seed, number));
    let Some(Ok(item)) = item else { return Ok(Asked::Gone) };
    Ok(match drill::ask(&item, &format!("{head} · {exercise}"), place, screen)? {
        None => Asked::Enough,
        Some(marked) => Asked::Answered(marked, Some(item.read)),
    })
}

fn warmup(content: &Content, name: &str, head: &str, place: &Place<'_>, screen: &mut Screen<'_>) -> Result<Asked> {
    // Another order of the options each day.
    let draw = Draw::of(place.clock.now().unsigned_abs() / DAY.unsigned_abs());
    let question = content.warmup(name).and_then(|warmup| Question::of_warmup(name, warmup, &draw));
    let Some(question) = question else { return Ok(Asked::Gone) };
    let page = name.rsplit_once('/').map_or(name, |(page, _)| page);
    let head = format!("{head} · {page}");
    let rule = "─".repeat(72_usize.saturating_sub(head.chars().count()));
    screen.say([String::new(), paint(DIM, format_args!("  ── {head} {rule}"))])?;
    let shown = question.shown();
    for line in &shown.transcript {
        screen.say(screen::fill(&format!("  {line}"), 6))?;
    }
    if !shown.transcript.is_empty() {
        screen.say([String::new()])?;
    }
    for paragraph in shown.ask.trim().split("\n\n") {
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        screen.say(screen::fill(&format!("  {paragraph}"), 2).iter().map(|line| paint(BOLD, line)))?;
    }
    for (at, option) in shown.options.iter().enumerate() {
        screen.say(screen::fill(&format!("    {}) {option}", at + 1), 7))?;
    }
    let unit = if shown.unit.is_empty() { String::new() } else { format!(", in {}", shown.unit) };
    let how = match shown.kind {
        ShownKind::One => String::new(),
        ShownKind::Several => "all that are right, such as `1 3`".into(),
        ShownKind::Number => format!("a number{unit}"),
        ShownKind::Order => "all of them in order, such as `3 1 2`".into(),
    };
    if !how.is_empty() {
        screen.say([paint(DIM, format_args!("    {how}"))])?;
    }
    let began = place.clock.now();
    let answer = loop {
        let typed = match screen.ask("  > ")? {
            Typed::Quit => return Ok(Asked::Enough),
            Typed::Line(line) => line,
        };
        match question.parse(&typed) {
            Ok(answer) => break answer,
            Err(what) => screen.say([format!("    {what}")])?,
        }
    };
    let points = question.points(&answer);
    let right = question.right();
    let said = match (&answer, points) {
        (_, 1.0) => paint(GREEN, "  ✓ Right."),
        (Answer::Skipped, _) => format!("  {} It is: {right}", paint(RED, "–")),
        (_, 0.0) => format!("  {} Not so. Right is: {right}", paint(RED, "✗")),
        _ => format!("  {} In part. Right is: {right}", paint(RED, "✗")),
    };
    screen.say(screen::fill(&said, 4))?;
    for line in question.why(&answer) {
        screen.say(screen::fill(&format!("    {line}"), 4))?;
    }
    if let Some(read) = question.read().filter(|_| points < 1.0) {
        screen.say([paint(DIM, format_args!("    read {read}"))])?;
    }
    let marked = Marked { points, ms: place.clock.now() - began, helped: false };
    Ok(Asked::Answered(marked, question.read()))
}

/// What was right, what comes back when, and where to read.
fn summary(tally: Tally, again: &[i64], read: &BTreeSet<String>, took: i64, place: &Place<'_>) -> Result<Vec<String>> {
    if tally.of == 0 {
        return Ok(vec!["  Nothing was answered, and nothing is lost.".into()]);
    }
    let mut lines = vec![format!("  {tally} · {}", plural((took / 60_000).unsigned_abs().max(1), "minute"))];
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    again.iter().for_each(|pause| *times.entry((pause + DAY / 2) / DAY).or_default() += 1);
    let times = times.into_iter().map(|(days, count)| format!("{count} {}", when(days * DAY)));
    lines.extend(screen::fill(&format!("  come back   {}", times.collect::<Vec<_>>().join(" · ")), 14));
    let next = place.history.cards()?.iter().filter(|card| card.due < place.clock.now() + DAY).count();
    if next > 0 {
        lines.push(format!("  next time   {next} due by this time tomorrow"));
    }
    lines.extend(
        read.iter()
            .enumerate()
            .map(|(at, page)| format!("  {}{page}", if at == 0 { "read        " } else { "            " })),
    );
    Ok(lines)
}

/// How long from now.
fn when(ms: i64) -> String {
    match (ms + DAY / 2) / DAY {
        ..1 => "today".into(),
        1 => "tomorrow".into(),
        days @ 2..60 => format!("in {days} days"),
        days => format!("in {} months", days / 30),
    }
}
