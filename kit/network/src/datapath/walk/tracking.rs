//! Connections, and the rules that are asked about their packets.

use super::Walker;
use crate::datapath::conntrack::{Connection, Direction, State};
use crate::datapath::packet::{Content, End, Packet, Protocol};
use crate::datapath::rules::{At, Hook, Nat, Ruling, Verdict};
use crate::datapath::trace::{Event, Reason};
use crate::datapath::world::{Route, To};
use std::net::IpAddr;

/// What a packet has with it while it is in one namespace.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    pub(super) connection: Connection,
    pub(super) direction: Direction,
    pub(super) state: State,
}

impl Walker<'_> {
    /// Finds or begins the connection of a packet, on hosts that track any.
    pub(super) fn track(&mut self, at: &str, packet: &Packet) -> Result<Option<Tracked>, (String, Reason)> {
        let Some(conntrack) = self.world.namespaces.get_mut(at).and_then(|here| here.conntrack.as_mut()) else {
            return Ok(None);
        };
        if let Content::Error(_, about) = &packet.content {
            // The packet that it is about went the other way.
            let Some((connection, direction)) = conntrack.find(about.reversed()) else { return Ok(None) };
            let connection = connection.clone();
            return Ok(Some(Tracked { connection, direction, state: State::Related }));
        }
        if let Some((connection, direction)) = conntrack.find(packet.flow) {
            let mut connection = connection.clone();
            connection.is_answered |= direction == Direction::Reply;
            let state = if connection.is_answered { State::Established } else { State::New };
            conntrack.confirm(&connection);
            return Ok(Some(Tracked { connection, direction, state }));
        }
        if !conntrack.has_room() {
            return Err((at.into(), Reason::ConntrackFull { max: conntrack.max }));
        }
        Ok(Some(Tracked {
            connection: Connection::new(packet.flow),
            direction: Direction::Original,
            state: State::New,
        }))
    }

    /// Asks the rules at one place, and translates as they or the connection say.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn rules_at(
        &mut self,
        at: &str,
        hook: Hook,
        input: Option<&str>,
        output: Option<&str>,
        is_bridged: bool,
        packet: &mut Packet,
        tracked: &mut Option<Tracked>,
    ) -> Result<(), (String, Reason)> {
        let here = self.here(at)?;
        if !here.is_host {
            return Ok(());
        }
        let own: Vec<IpAddr> = here.addresses().collect();
        let state = tracked.as_ref().map_or(State::Untracked, |tracked| tracked.state);
        let begins = tracked.as_ref().is_some_and(|tracked| {
            state == State::New
                && here.conntrack.as_ref().is_some_and(|all| all.find(tracked.connection.original).is_none())
        });
        // A second packet of a connection that has no answer yet is new to rules, but its translation stands.
        let asked = At { host: at, hook, input, output, state, asks_nat: begins, own: &own, is_bridged };
        let Ruling { verdict, mark, nat, trace } = self.rules.ask(&asked, packet);
        let marked = (mark != packet.mark).then_some(mark);
        packet.mark = mark;
        if !trace.is_empty() || marked.is_some() {
            self.step(at, Event::Rules { hook, trace, mark: marked });
        }
        match verdict {
            Verdict::Accept => {}
            Verdict::Drop => return Err((at.into(), Reason::Rules(hook))),
            Verdict::Reject(icmp) => {
                self.complain(at, packet, icmp);
                return Err((at.into(), Reason::Refused(hook, icmp)));
            }
            Verdict::Reset => {
                self.reset(at);
                return Err((at.into(), Reason::Reset(hook)));
            }
        }
        let Some(tracked) = tracked else { return Ok(()) };
        let destination = matches!(hook, Hook::Prerouting | Hook::Output);
        if let Some(nat) = nat.filter(|nat| begins && destination == matches!(nat, Nat::Destination { .. })) {
            let masquerade = output.and_then(|output| {
                let route = self.route(at, packet.flow.destination.address).ok().flatten();
                let route = route.unwrap_or_else(|| {
                    Route::new(host_cidr(packet.flow.destination.address), To::Device(output.into()))
                });
                self.here(at).ok()?.source_for(&route, packet.flow.destination.address)
            });
            if let Some(conntrack) = self.world.namespaces.get(at).and_then(|here| here.conntrack.as_ref()) {
                conntrack.translate(&mut tracked.connection, nat, masquerade);
            }
        }
        if hook == Hook::Forward {
            return Ok(());
        }
        let (now, to) = if destination {
            (packet.flow.destination, tracked.connection.destination(tracked.direction))
        } else {
            (packet.flow.source, tracked.connection.source(tracked.direction))
        };
        let mut to = to;
        if let Content::Error(_, about) = &mut packet.content {
            // The router that complains keeps its own address; what it complains about is put back, too.
            if destination {
                about.source = End { ..to };
                to.port = 0;
            } else {
                about.destination = to;
                return Ok(());
            }
        }
        if now != to {
            if destination {
                packet.flow.destination = to
            } else {
                packet.flow.source = to
            }
            if packet.flow.protocol == Protocol::Icmp && packet.content == Content::Data {
                packet.flow.destination.port = 0;
            }
            self.step(at, Event::Translated { hook, destination, follows: !begins, from: now, to });
        }
        Ok(())
    }

    pub(super) fn confirm(&mut self, at: &str, tracked: &Option<Tracked>) {
        let Some(tracked) = tracked else { return };
        if let Some(conntrack) = self.world.namespaces.get_mut(at).and_then(|here| here.conntrack.as_mut()) {
            conntrack.confirm(&tracked.connection);
        }
    }

    pub(super) fn postrouting(
        &mut self,
        at: &str,
        input: Option<&str>,
        output: &str,
        packet: &mut Packet,
        tracked: &mut Option<Tracked>,
    ) -> Result<(), (String, Reason)> {
        self.rules_at(at, Hook::Postrouting, input, Some(output), false, packet, tracked)?;
        self.confirm(at, tracked);
        Ok(())
    }
}

fn host_cidr(address: IpAddr) -> crate::ipam::cidr::Cidr {
    crate::ipam::cidr::Cidr { address, prefix: crate::ipam::cidr::bits(address) }
}
