//! One process that answers, and how it ends.

use super::answer::decode;
use super::group::end;
use super::{Kind, Loss, Start};
use crate::commands::settings::Limits;
use crate::module::sandbox::{CANNOT_START, Policy, READY};
use crate::verdict::cancel::{self, Running};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Worker {
    child: Child,
    running: Option<Running>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    limits: Limits,
    next_id: u64,
    /// Whether the launcher has said that the walls stand, and the module speaks from here on.
    ready: bool,
    answers: Vec<u8>,
    printed: Vec<u8>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running = None;
        end(&mut self.child);
    }
}

/// How often a waiting grader looks at a process beside its pipes.
const LOOK: Duration = Duration::from_millis(50);
/// So long a process may take to die after its pipes are closed.
const DYING: Duration = Duration::from_millis(250);

impl Worker {
    pub fn spawn(start: &Start, policy: Policy, limits: Limits) -> Result<Self, Loss> {
        let spawn = || -> anyhow::Result<Worker> {
            let mut command = limits.sandbox.command(policy, Path::new(&start.command[0]), &start.command[1..])?;
            let mut child = command
                .current_dir(start.folder.as_deref().unwrap_or(Path::new("/")))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let running = Some(cancel::register(&child));
            tracing::debug!(process = child.id(), program = ?start.command[0], "started");
            let missing = || std::io::Error::other("a pipe is missing");
            let stdin = child.stdin.take().ok_or_else(missing)?;
            let stdout = child.stdout.take().ok_or_else(missing)?;
            let stderr = child.stderr.take().ok_or_else(missing)?;
            [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().try_for_each(non_blocking)?;
            let (answers, printed) = (Vec::new(), Vec::new());
            Ok(Worker { child, running, stdin, stdout, stderr, limits, next_id: 0, ready: false, answers, printed })
        };
        spawn().map_err(|e| Loss::Grader(format!("can't start the launcher of modules: {e:#}")))
    }

    /// One question and its answer, under one poll loop: a worker that stops reading is as late as one
    /// that stops answering.
    pub fn ask(&mut self, call: &str, args: &str, time: Duration) -> Result<String, Loss> {
        let id = self.next_id;
        self.next_id += 1;
        if let Some(loss) = self.unasked() {
            return Err(loss);
        }
        let question = format!("{{\"id\":{id},\"call\":{call:?},\"args\":{args}}}\n");
        let mut unsent = question.as_bytes();
        let deadline = Instant::now() + time;
        let mut look = Instant::now() + LOOK;
        loop {
            self.take_ready();
            let line = self.answers.iter().position(|b| *b == b'\n').filter(|_| self.ready);
            if let Some(end) = line {
                let line: Vec<u8> = self.answers.drain(..=end).collect();
                self.drain_stderr()?;
                return decode(&line, id);
            }
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if now >= look {
                self.count_threads()?;
                look = now + LOOK;
            }
            if left.is_zero() {
                let message = format!("no answer within {} s. An endless loop?", time.as_secs_f32());
                return Err(Loss::Error(Kind::Timeout, message));
            }
            let ready = self.wait(left.min(LOOK), !unsent.is_empty())?;
            if ready.stderr {
                self.drain_stderr()?;
            }
            if ready.stdout && !read_some(&mut self.stdout, &mut self.answers) {
                return Err(self.ended(deadline));
            }
            if self.answers.len() > self.limits.output {
                let message = format!("an answer of more than {} bytes", self.limits.output);
                return Err(Loss::Error(Kind::OutputFlood, message));
            }
            if ready.stdin {
                match self.stdin.write(unsent) {
                    Ok(n) => unsent = &unsent[n..],
                    Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    // Nobody reads questions any more; what was answered before that still counts.
                    Err(_) => unsent = &[],
                }
            }
        }
    }

    /// Waits until a pipe has something to say or `time` is over.
    fn wait(&self, time: Duration, sending: bool) -> Result<Ready, Loss> {
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let mut fds = vec![
            PollFd::new(&self.stdout, PollFlags::IN),
            PollFd::new(&self.stderr, PollFlags::IN),
            PollFd::new(&self.stdin, PollFlags::OUT),
        ];
        if !sending {
            fds.pop();
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Loss::Grader(format!("poll: {e}"))),
        }
        let ready = |i: usize| fds.get(i).is_some_and(|fd| !fd.revents().is_empty());
        Ok(Ready { stdout: ready(0), stderr: ready(1), stdin: ready(2) })
    }

