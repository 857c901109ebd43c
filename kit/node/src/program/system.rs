//! What a program asks of the system: the time, its input and output, signals. Nothing here waits: what isn't there yet
//! is pending until the program is stepped again.

use super::Machine;
use super::files::Files;
use super::link::Link;
use super::tty::Tty;
use kit_api::jiff::Timestamp;
use kit_time::agenda::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// How much output may wait for its reader before the program waits too, in bytes.
const ROOM: usize = 64 << 10;
/// How many commands take no time at the start of a program.
const CREDIT: u32 = 500;
/// After these, so many commands take one tick.
const PER_TICK: u32 = 20;
const TICK: Instant = Instant::millis(10);
/// A hundred years, in nanoseconds: as long as anything sleeps.
pub const FOREVER: i64 = 3_153_600_000_000_000_000;

/// Where a program's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes between a writer and a reader.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: VecDeque<u8>,
    /// Nothing more comes.
    closed: bool,
    /// Nobody reads any more.
    broken: bool,
}

/// What a program shares with all that it starts.
pub struct System {
    state: RefCell<State>,
    /// The files.
    pub files: Files,
    /// The name of the host.
    pub hostname: String,
    /// Whether input and output are a terminal.
    pub tty: bool,
    /// The network, if there is one.
    pub network: Option<Link>,
    /// The machine.
    pub machine: Machine,
}

struct State {
    now: Instant,
    time: Timestamp,
    wake: Option<Instant>,
    /// Whether something was moved in this step, so that somebody who waited may go on.
    moved: bool,
    credit: u32,
    stdin: Pipe,
    terminal: Tty,
    out: Vec<(Channel, Vec<u8>)>,
    waiting: usize,
    /// Whether Ctrl-C ends what runs.
    heeds: bool,
    interrupted: bool,
    jobs: Vec<Job>,
}

/// Something that runs in the background.
pub type Job = Pin<Box<dyn Future<Output = ()>>>;

impl System {
    /// Without a name, a network and a machine of its own.
    pub fn new(files: Files, tty: bool, stdin: bool, own: bool) -> System {
        let state = State {
            now: Instant::default(),
            time: Timestamp::default(),
            wake: None,
            moved: false,
            credit: CREDIT,
            stdin: Pipe { closed: !stdin, ..Pipe::default() },
            terminal: Tty::default(),
            out: Vec::new(),
            waiting: 0,
            heeds: !own,
            interrupted: false,
            jobs: Vec::new(),
        };
        let (hostname, network, machine) = (String::new(), None, Machine::default());
        System { state: RefCell::new(state), files, hostname, tty, network, machine }
    }

    /// A step begins.
    pub fn enter(&self, now: Instant, time: Timestamp) {
        let state = &mut *self.state.borrow_mut();
        (state.now, state.time, state.wake) = (now, time, None);
    }

    /// Whether something was moved since this was last asked.
    pub fn moved(&self) -> bool {
        let moved = std::mem::take(&mut self.state.borrow_mut().moved);
        if moved {
            self.state.borrow_mut().wake = None;
        }
        moved
    }

    /// When the program has to be stepped again, if nothing comes before.
    pub fn wake(&self) -> Option<Instant> {
        self.state.borrow().wake
    }

    /// When it was stepped last.
    pub fn now(&self) -> Instant {
        self.state.borrow().now
    }

    /// The calendar time.
    pub fn time(&self) -> Timestamp {
        self.state.borrow().time
    }

    /// Takes what was written.
    pub fn take(&self) -> Vec<(Channel, Vec<u8>)> {
        let state = &mut *self.state.borrow_mut();
        state.waiting = 0;
        std::mem::take(&mut state.out)
    }

    /// What somebody types or sends.
    pub fn input(&self, bytes: &[u8]) {
        let state = &mut *self.state.borrow_mut();
        if state.stdin.bytes.len() + bytes.len() > ROOM {
            return;
        }
        if !self.tty {
            state.stdin.bytes.extend(bytes);
            return;
        }
        let typed = state.terminal.typed(bytes);
        state.stdin.bytes.extend(typed.lines);
        state.stdin.closed |= typed.closed;
        state.interrupted |= typed.interrupted && state.heeds;
        if !typed.echo.is_empty() {
            state.out.push((Channel::Stdout, typed.echo));
        }
    }

    /// Nothing more will be sent.
    pub fn close_input(&self) {
        self.state.borrow_mut().stdin.closed = true;
    }

    /// Ctrl-C ends what runs, for somebody types.
    pub fn heed_interrupts(&self) {
        self.state.borrow_mut().heeds = true;
    }

    /// Whether somebody has pressed Ctrl-C.
    pub fn interrupted(&self) -> bool {
        self.state.borrow().interrupted
    }

    /// Ctrl-C is dealt with.
    pub fn forget_interrupt(&self) {
        self.state.borrow_mut().interrupted = false;
    }

    /// Runs something in the background; `false` if there is too much of it.
    pub fn spawn(&self, job: Job) -> bool {
        let jobs = &mut self.state.borrow_mut().jobs;
        let room = jobs.len() < 32;
        if room {
            jobs.push(job);
        }
        room
    }

