//! Where the lines come from that somebody types: a terminal, or a file of answers with a clock of its own.

use crate::desk::Clock;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::VecDeque;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Somebody typed this.
    Typed(String),
    /// This file is the answer: code or prose.
    File(PathBuf),
    /// Nothing, for a second.
    Tick,
    /// Nobody types any more.
    End,
}

/// Where lines come from.
pub trait Input {
    /// The next line; it waits a second at most.
    fn next(&mut self) -> Line;
    /// Whether somebody sits there, who can be asked to go on.
    fn is_person(&self) -> bool;
}

/// A person at a terminal.
pub struct Keyboard {
    lines: Receiver<String>,
    interrupted: Arc<AtomicBool>,
}

impl Keyboard {
    /// Reads standard input from now on; Ctrl-C ends it.
    ///
    /// # Errors
    ///
    /// If signals can't be caught.
    pub fn new() -> Result<Keyboard> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, interrupted.clone()).context("signals can't be caught")?;
        }
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Keyboard { lines, interrupted })
    }
}

impl Input for Keyboard {
    fn next(&mut self) -> Line {
        for _ in 0..10 {
            if self.interrupted.load(Ordering::Relaxed) {
                return Line::End;
            }
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => return Line::Typed(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Line::End,
            }
        }
        Line::Tick
    }

    fn is_person(&self) -> bool {
        true
    }
}

/// A clock that an answers file sets.
#[derive(Default)]
pub struct VirtualClock(AtomicI64);

impl Clock for VirtualClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A whole session in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// When it begins, in milliseconds since 1970; what it shows stays the same then.
    #[serde(default)]
    pub begin: i64,
    /// What is typed, in order.
    pub answers: Vec<Given>,
}

/// One line, or one file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// How many seconds pass before it.
    #[serde(default)]
    pub after: u32,
    /// What is typed.
    #[serde(default)]
    pub say: Option<String>,
    /// The file that is the answer, beside the answers file.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// An answers file that is being played.
pub struct Script {
    clock: Arc<VirtualClock>,
    folder: PathBuf,
    left: VecDeque<Given>,
}

impl Script {
    /// Reads an answers file.
    ///
    /// # Errors
    ///
    /// If it can't be read, or is none.
    pub fn read(path: &Path) -> Result<Script> {
        let Answers { begin, answers } = crate::content::read(path)?;
        let both = answers.iter().position(|one| one.say.is_some() == one.file.is_some());
        if let Some(at) = both {
            anyhow::bail!("{}: answers[{at}]: an answer has either `say` or `file`", path.display());
        }
        let clock = Arc::new(VirtualClock(AtomicI64::new(begin)));
        Ok(Script { clock, folder: path.parent().unwrap_or(Path::new(".")).into(), left: answers.into() })
    }

    /// The clock that it sets.
    pub fn clock(&self) -> Arc<VirtualClock> {
        self.clock.clone()
    }
}

impl Input for Script {
    fn next(&mut self) -> Line {
        let Some(next) = self.left.front_mut() else { return Line::End };
        if next.after > 0 {
            next.after -= 1;
            self.clock.0.fetch_add(1000, Ordering::Relaxed);
            return Line::Tick;
        }
        match self.left.pop_front() {
            Some(Given { file: Some(file), .. }) => Line::File(self.folder.join(file)),
            Some(Given { say, .. }) => Line::Typed(say.unwrap_or_default()),
            None => Line::End,
        }
    }

    fn is_person(&self) -> bool {
        false
    }
}
