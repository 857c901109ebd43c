//! How commands reach the process that runs the cluster: one line of JSON there, one back, over a socket in its folder.

use crate::incident::{self, Case};
use crate::modules::Seats;
use crate::real;
use anyhow::{Context, Result, bail};
use kit_cluster::timeline::{Step, act};
use kit_live::{Door, Driver};
use kit_observability::trace::waterfall::{Trace, page, time};
use kit_time::agenda::Instant;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// How long an answer may take: a step of the clock can be a day of a large cluster.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest order.
const LONGEST: u64 = 1 << 20;

/// What the cluster is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// To end.
    Down,
    /// To say how it stands.
    Status,
    /// To let a step of a scenario happen.
    Fault(Value),
    /// To stop its clock, or to let it go on.
    Pause(bool),
    /// To let the clock go on by so many nanoseconds.
    Step(i64),
    /// To let so many seconds pass in one.
    Speed(f64),
    /// To say whether these conditions hold, and these at the end; without any, those of its incident.
    Check((Vec<String>, Vec<String>)),
    /// To say in which network namespace somebody is.
    Enter(String),
    /// To show its traces, or one of them.
    Traces(Option<String>),
    /// To write a page of its traces.
    TracePage,
    /// To follow a packet.
    Packet {
        /// Who sends it.
        from: String,
        /// Where to.
        to: String,
        /// By UDP.
        udp: bool,
    },
}

type Answer = Result<String, String>;

/// The socket. Its path may be longer than a socket's may be, so it lies beside the system's temporary files and the
/// folder says where.
fn socket(folder: &Path) -> PathBuf {
    folder.join("control")
}

/// Asks the process that runs the cluster in `folder`.
///
/// # Errors
///
/// If there is none, or it refuses.
pub fn send(folder: &Path, order: &Order) -> Result<String> {
    let missing = || "no cluster runs here; `cargo grade cluster up` starts one";
    let path = std::fs::read_link(socket(folder)).ok().with_context(missing)?;
    let mut stream = UnixStream::connect(path).ok().with_context(missing)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    serde_json::to_writer(&stream, order)?;
    stream.write_all(b"\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("the cluster gave no answer")?;
    match serde_json::from_str(&line).context("the cluster ended before it answered")? {
        Answer::Ok(said) => Ok(said),
        Answer::Err(why) => bail!("{why}"),
    }
}

/// Whether a cluster runs in `folder`.
pub fn runs(folder: &Path) -> bool {
    std::fs::read_link(socket(folder)).is_ok_and(|path| UnixStream::connect(path).is_ok())
}

/// What orders are about.
#[derive(Clone)]
pub struct About {
    /// The cluster.
    pub door: Door,
    /// Whose modules are in it.
    pub seats: Seats,
    /// Its incident.
    pub case: Option<Case>,
    /// Its network in this machine's kernel.
    pub real: Option<real::Status>,
}

/// The socket of a cluster that runs; it is gone when this is.
pub struct Control {
    folder: tempfile::TempDir,
    link: PathBuf,
}

impl Control {
    /// Takes orders for a cluster from now on; `down` is sent when it is to end.
    ///
    /// # Errors
    ///
    /// If the socket can't be made.
    pub fn listen(folder: &Path, about: About, down: Sender<()>) -> Result<Control> {
        let private = tempfile::Builder::new().prefix("kit-").tempdir().context("no folder for a socket")?;
        let path = private.path().join("control");
        let listener = UnixListener::bind(&path).with_context(|| format!("can't listen at {}", path.display()))?;
        let link = socket(folder);
        _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).with_context(|| format!("can't write {}", link.display()))?;
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (about, down) = (about.clone(), down.clone());
                std::thread::spawn(move || serve(stream, &about, &down));
            }
        });
        Ok(Control { folder: private, link })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if std::fs::read_link(&self.link).is_ok_and(|path| path.starts_with(self.folder.path())) {
            _ = std::fs::remove_file(&self.link);
        }
    }
}

fn serve(mut stream: UnixStream, about: &About, down: &Sender<()>) {
    let mut line = String::new();
    _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let read = BufReader::new((&stream).take(LONGEST)).read_line(&mut line);
    if read.is_err() || line.is_empty() {
        return;
    }
    let order = serde_json::from_str(&line);
    let ends = matches!(order, Ok(Order::Down));
    let answer = match order {
        Ok(order) => about.answer(order),
        Err(error) => Answer::Err(format!("an order that nobody knows: {error}")),
    };
    _ = serde_json::to_writer(&stream, &answer);
    _ = stream.write_all(b"\n");
    if ends {
        _ = down.send(());
    }
}

