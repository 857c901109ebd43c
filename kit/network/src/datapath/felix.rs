//! The maps of Calico's eBPF programs, which stand at each host's interfaces in place of iptables chains and of kube-proxy.
//!
//! A Service is two entries: the frontend (address, port, protocol) says how many backends there are, and each backend has a
//! number; those on the own host come first, so that a policy `Local` only counts less far. Routes say who has an address: a pod or a host, here or
//! elsewhere. Names are those that `bpftool map list` shows.
//!
//! Sources in projectcalico/calico: `felix/bpf-gpl/{nat_lookup,nat_types,routes}.h`, `felix/bpf/proxy/syncer.go`, `felix/bpf/DESIGN.md`.

use super::packet::{End, Flow, Mac, Protocol};
use crate::ipam::cidr::Cidr;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Services by address, port, protocol and the sender's network.
const FRONTENDS: &str = "cali_v4_nat_fe";
/// Where they lead.
const BACKENDS: &str = "cali_v4_nat_be";
/// Who keeps which backend.
const AFFINITY: &str = "cali_v4_nat_aff";
/// Who has an address.
const ROUTES: &str = "cali_v4_routes";
/// Connections. Here the host's own table stands for it.
pub const CONNTRACK: &str = "cali_v4_ct";
/// Stands for the address of every host, in frontends of node ports.
pub const EVERY_NODE: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
/// The identifier of the network in which hosts pass each other what came to a node port (`CALI_VXLAN_VNI`).
pub const VNI: u32 = 0x00ca_11c0;
/// The interface for that.
pub const TUNNEL: &str = "vxlan.calico";
/// Its port.
pub const TUNNEL_PORT: u16 = 4789;
/// Notes that a packet must get another source before it goes back to its sender (`CALI_SKB_MARK_MASQ`).
pub const MASQUERADE: u32 = 0x0360_0000;

/// What the programs of one host look up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Felix {
    /// Answers to what another host passed on go to the client directly (`bpfExternalServiceMode: DSR`), and not back through that host.
    pub direct_return: bool,
    /// Services.
    pub services: Services,
    /// Who has an address, by the longest prefix.
    pub routes: BTreeMap<Cidr, Owner>,
}

/// Networks of senders, each with what counts for those who are in no smaller one.
pub type Senders = Vec<(Cidr, Frontend)>;

/// The maps about Services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// By where packets go to.
    pub frontends: BTreeMap<(Protocol, IpAddr, u16), Senders>,
    /// By the number of the Service and their own.
    pub backends: BTreeMap<(u32, u32), End>,
    /// Who was sent where by which frontend, and when that was, in seconds.
    pub affinity: BTreeMap<(Protocol, IpAddr, u16, IpAddr), (End, i64)>,
}

/// One address and port of a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Frontend {
    /// The number of the Service.
    pub id: u32,
    /// How many backends there are.
    pub count: u32,
    /// How many of them are on this host.
    pub local: u32,
    /// For so many seconds a client keeps its backend; 0: not at all.
    pub affinity: u32,
    /// What comes from within the cluster stays on the host.
    pub internal_local: bool,
    /// What comes from outside does.
    pub external_local: bool,
    /// Senders for whom there is no other frontend are dropped.
    pub drops: bool,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A pod of this host, behind this interface.
    LocalWorkload(String),
    /// A pod of the host with this address.
    RemoteWorkload(IpAddr),
    /// This host.
    LocalHost,
    /// Another one.
    RemoteHost(IpAddr),
}

impl Owner {
    /// The host that has it, if it isn't this one.
    pub fn elsewhere(&self) -> Option<IpAddr> {
        match self {
            Owner::RemoteWorkload(host) | Owner::RemoteHost(host) => Some(*host),
            Owner::LocalWorkload(_) | Owner::LocalHost => None,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::LocalWorkload(device) => write!(f, "local workload, {device}"),
            Owner::RemoteWorkload(next) => write!(f, "remote workload, next hop {next}"),
            Owner::LocalHost => f.write_str("local host"),
            Owner::RemoteHost(address) => write!(f, "remote host {address}"),
        }
    }
}

/// Where a packet is when its destination is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It came from outside of the host, as it is.
    Outside,
    /// Another host has passed it on.
    Tunnel,
    /// A pod or a process of this host has sent it.
    Here,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is no Service.
    Nothing,
    /// Its sender may not ask.
    Drop(String),
    /// Nobody is there who could answer.
    NoBackend(String),
    /// It leads there.
    Backend(End, Vec<String>),
}

