//! What a walk tells: each step, and how it ended.

use super::packet::{End, Flow, Icmp, Mac};
use super::rules::Hook;
use super::world::Route;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// A packet's way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Walk {
    /// Where it began.
    pub from: String,
    /// As it was sent.
    pub flow: Flow,
    /// How long it was.
    pub length: u32,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer that went back because it could not go on, on a walk of its own.
    pub answer: Option<Box<Walk>>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// In which host or pod.
    pub namespace: String,
    /// What.
    pub event: Event,
}

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Rules said something.
    Rules {
        /// Where they were asked.
        hook: Hook,
        /// Which ones, in words.
        trace: Vec<String>,
        /// Its mark afterwards, if that changed.
        mark: Option<u32>,
    },
    /// A translation of its destination, or of its source.
    Translated {
        /// Where.
        hook: Hook,
        /// The new end is the destination.
        destination: bool,
        /// The connection was translated before, and this packet only follows it.
        follows: bool,
        /// The old end.
        from: End,
        /// The new one.
        to: End,
    },
    /// A route was chosen.
    Routed {
        /// The route.
        route: Route,
    },
    /// An Ethernet address was found.
    Resolved {
        /// Whose.
        address: IpAddr,
        /// Behind which interface.
        device: String,
        /// It.
        mac: Mac,
        /// How it was known.
        by: Resolution,
        /// Others that answered, too: they have the same address.
        also: Vec<String>,
    },
    /// A bridge passed the frame on.
    Bridged {
        /// The bridge.
        bridge: String,
        /// The port that it leaves through.
        port: String,
    },
    /// It left through an interface, and went to another namespace.
    Left {
        /// The interface.
        device: String,
        /// Where it is now.
        to: String,
    },
    /// It was packed into another packet.
    Wrapped {
        /// The interface that did.
        device: String,
        /// The identifier of the network, if it is VXLAN.
        vni: Option<u32>,
        /// The outer addresses.
        flow: Flow,
        /// How long it is now.
        length: u32,
    },
    /// It came out of another packet.
    Unwrapped {
        /// Through which interface.
        device: String,
        /// The identifier of the network, if it was VXLAN.
        vni: Option<u32>,
    },
    /// A program found it in a map.
    LookedUp {
        /// At which interface.
        device: String,
        /// What it found, in words.
        found: String,
    },
    /// It was cut into pieces.
    Cut {
        /// What fits.
        mtu: u32,
        /// How many.
        pieces: u32,
    },
    /// It is where it was meant to go.
    Delivered {
        /// As the receiver sees it.
        flow: Flow,
    },
    /// It was not passed on.
    Dropped {
        /// Why.
        reason: Reason,
    },
}

/// How an Ethernet address was known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Somebody has written it down for good.
    Permanent,
    /// It was asked before.
    Cached,
    /// It was asked now, and this interface answered.
    Asked {
        /// Which one.
        by: String,
    },
}

/// How a walk ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody has it.
    Delivered {
        /// In which host or pod.
        to: String,
        /// As the receiver sees it.
        flow: Flow,
        /// In how many pieces it came.
        pieces: u32,
    },
    /// Nobody has it.
    Dropped {
        /// In which host or pod it ended.
        at: String,
        /// Why.
        reason: Reason,
    },
}

