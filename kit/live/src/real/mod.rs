//! The network of a live cluster in the Linux kernel: a network namespace for each node and each pod, with real interfaces, routes and
//! rules, so that real programs can be run there.
//!
//! A pump on the engine's thread sees that the simulated network has changed, and hands over what a kernel has to hold then
//! ([`Wanted`]). A thread of its own brings the kernel there by running commands ([`host`]), and opens the ports of containers
//! ([`servers`]). It takes the latest state each time, and so never keeps the engine waiting.

mod host;
mod servers;

use crate::Door;
use crate::dns::Names as Dns;
use kit_contract::network::Dns as DnsModule;
use kit_network::datapath::kernel::Names;
use kit_network::fabric::Kind;
use kit_network::fabric::kernel::Wanted;
use kit_node::kubelet::Kubelets;
use kit_node::program::link::Served;
use servers::Servers;
use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long the first state may take: hundreds of namespaces at worst.
const PATIENCE: Duration = Duration::from_secs(120);
/// So many failures are shown.
const SHOWN: usize = 5;

/// What pods serve, by namespace and name.
type Serving = BTreeMap<(String, String), Vec<Served>>;

/// A network that is there. It is taken away when this is dropped.
pub struct Real {
    status: Status,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// How it stands.
#[derive(Debug, Clone, Default)]
struct Report {
    namespaces: usize,
    ports: usize,
    /// What failed in the last change.
    failures: Vec<String>,
}

/// The way to what is known of a network, for as many as like.
#[derive(Clone)]
pub struct Status {
    names: Names,
    report: Arc<Mutex<Report>>,
}

impl Status {
    /// How it stands, in lines.
    pub fn lines(&self) -> Vec<String> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Report { namespaces, ports, failures } = report;
        let prefix = self.names.prefix();
        let first = format!("network  real: {namespaces} namespaces `{prefix}…`, {ports} open ports");
        let failed = failures.iter().take(SHOWN).map(|why| format!("network  failed: {why}"));
        let more = failures.len().checked_sub(SHOWN).filter(|more| *more > 0);
        [first].into_iter().chain(failed).chain(more.map(|more| format!("network  and {more} more failed"))).collect()
    }

    /// The namespace of somebody in the network.
    pub fn namespace(&self, place: &str) -> String {
        self.names.of(place)
    }
}

/// A claim to the namespaces of a cluster of this name. The system takes it back however the process ends.
pub struct Claim {
    names: Names,
    _socket: UnixListener,
}

impl Claim {
    /// Takes it, and takes away what an earlier cluster of this name has left.
    ///
    /// # Errors
    ///
    /// If another process has it.
    pub fn take(cluster: &str) -> Result<Claim, String> {
        let names = Names::new(cluster);
        let address = SocketAddr::from_abstract_name(format!("kit/network/{cluster}"));
        let socket = address.and_then(|address| UnixListener::bind_addr(&address)).map_err(|_| {
            format!(
                "another cluster {cluster} has network namespaces on this machine; end it, or take another `--name`"
            )
        })?;
        host::clear(&names);
        Ok(Claim { names, _socket: socket })
    }
}

/// Whether an earlier cluster of this name has left anything.
pub fn has_left(cluster: &str) -> bool {
    !host::left(&Names::new(cluster)).is_empty()
}

/// Tries out whether this machine can do it.
///
/// # Errors
///
/// What is missing, and what to do about it.
pub fn check(claim: &Claim, kind: Kind) -> Result<(), String> {
    kind.is_for_kernels()?;
    host::check(&claim.names, kind == Kind::Calico)
}

