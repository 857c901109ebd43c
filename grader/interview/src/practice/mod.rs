//! `cargo grade practice`: the person is asked what the exercises ask modules, and the reference is the judge.
//!
//! [`deck`] makes questions about one exercise, as many as anybody wants, out of what its generator draws. [`drill`] asks
//! them; [`daily`] asks what is due of the warm-up questions and of the questions that somebody got wrong.

pub mod command;
pub mod daily;
pub mod deck;
mod dice;
pub mod drill;
pub mod item;
mod members;
mod near;
mod packets;
mod reference;
pub mod screen;
mod table;
mod tame;
mod why;
mod writers;

use crate::desk::Clock;
use crate::history::{FRESH, History};
use drill::Marked;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rs_fsrs::Rating;

/// Whoever knows it at once, within so many milliseconds, finds it easy.
const FAST: i64 = 8_000;

/// What practice needs around it.
pub struct Place<'a> {
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Keeps what is answered.
    pub history: History,
    /// Says when a day begins.
    pub zone: TimeZone,
}

impl Place<'_> {
    /// When the day of this moment began.
    fn midnight(&self, now: i64) -> i64 {
        let begin = Timestamp::from_millisecond(now).and_then(|at| at.to_zoned(self.zone.clone()).start_of_day());
        begin.map_or(now, |begin| begin.timestamp().as_millisecond())
    }
}

/// How well something is known.
fn rating(marked: Marked) -> Rating {
    match marked.points {
        ..=0.0 => Rating::Again,
        points if points < 1.0 || marked.helped => Rating::Hard,
        _ if marked.ms < FAST => Rating::Easy,
        _ => Rating::Good,
    }
}

/// Exercise, seed and number in the name of a card.
fn parse_name(name: &str) -> Option<(&str, &str, u64)> {
    let (rest, number) = name.strip_prefix(FRESH)?.rsplit_once('/')?;
    let (exercise, seed) = rest.rsplit_once('/')?;
    Some((exercise, seed, number.parse().ok()?))
}

/// `1 minute`, `2 minutes`.
fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