/// Why a packet goes no further.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The namespace where it should begin isn't there.
    NoSuchNamespace,
    /// Nothing is known about the destination.
    NoRoute(IpAddr),
    /// A route says so.
    Blackhole(Route),
    /// A route says so, and the sender is told.
    Unreachable(Route),
    /// The sender has no address that it could come from.
    NoSource,
    /// It is not for this host, and this host is no router.
    NotForwarding,
    /// It went in circles.
    TimeExceeded,
    /// Nobody answers for the next address.
    NoNeighbour {
        /// The address.
        address: IpAddr,
        /// Behind which interface.
        device: String,
    },
    /// A VXLAN interface doesn't know to which host.
    NoForwarding {
        /// For which Ethernet address.
        mac: Mac,
        /// The interface.
        device: String,
    },
    /// Nobody on the wire or the bridge has this Ethernet address.
    NobodyHas {
        /// The Ethernet address.
        mac: Mac,
        /// The wire or the bridge.
        on: String,
    },
    /// The frame is for another Ethernet address than the interface has.
    OtherHost {
        /// The one that it is for.
        mac: Mac,
        /// The interface.
        device: String,
    },
    /// The interface is down, or its other end is gone.
    Down(String),
    /// Too long, and it must not be cut.
    TooLong {
        /// How long it is.
        length: u32,
        /// What fits.
        mtu: u32,
        /// Through which interface.
        device: String,
        /// The sender is told.
        told: bool,
    },
    /// The sender itself knows that it is too long, and sends nothing.
    MessageTooLong {
        /// How long it is.
        length: u32,
        /// What fits.
        mtu: u32,
    },
    /// A switch threw it away as too long, and says nothing.
    TooLongForWire {
        /// How long it is.
        length: u32,
        /// What fits.
        mtu: u32,
        /// The wire.
        wire: String,
    },
    /// The network lets no pieces of packets through.
    PiecesDropped {
        /// The wire.
        wire: String,
    },
    /// The network between two hosts is cut.
    Partition {
        /// The other host.
        to: String,
    },
    /// It comes from an address for which the answer would leave through another interface.
    ReversePath {
        /// The address.
        source: IpAddr,
        /// The interface that it came through.
        device: String,
    },
    /// It comes from outside and says that it comes from this very host.
    Martian {
        /// The address.
        source: IpAddr,
    },
    /// There is no room for another connection.
    ConntrackFull {
        /// How many there may be.
        max: usize,
    },
    /// Rules dropped it.
    Rules(Hook),
    /// Rules refused it, and the sender is told.
    Refused(Hook, Icmp),
    /// Rules refused it with a TCP reset.
    Reset(Hook),
    /// Nobody listens there.
    NobodyListens(End),
    /// It is wrapped in a way that nothing here unwraps.
    NoTunnel(String),
    /// Packets within packets within packets: a tunnel that leads into itself.
    TooDeep,
    /// The bridge would have to send it back where it came from.
    NoHairpin {
        /// The port.
        port: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSuchNamespace => f.write_str("there is no such host or pod"),
            Reason::NoRoute(address) => write!(f, "no route to {address}"),
            Reason::Blackhole(route) | Reason::Unreachable(route) => write!(f, "by the route {route}"),
            Reason::NoSource => f.write_str("the sender has no address"),
            Reason::NotForwarding => f.write_str("it is for somebody else, and ip_forward is off"),
            Reason::TimeExceeded => f.write_str("its time to live is over: it went in circles"),
            Reason::NoNeighbour { address, device } => write!(f, "nobody behind {device} answers for {address}"),
            Reason::NoForwarding { mac, device } => {
                write!(f, "{device} has no forwarding entry for {mac}, so it doesn't know which host to send to")
            }
            Reason::NobodyHas { mac, on } => write!(f, "nobody on {on} has {mac}"),
            Reason::OtherHost { mac, device } => write!(f, "the frame is for {mac}, which is not {device}'s"),
            Reason::Down(device) => write!(f, "{device} is down"),
            Reason::TooLong { length, mtu, device, told } => {
                let told = if *told { "the sender is told" } else { "and no ICMP tells the sender" };
                write!(f, "{length} bytes are too long for {device} (MTU {mtu}) and must not be cut; {told}")
            }
            Reason::MessageTooLong { length, mtu } => {
                write!(f, "{length} bytes are too long: message too long, {mtu} fit")
            }
            Reason::TooLongForWire { length, mtu, wire } => {
                write!(f, "{length} bytes are too long for {wire} (MTU {mtu}), which tells nobody")
            }
            Reason::PiecesDropped { wire } => write!(f, "{wire} lets no pieces of packets through"),
            Reason::Partition { to } => write!(f, "the network to {to} is cut"),
            Reason::ReversePath { source, device } => {
                write!(f, "an answer to {source} would not leave through {device} (rp_filter)")
            }
            Reason::Martian { source } => {
                write!(f, "it says that it comes from {source}, which is this host's own address")
            }
            Reason::ConntrackFull { max } => write!(f, "nf_conntrack: table full ({max} connections)"),
            Reason::Rules(hook) => write!(f, "by rules at {hook}"),
            Reason::Refused(hook, icmp) => write!(f, "refused by rules at {hook}: {icmp}"),
            Reason::Reset(hook) => write!(f, "refused by rules at {hook}: TCP reset"),
            Reason::NobodyListens(end) => write!(f, "nobody listens on {end}"),
            Reason::NoTunnel(what) => write!(f, "nothing here unwraps {what}"),
            Reason::TooDeep => f.write_str("the tunnel leads into itself"),
            Reason::NoHairpin { port } => {
                write!(f, "it would leave through {port}, where it came in, and hairpin is off")
            }
        }
    }
}

