//! The cluster as a picture in a browser, while it runs.
//!
//! A browser has no certificate of this cluster, so that this is a door of its own: plain HTTP on loopback, behind a path
//! that nobody can guess, for requests that name this very address as their host. A pump on the engine's thread only
//! takes along what has changed ([`Watcher`]); what is shown of it is worked out on another thread ([`Recorder`]).

use crate::beside::{Beside, http};
use crate::http::{JSON, response};
use crate::stream::Answer;
use crate::{Door, Driver, State};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::{Method, Request, Response};
use kit_cluster::recording::{Increment, Recorder, Recording, Sight, Watcher, page};
use kit_observability::trace::waterfall;
use kit_time::agenda::Instant;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Real};
use tokio::sync::watch;

/// How much of the cluster's time is kept, and how many entries at most: some 10 MB of JSON.
const SPAN: Instant = Instant::seconds(3600);
const ENTRIES: usize = 100_000;
/// How often it is looked what has changed, and how often the clock is shown though nothing has.
const LOOK: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(500);
/// So many looks wait for the recorder; then the next one waits until there is room, and is larger.
const AHEAD: usize = 8;
/// How long a request for changes waits for one, and how long it gathers more once there is one.
const PATIENCE: Duration = Duration::from_secs(20);
const GATHER: Duration = Duration::from_millis(100);
/// The longest order.
const LONGEST: usize = 1 << 16;
/// What the page may do: nothing but talk to this address.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What a button of the page wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A step of a scenario: `{"crash": "node-1"}`.
    Fault(Value),
    /// The clock: `{"speed": 10}`, `{"paused": true}` or `{"step": "5m"}`.
    Speed(Value),
}

/// Carries out a wish, on the engine's thread: what it says, or why it doesn't.
pub type Obey = Arc<dyn Fn(&mut Driver, Wish) -> Result<String, String> + Send + Sync>;

/// What happens in a cluster that runs, from the moment on in which this is made.
#[derive(Clone)]
pub struct Film {
    recorder: Arc<Mutex<Recorder>>,
    /// Moves whenever there may be something new.
    moved: watch::Sender<u64>,
}

impl Film {
    /// Begins to look at a cluster.
    ///
    /// # Errors
    ///
    /// If there is no thread to be had.
    pub fn of(door: &Door, title: &str) -> std::io::Result<Film> {
        let film =
            Film { recorder: Arc::new(Mutex::new(Recorder::live(title, SPAN, ENTRIES))), moved: watch::channel(0).0 };
        film.follow(door)?;
        Ok(film)
    }

    /// A page that replays the last hour, whatever comes after it.
    ///
    /// # Errors
    ///
    /// If it can't be written as JSON.
    pub fn page(&self) -> Result<String, serde_json::Error> {
        page(&[Recording { live: false, ..lock(&self.recorder).recording() }], &[], None)
    }

    /// Lets the engine tell the recorder of everything from now on.
    fn follow(&self, door: &Door) -> std::io::Result<()> {
        let (tell, sights) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (film, done) = (self.clone(), waiting.clone());
        std::thread::Builder::new().name("recorder".into()).spawn(move || record(&sights, &film, &done))?;
        door.request(move |driver| {
            let mut watcher = Watcher::default();
            let mut looked: Option<Real> = None;
            let mut told: Option<Real> = None;
            driver.pump(move |engine| {
                let soon = |last: Option<Real>, span| last.is_some_and(|last| last.elapsed() < span);
                if soon(looked, LOOK) || waiting.load(Ordering::Relaxed) >= AHEAD {
                    return true;
                }
                looked = Some(Real::now());
                let sight = watcher.look(engine);
                if sight.is_empty() && soon(told, IDLE) {
                    return true;
                }
                told = looked;
                waiting.fetch_add(1, Ordering::Relaxed);
                tell.send(sight).is_ok()
            });
        });
        Ok(())
    }
}

/// The picture of a cluster that runs. It ends with this.
pub struct Ui {
    address: String,
    _server: Beside,
}

/// What all requests share.
struct Shared {
    door: Door,
    obey: Obey,
    film: Film,
    hosts: [String; 2],
    /// Where everything lies: `/ui/TOKEN/`.
    root: String,
}

/// What is answered to a request for changes.
#[derive(Serialize)]
struct Changes {
    #[serde(flatten)]
    increment: Increment,
    clock: Value,
}