impl Felix {
    /// Who has an address.
    pub fn owner(&self, address: IpAddr) -> Option<(&Cidr, &Owner)> {
        self.routes.iter().filter(|(cidr, _)| cidr.contains(address)).max_by_key(|(cidr, _)| cidr.prefix)
    }

    /// The entry about an address, in words.
    pub fn route(&self, address: IpAddr) -> String {
        match self.owner(address) {
            Some((cidr, owner)) => format!("{ROUTES} {cidr}: {owner}"),
            None => format!("{ROUTES} {address}: no entry"),
        }
    }

    /// Where a packet goes that nobody has sent on yet (`calico_nat_lookup`). `now` is in seconds.
    pub fn look_up(&mut self, flow: &Flow, from: Origin, now: i64) -> Found {
        let Some((frontend, shown)) = self.frontend(flow, from) else { return Found::Nothing };
        if frontend.drops {
            return Found::Drop(format!("{shown}: dropped, {} is in none of the source ranges", flow.source.address));
        }
        let count = match from {
            Origin::Tunnel => frontend.local,
            _ if self.stays(frontend, flow, from) => frontend.local,
            _ => frontend.count,
        };
        let Frontend { id, affinity, .. } = frontend;
        let shown = format!("{shown}: id {id}, count {}, local {}", frontend.count, frontend.local);
        if count == 0 {
            return Found::NoBackend(shown);
        }
        let End { address, port } = flow.destination;
        let key = (flow.protocol, address, port, flow.source.address);
        let kept = self.services.affinity.get_mut(&key).filter(|(_, since)| now - *since <= i64::from(affinity));
        if let Some((to, since)) = kept.filter(|_| affinity > 0) {
            *since = now;
            return Found::Backend(*to, vec![shown, format!("{AFFINITY} {}: {to}", flow.source.address)]);
        }
        // Upstream's number is by chance. Here it follows from the flow, so that it is the same in each run.
        let Mac([_, a, b, c, d, _]) = Mac::of(&flow.to_string());
        let ordinal = u32::from_be_bytes([a, b, c, d]) % count;
        let Some(to) = self.services.backends.get(&(id, ordinal)).copied() else { return Found::NoBackend(shown) };
        if affinity > 0 {
            self.services.affinity.insert(key, (to, now));
        }
        Found::Backend(to, vec![shown, format!("{BACKENDS} {id}:{ordinal}: {to}")])
    }

    fn frontend(&self, flow: &Flow, from: Origin) -> Option<(Frontend, String)> {
        let End { address, port } = flow.destination;
        let of = |address: IpAddr| {
            let all = self.services.frontends.get(&(flow.protocol, address, port))?;
            let fits = all.iter().filter(|(senders, _)| senders.contains(flow.source.address));
            let (_, frontend) = fits.max_by_key(|(senders, _)| senders.prefix)?;
            Some((*frontend, format!("{FRONTENDS} {} {address}:{port}", flow.protocol)))
        };
        let is_host = || matches!(self.owner(address), Some((_, Owner::LocalHost | Owner::RemoteHost(_))));
        // A node port of another host is answered here and now, if it is asked for from here or was passed on by that host.
        of(address).or_else(|| if from != Origin::Outside && is_host() { of(EVERY_NODE) } else { None })
    }

    /// Whether only backends of this host count.
    fn stays(&self, frontend: Frontend, flow: &Flow, from: Origin) -> bool {
        let is_of_cluster = from != Origin::Outside || self.owner(flow.source.address).is_some();
        if is_of_cluster { frontend.internal_local } else { frontend.external_local }
    }
}

impl Services {
    /// Forgets who was sent to a backend that its Service has no more.
    pub fn forget_gone(&mut self) {
        let Services { frontends, backends, affinity } = self;
        affinity.retain(|(protocol, address, port, _), (to, _)| {
            let ids =
                frontends.get(&(*protocol, *address, *port)).into_iter().flatten().map(|(_, frontend)| frontend.id);
            ids.into_iter().any(|id| backends.range((id, 0)..=(id, u32::MAX)).any(|(_, backend)| backend == to))
        });
    }
}
