//! From one state to the next: first what goes, then links, and at last what lies behind them.
//!
//! A kernel forgets by itself what lay behind an interface that went away or down. So nothing of it is taken away here, and all of it is written
//! anew once the interface is back.

use super::{Batch, FALLBACK_IPIP, Net, State, shown};
use crate::datapath::world::{Interface, Kind, To};

impl State {
    /// What leads from a state here, in order.
    pub fn since(&self, before: &State) -> Vec<Batch> {
        let change = Change { before, after: self };
        let stays = || self.namespaces.iter().filter_map(|(name, net)| Some((name, net, before.namespaces.get(name)?)));
        let mut out = Vec::new();
        for (name, net, was) in stays() {
            let (ip, bridge) = change.entries_gone(name, was, net);
            out.extend([Batch::ip(name, [ip, change.links_gone(name, was)].concat()), Batch::bridge(name, bridge)]);
        }
        let gone = before.namespaces.keys().filter(|name| !self.namespaces.contains_key(*name));
        out.extend(gone.map(|name| Batch::plain(&format!("ip netns del {name}"))));
        let new = || self.namespaces.keys().filter(|name| !before.namespaces.contains_key(*name));
        for name in new() {
            out.push(Batch::plain(&format!("ip netns add {name}")));
        }
        for (name, net) in &self.namespaces {
            out.extend(settings(name, net, before.namespaces.get(name)));
        }
        for name in new() {
            out.push(Batch::ip(name, vec!["link set lo up".into()]));
        }
        for (name, net) in &self.namespaces {
            out.push(Batch::ip(name, change.links_new(name, net)));
        }
        for (name, net) in &self.namespaces {
            let links = net.links.values();
            out.push(Batch::ip(name, links.flat_map(|link| change.link_set(name, link)).collect()));
            out.extend(change.proxies(name, net));
        }
        for (name, net) in &self.namespaces {
            let (ip, bridge) = change.entries_new(name, net);
            out.extend([Batch::ip(name, ip), Batch::bridge(name, bridge)]);
        }
        out.retain(|batch| !batch.lines.is_empty() || batch.command.last().is_none_or(|last| last != "-"));
        out
    }
}

fn settings(name: &str, net: &Net, was: Option<&Net>) -> Option<Batch> {
    let new = net.settings.iter().filter(|(key, value)| was.is_none_or(|was| was.settings.get(*key) != Some(value)));
    let new: Vec<String> = new.map(|(key, value)| format!("{key}={value}")).collect();
    (!new.is_empty()).then(|| Batch::plain(&format!("ip netns exec {name} sysctl -q -e -w {}", new.join(" "))))
}

struct Change<'a> {
    before: &'a State,
    after: &'a State,
}

impl<'a> Change<'a> {
    fn link(state: &'a State, namespace: &str, device: &str) -> Option<&'a Interface> {
        state.namespaces.get(namespace)?.links.get(device)
    }

    /// The link as it was, if it is still the same one: a pair as long as both of its ends are there.
    fn same(&self, namespace: &str, device: &str) -> Option<&'a Interface> {
        let was = Self::link(self.before, namespace, device)?;
        let is = Self::link(self.after, namespace, device)?;
        let peer_stays = match &is.kind {
            Kind::Veth { namespace, name } => {
                let of = |state| Self::link(state, namespace, name).map(|peer| &peer.kind);
                of(self.before).is_some() && of(self.before) == of(self.after)
            }
            _ => true,
        };
        (was.kind == is.kind && peer_stays).then_some(was)
    }

    /// Whether the kernel may have forgotten by now what lay behind a link: it is new, was down, has lost an address (`fib_del_ifaddr`), or
    /// got another Ethernet address (`neigh_changeaddr`).
    fn is_fresh(&self, namespace: &str, device: &str) -> bool {
        let (was, is) = (self.same(namespace, device), Self::link(self.after, namespace, device));
        let (Some(was), Some(is)) = (was, is) else { return true };
        !was.up || was.mac != is.mac || was.addresses.iter().any(|address| !is.addresses.contains(address))
    }

    /// Whether a link is there before and after, and up in the end.
    fn stays_up(&self, namespace: &str, device: &str) -> bool {
        self.same(namespace, device).is_some() && Self::link(self.after, namespace, device).is_some_and(|link| link.up)
    }

    /// Links that go though their namespace stays. Of a pair one end is deleted, and the other one goes with it.
    fn links_gone(&self, name: &str, was: &Net) -> Vec<String> {
        let gone = was.links.values().filter(|link| self.same(name, &link.name).is_none());
        let mine = gone.filter(|link| match &link.kind {
            Kind::Veth { namespace, name: peer } => {
                let other = Self::link(self.before, namespace, peer).is_some();
                let stays = self.after.namespaces.contains_key(namespace);
                !(other && stays) || (name, link.name.as_str()) < (namespace, peer)
            }
            Kind::Ipip { .. } => link.name != FALLBACK_IPIP,
            _ => true,
        });
        mine.map(|link| format!("link del dev {}", link.name)).collect()
    }

    fn links_new(&self, name: &str, net: &Net) -> Vec<String> {
        let new = net.links.values().filter(|link| self.same(name, &link.name).is_none());
        let add = |link: &Interface| {
            let device = &link.name;
            Some(match &link.kind {
                // A pair is made once, from the end whose name comes first.
                Kind::Veth { namespace, name: peer } => {
                    let first = (name, device.as_str()) < (namespace, peer);
                    Self::link(self.after, namespace, peer).filter(|_| first)?;
                    format!("link add {device} type veth peer name {peer} netns {namespace}")
                }
                Kind::Bridge => format!("link add {device} type bridge"),
                Kind::Vxlan { vni, port, local } => {
                    format!("link add {device} type vxlan id {vni} local {local} dstport {port} nolearning")
                }
                Kind::Ipip { local } if device != FALLBACK_IPIP => {
                    format!("link add {device} type ipip local {local}")
                }
                _ => return None,
            })
        };
        new.filter_map(add).collect()
    }

