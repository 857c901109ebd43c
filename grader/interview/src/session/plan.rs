//! What a session asks: drawn from a seed, so that the same seed and the same content give the same session.

use crate::content::{Content, Level};
use kit_stages::variation;
use kit_time::random::{Purpose, Random};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A session before it begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where everything was drawn from.
    pub seed: u64,
    /// For whom it is.
    pub level: Level,
    /// What it was restricted to: chapters or pages; nothing restricts nothing.
    pub topics: Vec<String>,
    /// Whether an interviewer sits at the other page, and releases what the clock would release otherwise.
    #[serde(default)]
    pub interviewer: bool,
    /// What is done, in order.
    pub parts: Vec<Part>,
}

/// One part of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// How long it takes.
    pub minutes: u32,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked in a part, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Warm-up questions.
    Warmup(Vec<String>),
    /// An exercise, with other rules.
    Code {
        /// `chapter/exercise`.
        exercise: String,
        /// The name of the variation; without it, the exercise as it is.
        variation: Option<String>,
    },
    /// A broken cluster.
    Incident(String),
    /// A question that is answered in prose.
    Design(String),
}

/// What somebody wants of a session.
#[derive(Debug, Clone)]
pub struct Wish {
    /// All parts together.
    pub minutes: u32,
    /// For whom.
    pub level: Level,
    /// Chapters or pages; nothing restricts nothing.
    pub topics: Vec<String>,
    /// The source of chance.
    pub seed: u64,
}

/// Of 45 minutes: the warm-up, code, the incident, the design question.
const SHARES: [u32; 4] = [5, 20, 10, 10];
/// With less than this a part makes no sense.
const LEAST: [u32; 4] = [1, 10, 6, 8];
/// One warm-up question a minute.
const SHORTEST: u32 = 10;

impl Plan {
    /// Draws a session.
    ///
    /// # Errors
    ///
    /// If too little time is asked for, or nothing is there about the topics.
    pub fn draw(content: &Content, wish: &Wish) -> Result<Plan, String> {
        let Wish { minutes, level, topics, seed } = wish;
        if !(SHORTEST..=240).contains(minutes) {
            return Err(format!("a session takes {SHORTEST} to 240 minutes, and not {minutes}"));
        }
        let within = |page: &str, topic: &str| {
            page.strip_prefix(topic).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let about = |page: &str| topics.is_empty() || topics.iter().any(|topic| within(page, topic));
        if let Some(unknown) = topics.iter().find(|topic| !content.pages().any(|page| within(page, topic))) {
            let chapters: BTreeSet<&str> = content.pages().filter_map(|page| page.split('/').next()).collect();
            let chapters: Vec<&str> = chapters.into_iter().collect();
            return Err(format!(
                "nothing is asked about {unknown:?}; there are {}, and pages such as workloads/hpa",
                chapters.join(", ")
            ));
        }
        let draw = Draw { random: Random::new(*seed) };
        let warmups: Vec<String> = content
            .each_warmup()
            .filter(|(name, one)| one.level <= *level && about(name))
            .map(|(name, _)| name)
            .collect();
        let exercises = variation::exercises().into_iter().filter(|name| about(name));
        let exercises: Vec<String> = exercises.map(ToString::to_string).collect();
        let fits = |chapter: &str, of: Level| of <= *level && about(chapter);
        let incidents = content.incidents.iter().filter(|(_, one)| fits(&one.chapter, one.level));
        let incidents: Vec<String> = incidents.map(|(name, _)| name.clone()).collect();
        let designs = content.designs.iter().filter(|(_, one)| fits(&one.chapter, one.level));
        let designs: Vec<String> = designs.map(|(name, _)| name.clone()).collect();
        let there = [!warmups.is_empty(), !exercises.is_empty(), !incidents.is_empty(), !designs.is_empty()];
        let mut parts = Vec::new();
        for (at, minutes) in split(*minutes, there) {
            let ask = match at {
                0 => Ask::Warmup(draw.some("warm-up", &warmups, minutes as usize)),
                1 => {
                    let exercise = draw.one("code", &exercises).to_string();
                    let variation = variation::draw(&exercise, *seed).map(|variation| variation.name);
                    Ask::Code { exercise, variation }
                }
                2 => Ask::Incident(draw.one("incident", &incidents).to_string()),
                _ => Ask::Design(draw.one("design", &designs).to_string()),
            };
            parts.push(Part { minutes, ask });
        }
        if parts.is_empty() {
            return Err(format!("for {level} nothing is asked about {}", topics.join(", ")));
        }
        Ok(Plan { seed: *seed, level: *level, topics: topics.clone(), interviewer: false, parts })
    }
}

/// How many minutes each part has that there is something to ask in. What is left out leaves its time to the others: where
/// there is little time, the last ones first.
fn split(minutes: u32, there: [bool; 4]) -> Vec<(usize, u32)> {
    let mut left: Vec<usize> = (0..SHARES.len()).filter(|at| there[*at]).collect();
    loop {
        let whole: u32 = left.iter().map(|at| SHARES[*at]).sum();
        let mut parts: Vec<(usize, u32)> = left.iter().map(|at| (*at, minutes * SHARES[*at] / whole)).collect();
        let used: u32 = parts.iter().map(|(_, minutes)| minutes).sum();
        if let Some((_, last)) = parts.last_mut() {
            *last += minutes - used;
        }
        match parts.iter().rposition(|(at, minutes)| *minutes < LEAST[*at]) {
            Some(small) if left.len() > 1 => _ = left.remove(small),
            _ => return parts,
        }
    }
}

/// Chance by identity.
pub struct Draw {
    random: Random,
}

impl Draw {
    /// Chance as this seed has it.
    pub fn of(seed: u64) -> Self {
        Draw { random: Random::new(seed) }
    }

