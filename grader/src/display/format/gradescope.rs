//! `results.json` of a Gradescope autograder: each required exercise is worth the same, by its scenarios.
//!
//! Source: <https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format>.

use crate::display::human;
use crate::verdict::report::{ExerciseResult, Report, Status};
use anyhow::Result;
use serde::Serialize;

/// What one exercise is worth.
const POINTS: f64 = 10.0;

#[derive(Serialize)]
struct Results {
    execution_time: f64,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    score: f64,
    max_score: f64,
    status: &'static str,
    output: String,
    output_format: &'static str,
    visibility: &'static str,
}

/// How far a module came that knows the exercise's own scenarios and fails in one that nobody wrote down.
fn fresh(result: &ExerciseResult) -> f64 {
    let failed = result.fresh.as_ref().filter(|fresh| fresh.scenario.status != Status::Passed);
    failed.map_or(1.0, |fresh| (fresh.played - 1) as f64 / fresh.of as f64)
}

pub fn text(report: &Report, explained: usize) -> Result<String> {
    let mut output = report.headline();
    if report.status == Status::GraderError {
        output +=
            ". The grader itself is at fault in one of them: no score here counts, and whoever teaches should know.";
    }
    let tests = report.exercises.iter().map(|result| {
        let max_score = if result.required { POINTS } else { 0.0 };
        let share = match result.scenarios.len() {
            0 => result.fresh.as_ref().map_or(0.0, |_| fresh(result)),
            n => result.passed() as f64 / n as f64 * fresh(result),
        };
        Test {
            name: result.full_name(),
            // To the hundredth, and full points for a pass alone.
            score: (max_score * share * 100.0).floor() / 100.0,
            max_score,
            status: if result.status == Status::Passed { "passed" } else { "failed" },
            output: anstream::adapter::strip_str(&human::exercise(result, explained)).to_string(),
            output_format: "text",
            visibility: "visible",
        }
    });
    let results = Results {
        execution_time: report.exercises.iter().map(|e| e.duration_ms as f64 / 1000.0).sum(),
        output,
        output_format: "text",
        visibility: "visible",
        tests: tests.collect(),
    };
    Ok(serde_json::to_string_pretty(&results)? + "\n")
}
