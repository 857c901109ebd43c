//! The cluster on the second clock: the same engine, paced in real time, and served over HTTP on loopback.
//!
//! One thread owns the [`Engine`] ([`driver`]); nothing in it is locked. HTTP tasks on another thread ([`http`]) hand it
//! requests as events, and answer plain reads beside it from the API server's last [`Snapshot`], which never changes
//! again: such a read waits for nothing, not for the engine and not for a module that takes its time.

pub mod audit;
mod beside;
pub mod certificates;
mod containers;
pub mod dns;
mod driver;
#[cfg(test)]
mod fuzz;
mod http;
mod keys;
pub mod kubeconfig;
mod limits;
pub mod logs;
mod metrics;
mod openapi;
mod protobuf;
#[cfg(target_os = "linux")]
pub mod real;
mod signer;
pub mod store;
mod stream;
pub mod traces;
pub mod ui;
pub mod webhooks;
mod wire;

pub use driver::{Driver, State};

use audit::Audit;
use certificates::Certificates;
use kit_cluster::engine::{Engine, Lost};
use kit_server::{Signer, Snapshot};
use limits::Limits;
use metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::watch;
use traces::Traces;

/// Something to be done between two events, by whoever owns the engine.
pub type Request = Box<dyn FnOnce(&mut Driver) + Send>;

/// How a cluster is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many seconds of the cluster pass in one second.
    pub speed: f64,
    /// Where it listens; port 0 for a free one.
    pub listen: SocketAddr,
    /// Whether others write to the store, so that what was last seen may be old.
    pub shared: bool,
    /// The certificates. Without any it speaks plain HTTP, and whoever reaches it is the administrator.
    pub certificates: Option<Certificates>,
    /// Where requests are told of; without it nowhere.
    pub audit: Option<Arc<Audit>>,
    /// What collects spans; without it nobody does.
    pub traces: Option<Arc<Traces>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            speed: 1.0,
            listen: ([127, 0, 0, 1], 0).into(),
            shared: false,
            certificates: None,
            audit: None,
            traces: None,
        }
    }
}

/// Why a cluster stopped on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// A module didn't answer.
    Lost,
    /// What was written can't be kept, for this reason; nobody was told that it was.
    Unsaved(String),
}

impl From<Lost> for Stopped {
    fn from(Lost: Lost) -> Stopped {
        Stopped::Lost
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stopped::Lost => write!(f, "a module did not answer, and the cluster stopped"),
            Stopped::Unsaved(why) => write!(f, "the cluster stopped, since it can't keep what is written: {why}"),
        }
    }
}

impl std::error::Error for Stopped {}

/// A cluster that runs in real time.
pub struct Live {
    address: SocketAddr,
    door: Door,
    engine: Option<JoinHandle<Result<(), Stopped>>>,
    stop_http: Option<tokio::sync::oneshot::Sender<()>>,
    http: Option<JoinHandle<()>>,
}

/// The way to the engine, for as many as like.
#[derive(Clone)]
pub struct Door {
    requests: Sender<Request>,
    shared: bool,
    snapshots: watch::Receiver<Snapshot>,
    front: Arc<Front>,
}

/// What stands before the engine.
struct Front {
    signer: Arc<dyn Signer>,
    limits: Arc<Limits>,
    metrics: Metrics,
    audit: Option<Arc<Audit>>,
    traces: Option<Arc<Traces>>,
    /// The cluster's calendar time, in seconds.
    seconds: Arc<AtomicI64>,
}

impl Door {
    /// Hands a request to the engine, which comes to it after the event that it is busy with.
    pub fn request(&self, request: impl FnOnce(&mut Driver) + Send + 'static) {
        // An engine that has ended hears nothing any more; `stop` says why it ended.
        _ = self.requests.send(Box::new(request));
    }

    /// Whether reads must ask the engine, since others write to the store as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// What collects spans, if anything does.
    pub fn traces(&self) -> Option<&Traces> {
        self.front.traces.as_deref()
    }

    /// The objects as they are now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshots.borrow().clone()
    }

    /// The cluster's calendar time, in seconds.
    fn seconds(&self) -> i64 {
        self.front.seconds.load(Ordering::Relaxed)
    }

    /// Asks, and waits for the answer, which comes once all that it can tell of is safe; none if the engine has ended.
    pub async fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&mut Driver) -> T + Send + 'static) -> Option<T> {
        let (tell, answer) = tokio::sync::oneshot::channel();
        self.request(move |driver| {
            let answer = ask(driver);
            driver.answer(move || _ = tell.send(answer));
        });
        answer.await.ok()
    }
}

