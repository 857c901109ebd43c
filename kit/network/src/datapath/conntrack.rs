//! Connections that a host tracks, and how it rewrites their packets.
//!
//! An entry has two flows: the original one as its first packet came, and the reply as it must come. They are each other's reverse
//! unless a rule has translated an address; then the difference between them is the translation, for all packets in both directions. Rules are
//! asked for the first packet only. Source: `net/netfilter/nf_conntrack_core.c` and `nf_nat_core.c`.

use super::packet::{End, Flow};
use super::rules::Nat;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// As its first packet came.
    pub original: Flow,
    /// As replies must come.
    pub reply: Flow,
    /// An answer was seen.
    pub is_answered: bool,
    /// Another host has a part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

/// A connection that one host takes, and another one serves (Calico's `CALI_CT_FLAG_NP_FWD` and `tun_ip`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relay {
    /// Its packets go on to this host.
    To(IpAddr),
    /// They come from this one.
    For(IpAddr),
}

/// Where a packet belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As the first packet.
    Original,
    /// Back.
    Reply,
}

/// What a connection is to a rule (`-m conntrack --ctstate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its first packet; nothing came back yet.
    New,
    /// Packets went both ways.
    Established,
    /// An error about a connection.
    Related,
    /// Nobody tracks it.
    Untracked,
}

/// The connections of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conntrack {
    /// How many there may be (`nf_conntrack_max`).
    pub max: usize,
    /// Those that there are.
    pub connections: Vec<Connection>,
}

impl Default for Conntrack {
    fn default() -> Self {
        Conntrack { max: 262_144, connections: Vec::new() }
    }
}

impl Conntrack {
    /// Finds the connection of a flow.
    pub fn find(&self, flow: Flow) -> Option<(&Connection, Direction)> {
        self.connections.iter().find_map(|connection| {
            let direction = match flow {
                flow if flow == connection.original => Direction::Original,
                flow if flow == connection.reply => Direction::Reply,
                _ => return None,
            };
            Some((connection, direction))
        })
    }

    /// Whether there is room for one more. A connection that nobody has answered makes room for another one (`early_drop`).
    pub fn has_room(&mut self) -> bool {
        if self.connections.len() < self.max {
            return true;
        }
        let unanswered = self.connections.iter().position(|connection| !connection.is_answered);
        unanswered.map(|at| self.connections.remove(at)).is_some()
    }

    /// Remembers a connection, or that it was answered.
    pub fn confirm(&mut self, connection: &Connection) {
        match self.connections.iter_mut().find(|known| known.original == connection.original) {
            Some(known) => *known = connection.clone(),
            None => self.connections.push(connection.clone()),
        }
    }

    /// Forgets the connections to a destination as it was first asked for, which is what kube-proxy does for UDP when an endpoint goes.
    pub fn forget(&mut self, mut gone: impl FnMut(&Connection) -> bool) {
        self.connections.retain(|connection| !gone(connection));
    }

    /// Translates a connection before its first packet goes on. If the reply would be taken for that of another connection, another port is
    /// taken (`nf_nat_l4proto_unique_tuple`).
    pub fn translate(&self, connection: &mut Connection, nat: Nat, masquerade: Option<IpAddr>) {
        let changed = |old: End, address, port: Option<u16>| End { address, port: port.unwrap_or(old.port) };
        let before = connection.reply;
        match nat {
            Nat::Destination { address, port } => connection.reply.source = changed(before.source, address, port),
            Nat::Source { address, port } => connection.reply.destination = changed(before.destination, address, port),
            Nat::Masquerade => match masquerade {
                Some(address) => connection.reply.destination = changed(before.destination, address, None),
                None => return,
            },
        }
        if matches!(nat, Nat::Destination { .. }) {
            return;
        }
        let first = connection.reply.destination.port;
        let used = |reply: Flow| {
            self.connections.iter().any(|known| known.original != connection.original && known.reply == reply)
        };
        let mut reply = connection.reply;
        for port in (first..=u16::MAX).chain(1024..first.max(1024)) {
            reply.destination.port = port;
            if !used(reply) {
                break;
            }
        }
        connection.reply = reply;
    }
}

impl Connection {
    /// A connection that nothing has translated yet.
    pub fn new(original: Flow) -> Connection {
        Connection { original, reply: original.reversed(), is_answered: false, relay: None }
    }

    /// Where a packet of the connection goes, after the translation of its destination.
    pub fn destination(&self, direction: Direction) -> End {
        match direction {
            Direction::Original => self.reply.reversed().destination,
            Direction::Reply => self.original.reversed().destination,
        }
    }

    /// Where a packet of the connection comes from, after the translation of its source.
    pub fn source(&self, direction: Direction) -> End {
        match direction {
            Direction::Original => self.reply.reversed().source,
            Direction::Reply => self.original.reversed().source,
        }
    }
}
