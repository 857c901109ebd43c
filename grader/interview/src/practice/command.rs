//! `cargo grade practice`, from its arguments on.

use super::screen::Screen;
use super::{Place, daily, drill};
use crate::content::{self, Content};
use crate::desk::Clock;
use crate::history::{History, folder};
use anyhow::{Result, bail};
use clap::Parser;
use jiff::tz::TimeZone;
use kit_contract::EXERCISES;
use serde::Deserialize;
use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::Path;
use strsim::levenshtein;

/// Asks you what the exercises ask modules
///
/// With the name of an exercise: small questions about it, as many as you like. They are drawn, so that no two are the
/// same, and the reference implementation is the judge. What you get wrong is explained, and comes again.
///
/// Without a name: what is due today. Each question comes again when you are about to forget it, the easy ones after weeks,
/// the hard ones tomorrow; a few new ones come with them every day.
#[derive(Debug, Parser)]
#[command(name = "cargo grade practice", bin_name = "cargo grade practice", version)]
pub struct PracticeArgs {
    /// The exercise, such as `scheduler/taints` or just `taints`
    exercise: Option<String>,
    /// Where the questions are drawn from: the same word gives the same questions
    #[arg(long, requires = "exercise")]
    seed: Option<String>,
    /// Ends after so many questions
    #[arg(long, requires = "exercise")]
    count: Option<u64>,
    /// How long to practice what is due
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=240), conflicts_with = "exercise")]
    minutes: u32,
}

/// Reads arguments, that of the subcommand first: `practice scheduler/taints`.
///
/// # Errors
///
/// What is wrong with them, as clap says it; also where help was asked for.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<PracticeArgs, clap::Error> {
    PracticeArgs::try_parse_from(arguments)
}

/// Practices.
///
/// # Errors
///
/// If there is no such exercise, or what is answered can't be kept.
pub fn run(args: &PracticeArgs, clock: &dyn Clock, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<()> {
    let mut screen = Screen { input, out };
    let exercise = args.exercise.as_deref().map(named).transpose()?;
    let mut place = Place { clock, history: History::open(&folder()?)?, zone: TimeZone::system() };
    match exercise {
        Some(exercise) => {
            let seed = args.seed.clone().unwrap_or_else(|| word(clock.now() / 1000));
            if seed.is_empty() || seed.contains(['/', ' ']) {
                bail!("a seed is a word without blanks and without `/`, and not {seed:?}");
            }
            drill::drill(exercise, &seed, args.count, &mut place, &mut screen)?;
        }
        None => {
            let root = content::root()?;
            let content = Content::load(&root)?;
            daily::daily(&content, &catalogue(&root)?, args.minutes, &mut place, &mut screen)?;
        }
    }
    Ok(())
}

/// The exercise that is meant.
///
/// # Errors
///
/// If there is none: the message names those that are near.
pub fn named(name: &str) -> Result<&'static str> {
    let name = name.trim_end_matches(".rs").trim_start_matches("exercises/");
    let own = |exercise: &&&str| **exercise == name || exercise.rsplit_once('/').is_some_and(|(_, own)| own == name);
    if let Some(exercise) = EXERCISES.iter().find(own) {
        return Ok(exercise);
    }
    let inside: Vec<&str> =
        EXERCISES.iter().copied().filter(|exercise| !name.is_empty() && exercise.contains(name)).collect();
    let distance = |exercise: &str| {
        let own = exercise.rsplit_once('/').map_or(exercise, |(_, own)| own);
        levenshtein(exercise, name).min(levenshtein(own, name))
    };
    let mut near: Vec<&str> =
        EXERCISES.iter().copied().filter(|exercise| distance(exercise) <= 1 + name.len() / 4).collect();
    near.sort_by_key(|exercise| distance(exercise));
    let near: Vec<&str> = if near.is_empty() { inside } else { near };
    match near.as_slice() {
        [] => bail!("there is no exercise `{name}`; there are: {}", EXERCISES.join(", ")),
        near => bail!("there is no exercise `{name}`; did you mean {}?", near.join(" or ")),
    }
}

/// The exercises in the order in which they are learned.
///
/// # Errors
///
/// If the catalogue can't be read.
pub fn catalogue(root: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Catalogue {
        exercises: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        name: String,
    }
    let catalogue: Catalogue = content::read(&root.join("exercises/catalog.yaml"))?;
    Ok(catalogue.exercises.into_iter().map(|entry| entry.name).collect())
}

/// A number as a short word.
fn word(number: i64) -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let (mut left, mut word) = (number.unsigned_abs(), Vec::new());
    while left > 0 || word.is_empty() {
        word.push(char::from(LETTERS[(left % 36) as usize]));
        left /= 36;
    }
    word.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exercises_are_found_by_what_people_type() {
        for name in ["scheduler/taints", "taints", "exercises/scheduler/taints.rs"] {
            assert_eq!(named(name).expect("it is found"), "scheduler/taints");
        }
        let cases = [
            ("taint", "did you mean scheduler/taints?"),
            ("scheduler/tains", "did you mean scheduler/taints?"),
            ("affinity", "did you mean scheduler/node_affinity or scheduler/pod_affinity?"),
            ("quantum_computer", "there are: control_plane/admission, "),
        ];
        for (name, expected) in cases {
            let error = named(name).expect_err("there is no such exercise").to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn seeds_are_words() {
        assert_eq!([0, 35, 36, 1_748_779_200].map(word), ["0", "z", "10", "sx6eo0"]);
    }
}
