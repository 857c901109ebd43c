//! What a session was worth: what a machine can count, apart from what people judge.
//!
//! The bar is 70 % of each, and no dimension below 2 of 4. Prose is judged by people alone.

use crate::content::design::Dimension;
use crate::session::Session;
use crate::session::plan::Ask;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The least share of points, and of marks, in percent.
pub const BAR: f64 = 70.0;
/// The least mark in each dimension.
pub const FLOOR: f64 = 2.0;
/// What a hint takes of the points of its part.
pub const HINT: f64 = 0.1;
/// What a healed cluster is worth; the rest is for its root cause.
pub const HEALED: f64 = 0.7;
/// What a module that fails at the last scenario is worth.
const NEARLY: f64 = 0.5;

/// What a session was worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What scenarios, end states and right answers say.
    pub graded: Graded,
    /// What the marks say; nothing if nothing was to be judged.
    pub judged: Option<Judged>,
    /// Whether the bar was reached; nothing while marks are missing.
    pub reached: Option<bool>,
}

/// What a machine can count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// Of 100; parts weigh as much as they have minutes.
    pub percent: f64,
    /// Each part that is counted.
    pub parts: Vec<GradedPart>,
}

/// One part that is counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GradedPart {
    /// Which part.
    pub part: usize,
    /// From 0 to 1, hints taken off.
    pub points: f64,
    /// How many hints were taken.
    pub hints: usize,
    /// What makes it up, in words.
    pub said: String,
}

/// What people judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Of 100; lines that nobody marked count nothing yet.
    pub percent: f64,
    /// How many lines are not marked.
    pub missing: usize,
    /// The mean mark in each dimension, by the weights of its lines, as far as it is marked.
    pub dimensions: BTreeMap<Dimension, f64>,
}

impl Session {
    /// What it is worth as it stands.
    pub fn score(&self) -> Score {
        let parts: Vec<GradedPart> = (0..self.parts.len()).filter_map(|part| self.graded(part)).collect();
        let weight = |part: &GradedPart| f64::from(self.plan.parts[part.part].minutes);
        let whole: f64 = parts.iter().map(weight).sum();
        let sum: f64 = parts.iter().map(|part| weight(part) * part.points).sum();
        let percent = if whole > 0.0 { 100.0 * sum / whole } else { 0.0 };
        let graded = Graded { percent, parts };
        let judged = self.judged();
        let enough = |judged: &Judged| judged.percent >= BAR && judged.dimensions.values().all(|mark| *mark >= FLOOR);
        let reached = match &judged {
            Some(judged) if judged.missing > 0 => None,
            judged => {
                let counted = graded.parts.is_empty() || graded.percent >= BAR;
                Some(counted && judged.as_ref().is_none_or(enough))
            }
        };
        Score { graded, judged, reached }
    }

    fn graded(&self, part: usize) -> Option<GradedPart> {
        let progress = &self.parts[part];
        let (points, said) = match &self.plan.parts[part].ask {
            Ask::Warmup(names) => {
                let sum: f64 = progress.answers.values().map(|(_, points)| points).sum();
                let whole = progress.answers.values().filter(|(_, points)| *points == 1.0).count();
                (sum / names.len().max(1) as f64, format!("{whole} of {} right", names.len()))
            }
            Ask::Code { .. } => {
                // The last word counts, as it does when a module is handed in.
                match progress.runs.last() {
                    None => (0.0, "never graded".into()),
                    Some(run) if run.passed => (1.0, format!("all {} scenarios", run.of)),
                    Some(run) => {
                        let share = run.right as f64 / run.of.max(1) as f64;
                        (NEARLY * share, format!("wrong after {} of {} scenarios", run.right, run.of))
                    }
                }
            }
            Ask::Incident(_) => {
                let healed = progress.checks.last().is_some_and(|check| check.healed);
                let cause = progress.answers.get(&0).map_or(0.0, |(_, points)| *points);
                let said = |yes: bool, what: &str| format!("{}{what}", if yes { "" } else { "not " });
                let said = format!("{}, root cause {}", said(healed, "healed"), said(cause == 1.0, "found"));
                (HEALED * f64::from(u8::from(healed)) + (1.0 - HEALED) * cause, said)
            }
            Ask::Design(_) => return None,
        };
        let points = (points - HINT * progress.hints as f64).max(0.0);
        Some(GradedPart { part, points, hints: progress.hints, said })
    }

    fn judged(&self) -> Option<Judged> {
        let mut sums: BTreeMap<Dimension, (f64, f64)> = BTreeMap::new();
        let (mut points, mut whole, mut missing) = (0.0, 0.0, 0);
        for part in 0..self.parts.len() {
            let Some(design) = self.design(part) else { continue };
            for line in &design.rubric {
                let weight = f64::from(line.weight);
                whole += weight;
                let Some(mark) = self.parts[part].marks.get(&line.id) else {
                    missing += 1;
                    continue;
                };
                points += weight * f64::from(mark.mark) / 4.0;
                let (sum, of) = sums.entry(line.dimension).or_default();
                *sum += weight * f64::from(mark.mark);
                *of += weight;
            }
        }
        let dimensions = sums.into_iter().map(|(dimension, (sum, of))| (dimension, sum / of)).collect();
        (whole > 0.0).then(|| Judged { percent: 100.0 * points / whole, missing, dimensions })
    }
}