    /// How a link has to be set, as far as it isn't.
    fn link_set(&self, name: &str, link: &Interface) -> Vec<String> {
        let was = self.same(name, &link.name);
        let device = &link.name;
        let mut out = Vec::new();
        let has_mac = !matches!(link.kind, Kind::Ipip { .. });
        if has_mac && was.is_none_or(|was| was.mac != link.mac) {
            out.push(format!("link set {device} address {}", link.mac));
        }
        if was.is_none_or(|was| was.mtu != link.mtu) {
            out.push(format!("link set {device} mtu {}", link.mtu));
        }
        if was.is_none() && self.is_plugged(link) {
            // On a wire packets are as long as its MTU says, for whoever looks at them and for a switch that carries less.
            out.push(format!("link set {device} gso_max_segs 1"));
        }
        let joins_anew = |bridge: &String| self.same(name, bridge).is_none();
        if was.is_none_or(|was| was.bridge != link.bridge) || link.bridge.as_ref().is_some_and(joins_anew) {
            match &link.bridge {
                Some(bridge) => out.push(format!("link set {device} master {bridge}")),
                None if was.is_some() => out.push(format!("link set {device} nomaster")),
                None => {}
            }
            if link.hairpin {
                out.push(format!("link set {device} type bridge_slave hairpin on"));
            }
        }
        let gone = was.iter().flat_map(|was| &was.addresses).filter(|address| !link.addresses.contains(address));
        out.extend(gone.map(|address| format!("addr del {address} dev {device}")));
        // Not before: a second address of a network goes with the first one.
        let had = |address| was.is_some_and(|was| was.addresses.contains(address));
        let new = link.addresses.iter().filter(|address| !had(address));
        out.extend(new.map(|address| format!("addr add {address} dev {device}")));
        match (was.is_some_and(|was| was.up), link.up) {
            (false, true) => out.push(format!("link set {device} up")),
            (true, false) => out.push(format!("link set {device} down")),
            _ => {}
        }
        out
    }

    /// Whether a link leads to a wire.
    fn is_plugged(&self, link: &Interface) -> bool {
        matches!(&link.kind, Kind::Veth { namespace, .. } if *namespace == self.after.switch)
    }

    /// Which links answer for others.
    fn proxies(&self, name: &str, net: &Net) -> Option<Batch> {
        let new = net.links.values().filter(|link| {
            let was = self.same(name, &link.name).is_some_and(|was| was.proxy_arp);
            was != link.proxy_arp
        });
        let set = |link: &Interface| {
            let (device, on) = (&link.name, u8::from(link.proxy_arp));
            format!(" net/ipv4/conf/{device}/proxy_arp={on} net/ipv4/neigh/{device}/proxy_delay=0")
        };
        let new: String = new.map(set).collect();
        (!new.is_empty()).then(|| Batch::plain(&format!("ip netns exec {name} sysctl -q -w{new}")))
    }

    /// Entries that go while their interface stays: for `ip` and for `bridge`.
    fn entries_gone(&self, name: &str, was: &Net, is: &Net) -> (Vec<String>, Vec<String>) {
        let stays = |device: &str| self.stays_up(name, device);
        let routes =
            was.routes.iter().filter(|(key, route)| !is.routes.contains_key(*key) && route.device().is_none_or(stays));
        let neighbours = was.neighbours.keys().filter(|key| !is.neighbours.contains_key(*key) && stays(&key.1));
        let routes = routes.map(|(_, route)| format!("route del {}", shown(route)));
        let neighbours = neighbours.map(|(address, device)| format!("neigh del {address} dev {device}"));
        // A forwarding database outlives its interface's being down.
        let there = |device: &str| self.same(name, device).is_some();
        let forwarding = was.forwarding.iter().filter(|(key, _)| !is.forwarding.contains_key(*key) && there(&key.1));
        let forwarding = forwarding.map(|((mac, device), remote)| format!("fdb del {mac} dev {device} dst {remote}"));
        (routes.chain(neighbours).collect(), forwarding.collect())
    }

    fn entries_new(&self, name: &str, is: &Net) -> (Vec<String>, Vec<String>) {
        let was = self.before.namespaces.get(name);
        let fresh = |device: &str| self.is_fresh(name, device);
        let routes = is.routes.iter().filter(|(key, route)| {
            let same = was.is_some_and(|was| was.routes.get(*key) == Some(route));
            !same || route.device().is_some_and(fresh)
        });
        let mut routes: Vec<_> = routes.map(|(_, route)| route).collect();
        // A router has to be reachable before a route leads to it.
        routes.sort_by_key(|route| matches!(route.to, To::Gateway { .. }));
        let neighbours = is.neighbours.iter().filter(|(key, mac)| {
            let same = was.is_some_and(|was| was.neighbours.get(*key) == Some(mac));
            !same || fresh(&key.1)
        });
        let routes = routes.into_iter().map(|route| format!("route replace {}", shown(route)));
        let neighbours = neighbours
            .map(|((address, device), mac)| format!("neigh replace {address} lladdr {mac} dev {device} nud permanent"));
        let forwarding = is.forwarding.iter().filter(|(key, remote)| {
            let same = was.is_some_and(|was| was.forwarding.get(*key) == Some(remote));
            !same || self.same(name, &key.1).is_none()
        });
        let forwarding =
            forwarding.map(|((mac, device), remote)| format!("fdb replace {mac} dev {device} dst {remote}"));
        (routes.chain(neighbours).collect(), forwarding.collect())
    }
}
