//! JUnit's XML: a suite for each exercise, a test case for each scenario.
//!
//! CI systems call a run red if it holds a failure. So that they say the same as the exit code, what is wrong with an
//! exercise that is not required is a skipped case with the reason.

use crate::verdict::report::{ExerciseResult, Report, Status};
use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

pub fn text(report: &Report) -> Result<String> {
    let mut junit = quick_junit::Report::new("cargo grade");
    for result in &report.exercises {
        let mut suite = TestSuite::new(result.name.as_str());
        suite.set_time(Duration::from_millis(result.duration_ms));
        suite.add_property(("required", if result.required { "true" } else { "false" }));
        if let Some(variation) = &result.variation {
            suite.add_property(("variation", variation.name.as_str()));
            suite.add_property(("rule", variation.rule.as_str()));
        }
        if let Some(fresh) = &result.fresh {
            suite.add_property(("fresh", fresh.says().as_str()));
        }
        // Without a scenario, as when it does not compile, the exercise itself is the case.
        if result.results().next().is_none() {
            let message = result.message.as_deref().unwrap_or_default();
            let words = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            suite.add_test_case(case(result, "exercise", result.status, &result.verdict(), words, message));
        }
        for scenario in result.results() {
            let kind = match scenario.kind {
                Some(kind) => format!("{}: {kind}", scenario.status),
                None => scenario.status.to_string(),
            };
            let body = super::plain(scenario);
            suite.add_test_case(case(result, &scenario.name, scenario.status, &kind, &scenario.why, &body));
        }
        junit.add_test_suite(suite);
    }
    Ok(junit.to_string().context("the result can't be written as XML")? + "\n")
}

fn case(result: &ExerciseResult, name: &str, status: Status, kind: &str, words: &str, body: &str) -> TestCase {
    let mut outcome = match (status, result.required) {
        (Status::Passed, _) => TestCaseStatus::success(),
        (Status::GraderError, _) | (Status::Error, true) => TestCaseStatus::non_success(NonSuccessKind::Error),
        (_, true) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        (_, false) => TestCaseStatus::skipped(),
    };
    if status != Status::Passed {
        outcome.set_type(kind);
        let required = if result.required { "" } else { "not required · " };
        outcome.set_message(format!("{required}{kind} · {words}"));
        outcome.set_description(body);
    }
    let mut case = TestCase::new(name, outcome);
    case.set_classname(result.name.as_str());
    if let Some(file) = &result.file {
        case.extra.insert("file".into(), file.as_str().into());
    }
    if let Some(line) = result.line {
        case.extra.insert("line".into(), line.to_string().as_str().into());
    }
    case
}