    /// Lets the jobs in the background go on.
    pub fn poll_jobs(&self, context: &mut std::task::Context<'_>) {
        let mut jobs = std::mem::take(&mut self.state.borrow_mut().jobs);
        let before = jobs.len();
        jobs.retain_mut(|job| job.as_mut().poll(context).is_pending());
        let state = &mut *self.state.borrow_mut();
        state.moved |= jobs.len() < before;
        jobs.append(&mut state.jobs);
        state.jobs = jobs;
    }

    /// Nothing runs in the background any more.
    pub fn end_jobs(&self) {
        // Who ends may ask the system.
        let jobs = std::mem::take(&mut self.state.borrow_mut().jobs);
        drop(jobs);
    }

    /// Until this is so, or somebody presses Ctrl-C.
    pub async fn until(&self, holds: impl Fn() -> bool) {
        poll_fn(|_| if holds() || self.interrupted() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Lets everything else have a look first.
    pub async fn give_way(&self) {
        self.state.borrow_mut().moved = true;
        let mut given = false;
        poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Until then.
    pub async fn sleep(&self, nanos: i64) {
        let until = self.state.borrow().now + Instant { nanos: nanos.clamp(0, FOREVER) };
        poll_fn(|_| {
            let state = &mut *self.state.borrow_mut();
            if state.now >= until || state.interrupted {
                return Poll::Ready(());
            }
            state.wake = Some(state.wake.map_or(until, |wake| wake.min(until)));
            Poll::Pending
        })
        .await;
    }

    /// A command runs: the first ones take no time, later ones do.
    pub async fn tick(&self) {
        let spent = {
            let state = &mut *self.state.borrow_mut();
            state.credit = state.credit.saturating_sub(1);
            state.credit == 0
        };
        if spent {
            self.sleep(TICK.nanos).await;
            self.state.borrow_mut().credit = PER_TICK;
        }
    }

    /// Writes, once there is room.
    pub async fn put(&self, channel: Channel, bytes: &[u8]) {
        poll_fn(|_| {
            let state = self.state.borrow();
            if state.waiting < ROOM || state.interrupted { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let bytes = if self.tty { Tty::shown(bytes) } else { bytes.to_vec() };
        let state = &mut *self.state.borrow_mut();
        state.waiting += bytes.len();
        match state.out.last_mut() {
            Some((last, there)) if *last == channel => there.extend(bytes),
            _ => state.out.push((channel, bytes)),
        }
    }

    /// A line of the input with its end, or what is left; none at its end.
    pub async fn line(&self) -> Option<Vec<u8>> {
        poll_fn(|_| {
            let state = &mut *self.state.borrow_mut();
            match state.interrupted {
                true => Poll::Ready(Some(Vec::new())),
                false => state.stdin.line(),
            }
        })
        .await
    }

    /// The same of a pipe.
    pub async fn line_of(&self, pipe: &RefCell<Pipe>) -> Option<Vec<u8>> {
        let line = poll_fn(|_| match self.interrupted() {
            true => Poll::Ready(None),
            false => pipe.borrow_mut().line(),
        })
        .await;
        self.state.borrow_mut().moved = true;
        line
    }

    /// What is there of the input, or comes next; nothing at its end.
    pub async fn some(&self) -> Vec<u8> {
        poll_fn(|_| {
            let state = &mut *self.state.borrow_mut();
            if state.interrupted { Poll::Ready(Vec::new()) } else { state.stdin.some() }
        })
        .await
    }

    /// The same of a pipe.
    pub async fn some_of(&self, pipe: &RefCell<Pipe>) -> Vec<u8> {
        let bytes = poll_fn(|_| match self.interrupted() {
            true => Poll::Ready(Vec::new()),
            false => pipe.borrow_mut().some(),
        })
        .await;
        self.state.borrow_mut().moved = true;
        bytes
    }

    /// Writes to a pipe; `false` if nobody reads it any more.
    pub async fn pour(&self, pipe: &RefCell<Pipe>, bytes: &[u8]) -> bool {
        poll_fn(|_| {
            let pipe = pipe.borrow();
            if pipe.broken || pipe.bytes.len() < ROOM || self.interrupted() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let pipe = &mut *pipe.borrow_mut();
        pipe.bytes.extend(bytes);
        self.state.borrow_mut().moved = true;
        !pipe.broken
    }

    /// Nothing more is written to a pipe.
    pub fn close(&self, pipe: &RefCell<Pipe>) {
        pipe.borrow_mut().closed = true;
        self.state.borrow_mut().moved = true;
    }

    /// Nobody reads a pipe any more.
    pub fn abandon(&self, pipe: &RefCell<Pipe>) {
        pipe.borrow_mut().broken = true;
        self.state.borrow_mut().moved = true;
    }
}

impl Pipe {
    fn line(&mut self) -> Poll<Option<Vec<u8>>> {
        match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => Poll::Ready(Some(self.bytes.drain(..=end).collect())),
            None if self.closed && self.bytes.is_empty() => Poll::Ready(None),
            None if self.closed || self.bytes.len() >= ROOM => Poll::Ready(Some(self.bytes.drain(..).collect())),
            None => Poll::Pending,
        }
    }

    fn some(&mut self) -> Poll<Vec<u8>> {
        match self.bytes.is_empty() && !self.closed {
            true => Poll::Pending,
            false => Poll::Ready(self.bytes.drain(..).collect()),
        }
    }

    /// Holds this and nothing more.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.closed = true;
    }
}

/// A pipe that both ends share.
pub type Shared = Rc<RefCell<Pipe>>;
