//! A module in its own process: asked over pipes, bounded in time, memory and output, named when it is lost.

mod answer;
mod capture;
mod fellow;
mod group;
mod watchdog;
#[cfg(unix)]
mod worker;
#[cfg(not(unix))]
#[path = "elsewhere.rs"]
mod worker;

pub use capture::{End, capture};
pub use group::Group;
pub use watchdog::Watchdog;

use crate::commands::settings::{Limits, PRINTED};
use crate::module::sandbox::Policy;
use fellow::{Fellow, Fellows};
use kit_contract::remote::{Link, Transport};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;
use worker::Worker;

/// Why a module has no verdict of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Compile,
    Panic,
    Crash,
    ExitedEarly,
    Timeout,
    OutOfMemory,
    OutputFlood,
    Protocol,
}

impl std::fmt::Display for Kind {
    /// As in the result document.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Compile => "compile",
            Kind::Panic => "panic",
            Kind::Crash => "crash",
            Kind::ExitedEarly => "exited_early",
            Kind::Timeout => "timeout",
            Kind::OutOfMemory => "out_of_memory",
            Kind::OutputFlood => "output_flood",
            Kind::Protocol => "protocol",
        })
    }
}

/// How a worker was lost.
#[derive(Debug, Clone)]
pub enum Loss {
    /// It ran into `todo!()`: nothing is wrong with it.
    NotStarted(String),
    Error(Kind, String),
    /// The grader could not do its part; no fault of the module.
    Grader(String),
}

impl Loss {
    fn protocol(message: impl Into<String>) -> Self {
        Loss::Error(Kind::Protocol, message.into())
    }
}

/// How a module is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// What it may read beside the system's libraries and itself.
    pub readable: Vec<PathBuf>,
    /// Where it is started; without one, where a relative path leads nowhere.
    pub folder: Option<PathBuf>,
}

/// A worker, which is started at the first question, and how the scenario that it is asked goes.
pub struct Session {
    start: Start,
    limits: Limits,
    worker: Option<Worker>,
    /// How the worker was lost, until the next scenario begins.
    loss: Option<Loss>,
    /// When the scenario must be over; set by its first question.
    deadline: Option<Instant>,
    /// What the module printed, for each question of this scenario.
    pub printed: Vec<String>,
    /// Of so many of the first of them it is forgotten, and of the others there are so many bytes.
    forgotten: usize,
    kept: usize,
    /// Whether each module that is made has a process of its own, as members of a group have.
    pub apart: bool,
    /// What is known of those processes.
    fellows: Rc<RefCell<Fellows>>,
}

impl Session {
    pub fn new(start: Start, limits: Limits) -> Self {
        Session {
            start,
            limits,
            worker: None,
            loss: None,
            deadline: None,
            printed: Vec::new(),
            forgotten: 0,
            kept: 0,
            apart: false,
            fellows: Rc::default(),
        }
    }

    /// Ends the last scenario's process, so that nothing of it can reach the next one.
    pub fn begin(&mut self) {
        self.worker = None;
        self.again();
    }

    /// One more scenario for the process that is there. False if none is, so that the scenario has one of its own.
    pub fn again(&mut self) -> bool {
        self.printed.clear();
        (self.forgotten, self.kept) = (0, 0);
        self.loss = None;
        self.deadline = None;
        *self.fellows.borrow_mut() = Fellows::default();
        self.worker.is_some()
    }

    /// After the last question: an answer that nobody asked for is no better at the end than before.
    pub fn finish(&mut self) {
        let extra = self.worker.as_mut().and_then(Worker::unasked);
        if let Some(loss) = extra {
            self.lose(loss);
        }
    }

    /// After the last scenario: what the worker says while it comes to its end, too.
    pub fn close(&mut self) -> Option<Loss> {
        self.worker.take()?.close()
    }

    /// The cluster around the module was stopped, since the scenario's time was over.
    pub fn overtime(&mut self) {
        self.lose(self.late());
    }

    fn late(&self) -> Loss {
        let limit = self.limits.scenario.as_secs_f32();
        Loss::Error(Kind::Timeout, format!("the scenario was not over after {limit} s"))
    }

    pub fn loss(&self) -> Option<Loss> {
        self.loss.clone().or_else(|| self.fellows.borrow().loss.clone())
    }

    /// What a member of a group printed last.
    pub fn printed_last(&self) -> String {
        self.fellows.borrow().printed.clone()
    }

    fn lose(&mut self, loss: Loss) {
        self.worker = None;
        self.loss.get_or_insert(loss);
    }

    /// The walls of a module: it may read itself, and write nothing.
    fn policy(&self) -> Policy {
        Policy {
            walls: Default::default(),
            word: String::new(),
            read: [&self.start.readable[..], &self.limits.readable].concat(),
            write: Vec::new(),
            children: false,
            memory: self.limits.memory,
            // The clock ends it long before; this is for a module whose grader is gone.
            cpu: 4 * self.limits.scenario.as_secs() + 4,
            file_size: 0,
        }
    }

    /// What was printed for all questions until now.
    pub fn take_printed(&mut self) -> String {
        (self.forgotten, self.kept) = (0, 0);
        self.printed.drain(..).collect()
    }

    /// Remembers what was printed for the last question, and forgets what came long before.
    fn keep(&mut self, printed: String) {
        let Some(last) = self.printed.last_mut() else { return };
        self.kept += printed.len();
        *last = printed;
        while self.kept > PRINTED {
            self.kept -= std::mem::take(&mut self.printed[self.forgotten]).len();
            self.forgotten += 1;
        }
    }

    fn try_ask(&mut self, call: &str, args: &str) -> Result<String, Loss> {
        let Limits { question, scenario, .. } = self.limits;
        let now = Instant::now();
        let end = *self.deadline.get_or_insert(now + scenario);
        if end <= now {
            return Err(self.late());
        }
        if self.worker.is_none() {
            self.worker = Some(Worker::spawn(&self.start, self.policy(), self.limits.clone())?);
        }
        let Some(worker) = self.worker.as_mut() else { unreachable!("spawned above") };
        let answer = worker.ask(call, args, question.min(end - now));
        let printed = worker.take_printed();
        self.keep(printed);
        answer
    }
}

impl Transport for Session {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        if self.loss.is_some() {
            return None;
        }
        self.printed.push(String::new());
        self.try_ask(call, args).map_err(|loss| self.lose(loss)).ok()
    }

    fn reject(&mut self, reason: String) {
        self.lose(Loss::protocol(reason));
    }

    fn another(&mut self) -> Option<Link> {
        self.apart.then(|| Fellow::link(self.start.clone(), self.limits.clone(), self.fellows.clone()))
    }
}