impl Ui {
    /// Serves the picture of a cluster on a free port of loopback.
    ///
    /// # Errors
    ///
    /// If there is no port, no thread or no randomness to be had.
    pub fn serve(door: Door, film: Film, obey: Obey) -> std::io::Result<Ui> {
        let listener = std::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let mut secret = [0; 16];
        SystemRandom::new().fill(&mut secret).map_err(|_| std::io::Error::other("this machine has no randomness"))?;
        let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}"));
        let root = format!("/ui/{token}/");
        let address = format!("http://127.0.0.1:{port}{root}");
        let shared = Arc::new(Shared { door, obey, film, hosts, root });
        let answer = move |request| {
            let shared = shared.clone();
            async move { shared.answer(request).await }
        };
        let server = Beside::start("ui", move || http(listener, PATIENCE, answer))?;
        Ok(Ui { address, _server: server })
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn record(sights: &Receiver<Sight>, film: &Film, waiting: &AtomicUsize) {
    for sight in sights {
        lock(&film.recorder).take(sight);
        waiting.fetch_sub(1, Ordering::Relaxed);
        film.moved.send_modify(|count| *count += 1);
    }
}

fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let mut answer = match self.route(request).await {
            Ok(answer) => answer,
            Err((code, why)) => response(code, JSON, Answer::text(json!({"error": why}).to_string())),
        };
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Answer>, (u16, String)> {
        let (head, body) = request.into_parts();
        let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // A name that somebody else's DNS makes point here is none of these.
        if !header(HOST).is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
            return Err((403, "this server is only asked by its own address".into()));
        }
        let path = head.uri.path();
        let Some(what) = path.strip_prefix(&*self.root) else {
            return Err((404, "there is nothing here: the address that `cluster up` printed is longer".into()));
        };
        match (head.method, what) {
            (Method::GET, "") => {
                let recording = lock(&self.film.recorder).recording();
                let page = page(&[recording], &[], None).map_err(|why| (500, why.to_string()))?;
                Ok(response(200, "text/html; charset=utf-8", Answer::text(page)))
            }
            (Method::GET, "recording") => {
                let recording = lock(&self.film.recorder).recording();
                let json = serde_json::to_string(&recording).map_err(|why| (500, why.to_string()))?;
                Ok(response(200, JSON, Answer::text(json)))
            }
            (Method::GET, "traces" | "spans") => {
                let missing = || (404, "nobody traces here: `cluster up --ui --trace-rate 1000000`".to_string());
                let seen = self.door.traces().ok_or_else(missing)?.seen();
                let (media, text) = match what {
                    "traces" => ("text/html; charset=utf-8", waterfall::page(&seen)),
                    _ => (JSON, serde_json::to_string(&seen)),
                };
                Ok(response(200, media, Answer::text(text.map_err(|why| (500, why.to_string()))?)))
            }
            (Method::GET, "changes") => {
                let query = head.uri.query().unwrap_or_default();
                let since = query.strip_prefix("since=").and_then(|since| since.parse().ok());
                let since = since.ok_or((400, format!("`changes?since=12` asks for changes, and not {query:?}")))?;
                Ok(response(200, JSON, Answer::text(self.changes(since).await?)))
            }
            (Method::POST, "fault" | "speed") => {
                let json = header(CONTENT_TYPE).is_some_and(|media| media.starts_with(JSON));
                let own = |origin: &str| self.hosts.iter().any(|host| origin.strip_prefix("http://") == Some(host));
                if !json || !header(ORIGIN).is_none_or(own) {
                    return Err((403, "orders come from this page, as JSON".into()));
                }
                let body = Limited::new(body, LONGEST).collect();
                let body = tokio::time::timeout(PATIENCE, body).await.map_err(|_| (408, "too slow".to_string()))?;
                let body = body.map_err(|why| (400, why.to_string()))?.to_bytes();
                let wish = serde_json::from_slice(&body).map_err(|why| (400, format!("that is no JSON: {why}")))?;
                let wish = if what == "fault" { Wish::Fault(wish) } else { Wish::Speed(wish) };
                let obey = self.obey.clone();
                let said = self.door.ask(move |driver| obey(driver, wish)).await;
                let said = said.ok_or((503, "the cluster has ended".to_string()))?;
                self.film.moved.send_modify(|count| *count += 1);
                let said = said.map_err(|why| (400, why))?;
                Ok(response(200, JSON, Answer::text(json!({"said": said}).to_string())))
            }
            _ => Err((404, format!("there is no {what}"))),
        }
    }

    /// What has come since, once something has; at the latest after a while, or when the clock is set.
    async fn changes(&self, since: u64) -> Result<String, (u16, String)> {
        let mut moved = self.film.moved.subscribe();
        let clock = self.clock().await?;
        let wait = async {
            while lock(&self.film.recorder).next() == since {
                if moved.changed().await.is_err() || self.clock().await.is_ok_and(|now| !clock.is_like(&now)) {
                    return;
                }
            }
            tokio::time::sleep(GATHER).await;
        };
        // Nothing new is an answer, too.
        _ = tokio::time::timeout(PATIENCE, wait).await;
        let State { now, speed, paused, .. } = self.clock().await?.0;
        let Some(increment) = lock(&self.film.recorder).since(since) else {
            return Ok(json!({"again": true}).to_string());
        };
        let clock = json!({"now": now.nanos / 1_000_000, "speed": speed, "paused": paused});
        serde_json::to_string(&Changes { increment, clock }).map_err(|why| (500, why.to_string()))
    }

    async fn clock(&self) -> Result<Clock, (u16, String)> {
        let state = self.door.ask(|driver| driver.state()).await;
        state.map(Clock).ok_or((503, "the cluster has ended".into()))
    }
}

/// How the clock stands.
struct Clock(State);

impl Clock {
    /// Whether nobody has set it in the meantime.
    fn is_like(&self, other: &Clock) -> bool {
        (self.0.speed, self.0.paused) == (other.0.speed, other.0.paused)
    }
}
