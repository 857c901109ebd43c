//! Calico's programs at the interfaces of a host: Services without kube-proxy, and clients that keep their address.
//!
//! What comes to a Service from outside, and whose backend is on another host, is sent there as it is, in a tunnel of its own. That host
//! translates the destination, and so the pod sees the client. Its answer is translated back at once; then it goes through the tunnel to the host
//! that the client knows, or, with direct return, to the client. Policies, and what goes to the world outside, are as ever.
//!
//! Sources in projectcalico/calico: `felix/bpf-gpl/tc.c` (`calico_tc_process_ct_lookup`, `do_nat`), `connect_balancer.c`, `felix/bpf/DESIGN.md`.

use super::tracking::Tracked;
use super::{Ended, Walker};
use crate::datapath::conntrack::{Direction, Relay, State};
use crate::datapath::felix::{CONNTRACK, Felix, Found, MASQUERADE, Origin, TUNNEL, TUNNEL_PORT, VNI};
use crate::datapath::packet::{Content, Frame, Icmp, Packet, Protocol};
use crate::datapath::rules::{Hook, Nat};
use crate::datapath::trace::{Event, Reason};
use crate::datapath::world::{Kind, VXLAN_OVERHEAD};
use std::net::IpAddr;

/// Where a process asks for a connection. Nothing has been sent then.
const AT_CONNECT: &str = "connect4";
/// Where a host sends what is for a Service, if it was not looked up before (`bpfnat`).
const OF_HOST: &str = "bpfin.cali";

