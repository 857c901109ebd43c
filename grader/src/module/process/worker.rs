//! One process that answers, and how it ends.

use super::answer::decode;
use super::group::Leader;
use super::{Kind, Loss, Start};
use crate::commands::settings::{Limits, SHOWN};
use crate::module::sandbox::{Policy, READY, not_started};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub struct Worker {
    leader: Leader,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    limits: Limits,
    next_id: u64,
    /// Whether the launcher has said that the walls stand, and the module speaks from here on.
    ready: bool,
    answers: Vec<u8>,
    printed: Vec<u8>,
    /// Where what is read lies for a moment. Each question reads three times, and a new one would be cleared each time.
    buffer: Box<[u8]>,
}

/// So much is read at once, at most: what a pipe holds.
const PIPE: usize = 64 << 10;

/// How often a waiting grader looks at a process beside its pipes.
const LOOK: Duration = Duration::from_millis(50);
/// So long a process may take to die after its pipes are closed.
const DYING: Duration = Duration::from_millis(250);

const UNASKED: &str = "it answered a question that was not asked";

impl Worker {
    pub fn spawn(start: &Start, policy: Policy, limits: Limits) -> Result<Self, Loss> {
        let spawn = || -> anyhow::Result<Worker> {
            let mut command = limits.sandbox.command(policy, Path::new(&start.command[0]), &start.command[1..])?;
            let child = command
                .current_dir(start.folder.as_deref().unwrap_or(Path::new("/")))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            let mut leader = Leader::of(child);
            let child = &mut leader.child;
            tracing::debug!(process = child.id(), program = ?start.command[0], "started");
            let missing = || std::io::Error::other("a pipe is missing");
            let stdin = child.stdin.take().ok_or_else(missing)?;
            let stdout = child.stdout.take().ok_or_else(missing)?;
            let stderr = child.stderr.take().ok_or_else(missing)?;
            [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].into_iter().try_for_each(non_blocking)?;
            let (answers, printed, buffer) = (Vec::new(), Vec::new(), vec![0; PIPE].into());
            Ok(Worker { leader, stdin, stdout, stderr, limits, next_id: 0, ready: false, answers, printed, buffer })
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
            // A loop over bytes is slow here: the grader itself isn't optimized.
            if let Some(end) = memchr::memchr(b'\n', &self.answers).filter(|_| self.ready) {
                let rest = self.answers.split_off(end + 1);
                let line = std::mem::replace(&mut self.answers, rest);
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
            if ready.stdout && !read_some(&mut self.stdout, &mut self.buffer, &mut self.answers) {
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
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.leader.child.id())).map_or(0, Iterator::count);
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
            read_some(&mut self.stdout, &mut self.buffer, &mut self.answers);
        }
        let unasked = self.ready && !self.answers.is_empty();
        unasked.then(|| Loss::protocol(UNASKED))
    }

    fn drain_stderr(&mut self) -> Result<(), Loss> {
        read_some(&mut self.stderr, &mut self.buffer, &mut self.printed);
        if self.printed.len() > self.limits.output {
            let message = format!("it printed more than {} bytes for one question", self.limits.output);
            return Err(Loss::Error(Kind::OutputFlood, message));
        }
        Ok(())
    }

    /// What a closed pipe means: how the process ended.
    fn ended(&mut self, deadline: Instant) -> Loss {
        let deadline = deadline.min(Instant::now() + DYING);
        while !self.leader.has_ended() {
            if Instant::now() >= deadline {
                return Loss::protocol("it closed its stdout and lives on");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let status = match self.leader.end() {
            Ok(status) => status,
            Err(e) => return Loss::Grader(format!("can't wait for the module: {e}")),
        };
        tracing::debug!(process = self.leader.child.id(), %status, "ended");
        read_some(&mut self.stderr, &mut self.buffer, &mut self.printed);
        // The last words of the launcher or the module may still lie in the pipe.
        read_some(&mut self.stdout, &mut self.buffer, &mut self.answers);
        self.take_ready();
        let said = String::from_utf8_lossy(&self.printed);
        if let Some(why) = not_started(&self.answers).filter(|_| self.ready) {
            return Loss::protocol(format!("it does not start: {why}"));
        }
        if self.ready {
            end_of_module(status, &said, self.limits.memory)
        } else {
            Loss::Grader(format!("the launcher of modules ended with {status}: {}", said.trim_end()))
        }
    }

    /// What was printed, or its beginning.
    pub fn take_printed(&mut self) -> String {
        let printed = std::mem::take(&mut self.printed);
        let kept = &printed[..printed.len().min(SHOWN)];
        let more = if kept.len() < printed.len() { "\n… and more, which is not kept" } else { "" };
        String::from_utf8_lossy(kept).into_owned() + more
    }

    /// Lets it come to its end: what it says then was asked by nobody, however late it says it.
    pub fn close(self) -> Option<Loss> {
        let Worker { mut leader, stdin, mut stdout, ready, mut answers, mut buffer, .. } = self;
        drop(stdin);
        let deadline = Instant::now() + DYING;
        while answers.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
            let is_over = !matches!(poll(&mut fds, Some(&timeout)), Ok(1..));
            if is_over || !read_some(&mut stdout, &mut buffer, &mut answers) {
                break;
            }
        }
        let _ = leader.end();
        (ready && !answers.is_empty()).then(|| Loss::protocol(UNASKED))
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
        return Loss::Error(Kind::ExitedEarly, format!("it ended with exit code {code} instead of an answer"));
    };
    // What was printed could be the module's own words: only the last of them can be the runtime's, and it aborts then.
    let aborted = signal == Signal::ABORT.as_raw();
    if aborted && wants_memory(said) {
        return Loss::Error(Kind::OutOfMemory, format!("it asked for more than {} MiB", memory >> 20));
    }
    if aborted && last_line(said).starts_with("fatal runtime error: stack overflow") {
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

/// The last line, but for advice on how to hear more.
fn last_line(said: &str) -> &str {
    said.trim_end().lines().rev().find(|line| !line.starts_with("note: ")).unwrap_or_default()
}

/// Whether the last line is what Rust's runtime says when there is no memory.
fn wants_memory(said: &str) -> bool {
    let bytes =
        last_line(said).strip_prefix("memory allocation of ").and_then(|rest| rest.strip_suffix(" bytes failed"));
    bytes.is_some_and(|bytes| bytes.parse::<u64>().is_ok())
}

fn non_blocking(fd: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// Reads what is there, up to the length of the buffer; false at the end of the stream.
fn read_some(from: &mut impl Read, buffer: &mut [u8], into: &mut Vec<u8>) -> bool {
    match from.read(buffer) {
        Ok(0) => false,
        Ok(n) => {
            into.extend_from_slice(&buffer[..n]);
            true
        }
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