impl About {
    fn answer(&self, order: Order) -> Answer {
        let real =
            || self.real.as_ref().ok_or("this cluster's network is simulated; `up --real-network` makes a real one");
        match order {
            Order::Status => {
                let real = self.real.as_ref().map(real::Status::lines).unwrap_or_default();
                self.ask(order).map(|said| [vec![said], real, self.seats.lines()].concat().join("\n"))
            }
            Order::Enter(_) => {
                let real = real()?;
                self.ask(order).map(|place| real.namespace(&place))
            }
            Order::Traces(which) => traces(&self.door, which.as_deref()),
            Order::TracePage => page(&seen(&self.door)?).map_err(|error| error.to_string()),
            order => self.ask(order),
        }
    }

    /// Lets the engine's thread answer.
    fn ask(&self, order: Order) -> Answer {
        let (tell, answer) = channel();
        let case = self.case.clone();
        self.door.request(move |driver| {
            let answer = obey(driver, order, case.as_ref());
            driver.answer(move || _ = tell.send(answer));
        });
        answer.recv_timeout(PATIENCE).unwrap_or_else(|_| Answer::Err("the cluster has ended".into()))
    }
}

/// So many traces are listed: the last ones.
const LISTED: usize = 20;

fn seen(door: &Door) -> Result<Vec<Trace>, String> {
    let traces = door.traces().ok_or("nobody traces here: `cargo grade cluster up --trace-rate 1000000`")?;
    Ok(traces.seen())
}

fn traces(door: &Door, which: Option<&str>) -> Answer {
    let traces = seen(door)?;
    let Some(which) = which else {
        let line = |of: &Trace| {
            let (first, took) = (&of.rows[0].span.name, time(of.end_us - of.start_us));
            format!("{}  {:>3} spans  {took:>8}  {first}", of.id.get(..16).unwrap_or(&of.id), of.rows.len())
        };
        let lines: Vec<String> = traces.iter().take(LISTED).map(line).collect();
        return Ok(if lines.is_empty() { "no trace yet".into() } else { lines.join("\n") });
    };
    let fits = |of: &&Trace| of.id.starts_with(which) || of.rows[0].span.name.contains(which);
    let longest = traces.iter().rev().filter(fits).max_by_key(|of| of.rows.len());
    longest.map(|of| of.lines().join("\n")).ok_or_else(|| format!("no trace that is remembered begins with {which:?}"))
}

/// Carries out an order.
pub fn obey(driver: &mut Driver, order: Order, case: Option<&Case>) -> Answer {
    match order {
        Order::Down => return Ok("the cluster ends".into()),
        Order::Status | Order::Traces(_) | Order::TracePage => {}
        Order::Fault(step) => {
            let step: Step = serde_json::from_value(step).map_err(|error| error.to_string())?;
            if matches!(step, Step::Run(_) | Step::Apply(_) | Step::Delete(_) | Step::Patch(_) | Step::Drain(_)) {
                return Err("that is no fault: time passes by `step`, and kubectl changes objects".into());
            }
            act(&mut driver.engine, &step).map_err(|error| error.message)?;
            return Ok(format!("t={}  {step}", driver.engine.now()));
        }
        Order::Pause(paused) => driver.pause(paused),
        Order::Step(nanos) => {
            if !driver.state().paused {
                return Err("the clock runs: `cargo grade cluster pause` first".into());
            }
            driver.step(Instant { nanos }).map_err(|_| "a module was lost".to_string())?;
        }
        Order::Speed(speed) => driver.set_speed(speed),
        Order::Check(asked) => return incident::verdict(driver, case, &asked),
        Order::Enter(who) => return driver.engine.place(&who),
        Order::Packet { from, to, udp } => {
            return driver.engine.packet(&from, &to, udp).map(|lines| lines.join("\n"));
        }
    }
    Ok(status(driver))
}

fn status(driver: &Driver) -> String {
    let state = driver.state();
    let clock = match (state.paused, state.speed) {
        (true, _) => "stands still".into(),
        (false, 1.0) => "runs".into(),
        (false, speed) => format!("runs {speed} times as fast as life"),
    };
    let snapshot = driver.engine.server().snapshot();
    let count = |kind| snapshot.list(kind).count();
    let mut lines = vec![format!(
        "t={}  the clock {clock} · {} nodes · {} pods · {} open watches",
        state.now,
        count(kit_apimachinery::object::Kind::Node),
        count(kit_apimachinery::object::Kind::Pod),
        state.watches,
    )];
    lines.extend(driver.engine.control_plane().into_iter().map(|(subject, said)| format!("{subject}  {said}")));
    lines.join("\n")
}