impl Walker<'_> {
    fn felix(&self, at: &str) -> Option<&Felix> {
        self.world.namespaces.get(at).and_then(|host| host.felix.as_ref())
    }

    fn looked_up(&mut self, at: &str, device: &str, found: String) {
        self.step(at, Event::LookedUp { device: device.into(), found });
    }

    fn look_up(&mut self, at: &str, packet: &Packet, from: Origin) -> Found {
        let now = self.world.now;
        let host = self.world.namespaces.get_mut(at).and_then(|host| host.felix.as_mut());
        match host.filter(|_| packet.content == Content::Data) {
            Some(felix) => felix.look_up(&packet.flow, from, now),
            None => Found::Nothing,
        }
    }

    /// A process connects by TCP: its socket gets the backend's address in place of the Service's, and nothing is translated on the way
    /// (`bpfConnectTimeLoadBalancing: TCP`).
    pub(super) fn at_connect(&mut self, at: &str, packet: &mut Packet) {
        if packet.flow.protocol != Protocol::Tcp {
            return;
        }
        let Some(host) = self.host_below(at).filter(|host| self.felix(host).is_some()) else { return };
        if let Found::Backend(to, found) = self.look_up(&host, packet, Origin::Here) {
            found.into_iter().for_each(|found| self.looked_up(at, AT_CONNECT, found));
            self.step(
                at,
                Event::Translated {
                    hook: Hook::Output,
                    destination: true,
                    follows: false,
                    from: packet.flow.destination,
                    to,
                },
            );
            packet.flow.destination = to;
        }
    }

    /// The host in whose kernel a process runs.
    fn host_below(&self, at: &str) -> Option<String> {
        let here = self.world.namespaces.get(at)?;
        if here.is_host {
            return Some(at.into());
        }
        here.interfaces.iter().find_map(|interface| match &interface.kind {
            Kind::Veth { namespace, .. } => Some(namespace.clone()),
            _ => None,
        })
    }

    /// A host's own packet, for which nothing was looked up when its process connected.
    pub(super) fn felix_sent(
        &mut self,
        at: &str,
        packet: &Packet,
        tracked: &mut Option<Tracked>,
    ) -> Result<(), (String, Reason)> {
        let begins = tracked.as_ref().is_some_and(|tracked| tracked.state == State::New);
        if self.felix(at).is_none() || !begins {
            return Ok(());
        }
        self.translate(at, OF_HOST, packet, Origin::Here, tracked).map(|_| ())
    }

    /// Looks up the destination of a connection that begins, and translates it. The answer holds the backend.
    fn translate(
        &mut self,
        at: &str,
        device: &str,
        packet: &Packet,
        from: Origin,
        tracked: &mut Option<Tracked>,
    ) -> Result<Option<IpAddr>, (String, Reason)> {
        match self.look_up(at, packet, from) {
            Found::Nothing => Ok(None),
            Found::Drop(found) => {
                self.looked_up(at, device, found);
                Err((at.into(), Reason::Rules(Hook::Prerouting)))
            }
            Found::NoBackend(found) => {
                self.looked_up(at, device, found);
                self.complain(at, packet, Icmp::PortUnreachable);
                Err((at.into(), Reason::Refused(Hook::Prerouting, Icmp::PortUnreachable)))
            }
            Found::Backend(to, found) => {
                found.into_iter().for_each(|found| self.looked_up(at, device, found));
                let nat = Nat::Destination { address: to.address, port: Some(to.port) };
                let conntrack = self.world.namespaces.get(at).and_then(|host| host.conntrack.as_ref());
                if let (Some(conntrack), Some(tracked)) = (conntrack, tracked) {
                    conntrack.translate(&mut tracked.connection, nat, None);
                }
                Ok(Some(to.address))
            }
        }
    }

    /// The program at the interface that a packet came through.
    pub(super) fn felix_received(
        &mut self,
        at: &str,
        device: &str,
        mut packet: Packet,
        tunnel: Option<IpAddr>,
    ) -> Ended {
        self.came = packet.flow;
        let mut tracked = self.track(at, &packet)?;
        let known = tracked.clone().filter(|tracked| tracked.state != State::Related);
        let relay = known.as_ref().and_then(|tracked| Some((tracked.connection.relay?, tracked.direction)));
        match relay {
            Some((Relay::To(_), Direction::Reply)) if tunnel.is_some() => {
                self.looked_up(at, device, format!("{CONNTRACK} {}: comes back, translated already", packet.flow));
                return self.pass_on(at, packet);
            }
            Some((Relay::To(host), Direction::Original)) => {
                self.looked_up(at, device, format!("{CONNTRACK} {}: goes on to {host}", packet.flow));
                return self.relay(at, host, packet);
            }
            Some((Relay::For(host), Direction::Reply)) if !self.felix(at).is_some_and(|felix| felix.direct_return) => {
                let (from, to) = (
                    packet.flow.source,
                    known.map_or(packet.flow.source, |known| known.connection.source(Direction::Reply)),
                );
                self.looked_up(at, device, format!("{CONNTRACK} {}: came from {host}", packet.flow));
                self.step(
                    at,
                    Event::Translated { hook: Hook::Prerouting, destination: false, follows: true, from, to },
                );
                packet.flow.source = to;
                return self.relay(at, host, packet);
            }
            _ => {}
        }
        let conntrack = self.here(at)?.conntrack.as_ref();
        let begins = known.is_some_and(|known| {
            known.state == State::New && conntrack.is_some_and(|all| all.find(known.connection.original).is_none())
        });
        if begins {
            let from = match tunnel {
                Some(_) => Origin::Tunnel,
                None if device.starts_with("cali") => Origin::Here,
                None => Origin::Outside,
            };
            if let Some(backend) = self.translate(at, device, &packet, from, &mut tracked)? {
                let Some(felix) = self.felix(at) else { return Err((at.into(), Reason::NoSuchNamespace)) };
                let (route, owner) = (felix.route(backend), felix.owner(backend).map(|(_, owner)| owner.clone()));
                self.looked_up(at, device, route);
                if let (Origin::Outside, Some(host)) = (from, owner.and_then(|owner| owner.elsewhere())) {
                    // It is translated where its backend is, and there perhaps to another one.
                    if let Some(tracked) = &mut tracked {
                        tracked.connection.reply = tracked.connection.original.reversed();
                        tracked.connection.relay = Some(Relay::To(host));
                    }
                    self.confirm(at, &tracked);
                    return self.relay(at, host, packet);
                }
                if backend == packet.flow.source.address {
                    packet.mark |= MASQUERADE;
                }
            }
            if let (Some(tracked), Some(host)) = (&mut tracked, tunnel) {
                tracked.connection.relay = Some(Relay::For(host));
            }
        }
        self.ip(at, device, packet, tracked)
    }

    /// Sends a packet to another host as it is, within the tunnel for that.
    fn relay(&mut self, at: &str, host: IpAddr, packet: Packet) -> Ended {
        let tunnel = self.interface(at, TUNNEL)?;
        let below = self.interface(at, "eth0")?;
        let length = packet.length + VXLAN_OVERHEAD;
        if packet.dont_fragment && length > below.mtu {
            let told = !self.here(at)?.silent;
            self.complain(at, &packet, Icmp::FragmentationNeeded(tunnel.mtu));
            let reason = Reason::TooLong { length: packet.length, mtu: tunnel.mtu, device: TUNNEL.into(), told };
            return Err((at.into(), reason));
        }
        let local = below.addresses.first().map(|own| own.address);
        let local = local.ok_or_else(|| (at.to_string(), Reason::NoSource))?;
        let frame = Frame { source: tunnel.mac, destination: tunnel.mac, packet };
        self.wrap_frame(at, &tunnel, (VNI, TUNNEL_PORT, local), host, frame)
    }

    /// Forwards what another host has answered for this one. Its source is this host's own address, at which a kernel would wonder.
    fn pass_on(&mut self, at: &str, mut packet: Packet) -> Ended {
        let route = self.route(at, packet.flow.destination.address).map_err(|reason| (at.to_string(), reason))?;
        let Some(route) = route else { return Err((at.into(), Reason::NoRoute(packet.flow.destination.address))) };
        self.step(at, Event::Routed { route: route.clone() });
        if packet.ttl <= 1 {
            return Err((at.into(), Reason::TimeExceeded));
        }
        packet.ttl -= 1;
        let device = self.interface(at, route.device().unwrap_or("lo"))?;
        self.send(at, &device, &route, packet)
    }
}
