//! Who answers in pods: a small HTTP server on each TCP port that a container of the pod listens on, and CoreDNS on its own.
//!
//! What it says is what the pod's stand-in says to a simulated `curl`. Two headers tell more, `X-Pod` who answers and `X-Client` whom
//! it sees: after a masquerade that is a node. A port of UDP answers each packet with the name of the host.

use super::Serving;
use crate::dns::{self, Names as Dns};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use kit_network::datapath::packet::Protocol;
use kit_network::fabric::kernel::Place;
use kit_node::program::link::Served;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};

/// How long a client may take to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing is accepted after this process has run out of files.
const BREATH: Duration = Duration::from_millis(10);
const DNS: u16 = 53;

/// A port: its namespace, and what is spoken there.
type Port = (String, Protocol, u16);

/// Who answers at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `namespace/name` of the pod.
    pod: String,
    /// What it says; without it only that it is there.
    served: Option<Served>,
    is_dns: bool,
}

/// Which ports are to be open.
pub fn wanted(places: &BTreeMap<String, Place>, serving: &Serving) -> BTreeMap<Port, Server> {
    let mut wanted = BTreeMap::new();
    for (namespace, place) in places {
        for (pod, ports) in &place.pods {
            for (protocol, port) in ports {
                let is_here = |served: &&Served| served.port == *port && Protocol::from(served.protocol) == *protocol;
                let served = serving.get(pod).and_then(|all| all.iter().find(is_here)).cloned();
                let server =
                    Server { pod: format!("{}/{}", pod.0, pod.1), served, is_dns: place.answers_dns && *port == DNS };
                wanted.insert((namespace.clone(), *protocol, *port), server);
            }
        }
    }
    wanted
}

/// All servers.
pub struct Servers {
    open: BTreeMap<Port, (Server, JoinHandle<()>)>,
    dns: Rc<RefCell<Dns>>,
}

impl Servers {
    /// None yet.
    pub fn new(dns: Dns) -> Servers {
        Servers { open: BTreeMap::new(), dns: Rc::new(RefCell::new(dns)) }
    }

    /// How many ports are open.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Ends the servers that are not wanted any more, with their connections. Their sockets are closed after this.
    pub async fn close(&mut self, wanted: &BTreeMap<Port, Server>) {
        let ends = self.open.iter().filter(|(port, (server, _))| wanted.get(*port) != Some(server));
        for port in ends.map(|(port, _)| port.clone()).collect::<Vec<_>>() {
            let Some((_, task)) = self.open.remove(&port) else { continue };
            task.abort();
            // Its error is that it was aborted.
            _ = task.await;
        }
    }

    /// Opens the ports that aren't open yet: which can't be, and why.
    pub async fn open(&mut self, wanted: BTreeMap<Port, Server>) -> Vec<String> {
        let mut failures = Vec::new();
        let mut namespaces: BTreeMap<String, Vec<(Port, Server)>> = BTreeMap::new();
        for (port, server) in wanted.into_iter().filter(|(port, _)| !self.open.contains_key(port)) {
            namespaces.entry(port.0.clone()).or_default().push((port, server));
        }
        for (namespace, servers) in namespaces {
            let ports: Vec<(Protocol, u16)> =
                servers.iter().map(|((_, protocol, port), _)| (*protocol, *port)).collect();
            let sockets = match in_namespace(&namespace, move || ports.into_iter().map(bind).collect::<Vec<_>>()) {
                Ok(sockets) => sockets,
                Err(error) => {
                    failures.push(format!("entering {namespace}: {error}"));
                    continue;
                }
            };
            for ((port, server), socket) in servers.into_iter().zip(sockets) {
                match socket.and_then(|socket| self.serve(socket, server.clone())) {
                    Ok(task) => _ = self.open.insert(port, (server, task)),
                    Err(error) => {
                        failures.push(format!("port {} of {}, in {namespace}: {error}", port.2, server.pod));
                    }
                }
            }
        }
        failures
    }

    fn serve(&self, socket: Socket, server: Server) -> io::Result<JoinHandle<()>> {
        let dns = server.is_dns.then(|| self.dns.clone());
        Ok(match (socket, dns) {
            (Socket::Tcp(tcp), Some(dns)) => {
                tokio::task::spawn_local(dns::over_tcp(tokio::net::TcpListener::from_std(tcp)?, dns))
            }
            (Socket::Udp(udp), Some(dns)) => {
                tokio::task::spawn_local(dns::over_udp(tokio::net::UdpSocket::from_std(udp)?, dns))
            }
            (Socket::Tcp(tcp), None) => tokio::task::spawn_local(http(tokio::net::TcpListener::from_std(tcp)?, server)),
            (Socket::Udp(udp), None) => tokio::task::spawn_local(echo(tokio::net::UdpSocket::from_std(udp)?, server)),
        })
    }
}

enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

fn bind((protocol, port): (Protocol, u16)) -> io::Result<Socket> {
    let here = (Ipv4Addr::UNSPECIFIED, port);
    if protocol == Protocol::Udp {
        let socket = UdpSocket::bind(here)?;
        socket.set_nonblocking(true)?;
        return Ok(Socket::Udp(socket));
    }
    let socket = TcpListener::bind(here)?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Tcp(socket))
}

/// Does something on a thread of its own that has entered a namespace: a socket stays where it was made.
fn in_namespace<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    let namespace = File::open(format!("/run/netns/{name}"))?;
    let entered = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(work())
    };
    let done = std::thread::scope(|scope| scope.spawn(entered).join());
    done.unwrap_or_else(|_| Err(io::Error::other("the thread there has panicked")))
}

async fn http(listener: tokio::net::TcpListener, server: Server) {
    // They end with this.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        let server = server.clone();
        connections.spawn_local(async move {
            let service = service_fn(move |request| std::future::ready(answer(&request, from, &server)));
            let connection = http1::Builder::new()
                .title_case_headers(true)
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A client that breaks off has nobody left to be told.
            _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

fn answer(
    request: &Request<Incoming>,
    from: SocketAddr,
    server: &Server,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let response = Response::builder().header("X-Pod", &server.pod).header("X-Client", from.to_string());
    let Some(served) = &server.served else { return response.body(Full::default()) };
    let said = served.answer(request.uri().path(), from);
    let response = response.status(said.code).header("Content-Type", said.content_type);
    let response = said.server.into_iter().fold(response, |response, name| response.header("Server", name));
    response.body(Full::from(said.body))
}

async fn echo(socket: tokio::net::UdpSocket, server: Server) {
    let text = server.served.map_or(server.pod, |served| served.hostname);
    let mut packet = [0; 64];
    loop {
        // An error is that of an earlier answer, whose client is gone.
        if let Ok((_, from)) = socket.recv_from(&mut packet).await {
            _ = socket.send_to(format!("{text}\n").as_bytes(), from).await;
        }
    }
}
