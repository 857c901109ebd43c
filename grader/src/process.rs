//! A module in its own process: asked over pipes, bounded in time and output, named when it is lost.

use crate::cancel::{self, Running};
use kit_contract::remote::Transport;
use kit_contract::wire::{Answer, FailureKind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Why a module has no verdict of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

/// What a worker may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Real time for one answer.
    pub question: Duration,
    /// Bytes that one answer may have, and that may be printed between two answers.
    pub output: usize,
    /// Bytes of address space.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { question: Duration::from_secs(2), output: 1 << 20, memory: 1 << 30 }
    }
}

/// The worker of one scenario at a time, started at its first question.
pub struct Session {
    command: Vec<std::ffi::OsString>,
    limits: Limits,
    worker: Option<Worker>,
    /// How the worker was lost, until the next scenario begins.
    loss: Option<Loss>,
    /// What the module printed, for each question of this scenario.
    pub printed: Vec<String>,
}

impl Session {
    pub fn new(command: Vec<std::ffi::OsString>, limits: Limits) -> Self {
        Session { command, limits, worker: None, loss: None, printed: Vec::new() }
    }

    /// Ends the last scenario's process, so that nothing of it can reach the next one.
    pub fn begin(&mut self) {
        self.worker = None;
        self.printed.clear();
        self.loss = None;
    }

    pub fn loss(&self) -> Option<&Loss> {
        self.loss.as_ref()
    }

    fn lose(&mut self, loss: Loss) {
        self.worker = None;
        self.loss.get_or_insert(loss);
    }
}

impl Transport for Session {
    fn ask(&mut self, call: &str, args: &str) -> Option<String> {
        if self.loss.is_some() {
            return None;
        }
        self.printed.push(String::new());
        if self.worker.is_none() {
            match Worker::spawn(&self.command, self.limits) {
                Ok(worker) => self.worker = Some(worker),
                Err(e) => {
                    let program = self.command[0].to_string_lossy().into_owned();
                    self.lose(Loss::Error(Kind::Protocol, format!("{program} does not start: {e}")));
                    return None;
                }
            }
        }
        let worker = self.worker.as_mut()?;
        let answer = worker.ask(call, args);
        let printed = worker.take_printed();
        *self.printed.last_mut()? = printed;
        match answer {
            Ok(answer) => Some(answer),
            Err(loss) => {
                self.lose(loss);
                None
            }
        }
    }

    fn reject(&mut self, reason: String) {
        self.lose(Loss::Error(Kind::Protocol, reason));
    }
}

struct Worker {
    child: Child,
    running: Option<Running>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    limits: Limits,
    next_id: u64,
    answers: Vec<u8>,
    printed: Vec<u8>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running = None;
        // The group, so that nothing that the module started survives it.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Worker {
    fn spawn(command: &[std::ffi::OsString], limits: Limits) -> std::io::Result<Self> {
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let missing = || std::io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            let flags = rustix::fs::fcntl_getfl(fd)?;
            rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        // No question was asked yet, so no code of the module has run outside these limits.
        let bound = |n| Rlimit { current: Some(n), maximum: Some(n) };
        let pid = Some(Pid::from_child(&child));
        prlimit(pid, Resource::As, bound(limits.memory))?;
        prlimit(pid, Resource::Core, bound(0))?;
        let (answers, printed) = (Vec::new(), Vec::new());
        let running = Some(cancel::register(&child));
        Ok(Worker { child, running, stdin, stdout, stderr, limits, next_id: 0, answers, printed })
    }