    /// No limit of Linux counts the threads of one process, so a module that waits is looked at.
    fn count_threads(&self) -> Result<(), Loss> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).map_or(0, Iterator::count);
        if threads <= self.limits.threads {
            return Ok(());
        }
        let message = format!("it started more than {} threads", self.limits.threads);
        Err(Loss::Error(Kind::OutOfMemory, message))
    }

    /// The launcher's word comes first; all that follows is the module's.
    fn take_ready(&mut self) {
        if !self.ready && self.answers.starts_with(READY) {
            self.answers.drain(..READY.len());
            self.ready = true;
        }
    }

    /// What the worker says when nothing was asked.
    pub fn unasked(&mut self) -> Option<Loss> {
        self.take_ready();
        if self.ready {
            read_some(&mut self.stdout, &mut self.answers);
        }
        let unasked = self.ready && !self.answers.is_empty();
        unasked.then(|| Loss::protocol("it answered a question that was not asked"))
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
        let deadline = deadline.min(Instant::now() + DYING);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => return Loss::protocol("it closed its stdout and lives on"),
            }
        };
        tracing::debug!(process = self.child.id(), %status, "ended");
        read_some(&mut self.stderr, &mut self.printed);
        // The last words of the launcher or the module may still lie in the pipe.
        read_some(&mut self.stdout, &mut self.answers);
        self.take_ready();
        let said = String::from_utf8_lossy(&self.printed);
        if self.ready {
            end_of_module(status, &said, self.limits.memory)
        } else {
            Loss::Grader(format!("the launcher of modules ended with {status}: {}", said.trim_end()))
        }
    }

    pub fn take_printed(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.printed)).into_owned()
    }
}

/// Which pipes can be used without waiting.
struct Ready {
    stdout: bool,
    stderr: bool,
    stdin: bool,
}

fn end_of_module(status: ExitStatus, said: &str, memory: u64) -> Loss {
    let Some(signal) = status.signal() else {
        let code = status.code().unwrap_or_default();
        return match code {
            CANNOT_START => Loss::protocol(format!("it does not start: {}", said.trim_end())),
            _ => Loss::Error(Kind::ExitedEarly, format!("it ended with exit code {code} instead of an answer")),
        };
    };
    if said.contains("memory allocation of") && signal == Signal::ABORT.as_raw() {
        return Loss::Error(Kind::OutOfMemory, format!("it asked for more than {} MiB", memory >> 20));
    }
    if said.contains("overflowed its stack") {
        return Loss::Error(Kind::Crash, "stack overflow. A recursion without end?".into());
    }
    if signal == Signal::XCPU.as_raw() {
        return Loss::Error(Kind::Timeout, "it used all the processor time that it may use".into());
    }
    let known = [Signal::ABORT, Signal::SEGV, Signal::ILL, Signal::BUS, Signal::KILL, Signal::FPE, Signal::XFSZ];
    let names = ["SIGABRT", "SIGSEGV", "SIGILL", "SIGBUS", "SIGKILL", "SIGFPE", "SIGXFSZ"];
    let name = known.into_iter().zip(names).find(|(known, _)| known.as_raw() == signal);
    let name = name.map_or(String::new(), |(_, name)| format!(" ({name})"));
    Loss::Error(Kind::Crash, format!("it was ended by signal {signal}{name}"))
}

fn non_blocking(fd: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
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
