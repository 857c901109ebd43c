//! The network, as kubelets and containers meet it.
//!
//! Whoever simulates one stands behind [`Network`]: a kubelet asks it for the addresses of its pods, and programs in containers
//! send through it. Without one pods get addresses that nobody routes.

use kit_time::agenda::Instant;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// The network of a cluster. Kubelets and containers share it with the component that keeps it in line with the API.
pub type Shared = Rc<RefCell<dyn Network>>;

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sandbox {
    /// The node.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
}

/// What the network does for the sandboxes of pods.
pub trait Network {
    /// Gives a sandbox its interface, as CNI's ADD does: the pod's address.
    ///
    /// # Errors
    ///
    /// What kubelet tells of it.
    fn add(&mut self, sandbox: &Sandbox) -> Result<IpAddr, Refused>;

    /// Takes the interface away, as DEL does. It may be called more than once.
    fn del(&mut self, sandbox: &Sandbox);

    /// On which ports the containers of a sandbox listen from now on.
    fn listen(&mut self, sandbox: &Sandbox, ports: Vec<(Protocol, u16)>);

    /// What stands in the `resolv.conf` of a sandbox's containers; none, if the network has nothing to say about that.
    fn resolv_conf(&self, _of: &Sandbox) -> Option<String> {
        None
    }

    /// What the resolver of a container finds for a name.
    fn resolve(&mut self, from: &Sandbox, name: &str) -> Resolved;

    /// Opens a connection from a container.
    fn connect(&mut self, from: &Sandbox, protocol: Protocol, to: SocketAddr) -> Attempt;
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Why a sandbox got no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason of kubelet's event.
    pub reason: &'static str,
    /// Its message.
    pub message: String,
    /// When it is tried again, at the earliest and at the latest, from now on.
    pub again: (Instant, Instant),
}

/// What came of a question for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, or why there are none.
    pub addresses: Result<Vec<IpAddr>, NotResolved>,
    /// The name that had them in the end.
    pub name: String,
    /// How long it took.
    pub took: Instant,
}

/// Why there are no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotResolved {
    /// The name does not exist, or has no address.
    Unknown,
    /// Nobody answered.
    Silence,
}

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who took it, or why nobody did.
    pub end: Result<Reached, Failed>,
    /// How long it took to know.
    pub took: Instant,
    /// The way of the first packet and of the answer, for people.
    pub trace: Vec<String>,
}

/// Who took a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// `namespace/name` of the pod; none for a node or somebody outside.
    pub pod: Option<(String, String)>,
    /// Where it arrived.
    pub at: SocketAddr,
    /// Who it seems to be from there.
    pub from: SocketAddr,
}

/// Why nobody took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nobody listens there, or a rule refuses it at once.
    Refused,
    /// No route, or a router said so.
    Unreachable,
    /// Nothing came back.
    Silence,
}
