//! What stands at the five places where a host asks rules about a packet, and rules as simple as they can be.
//!
//! kube-proxy's chains, a policy's chains and a plugin's masquerading are all behind [`Netfilter`]: the walk calls it in the kernel's
//! order and does with the packet what it says.

use super::conntrack::State;
use super::packet::{Icmp, Packet};
use crate::ipam::cidr::Cidr;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// The places, in the order in which a packet that is passed on meets them, and then the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Hook {
    /// It came in; where it goes isn't decided yet.
    Prerouting,
    /// It is for the host itself.
    Input,
    /// It is for somebody else.
    Forward,
    /// A process of the host sends it.
    Output,
    /// It leaves.
    Postrouting,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Prerouting => "PREROUTING",
            Hook::Input => "INPUT",
            Hook::Forward => "FORWARD",
            Hook::Output => "OUTPUT",
            Hook::Postrouting => "POSTROUTING",
        })
    }
}

/// What rules may look at beside the packet.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The host.
    pub host: &'a str,
    /// The place.
    pub hook: Hook,
    /// The interface that it came through; none for what the host itself sends.
    pub input: Option<&'a str>,
    /// The interface that it will leave through, once that is decided.
    pub output: Option<&'a str>,
    /// What its connection is.
    pub state: State,
    /// The kernel asks the table `nat`: for the first packet of a connection only. For others a translation doesn't count.
    pub asks_nat: bool,
    /// The host's own addresses (`-m addrtype --dst-type LOCAL`).
    pub own: &'a [IpAddr],
    /// A bridge passes it on, and no router.
    pub is_bridged: bool,
}

/// What rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it goes on.
    pub verdict: Verdict,
    /// What it is marked with from here on.
    pub mark: u32,
    /// How its connection is translated.
    pub nat: Option<Nat>,
    /// Which rules said so, in order, in words.
    pub trace: Vec<String>,
}

/// Whether a packet goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Accept,
    /// It vanishes.
    Drop,
    /// It is refused, and the sender is told.
    Reject(Icmp),
    /// It is refused, and the sender gets a TCP reset.
    Reset,
}

/// How a connection is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// It goes elsewhere. Before routing, at `PREROUTING` and `OUTPUT`.
    Destination {
        /// The address.
        address: IpAddr,
        /// The port; none keeps it.
        port: Option<u16>,
    },
    /// It comes from elsewhere. After routing, at `POSTROUTING` and `INPUT`.
    Source {
        /// The address.
        address: IpAddr,
        /// The port; none keeps it if it is free.
        port: Option<u16>,
    },
    /// It comes from the address of the interface that it leaves through.
    Masquerade,
}

impl Ruling {
    /// Nothing is changed.
    pub fn accept(packet: &Packet) -> Ruling {
        Ruling { verdict: Verdict::Accept, mark: packet.mark, nat: None, trace: Vec::new() }
    }
}

/// The rules of all hosts.
pub trait Netfilter {
    /// What the rules of a host say about a packet at a place. The packet's addresses are those that rules there see: before the
    /// destination's translation at `PREROUTING` and `OUTPUT`, before the source's at `POSTROUTING` and `INPUT`.
    fn ask(&mut self, at: &At<'_>, packet: &Packet) -> Ruling;
}

/// No rules at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRules;

impl Netfilter for NoRules {
    fn ask(&mut self, _: &At<'_>, packet: &Packet) -> Ruling {
        Ruling::accept(packet)
    }
}

/// Two sets of rules, one after the other: what the first refuses the second isn't asked about, and its translation counts.
#[derive(Debug, Default)]
pub struct Then<A, B>(pub A, pub B);

impl<A: Netfilter, B: Netfilter> Netfilter for Then<A, B> {
    fn ask(&mut self, at: &At<'_>, packet: &Packet) -> Ruling {
        let first = self.0.ask(at, packet);
        if first.verdict != Verdict::Accept {
            return first;
        }
        let mut second = self.1.ask(at, &Packet { mark: first.mark, ..packet.clone() });
        second.trace.splice(0..0, first.trace);
        second.nat = first.nat.or(second.nat);
        second
    }
}

/// One rule in the manner of iptables: what isn't given matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Only on this host.
    pub host: Option<String>,
    /// Only there.
    pub hook: Option<Hook>,
    /// Only from there; true for the others.
    pub source: Option<(bool, Cidr)>,
    /// Only to there; true for the others.
    pub destination: Option<(bool, Cidr)>,
    /// Only with all these bits in the mark.
    pub mark: u32,
    /// Only if it came through this interface.
    pub input: Option<String>,
    /// Only if it leaves through this interface.
    pub output: Option<String>,
    /// The name of the chain and a few words, for whoever follows the packet.
    pub what: String,
    /// What then.
    pub action: Action,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// No other rule is asked.
    #[default]
    Accept,
    /// The packet doesn't go on.
    Refuse(Verdict),
    /// The connection is translated, and no other rule is asked.
    Translate(Nat),
    /// These bits are added to the mark, and the next rule is asked.
    Mark(u32),
}

impl Rule {
    fn fits(&self, at: &At<'_>, packet: &Packet, mark: u32) -> bool {
        let inside = |wanted: &Option<(bool, Cidr)>, address| {
            wanted.as_ref().is_none_or(|(not, cidr)| cidr.contains(address) != *not)
        };
        self.host.as_deref().is_none_or(|host| host == at.host)
            && self.hook.is_none_or(|hook| hook == at.hook)
            && inside(&self.source, packet.flow.source.address)
            && inside(&self.destination, packet.flow.destination.address)
            && mark & self.mark == self.mark
            && self.input.as_deref().is_none_or(|input| at.input == Some(input))
            && self.output.as_deref().is_none_or(|output| at.output == Some(output))
            && (at.asks_nat || !matches!(self.action, Action::Translate(_)))
    }
}

impl Netfilter for Vec<Rule> {
    fn ask(&mut self, at: &At<'_>, packet: &Packet) -> Ruling {
        let mut ruling = Ruling::accept(packet);
        for rule in self.iter() {
            if !rule.fits(at, packet, ruling.mark) {
                continue;
            }
            ruling.trace.push(rule.what.clone());
            match rule.action {
                Action::Mark(bits) => {
                    ruling.mark |= bits;
                    continue;
                }
                Action::Accept => {}
                Action::Refuse(verdict) => ruling.verdict = verdict,
                Action::Translate(nat) => ruling.nat = Some(nat),
            }
            break;
        }
        ruling
    }
}
