//! The answering end: a module in a process of its own.
//!
//! The worker holds nothing that could be stolen or forged: no golden answers, no verdict. It reads a
//! question, asks the module, flushes what the module printed, and answers.

use crate::wire::{Answer, Failure, FailureKind, NEW, Question};
use crate::{Args, Contract, Player, Slot};
use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

thread_local! {
    /// Where the last panic of this thread happened.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Serves questions from stdin until it ends.
pub fn run<C: Contract + ?Sized + 'static>(make: fn(&C::Config) -> Box<C>) -> ExitCode {
    kit_api::withheld::run_module_of(C::MODULE);
    serve(Slot::by(make).player())
}

/// The same for any module. It is not generic, so that the code that reads and writes JSON is compiled with the kit and not
/// again with each edit of an exercise.
pub fn serve(mut module: Box<dyn Player>) -> ExitCode {
    let mut answers = match take_stdout() {
        Ok(answers) => answers,
        Err(e) => {
            eprintln!("the worker can't move its stdout aside: {e}");
            return ExitCode::FAILURE;
        }
    };
    remember_where_panics_happen();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = answer(&line, module.as_mut());
        // What the module printed belongs to this question, so it must be out before the answer is.
        let _ = std::io::stdout().flush();
        let _ = std::io::stderr().flush();
        let mut text = serde_json::to_vec(&answer).expect("an answer is plain JSON");
        text.push(b'\n');
        if answers.write_all(&text).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn answer(line: &str, module: &mut dyn Player) -> Answer {
    let failed = |id, kind, message, at| Answer { id, answer: None, error: Some(Failure { kind, message, at }) };
    let question: Question = match serde_json::from_str(line) {
        Ok(question) => question,
        Err(e) => return failed(0, FailureKind::Protocol, format!("not a question: {e}"), None),
    };
    let id = question.id;
    let asked = catch_unwind(AssertUnwindSafe(|| -> Result<String, String> {
        let args: Args = serde_json::from_str(question.args.get()).map_err(|e| format!("args: {e}"))?;
        // A module's Drop is the module's code too, so that it must run inside the catch.
        if question.call == NEW {
            return module.start(&args).map(|()| "null".into());
        }
        module.ask(&question.call, &args)
    }));
    match asked {
        Ok(Ok(json)) => match serde_json::value::RawValue::from_string(json) {
            Ok(raw) => Answer { id, answer: Some(raw), error: None },
            Err(e) => failed(id, FailureKind::Protocol, e.to_string(), None),
        },
        Ok(Err(message)) => failed(id, FailureKind::Protocol, message, None),
        Err(payload) => {
            let message = payload
                .downcast_ref::<&str>()
                .map(|s| (*s).to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".into());
            let at = PANICKED_AT.with_borrow_mut(Option::take);
            // The texts of core's todo! and unimplemented!.
            let kind = if message.starts_with("not yet implemented") || message.starts_with("not implemented") {
                FailureKind::NotStarted
            } else {
                FailureKind::Panic
            };
            // A payload may panic when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            failed(id, kind, message, at)
        }
    }
}

/// Keeps the real stdout for answers and lets `println!` go to stderr, where it is harmless.
#[cfg(unix)]
fn take_stdout() -> std::io::Result<std::fs::File> {
    let answers = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::io::fcntl_setfd(&answers, rustix::io::FdFlags::CLOEXEC)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(std::fs::File::from(answers))
}

/// Without a safe way to move it, what a module prints stands between its answers; the grader runs none there.
#[cfg(not(unix))]
fn take_stdout() -> std::io::Result<std::io::Stdout> {
    Ok(std::io::stdout())
}

/// The place of a panic travels with the answer; a backtrace on the learner's terminal would only hide it.
fn remember_where_panics_happen() {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        PANICKED_AT.with_borrow_mut(|place| *place = at);
    }));
}
