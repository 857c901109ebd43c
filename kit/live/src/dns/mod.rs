//! Names for `dig` and for programs on this machine: the cluster's DNS server, over UDP and TCP on one port.
//!
//! What is answered is kit-network's, from the API server's last snapshot; here are sockets, and packets in [`packet`]. Nothing that
//! comes in can end the server: what can't be read is answered with FORMERR or not at all, and a module that fails with SERVFAIL.
//! As CoreDNS does, it follows pods only where their names must be verified, and kubeadm's Corefile says `pods insecure`.

mod packet;
#[cfg(test)]
mod tests;

use crate::Door;
use crate::beside::Beside;
use kit_apimachinery::object::{Key, Kind};
use kit_network::dns::size::fit;
use kit_network::dns::{Config, Kubernetes, NoUpstream, PodsMode, Rcode, RecordType, Response};
use kit_server::{Snapshot, Stored};
use packet::{Code, Question};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// How long a connection may be silent (`idle` of CoreDNS' plugin `timeouts`).
const IDLE: Duration = Duration::from_secs(10);
/// So many connections at once; who comes later is hung up on.
const CONNECTIONS: usize = 100;
/// How often a free port is looked for that UDP has, too.
const ATTEMPTS: usize = 16;
/// How long nothing is accepted after this process has run out of files.
const BREATH: Duration = Duration::from_millis(10);
/// The TTL of the Corefile that kubeadm writes.
const TTL: u32 = 30;

/// Makes the module of the exercise `network/dns`.
pub(crate) type Maker = Box<dyn Fn() -> Box<dyn kit_contract::network::Dns>>;

/// A DNS server that runs. It ends when it is dropped.
pub struct Dns {
    address: SocketAddr,
    _server: Beside,
}

impl Dns {
    /// Starts it; port 0 stands for a free one. The module is made on the server's own thread.
    ///
    /// # Errors
    ///
    /// If the port can't be had.
    pub fn serve(
        door: Door,
        listen: SocketAddr,
        module: impl Fn() -> Box<dyn kit_contract::network::Dns> + Send + 'static,
    ) -> std::io::Result<Dns> {
        let (tcp, udp) = bind(listen)?;
        let address = tcp.local_addr()?;
        let work = move || async move {
            let names = Rc::new(RefCell::new(Names::new(door, address, Box::new(module))));
            let (Ok(tcp), Ok(udp)) = (TcpListener::from_std(tcp), UdpSocket::from_std(udp)) else { return };
            tokio::select! {
                () = over_udp(udp, names.clone()) => {}
                () = over_tcp(tcp, names) => {}
            }
        };
        Ok(Dns { address, _server: Beside::start("dns", work)? })
    }

    /// Where it listens, over UDP and over TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// One port for both.
fn bind(listen: SocketAddr) -> std::io::Result<(std::net::TcpListener, std::net::UdpSocket)> {
    let mut taken = None;
    for _ in 0..ATTEMPTS {
        let tcp = std::net::TcpListener::bind(listen)?;
        match std::net::UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((tcp, udp));
            }
            Err(error) if listen.port() == 0 => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(taken.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}

/// Answers what comes to a socket, for good.
pub(crate) async fn over_udp(udp: UdpSocket, names: Rc<RefCell<Names>>) {
    let mut packet = vec![0; packet::MAX];
    loop {
        // An error is that of an earlier answer, whose client is gone.
        let Ok((length, from)) = udp.recv_from(&mut packet).await else { continue };
        let answer = names.borrow_mut().answer(&packet[..length], false);
        if let Some(answer) = answer {
            _ = udp.send_to(&answer, from).await;
        }
    }
}

/// Answers over connections, for good.
pub(crate) async fn over_tcp(tcp: TcpListener, names: Rc<RefCell<Names>>) {
    // They end with this.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = tcp.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        if connections.len() < CONNECTIONS {
            let names = names.clone();
            connections.spawn_local(async move { converse(stream, &names).await });
        }
    }
}

/// Questions and answers over one connection, each after its length (RFC 1035, section 4.2.2).
async fn converse(mut stream: TcpStream, names: &RefCell<Names>) -> std::io::Result<()> {
    loop {
        let question = async {
            let length = stream.read_u16().await?;
            let mut packet = vec![0; usize::from(length)];
            stream.read_exact(&mut packet).await?;
            std::io::Result::Ok(packet)
        };
        let packet = tokio::time::timeout(IDLE, question).await??;
        let answer = names.borrow_mut().answer(&packet, true);
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let written = [&length.to_be_bytes()[..], &answer].concat();
        tokio::time::timeout(IDLE, stream.write_all(&written)).await??;
    }
}

