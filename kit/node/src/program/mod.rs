//! Programs that containers run: a small shell and the commands that people type in examples.
//!
//! No code of an image runs. What `command`, `args` and `kubectl exec` say is read as a shell would, and answered in
//! virtual time: a program is stepped with the time that it is, does all that it can, and says when it wants to be
//! stepped again. Inside it is a future that nobody but [`Program::step`] polls; the same steps give the same output.

mod commands;
mod expand;
pub mod files;
pub mod link;
mod parse;
pub mod processes;
mod reader;
mod shell;
mod simple;
mod syntax;
mod system;
pub mod tree;
mod tty;
mod word;

pub use system::Channel;

use files::Files;
use kit_api::jiff::Timestamp;
use kit_time::agenda::Instant;
use processes::{Processes, TERM};
use shell::Shell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use system::System;

/// How often a program is looked at in one step, while its parts hand things to each other.
const ROUNDS: usize = 10_000;

/// What a program runs on.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// How many CPUs it has.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: i64,
    /// Whether the image has the tools of procps, and not those of BusyBox.
    pub procps: bool,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine { cpus: 1, memory: 8 << 30, procps: false }
    }
}

/// What a program finds around itself.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// Files.
    pub files: Files,
    /// The name of the host.
    pub hostname: String,
    /// Whether input and output are a terminal.
    pub tty: bool,
    /// Whether anybody will send input.
    pub stdin: bool,
    /// The network, if there is one.
    pub network: Option<link::Link>,
    /// Who else is there.
    pub processes: Processes,
    /// Where it runs.
    pub machine: Machine,
}

/// A program that runs, or has run.
pub struct Program {
    system: Rc<System>,
    /// Who else is there, and its own number.
    processes: Processes,
    pid: u32,
    running: Option<Pin<Box<dyn Future<Output = i32>>>>,
    code: i32,
}

/// Whether there is such a program: whether the first word of a command can be run at all. Some need a `network`.
pub fn exists(word: &str, network: bool) -> bool {
    commands::program(word, network).is_some()
}

impl Program {
    /// A program that will start with its first step. `own` if it is the container's own: Ctrl-C doesn't end it, and as process 1
    /// neither does any signal that it doesn't catch.
    pub fn new(command: Vec<String>, around: Surroundings, own: bool) -> Program {
        let first = Rc::new(around.processes.enter(&command, &around, own));
        let pid = first.pid;
        let Surroundings { environment, files, hostname, tty, stdin, network, processes, machine } = around;
        let files = files.with_processes(&processes);
        let mut system = System::new(files, tty, stdin, own);
        (system.hostname, system.network, system.machine) = (hostname, network, machine);
        let system = Rc::new(system);
        let mut shell = Shell::new(system.clone(), &environment, first.clone());
        let running = Box::pin(async move {
            match first.live(commands::run(&mut shell, &command, &commands::plain())).await {
                Ok(_) => shell.status,
                Err(signal) => 128 + i32::from(signal),
            }
        });
        Program { system, processes, pid, running: Some(running), code: 0 }
    }

    /// Does all that can be done now; the exit code once it has ended.
    pub fn step(&mut self, now: Instant, time: Timestamp) -> Option<i32> {
        let Some(running) = &mut self.running else { return Some(self.code) };
        self.processes.calm(self.pid);
        self.system.enter(now, time);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..ROUNDS {
            if let Poll::Ready(code) = running.as_mut().poll(&mut context) {
                self.end(code);
                return Some(code);
            }
            self.system.poll_jobs(&mut context);
            if !self.system.moved() {
                break;
            }
        }
        self.processes.calm(self.pid);
        None
    }

    /// It and all that it has started are gone.
    pub fn end(&mut self, code: i32) {
        (self.running, self.code) = (None, code);
        self.system.end_jobs();
    }

    /// When it wants to be stepped next; none if only input can move it, or it has ended.
    pub fn wake(&self) -> Option<Instant> {
        let called = self.processes.is_stirred(self.pid).then(|| self.system.now());
        self.running.as_ref().and_then(|_| called.or_else(|| self.system.wake()))
    }

    /// What it has written since this was last asked.
    pub fn take(&mut self) -> Vec<(Channel, Vec<u8>)> {
        self.system.take()
    }

    /// Sends it input; it sees it in its next step.
    pub fn input(&mut self, bytes: &[u8]) {
        self.system.input(bytes);
    }

    /// Nothing more will be sent.
    pub fn close_input(&mut self) {
        self.system.close_input();
    }

    /// Sends the signal to stop (SIGTERM).
    pub fn terminate(&mut self) {
        self.processes.signal(self.pid, TERM);
    }

    /// Whether its first process stands still.
    pub fn is_stopped(&self) -> bool {
        self.processes.all().get(&self.pid).is_some_and(|entry| entry.stopped)
    }

    /// The number of its first process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The files that it sees.
    pub fn files(&self) -> &Files {
        &self.system.files
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What runs in the background keeps the system that keeps it.
        self.system.end_jobs();
    }
}

#[cfg(test)]
mod tests;
