//! The cluster on the second clock: the same engine, paced in real time, and readable over HTTP on loopback.
//!
//! One thread owns the [`Engine`]; nothing in it is locked. After each event it publishes the API server's
//! [`Snapshot`], which never changes again, and HTTP tasks on another thread answer from the last one. So a read waits
//! for nothing: not for the engine, and not for a module that takes its time.

mod http;

use kit_cluster::engine::{Engine, Lost};
use kit_server::Snapshot;
use kit_time::agenda::Instant;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Real};
use tokio::sync::watch;

/// Something to be done to the cluster, between two events.
pub type Request = Box<dyn FnOnce(&mut Engine) + Send>;

/// The longest sleep: how late a request can be heard of.
const NAP: Duration = Duration::from_millis(20);

/// A cluster that runs in real time.
pub struct Live {
    address: SocketAddr,
    requests: Option<Sender<Request>>,
    snapshots: watch::Receiver<Snapshot>,
    engine: Option<JoinHandle<Result<(), Lost>>>,
    stop_http: Option<tokio::sync::oneshot::Sender<()>>,
    http: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts a cluster, `speed` times as fast as life, with its read endpoint on a free port of 127.0.0.1.
    ///
    /// `start` makes the engine on the thread that will own it.
    ///
    /// # Errors
    ///
    /// If no port of 127.0.0.1 can be had, or no thread.
    pub fn start(start: impl FnOnce() -> Engine + Send + 'static, speed: f64) -> std::io::Result<Live> {
        let (requests, inbox) = channel();
        let (publish, snapshots) = watch::channel(Snapshot::default());
        let engine = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || drive(&mut start(), &inbox, &publish, speed))?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop_http, stopped) = tokio::sync::oneshot::channel();
        let seen = snapshots.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(http::serve(listener, seen, stopped));
        })?;
        let (engine, stop_http, http) = (Some(engine), Some(stop_http), Some(http));
        Ok(Live { address, requests: Some(requests), snapshots, engine, stop_http, http })
    }

    /// Where the read endpoint listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The objects as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }

    /// Hands a request to the engine, which comes to it after the event that it is busy with.
    pub fn request(&self, request: impl FnOnce(&mut Engine) + Send + 'static) {
        if let Some(requests) = &self.requests {
            // An engine that has ended hears nothing any more; `stop` says why it ended.
            _ = requests.send(Box::new(request));
        }
    }

    /// Ends the cluster.
    ///
    /// # Errors
    ///
    /// [`Lost`] if a module didn't answer and the cluster had stopped on its own.
    pub fn stop(mut self) -> Result<(), Lost> {
        self.requests = None;
        self.stop_http.take().map(|stop| stop.send(()));
        self.http.take().map(JoinHandle::join);
        match self.engine.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

/// Keeps the virtual clock at `speed` times the real one, until nobody can send requests any more.
fn drive(
    engine: &mut Engine,
    inbox: &Receiver<Request>,
    publish: &watch::Sender<Snapshot>,
    speed: f64,
) -> Result<(), Lost> {
    let began = Real::now();
    let virtual_now = || Instant { nanos: (began.elapsed().as_secs_f64() * speed * 1e9) as i64 };
    loop {
        // One event at a time: a cluster that is late still hears requests, and that it should end.
        let nap = if engine.step(virtual_now())? {
            publish.send_replace(engine.server().snapshot().clone());
            Duration::ZERO
        } else {
            let ahead = engine.due().map_or(i64::MAX, |due| (due - virtual_now()).nanos.max(0));
            Duration::from_secs_f64((ahead as f64 / 1e9 / speed).min(NAP.as_secs_f64()))
        };
        match inbox.recv_timeout(nap) {
            Ok(request) => {
                request(engine);
                publish.send_replace(engine.server().snapshot().clone());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