impl Event {
    /// Where within the host, as a column.
    pub fn place(&self) -> String {
        match self {
            Event::Rules { hook, .. } => hook.to_string(),
            Event::Translated { destination, follows, .. } => {
                let what = if *destination { "DNAT" } else { "SNAT" };
                if *follows { format!("{what} (conntrack)") } else { what.into() }
            }
            Event::Routed { .. } => "route".into(),
            Event::Resolved { .. } => "neighbour".into(),
            Event::Bridged { bridge, .. } => bridge.clone(),
            Event::Left { device, .. } | Event::Wrapped { device, .. } | Event::Unwrapped { device, .. } => {
                device.clone()
            }
            Event::LookedUp { device, .. } => device.clone(),
            Event::Cut { .. } => "cut".into(),
            Event::Delivered { .. } => "delivered".into(),
            Event::Dropped { .. } => "dropped".into(),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Rules { trace, mark, .. } => {
                f.write_str(&trace.join(" → "))?;
                match mark {
                    Some(mark) if trace.is_empty() => write!(f, "marked {mark:#x}"),
                    Some(mark) => write!(f, "   marked {mark:#x}"),
                    None => Ok(()),
                }
            }
            Event::Translated { from, to, .. } => write!(f, "{from} → {to}"),
            Event::Routed { route } => write!(f, "{route}"),
            Event::Resolved { address, device, mac, by, also } => {
                write!(f, "{address} is {mac} on {device}")?;
                match by {
                    Resolution::Permanent => f.write_str(", written there")?,
                    Resolution::Cached => f.write_str(", asked before")?,
                    Resolution::Asked { by } => write!(f, ", says {by}")?,
                }
                if also.is_empty() { Ok(()) } else { write!(f, ", and so say {}", also.join(", ")) }
            }
            Event::Bridged { port, .. } => write!(f, "→ {port}"),
            Event::Left { to, .. } => write!(f, "→ {to}"),
            Event::Wrapped { vni: Some(vni), flow, length, .. } => {
                write!(f, "→ vxlan (VNI {vni}, {} → {}), {length} bytes", flow.source.address, flow.destination)
            }
            Event::Wrapped { flow, length, .. } => {
                write!(f, "→ ipip ({} → {}), {length} bytes", flow.source, flow.destination)
            }
            Event::Unwrapped { vni: Some(vni), .. } => write!(f, "out of vxlan (VNI {vni})"),
            Event::Unwrapped { .. } => f.write_str("out of ipip"),
            Event::LookedUp { found, .. } => f.write_str(found),
            Event::Cut { mtu, pieces } => write!(f, "into {pieces} pieces of at most {mtu} bytes"),
            Event::Delivered { flow } => write!(f, "{flow}"),
            Event::Dropped { reason } => write!(f, "{reason}"),
        }
    }
}

impl Walk {
    /// Where it arrived, if it did.
    pub fn delivered_to(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Delivered { to, .. } => Some(to),
            Outcome::Dropped { .. } => None,
        }
    }

    /// The flow as the receiver saw it.
    pub fn seen(&self) -> Option<Flow> {
        match &self.outcome {
            Outcome::Delivered { flow, .. } => Some(*flow),
            Outcome::Dropped { .. } => None,
        }
    }

    /// Why it did not arrive.
    pub fn reason(&self) -> Option<&Reason> {
        match &self.outcome {
            Outcome::Delivered { .. } => None,
            Outcome::Dropped { reason, .. } => Some(reason),
        }
    }

    /// The way in lines, as people follow it: the flow, then a line for each step with its host and its place.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}  {}  {} bytes", self.from, self.flow, self.length)];
        let width = |of: &dyn Fn(&Step) -> usize| self.steps.iter().map(of).max().unwrap_or_default();
        let hosts = width(&|step| step.namespace.chars().count());
        let places = width(&|step| step.event.place().chars().count());
        let shown = |step: &Step| {
            let Step { namespace, event } = step;
            format!("  {namespace:hosts$}  {:places$}  {event}", event.place()).trim_end().to_string()
        };
        lines.extend(self.steps.iter().map(shown));
        if let Some(answer) = &self.answer {
            lines.extend(answer.lines().into_iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
