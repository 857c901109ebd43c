//! Packets within packets: VXLAN and IPIP.

use super::{DEEPEST, Ended, Walker, piece};
use crate::datapath::felix;
use crate::datapath::packet::{Content, Flow, Frame, Icmp, Mac, Packet, Protocol};
use crate::datapath::trace::{Event, Reason};
use crate::datapath::world::{Forwarding, IPIP_OVERHEAD, Interface, Kind, VXLAN_OVERHEAD};
use std::net::IpAddr;

impl Walker<'_> {
    pub(super) fn wrap_vxlan(
        &mut self,
        at: &str,
        device: &Interface,
        tunnel: (u32, u16, IpAddr),
        frame: Frame,
    ) -> Ended {
        let (vni, port, local) = tunnel;
        let known = self.here(at)?.forwarding.iter();
        let known = known.clone().find(|entry| entry.device == device.name && entry.mac == frame.destination);
        let Some(Forwarding { remote, .. }) = known.cloned() else {
            let reason = Reason::NoForwarding { mac: frame.destination, device: device.name.clone() };
            return Err((at.into(), reason));
        };
        self.wrap_frame(at, device, (vni, port, local), remote, frame)
    }

    pub(super) fn wrap_frame(
        &mut self,
        at: &str,
        device: &Interface,
        (vni, port, local): (u32, u16, IpAddr),
        remote: IpAddr,
        frame: Frame,
    ) -> Ended {
        if frame.packet.depth() >= DEEPEST {
            return Err((at.into(), Reason::TooDeep));
        }
        // The port that it comes from is a hash of the inner flow, so that routers on the way spread flows over links (RFC 7348, 4).
        let Mac([_, _, a, b, ..]) = Mac::of(&frame.packet.flow.to_string());
        let from = 32768 | u16::from_be_bytes([a, b]);
        let flow = Flow::new(Protocol::Udp, (local, from), (remote, port));
        let length = piece(&frame.packet, device.mtu) + VXLAN_OVERHEAD;
        let outer = Packet {
            length,
            // Pieces of the inner packet go one by one; whether the outer ones are cut is decided anew.
            content: Content::Vxlan { vni, frame: Box::new(frame) },
            ..Packet::new(flow)
        };
        self.step(at, Event::Wrapped { device: device.name.clone(), vni: Some(vni), flow, length });
        self.output(at, outer)
    }

    pub(super) fn unwrap_vxlan(&mut self, at: &str, flow: Flow, vni: u32, frame: Frame) -> Ended {
        if vni == felix::VNI && self.here(at)?.felix.is_some() {
            let device = self.interface(at, felix::TUNNEL)?.name;
            self.step(at, Event::Unwrapped { device: device.clone(), vni: Some(vni) });
            return self.felix_received(at, &device, Packet { mark: 0, ..frame.packet }, Some(flow.source.address));
        }
        let here = self.here(at)?;
        let overlay = here.interfaces.iter().find(|device| {
            device.up && matches!(device.kind, Kind::Overlay { port, .. } if port == flow.destination.port)
        });
        if let Some(device) = overlay.map(|device| device.name.clone()) {
            self.step(at, Event::Unwrapped { device: device.clone(), vni: Some(vni) });
            self.came = frame.packet.flow;
            let packet = Packet { mark: 0, ..frame.packet };
            // What is for this host itself goes up its stack.
            if self.here(at)?.owns(packet.flow.destination.address) {
                return self.ip_received(at, &device, packet);
            }
            return self.program_received(at, &device, packet);
        }
        let here = self.here(at)?;
        let fits = |device: &&Interface| match device.kind {
            Kind::Vxlan { vni: own, port, .. } => device.up && own == vni && port == flow.destination.port,
            _ => false,
        };
        let Some(device) = here.interfaces.iter().find(fits).cloned() else {
            return Err((at.into(), Reason::NoTunnel(format!("vxlan (VNI {vni}, port {})", flow.destination.port))));
        };
        self.step(at, Event::Unwrapped { device: device.name.clone(), vni: Some(vni) });
        self.receive(at, &device, frame)
    }

    /// Unlike VXLAN's, the outer packet of IPIP must not be cut if the inner one must not, and the sender is told what fits
    /// (`tnl_update_pmtu`).
    pub(super) fn wrap_ipip(
        &mut self,
        at: &str,
        device: &Interface,
        local: IpAddr,
        remote: IpAddr,
        packet: Packet,
    ) -> Ended {
        if packet.depth() >= DEEPEST {
            return Err((at.into(), Reason::TooDeep));
        }
        let flow = Flow::new(Protocol::Ipip, (local, 0), (remote, 0));
        let length = piece(&packet, device.mtu) + IPIP_OVERHEAD;
        let below = match self.route(at, remote) {
            Ok(Some(route)) => self.interface(at, route.device().unwrap_or("lo"))?.mtu,
            _ => device.mtu + IPIP_OVERHEAD,
        };
        if packet.dont_fragment && length > below {
            let mtu = below.saturating_sub(IPIP_OVERHEAD);
            let told = !self.here(at)?.silent;
            self.complain(at, &packet, Icmp::FragmentationNeeded(mtu));
            let reason = Reason::TooLong { length: packet.length, mtu, device: device.name.clone(), told };
            return Err((at.into(), reason));
        }
        let dont_fragment = packet.dont_fragment;
        self.step(at, Event::Wrapped { device: device.name.clone(), vni: None, flow, length });
        let outer = Packet { length, dont_fragment, content: Content::Packet(Box::new(packet)), ..Packet::new(flow) };
        self.output(at, outer)
    }
}