    /// One question and its answer, under one poll loop: a worker that stops reading is as late as one
    /// that stops answering.
    fn ask(&mut self, call: &str, args: &str) -> Result<String, Loss> {
        let id = self.next_id;
        self.next_id += 1;
        if !self.answers.is_empty() {
            return Err(protocol("it answered a question that was not asked"));
        }
        let question = format!("{{\"id\":{id},\"call\":{call:?},\"args\":{args}}}\n");
        let mut unsent = question.as_bytes();
        let deadline = Instant::now() + self.limits.question;
        loop {
            if let Some(end) = self.answers.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.answers.drain(..=end).collect();
                self.drain_stderr()?;
                return decode(&line, id);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let limit = self.limits.question.as_secs_f32();
                return Err(Loss::Error(Kind::Timeout, format!("no answer within {limit} s. An endless loop?")));
            }
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut fds = vec![
                PollFd::new(&self.stdout, PollFlags::IN),
                PollFd::new(&self.stderr, PollFlags::IN),
                PollFd::new(&self.stdin, PollFlags::OUT),
            ];
            if unsent.is_empty() {
                fds.pop();
            }
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(protocol(&format!("poll: {e}"))),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[1] {
                self.drain_stderr()?;
            }
            if ready[0] && !read_some(&mut self.stdout, &mut self.answers) {
                return Err(self.ended(deadline));
            }
            if self.answers.len() > self.limits.output {
                let message = format!("an answer of more than {} bytes", self.limits.output);
                return Err(Loss::Error(Kind::OutputFlood, message));
            }
            if ready.get(2) == Some(&true) {
                match self.stdin.write(unsent) {
                    Ok(n) => unsent = &unsent[n..],
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Err(_) => return Err(self.ended(deadline)),
                }
            }
        }
    }

    fn drain_stderr(&mut self) -> Result<(), Loss> {
        read_some(&mut self.stderr, &mut self.printed);
        if self.printed.len() > self.limits.output {
            let message = format!("it printed more than {} bytes for one question", self.limits.output);
            return Err(Loss::Error(Kind::OutputFlood, message));
        }
        Ok(())
    }

    /// What a closed pipe means: how the process ended.
    fn ended(&mut self, deadline: Instant) -> Loss {
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => return protocol("it closed its stdout and lives on"),
            }
        };
        read_some(&mut self.stderr, &mut self.printed);
        let said = String::from_utf8_lossy(&self.printed);
        if said.contains("memory allocation of") && status.signal() == Some(Signal::ABORT.as_raw()) {
            return Loss::Error(Kind::OutOfMemory, format!("it asked for more than {} MiB", self.limits.memory >> 20));
        }
        match status.signal() {
            Some(_) if said.contains("overflowed its stack") => {
                Loss::Error(Kind::Crash, "stack overflow. A recursion without end?".into())
            }
            Some(signal) => {
                let name = [Signal::ABORT, Signal::SEGV, Signal::ILL, Signal::BUS, Signal::KILL, Signal::FPE]
                    .into_iter()
                    .zip(["SIGABRT", "SIGSEGV", "SIGILL", "SIGBUS", "SIGKILL", "SIGFPE"])
                    .find(|(known, _)| known.as_raw() == signal)
                    .map_or(String::new(), |(_, name)| format!(" ({name})"));
                Loss::Error(Kind::Crash, format!("it was ended by signal {signal}{name}"))
            }
            None => {
                let code = status.code().unwrap_or_default();
                Loss::Error(Kind::ExitedEarly, format!("it ended with exit code {code} instead of an answer"))
            }
        }
    }

    fn take_printed(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.printed)).into_owned()
    }
}

fn protocol(message: &str) -> Loss {
    Loss::Error(Kind::Protocol, message.into())
}

/// Reads what is there, up to 64 KiB a call; false at the end of the stream.
fn read_some(from: &mut impl Read, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 1 << 16];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(n) => {
            into.extend_from_slice(&buffer[..n]);
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}

fn decode(line: &[u8], id: u64) -> Result<String, Loss> {
    let answer: Answer = serde_json::from_slice(line).map_err(|e| {
        let start: String = String::from_utf8_lossy(line).chars().take(60).collect();
        protocol(&format!("{:?} is not an answer: {e}", start.trim_end()))
    })?;
    if answer.id != id {
        return Err(protocol(&format!("it answered question {} when {id} was asked", answer.id)));
    }
    match (answer.answer, answer.error) {
        (Some(answer), None) => Ok(answer.get().to_string()),
        (None, Some(failure)) => {
            let at = failure.at.map_or(String::new(), |at| format!(" at {at}"));
            let message = format!("{}{at}", failure.message);
            Err(match failure.kind {
                FailureKind::NotStarted => Loss::NotStarted(message),
                FailureKind::Panic => Loss::Error(Kind::Panic, message),
                FailureKind::Protocol => Loss::Error(Kind::Protocol, message),
            })
        }
        _ => Err(protocol("an answer has either `answer` or `error`")),
    }
}
