//! The thread that owns the engine: it keeps the cluster's clock beside the real one, and sees to requests and watches.
//!
//! What is written waits for the disk together: the requests that are there, and what the cluster did meanwhile. Nobody
//! outside hears of any of it before it is safe: answers wait, and so do the snapshot and the watches. If it can't be
//! made safe the cluster ends, as etcd does when its log can't be synced; an answer that can't be given any more is an error.

use crate::traces::Dial;
use crate::{Request, Stopped};
use kit_cluster::engine::{Engine, Lost};
use kit_server::{Snapshot, Watch};
use kit_time::agenda::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant as Real};
use tokio::sync::{mpsc, watch};

/// The longest sleep: how late a slow reader of a watch gets what it has room for again.
const NAP: Duration = Duration::from_millis(20);
/// How often watches are looked at though nothing has changed: for bookmarks, and to end them in time.
const ROUND: Duration = Duration::from_millis(500);
/// So many modules can be lost at the same time: more than a cluster has.
const PLACES: usize = 64;
/// How often it is looked what other servers have written to the same store.
const SYNC: Duration = Duration::from_millis(5);
/// How many requests are answered before the next event of the cluster.
const AT_ONCE: usize = 64;
/// How long a cluster that is late goes on by itself before what it wrote is made safe.
const TOGETHER: Duration = Duration::from_millis(5);
/// Requests are answered for so many times as long as the disk last took, before what they wrote is made safe: whoever waits
/// for the first of them gets it soon from a fast disk, and a slow one is not asked too often.
const PER_SAVE: u32 = 4;

/// The engine and its clock.
pub struct Driver {
    /// The cluster.
    pub engine: Engine,
    /// Where the clock stood when it was last set, and when that was.
    set: (Instant, Real),
    speed: f64,
    paused: bool,
    publish: watch::Sender<Snapshot>,
    /// The cluster's calendar time, in seconds, for those beside the engine.
    seconds: Arc<AtomicI64>,
    /// The same, exactly, for those who trace.
    dial: Arc<Dial>,
    watches: Vec<Streaming>,
    /// When it was last looked what other servers have written.
    synced: Real,
    pumps: Vec<Pump>,
    /// The number of changes that watches have been told of, and when.
    told: (usize, Real),
    /// What is said once everything is safe that was written until now.
    answers: Vec<Box<dyn FnOnce() + Send>>,
    /// How long the disk took the last time.
    saved_in: Duration,
    ended: bool,
}

/// A watch whose events somebody reads.
struct Streaming {
    watch: Box<Watch>,
    to: mpsc::Sender<String>,
    /// Events that the reader had no room for yet.
    kept: Vec<String>,
    /// Whether it was told of anything.
    begun: bool,
}

/// Moves something out of the engine whenever it can; `false` once it is done.
type Pump = Box<dyn FnMut(&mut Engine) -> bool>;

/// How the cluster's clock stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// The time since the cluster began.
    pub now: Instant,
    /// How many seconds of the cluster pass in one second.
    pub speed: f64,
    /// Whether it stands still.
    pub paused: bool,
    /// How many watches are open.
    pub watches: usize,
}

impl Driver {
    pub(crate) fn new(
        mut engine: Engine,
        speed: f64,
        publish: watch::Sender<Snapshot>,
        seconds: Arc<AtomicI64>,
        dial: Arc<Dial>,
    ) -> Driver {
        let now = Real::now();
        let set = (engine.now(), now);
        engine.request(kit_server::Server::hold);
        publish.send_replace(engine.server().snapshot().clone());
        seconds.store(engine.server().time().as_second(), Ordering::Relaxed);
        let driver = Driver {
            engine,
            set,
            speed,
            paused: false,
            publish,
            seconds,
            dial,
            watches: Vec::new(),
            pumps: Vec::new(),
            synced: now,
            told: (0, now),
            answers: Vec::new(),
            saved_in: Duration::ZERO,
            ended: false,
        };
        driver.turn_dial();
        driver
    }

    fn turn_dial(&self) {
        let (at, since) = self.set;
        let epoch = self.engine.server().epoch().as_microsecond();
        self.dial.set(epoch + at.nanos / 1000, since, if self.paused { 0.0 } else { self.speed });
    }

    /// How the clock stands.
    pub fn state(&self) -> State {
        State { now: self.engine.now(), speed: self.speed, paused: self.paused, watches: self.watches.len() }
    }

    /// Lets the clock go faster or slower from now on.
    pub fn set_speed(&mut self, speed: f64) {
        self.set = (self.time(), Real::now());
        self.speed = speed;
        self.turn_dial();
    }

    /// Stops the clock, or lets it go on. Requests are answered all the same, at the instant where it stands.
    pub fn pause(&mut self, paused: bool) {
        self.set = (self.time(), Real::now());
        self.paused = paused;
        self.turn_dial();
    }

    /// Lets a clock that stands still go on by so much, at once.
    ///
    /// # Errors
    ///
    /// [`Lost`] if a module didn't answer, and none took its place.
    pub fn step(&mut self, by: Instant) -> Result<(), Lost> {
        let until = self.time() + by;
        while self.engine.run_until(until).is_err() {
            self.recover()?;
        }
        self.set = (until, Real::now());
        self.turn_dial();
        Ok(())
    }

    /// Lets a process of the control plane begin anew: it asks for new modules.
    ///
    /// # Errors
    ///
    /// [`Lost`] if a module didn't answer, and none took its place.
    pub fn restart(&mut self, process: &str) -> Result<(), Lost> {
        self.engine.restart(process).or_else(|Lost| self.recover())
    }

