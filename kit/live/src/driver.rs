//! The thread that owns the engine: it keeps the cluster's clock beside the real one, and sees to requests and watches.

use crate::Request;
use kit_cluster::engine::{Engine, Lost};
use kit_server::{Snapshot, Watch};
use kit_time::agenda::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
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
    watches: Vec<Streaming>,
    /// When it was last looked what other servers have written.
    synced: Real,
    pumps: Vec<Pump>,
    /// The number of changes that watches have been told of, and when.
    told: (usize, Real),
    ended: bool,
}

/// A watch whose events somebody reads.
struct Streaming {
    watch: Box<Watch>,
    to: mpsc::Sender<String>,
    /// Events that the reader had no room for yet.
    kept: Vec<String>,
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
    pub(crate) fn new(engine: Engine, speed: f64, publish: watch::Sender<Snapshot>, seconds: Arc<AtomicI64>) -> Driver {
        let now = Real::now();
        let set = (engine.now(), now);
        publish.send_replace(engine.server().snapshot().clone());
        seconds.store(engine.server().time().as_second(), Ordering::Relaxed);
        Driver {
            engine,
            set,
            speed,
            paused: false,
            publish,
            seconds,
            watches: Vec::new(),
            pumps: Vec::new(),
            synced: now,
            told: (0, now),
            ended: false,
        }
    }

    /// How the clock stands.
    pub fn state(&self) -> State {
        State { now: self.engine.now(), speed: self.speed, paused: self.paused, watches: self.watches.len() }
    }

    /// Lets the clock go faster or slower from now on.
    pub fn set_speed(&mut self, speed: f64) {
        self.set = (self.time(), Real::now());
        self.speed = speed;
    }

    /// Stops the clock, or lets it go on. Requests are answered all the same, at the instant where it stands.
    pub fn pause(&mut self, paused: bool) {
        self.set = (self.time(), Real::now());
        self.paused = paused;
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
        let mut streaming = Streaming { watch, to, kept: Vec::new() };
        if streaming.tell(&self.engine) {
            self.watches.push(streaming);
        }
    }

    /// Lets something be moved out of the engine from now on, after each of its events, until it is done (`false`).
    pub fn pump(&mut self, mut pump: impl FnMut(&mut Engine) -> bool + 'static) {
        if pump(&mut self.engine) {
            self.pumps.push(Box::new(pump));
        }
    }

    /// Shows the cluster as it is now to readers.
    pub(crate) fn show(&self) {
        let now = self.engine.server().snapshot();
        if self.publish.borrow().revision != now.revision {
            self.publish.send_replace(now.clone());
        }
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

    pub(crate) fn run(mut self, inbox: &Receiver<Request>) -> Result<(), Lost> {
        while !self.ended {
            self.sync();
            // One event at a time: a cluster that is late still hears requests, and that it should end.
            let stepped = self.engine.step(self.time()).or_else(|Lost| self.recover().map(|()| true))?;
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
            self.tell();
            let first = match inbox.recv_timeout(nap) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for request in first.into_iter().chain(inbox.try_iter()).take(AT_ONCE) {
                request(&mut self);
            }
            self.tell();
        }
        self.engine.leave();
        Ok(())
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

    /// Shows the cluster as it is now to readers, and to watches what has changed.
    fn tell(&mut self) {
        self.pumps.retain_mut(|pump| pump(&mut self.engine));
        let end = self.engine.server().end();
        let (told, at) = self.told;
        let changed = end != told;
        if changed {
            self.publish.send_replace(self.engine.server().snapshot().clone());
        }
        let round = at.elapsed() >= ROUND;
        if changed || round {
            self.told = (end, Real::now());
        }
        let engine = &self.engine;
        self.watches.retain_mut(|streaming| match changed || round || !streaming.kept.is_empty() {
            true => streaming.tell(engine),
            false => true,
        });
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