    fn below(&self, what: &str, reason: &str, attempt: u64, count: usize) -> usize {
        let purpose = Purpose { component: "interview", object: what, reason, attempt };
        self.random.below(count as u64, purpose) as usize
    }

    fn one<'a>(&self, what: &str, of: &'a [String]) -> &'a str {
        &of[self.below(what, "one", 0, of.len())]
    }

    /// So many of them, and none twice; from as many pages as possible.
    fn some(&self, what: &str, of: &[String], count: usize) -> Vec<String> {
        let mut left = self.shuffled(what, of.to_vec());
        let mut chosen: Vec<String> = Vec::new();
        while chosen.len() < count && !left.is_empty() {
            let page = |name: &str| name.rsplit_once('/').map_or(String::new(), |(page, _)| page.to_string());
            let often = |name: &String| chosen.iter().filter(|one| page(one) == page(name)).count();
            let next = (0..left.len()).min_by_key(|at| often(&left[*at])).unwrap_or(0);
            chosen.push(left.remove(next));
        }
        chosen
    }

    /// The same in another order.
    pub fn shuffled<T>(&self, what: &str, mut all: Vec<T>) -> Vec<T> {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(what, "shuffle", at as u64, at + 1));
        }
        all
    }
}

/// What a variation of an exercise is about, as a paragraph; none if there is no such variation.
pub fn rule(exercise: &str, variation: &str) -> Option<String> {
    variation::parse(exercise, variation).ok().map(|variation| variation.rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_out_and_nothing_of_it_is_lost() {
        let cases = [
            (45, [true; 4], vec![(0, 5), (1, 20), (2, 10), (3, 10)]),
            (60, [true; 4], vec![(0, 6), (1, 26), (2, 13), (3, 15)]),
            (20, [true; 4], vec![(0, 2), (1, 11), (2, 7)]),
            (45, [true, true, false, true], vec![(0, 6), (1, 25), (3, 14)]),
            (45, [true, false, false, false], vec![(0, 45)]),
            (45, [false; 4], vec![]),
        ];
        for (minutes, there, expected) in cases {
            assert_eq!(split(minutes, there), expected, "{minutes} {there:?}");
        }
    }
}