    /// Goes on after a module was lost, with whatever has taken its place by now. That can be lost as well.
    fn recover(&mut self) -> Result<(), Lost> {
        (0..PLACES).find(|_| self.engine.recover().is_ok()).map(|_| ()).ok_or(Lost)
    }

    /// Sends the events of a watch to somebody from now on.
    pub(crate) fn stream(&mut self, watch: Box<Watch>, to: mpsc::Sender<String>) {
        self.watches.push(Streaming { watch, to, kept: Vec::new(), begun: false });
    }

    /// Lets something be moved out of the engine from now on, after each of its events, until it is done (`false`).
    pub fn pump(&mut self, pump: impl FnMut(&mut Engine) -> bool + 'static) {
        self.pumps.push(Box::new(pump));
    }

    /// Says something to somebody outside who may learn from it what was written: not before that is safe.
    pub fn answer(&mut self, say: impl FnOnce() + Send + 'static) {
        self.answers.push(Box::new(say));
    }

    /// Makes everything safe that was written, shows it to readers, and gives the answers that waited for that.
    fn settle(&mut self) -> Result<(), Stopped> {
        if self.engine.server().is_unsaved() {
            let began = Real::now();
            self.engine.request(kit_server::Server::save).map_err(|error| Stopped::Unsaved(error.message))?;
            self.saved_in = began.elapsed();
        }
        let now = self.engine.server().snapshot();
        if !self.publish.borrow().is_as(now) {
            self.publish.send_replace(now.clone());
        }
        // Who has an answer can read what it tells of.
        self.answers.drain(..).for_each(|say| say());
        Ok(())
    }

    /// The engine stops after this.
    pub fn end(&mut self) {
        self.ended = true;
    }

    fn time(&self) -> Instant {
        let (at, since) = self.set;
        match self.paused {
            true => at,
            false => at + Instant { nanos: (since.elapsed().as_secs_f64() * self.speed * 1e9) as i64 },
        }
    }

    pub(crate) fn run(mut self, inbox: &Receiver<Request>) -> Result<(), Stopped> {
        while !self.ended {
            self.sync();
            let began = Real::now();
            // One event at a time: a cluster that is late still hears requests, and that it should end.
            let mut stepped = self.advance()?;
            while stepped && self.engine.server().is_unsaved() && began.elapsed() < TOGETHER {
                stepped = self.advance()?;
            }
            let nap = match stepped {
                true => Duration::ZERO,
                false if self.paused => NAP,
                false => {
                    let ahead = self.engine.due().map_or(i64::MAX, |due| (due - self.time()).nanos.max(0));
                    Duration::from_secs_f64((ahead as f64 / 1e9 / self.speed).min(NAP.as_secs_f64()))
                }
            };
            let now = self.engine.request(|server| server.time().as_second());
            self.seconds.store(now, Ordering::Relaxed);
            let first = match inbox.try_recv() {
                Ok(request) => Some(request),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.tell()?;
                    match inbox.recv_timeout(nap) {
                        Ok(request) => Some(request),
                        Err(RecvTimeoutError::Timeout) => None,
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            let mut since = Real::now();
            for request in first.into_iter().chain(inbox.try_iter()).take(AT_ONCE) {
                request(&mut self);
                // Where nothing has to be made safe nobody waits for others.
                if !self.engine.server().is_unsaved() || since.elapsed() >= self.saved_in * PER_SAVE {
                    self.settle()?;
                    since = Real::now();
                }
            }
            self.tell()?;
        }
        self.engine.leave();
        self.settle()
    }

    /// Lets the cluster do what is due next; `false` if nothing is.
    fn advance(&mut self) -> Result<bool, Lost> {
        self.engine.step(self.time()).or_else(|Lost| self.recover().map(|()| true))
    }

    /// Takes over what other servers have written, if there are any.
    fn sync(&mut self) {
        if self.engine.server().is_shared() && self.synced.elapsed() >= SYNC {
            if let Err(error) = self.engine.request(kit_server::Server::sync) {
                tracing::warn!("{}", error.message);
            }
            self.synced = Real::now();
        }
    }

    /// Shows the cluster as it is now to readers, and to watches what has changed, once that is safe.
    fn tell(&mut self) -> Result<(), Stopped> {
        self.settle()?;
        self.pumps.retain_mut(|pump| pump(&mut self.engine));
        // They may have written something.
        self.settle()?;
        let end = self.engine.server().end();
        let (told, at) = self.told;
        let changed = end != told;
        let round = at.elapsed() >= ROUND;
        if changed || round {
            self.told = (end, Real::now());
        }
        let engine = &self.engine;
        self.watches.retain_mut(|streaming| {
            let due = changed || round || !streaming.kept.is_empty() || !std::mem::replace(&mut streaming.begun, true);
            !due || streaming.tell(engine)
        });
        Ok(())
    }
}

impl Streaming {
    /// Hands on what has happened, as far as there is room; `false` once nothing more will come.
    fn tell(&mut self, engine: &Engine) -> bool {
        if self.kept.is_empty() {
            self.kept = engine.server().lines(&mut self.watch);
            self.kept.reverse();
        }
        while let Some(line) = self.kept.pop() {
            match self.to.try_send(line) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(line)) => {
                    self.kept.push(line);
                    return true;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        !self.watch.ended() && !self.to.is_closed()
    }
}