/// The server's view of the cluster.
pub(crate) struct Names {
    door: Door,
    kubernetes: Kubernetes,
    module: Maker,
    /// What the objects below were taken from.
    shown: Option<Snapshot>,
    objects: BTreeMap<Key, Arc<Stored>>,
}

impl Names {
    pub(crate) fn new(door: Door, address: SocketAddr, module: Maker) -> Names {
        let config =
            Config { pods: PodsMode::Insecure, ttl: TTL, local_addresses: vec![address.ip()], ..Config::default() };
        let kubernetes = Kubernetes::new(config, module());
        Names { door, kubernetes, module, shown: None, objects: BTreeMap::new() }
    }

    /// Takes over what has changed since the last question.
    fn refresh(&mut self) {
        let now = self.door.snapshot();
        if self.shown.as_ref().is_some_and(|shown| shown.is_as(&now)) {
            return;
        }
        let mut objects = BTreeMap::new();
        for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice] {
            for stored in now.list(kind) {
                if !self.objects.get(&stored.key).is_some_and(|before| Arc::ptr_eq(before, stored)) {
                    self.touch();
                    self.kubernetes.objects.set(&stored.object);
                }
                objects.insert(stored.key.clone(), stored.clone());
            }
        }
        let before = std::mem::replace(&mut self.objects, objects);
        for key in before.into_keys().filter(|key| !self.objects.contains_key(key)).collect::<Vec<_>>() {
            self.touch();
            self.kubernetes.objects.remove(&key);
        }
        self.shown = Some(now);
    }

    /// The serial is the time of the last change.
    fn touch(&mut self) {
        self.kubernetes.serial = u32::try_from(self.door.seconds()).unwrap_or_default();
    }

    /// The answer to one packet; none to what is no question.
    fn answer(&mut self, packet: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let question = match packet::read(packet) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        let (code, response, truncated) = self.reply(&question, tcp);
        Some(packet::write(&question, code, &response, question.transport(tcp), truncated))
    }

    /// The outcome, the records, and whether some of them are missing.
    fn reply(&mut self, question: &Question<'_>, tcp: bool) -> (Code, Response, bool) {
        let nothing = |code| {
            let response =
                Response { rcode: Rcode::Refused, answer: Vec::new(), authority: Vec::new(), additional: Vec::new() };
            (code, response, false)
        };
        if question.edns.is_some_and(|edns| edns.version > 0) {
            return nothing(Code::BadVersion);
        }
        if !question.is_internet() {
            return nothing(Code::Refused);
        }
        self.refresh();
        let name = question.name();
        let record_type = RecordType(question.record_type);
        let ask = |kubernetes: &Kubernetes| {
            catch_unwind(AssertUnwindSafe(|| kubernetes.answer(&name, record_type, &NoUpstream))).ok()
        };
        let Some(reply) = ask(&self.kubernetes).or_else(|| self.renewed().and_then(ask)) else {
            return nothing(Code::ServerFailure);
        };
        tracing::debug!(%name, %record_type, why = reply.why.join("; "), "question");
        // There is no next plugin: nothing outside the cluster is known here.
        let Some(mut response) = reply.response else { return nothing(Code::Refused) };
        let truncated = fit(&name, &mut response, question.transport(tcp));
        let code = match response.rcode {
            Rcode::NoError => Code::NoError,
            Rcode::NxDomain => Code::NameError,
            Rcode::ServFail => Code::ServerFailure,
            Rcode::Refused => Code::Refused,
        };
        (code, response, truncated)
    }

    /// With a new module, in place of one that failed.
    fn renewed(&mut self) -> Option<&Kubernetes> {
        let module = catch_unwind(AssertUnwindSafe(&self.module)).ok()?;
        let fresh = Kubernetes::new(self.kubernetes.config().clone(), module);
        let before = std::mem::replace(&mut self.kubernetes, fresh);
        (self.kubernetes.objects, self.kubernetes.serial) = (before.objects, before.serial);
        Some(&self.kubernetes)
    }
}
