//! Programs at interfaces, which decide where packets go instead of the host's tables.

use super::tracking::Tracked;
use super::{Ended, HOST_IDENTITY, Walker};
use crate::datapath::packet::{Frame, Packet};
use crate::datapath::rules::Hook;
use crate::datapath::trace::{Event, Reason};
use crate::datapath::world::{Kind, Place};

impl Walker<'_> {
    /// A program at the interface that a packet came through: it does what rules do elsewhere, with a table of connections of its own (here the
    /// host's), and decides where the packet goes.
    pub(super) fn program_received(&mut self, at: &str, device: &str, mut packet: Packet) -> Ended {
        self.came = packet.flow;
        let mut tracked = self.track(at, &packet)?;
        self.rules_at(at, Hook::Prerouting, Some(device), None, false, &mut packet, &mut tracked)?;
        self.program(at, device, packet, Some(tracked))
    }

    /// A program decides where a packet goes: to a pod of this host, through the overlay, or on to the host's own stack
    /// (`bpf/bpf_lxc.c`, `bpf_overlay.c` and `bpf_host.c` of Cilium). What the stack itself sends to it has passed the rules.
    pub(super) fn program(
        &mut self,
        at: &str,
        device: &str,
        mut packet: Packet,
        came: Option<Option<Tracked>>,
    ) -> Ended {
        let destination = packet.flow.destination.address;
        let Some(programs) = self.here(at)?.programs.clone() else {
            return Err((at.into(), Reason::NoTunnel(format!("what is sent to {device}"))));
        };
        if let Some(end) = programs.endpoints.get(&destination) {
            let found = format!("endpoint {destination} on {}, identity {}", end.device, end.identity);
            self.step(at, Event::LookedUp { device: device.into(), found });
            let interface = self.interface(at, &end.device)?;
            self.program_rules(at, device, &end.device, &mut packet, came)?;
            return self.transmit(at, &interface, Frame { source: interface.mac, destination: end.mac, packet });
        }
        let known = programs.ipcache.iter().filter(|(cidr, _)| cidr.contains(destination));
        let known = known.max_by_key(|(cidr, _)| cidr.prefix);
        if let (Some((cidr, Place { identity, tunnel: Some(remote) })), Some(overlay)) = (known, &programs.overlay) {
            let found = format!("ipcache {cidr}: identity {identity}, by {overlay} to {remote}");
            self.step(at, Event::LookedUp { device: device.into(), found });
            let source = packet.flow.source.address;
            let sender = programs.endpoints.get(&source).map_or(HOST_IDENTITY, |end| end.identity);
            let overlay = self.interface(at, overlay)?;
            let Kind::Overlay { port, local } = overlay.kind else {
                return Err((at.into(), Reason::NoTunnel(overlay.name)));
            };
            self.program_rules(at, device, &overlay.name, &mut packet, came)?;
            let frame = Frame { source: overlay.mac, destination: overlay.mac, packet };
            return self.wrap_frame(at, &overlay, (sender, port, local), *remote, frame);
        }
        match came {
            Some(tracked) => self.routed(at, device, packet, tracked),
            None => Err((at.into(), Reason::NoRoute(destination))),
        }
    }

    /// What is asked once a program knows where a packet goes.
    fn program_rules(
        &mut self,
        at: &str,
        input: &str,
        output: &str,
        packet: &mut Packet,
        came: Option<Option<Tracked>>,
    ) -> Result<(), (String, Reason)> {
        let Some(mut tracked) = came else { return Ok(()) };
        self.rules_at(at, Hook::Forward, Some(input), Some(output), false, packet, &mut tracked)?;
        self.postrouting(at, Some(input), output, packet, &mut tracked)
    }
}
