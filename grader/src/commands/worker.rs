//! `worker`: one module behind the walls, for a program that asks it questions and isn't the grader.
//!
//! The live cluster asks so: it needs a module's answers, and none of what builds a module and keeps it in.

use crate::module::build::{self, Module, Program, Source, find_module};
use crate::module::process::{Loss, Session};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use kit_contract::remote::Transport;
use kit_contract::wire::{Answer, Failure, FailureKind, Question};
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

/// A cluster runs as long as somebody likes; only a question has its time.
const NO_END: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// Builds a module and answers questions with it until stdin ends. Each answer comes in time: if the module has none, the
/// answer says why, and so do all after it.
///
/// # Errors
///
/// If there is no such module. Of one that doesn't compile the compiler's errors go to stderr, and the exit code is 1.
pub fn serve(workspace: &Workspace, exercise: &str, source: &Source, only_build: bool) -> Result<ExitCode> {
    let file = match source {
        Source::Exercises => workspace.exercise_file(exercise),
        Source::Path(path) => {
            find_module(path, exercise).with_context(|| format!("{} holds no module of {exercise}", path.display()))?
        }
        Source::Solutions | Source::Worker(_) => bail!("`--modules` names a file, or a folder as `exercises` is one"),
    };
    let module = Module::of(exercise, file.clone());
    let start = match build::build(workspace, &[module])?.remove(exercise) {
        Some(Program::Ready { start, .. }) => start,
        Some(Program::Broken { errors }) => {
            anstream::eprintln!("{}", errors.trim_end());
            return Ok(ExitCode::FAILURE);
        }
        None => bail!("{exercise} was not built"),
    };
    if only_build {
        println!("{}", std::path::absolute(&file).unwrap_or(file).display());
        return Ok(ExitCode::SUCCESS);
    }
    let limits = crate::commands::settings::Limits { scenario: NO_END, ..workspace.limits.clone() };
    let mut session = Session::new(start, limits);
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let question: Question<'_> = serde_json::from_str(&line).context("not a question")?;
        let answer = session.ask(&question.call, question.args.get());
        eprint!("{}", session.take_printed());
        let answer = match answer {
            Some(answer) => {
                let answer = Some(serde_json::value::RawValue::from_string(answer)?);
                Answer { id: question.id, answer, error: None }
            }
            None => Answer { id: question.id, answer: None, error: session.loss().map(failure) },
        };
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn failure(loss: Loss) -> Failure {
    let (kind, message) = match loss {
        Loss::NotStarted(message) => (FailureKind::NotStarted, message),
        Loss::Error(kind, message) => (FailureKind::Protocol, format!("{kind}: {message}")),
        Loss::Grader(message) => (FailureKind::Protocol, message),
    };
    Failure { kind, message, at: None }
}