impl Live {
    /// Starts a cluster. `start` makes the engine on the thread that will own it.
    ///
    /// # Errors
    ///
    /// If the address can't be had, a certificate is broken, or no thread can be started.
    pub fn start(start: impl FnOnce() -> Engine + Send + 'static, options: Options) -> std::io::Result<Live> {
        Live::try_start(move || Ok(start()), options)
    }

    /// The same where making the engine can fail, for a reason that can be told.
    ///
    /// # Errors
    ///
    /// As [`Live::start`], and that reason.
    pub fn try_start(
        start: impl FnOnce() -> Result<Engine, String> + Send + 'static,
        options: Options,
    ) -> std::io::Result<Live> {
        let tls = options.certificates.as_ref().map(Certificates::server_config).transpose()?;
        let authority = options.certificates.as_ref().map(Certificates::signing).transpose()?.flatten();
        let signer = match &options.certificates {
            Some(certificates) => certificates.signer()?,
            None => Certificates::key_of_its_own()?,
        };
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (requests, inbox) = channel();
        let (publish, snapshots) = watch::channel(Snapshot::default());
        let (tell, begun) = channel();
        let seconds = Arc::new(AtomicI64::default());
        let engine = std::thread::Builder::new().name("engine".into()).spawn({
            let (signer, seconds, traces) = (signer.clone(), seconds.clone(), options.traces.clone());
            let dial = traces.as_ref().map(|traces| traces.dial.clone()).unwrap_or_default();
            move || match start() {
                Ok(mut engine) => {
                    engine.request(|server| {
                        server.sign_with(signer);
                        let pods = server.webhook_caller();
                        server.call_webhooks_with(Box::new(webhooks::Waiting { pods }));
                    });
                    let mut driver = Driver::new(engine, options.speed, publish, seconds, dial);
                    traces.into_iter().for_each(|traces| collect(&mut driver, traces));
                    authority.into_iter().for_each(|authority| driver.pump(authority.pump()));
                    // Nobody waits for it any more if the other thread is gone.
                    _ = tell.send(Ok(()));
                    driver.run(&inbox)
                }
                Err(why) => {
                    _ = tell.send(Err(why));
                    Ok(())
                }
            }
        })?;
        match begun.recv() {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(std::io::Error::other(why)),
            // It panicked.
            Err(_) => return Err(std::io::Error::other("the cluster could not be made")),
        }
        let metrics = Metrics::new().map_err(std::io::Error::other)?;
        let front =
            Front { signer, limits: Arc::default(), metrics, audit: options.audit, traces: options.traces, seconds };
        let door = Door { requests, shared: options.shared, snapshots, front: Arc::new(front) };
        let (stop_http, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = std::thread::Builder::new().name("http".into()).spawn({
            let door = door.clone();
            move || {
                runtime.block_on(wire::serve(listener, tls, door, stopped));
            }
        })?;
        let (engine, stop_http, http) = (Some(engine), Some(stop_http), Some(http));
        Ok(Live { address, door, engine, stop_http, http })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way to the engine. An engine that has ended answers nothing.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Whether the engine goes on. It ends on its own only if a module didn't answer.
    pub fn runs(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| !engine.is_finished())
    }

    /// Ends the cluster.
    ///
    /// # Errors
    ///
    /// If the cluster had stopped on its own: why.
    pub fn stop(mut self) -> Result<(), Stopped> {
        self.door.request(Driver::end);
        self.stop_http.take().map(|stop| stop.send(()));
        self.http.take().map(JoinHandle::join);
        let ended = self.engine.take().map(JoinHandle::join);
        self.door.traces().into_iter().for_each(Traces::finish);
        match ended {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

/// Takes along what the engine has done, from now on.
fn collect(driver: &mut Driver, traces: Arc<Traces>) {
    driver.engine.trace_with(traces.tracer());
    driver.pump(move |engine| {
        let (spans, lost) = engine.take_spans();
        if !spans.is_empty() || lost > 0 {
            traces.take(spans, lost);
        }
        true
    });
}