impl Real {
    /// Gives a cluster its network, and keeps it in line from now on; `tell` gets what fails, once. CoreDNS' module is made on
    /// the thread that answers.
    ///
    /// # Errors
    ///
    /// If it can't be made. Nothing is left of it then.
    pub fn start(
        claim: Claim,
        door: &Door,
        module: impl Fn() -> Box<dyn DnsModule> + Send + 'static,
        tell: impl Fn(&str) + Send + 'static,
    ) -> Result<Real, String> {
        let (to, inbox) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let (begun, first) = channel();
        let report = Arc::<Mutex<Report>>::default();
        let status = Status { names: claim.names.clone(), report: report.clone() };
        follow(door, claim.names.clone(), to);
        let thread = std::thread::Builder::new().name("network".into()).spawn({
            let door = door.clone();
            move || {
                // All of it, so that it lasts as long as this thread.
                let Claim { names, _socket } = claim;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let Ok(runtime) = runtime.inspect_err(|error| tell(&error.to_string())) else { return };
                let dns = Dns::new(door, ([127, 0, 0, 1], 53).into(), Box::new(module));
                let keeper =
                    Keeper { servers: Servers::new(dns), now: Wanted::default(), report, begun: Some(begun), tell };
                tokio::task::LocalSet::new().block_on(&runtime, keeper.keep(inbox, stopped));
                // Sockets hold namespaces; all of them are closed by now.
                drop(runtime);
                host::clear(&names);
            }
        });
        let thread = thread.map_err(|error| error.to_string())?;
        let real = Real { status, stop: Some(stop), thread: Some(thread) };
        match first.recv_timeout(PATIENCE) {
            Ok(None) => Ok(real),
            Ok(Some(failure)) => Err(failure),
            Err(_) => Err("the network namespaces could not be made in time".into()),
        }
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.status.clone()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

type News = Result<(Wanted, Serving), String>;

/// Lets the engine hand over what has changed whenever the last of it was taken.
fn follow(door: &Door, names: Names, to: mpsc::Sender<News>) {
    door.request(move |driver| {
        let mut seen = None;
        driver.pump(move |engine| {
            let Some(network) = engine.network().cloned() else { return false };
            let generation = network.borrow().generation();
            let room = if seen == Some(generation) { None } else { to.try_reserve().ok() };
            if let Some(room) = room {
                seen = Some(generation);
                let serving = engine.with::<Kubelets, _>(|kubelets, _| kubelets.serving()).unwrap_or_default();
                room.send(network.borrow().wanted(&names).map(|wanted| (wanted, serving)));
            }
            !to.is_closed()
        });
    });
}

/// What brings the kernel in line.
struct Keeper<T> {
    servers: Servers,
    /// What the kernel holds.
    now: Wanted,
    report: Arc<Mutex<Report>>,
    /// Who waits for the first state, and why that failed.
    begun: Option<Sender<Option<String>>>,
    tell: T,
}

impl<T: Fn(&str)> Keeper<T> {
    async fn keep(mut self, mut inbox: mpsc::Receiver<News>, mut stopped: oneshot::Receiver<()>) {
        loop {
            let news = tokio::select! {
                news = inbox.recv() => news,
                _ = &mut stopped => None,
            };
            let failures = match news {
                Some(Ok((wanted, serving))) => self.reach(wanted, &serving).await,
                Some(Err(why)) => vec![why],
                None => break,
            };
            self.say(failures);
        }
        self.servers.close(&BTreeMap::new()).await;
    }

    /// Brings the kernel there: what failed.
    async fn reach(&mut self, mut wanted: Wanted, serving: &Serving) -> Vec<String> {
        let ports = servers::wanted(&wanted.places, serving);
        self.servers.close(&ports).await;
        let (before, after) = (self.now.clone(), wanted.clone());
        let changed = tokio::task::spawn_blocking(move || host::change(&before, &after)).await;
        let (mut failures, refused) = changed.unwrap_or_else(|error| (vec![error.to_string()], Vec::new()));
        // Rules that the kernel refused are not there, and are tried again with the next change.
        for namespace in refused {
            match self.now.rules.get(&namespace) {
                Some(before) => _ = wanted.rules.insert(namespace, before.clone()),
                None => _ = wanted.rules.remove(&namespace),
            }
        }
        failures.extend(self.servers.open(ports).await);
        self.now = wanted;
        failures
    }

    fn say(&mut self, failures: Vec<String>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.namespaces = self.now.state.namespaces().count();
        report.ports = self.servers.count();
        if let Some(begun) = self.begun.take() {
            _ = begun.send(failures.first().cloned());
        } else {
            let new = failures.iter().filter(|failure| !report.failures.contains(failure));
            new.take(SHOWN).for_each(|failure| (self.tell)(failure));
        }
        report.failures = failures;
    }
}
