//! What is remembered of verdicts: which of the learner's files have passed as they are.

use crate::module::build::fingerprint;
use crate::verdict::cancel;
use crate::verdict::report::{ExerciseResult, Status};
use crate::workspace::{Workspace, read, write};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

/// Of each exercise that passed, a name for the file that did.
type Passed = BTreeMap<String, String>;

fn file(workspace: &Workspace) -> PathBuf {
    workspace.target().join("grade/passed.json")
}

fn noted(workspace: &Workspace) -> Passed {
    read(&file(workspace)).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Notes what became of the learner's file with this text.
pub fn note(workspace: &Workspace, result: &ExerciseResult, text: &str) -> Result<()> {
    // Then not all of it was played.
    if cancel::is_cancelled() {
        return Ok(());
    }
    // Exercises are graded side by side.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let mut all = noted(workspace);
    let before = all.remove(&result.name);
    let now = (result.status == Status::Passed).then(|| fingerprint(text));
    if now == before {
        return Ok(());
    }
    all.extend(now.map(|now| (result.name.clone(), now)));
    write(&file(workspace), &serde_json::to_string_pretty(&all)?)
}

/// The exercises whose files have passed, and were not changed since.
pub fn passed(workspace: &Workspace) -> Vec<&str> {
    let all = noted(workspace);
    let is_as_it_passed = |exercise: &str| {
        let text = read(&workspace.exercise_file(exercise)).unwrap_or_default();
        all.get(exercise).is_some_and(|passed| *passed == fingerprint(&text))
    };
    workspace.catalog.iter().map(|entry| entry.name.as_str()).filter(|exercise| is_as_it_passed(exercise)).collect()
}
