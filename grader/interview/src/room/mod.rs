//! The room: a page for the candidate and one for the interviewer, over one session, on this machine.
//!
//! A thread of its own serves both and lets time pass. What a page shows comes over `/events`, whole when it changed and else
//! just the clock; what somebody does goes to `/act` as an [`Action`](crate::session::Action), and what takes a while to
//! `/task`. Each page has a secret of its own, and acts as the one that it was made for.

mod guard;
mod news;
mod serve;
#[cfg(test)]
mod tests;

use crate::desk::Desk;
use crate::report::Attempt;
use anyhow::{Context, Result, bail};
use guard::Tokens;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// What a room is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it is served; port 0 takes any that is free. One that is not this machine's own lets others in, who need a
    /// page's secret all the same.
    pub address: SocketAddr,
    /// The session's name in the history.
    pub id: String,
    /// Earlier sessions, for the trend in the report at the end.
    pub attempts: Vec<Attempt>,
}

impl Setup {
    /// A room for people at this machine.
    pub fn here(id: &str) -> Setup {
        Setup { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), id: id.into(), attempts: Vec::new() }
    }
}

/// A room that is open.
pub struct Room {
    /// The candidate's page.
    pub candidate: String,
    /// The interviewer's page.
    pub interviewer: String,
    stop: watch::Sender<bool>,
    thread: JoinHandle<Result<()>>,
}

/// Opens a room around a session. Whoever holds the desk beside it holds it briefly: nobody sees anything meanwhile.
///
/// # Errors
///
/// If the address is taken, or there is no such address here.
pub fn open(desk: Arc<Mutex<Desk>>, setup: Setup) -> Result<Room> {
    let listener = TcpListener::bind(setup.address).with_context(|| {
        format!("the room can't be opened at {}: name another address, or port 0 for any free one", setup.address)
    })?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let tokens = Tokens::new()?;
    let seen = SocketAddr::new(visible(address.ip()), address.port());
    let candidate = format!("http://{seen}/candidate?token={}", tokens.candidate);
    let interviewer = format!("http://{seen}/interviewer?token={}", tokens.interviewer);
    let (stop, stopped) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("room".into()).spawn(move || {
        let served = runtime.block_on(serve::serve(desk, listener, setup, tokens, stopped));
        // A grader that still runs is not waited for: its result would have nowhere to go.
        runtime.shutdown_background();
        served
    })?;
    Ok(Room { candidate, interviewer, stop, thread })
}

/// The address under which others see it, if it listens on all of them. Nothing is sent to find out.
fn visible(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        // An address for documentation, RFC 5737: only the route counts.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

impl Room {
    /// Waits until the session is finished, or until Ctrl-C. Events are kept as they happen, so nothing is lost.
    ///
    /// # Errors
    ///
    /// If it can't be served any longer.
    pub fn wait(self) -> Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let stop = self.stop.clone();
        let watcher = std::thread::spawn(move || {
            for _ in signals.forever() {
                stop.send_replace(true);
            }
        });
        let ended = self.thread.join();
        handle.close();
        _ = watcher.join();
        match ended {
            Ok(ended) => ended,
            Err(_) => bail!("the room fell over"),
        }
    }

    /// Closes it now.
    ///
    /// # Errors
    ///
    /// If it could not be served before.
    pub fn close(self) -> Result<()> {
        self.stop.send_replace(true);
        match self.thread.join() {
            Ok(ended) => ended,
            Err(_) => bail!("the room fell over"),
        }
    }
}
