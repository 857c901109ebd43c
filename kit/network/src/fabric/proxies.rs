//! kube-proxy on every node: it hears of Services and EndpointSlices, and writes rules for its node. Where Calico's programs stand in its place, Felix
//! hears of the same, and writes their maps.
//!
//! It writes at most once a second (`minSyncPeriod`; upstream two syncs may follow each other faster after a pause). So a change
//! waits for three: the EndpointSlice controller, the watch, and this. Sources: `pkg/proxy/iptables/proxier.go`, `pkg/util/async/bounded_frequency_runner.go`.

use super::{Fabric, Shared, pods};
use crate::datapath::packet::Protocol;
use crate::endpoints::hints::zone_of_node;
use crate::proxy::Family;
use crate::proxy::bpf::Numbers;
use crate::proxy::conntrack::Flow;
use crate::proxy::iptables::{Config, LocalDetector, Proxier, jumps};
use crate::proxy::ruleset::Ruleset;
use crate::proxy::walk::Recent;
use kit_api::core::{Node, Service};
use kit_api::discovery::EndpointSlice;
use kit_apimachinery::object::{Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::fault::Fault;
use kit_contract::Modules;
use kit_contract::network::{IptablesRule, IptablesTable, KubeProxy, ProxyNode, ProxyPort, ServiceProtocol};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

/// From one sync to the next (`--iptables-min-sync-period`).
const MIN_SYNC_PERIOD: Instant = Instant::seconds(1);
/// When a sync is tried again that `iptables-restore` refused (`--iptables-sync-period`).
const SYNC_PERIOD: Instant = Instant::seconds(30);

/// What kube-proxy has made of a node's rules.
#[derive(Debug, Clone, Default)]
pub struct Proxy {
    /// The rules.
    pub rules: Ruleset,
    /// What rules with session affinity remember.
    pub recent: Recent,
    /// Why the last sync was refused, if it was.
    pub refused: Option<String>,
}

/// All kube-proxies.
pub struct Proxies {
    fabric: Shared,
    module: Rc<dyn KubeProxy>,
    nodes: BTreeMap<String, Running>,
}

struct Running {
    proxier: Proxier,
    numbers: Numbers,
    address: IpAddr,
    zone: String,
    /// When it writes next, and when it did last.
    due: Option<Instant>,
    last: Option<Instant>,
}

/// One module for all nodes: it keeps nothing between two questions.
struct Asked(Rc<dyn KubeProxy>);

impl KubeProxy for Asked {
    fn rules(&self, service: &ProxyPort, node: &ProxyNode) -> Vec<IptablesRule> {
        self.0.rules(service, node)
    }
}

impl Running {
    fn soon(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| (last + MIN_SYNC_PERIOD).max(now));
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }
}

impl Running {
    /// Writes the maps of the programs of its node (`Syncer.Apply`).
    fn write_maps(&mut self, name: &str, fabric: &mut Fabric) {
        self.proxier.refresh();
        let mut services = self.numbers.services(self.proxier.ports(), self.address, &self.zone);
        let host = fabric.cluster.world.namespaces.get_mut(name);
        let Some(felix) = host.and_then(|host| host.felix.as_mut()) else {
            // The agent has not come so far.
            self.due = self.last.map(|last| last + MIN_SYNC_PERIOD);
            return;
        };
        services.affinity = std::mem::take(&mut felix.services.affinity);
        services.forget_gone();
        felix.services = services;
        self.forget_flows(name, fabric);
        fabric.changed();
    }

    /// Flows by UDP to endpoints that are gone would lead there as long as somebody uses them.
    fn forget_flows(&self, name: &str, fabric: &mut Fabric) {
        let host = fabric.cluster.world.namespaces.get_mut(name);
        let Some(conntrack) = host.and_then(|host| host.conntrack.as_mut()) else { return };
        let flows: Vec<Flow> = conntrack.connections.iter().filter_map(as_flow).collect();
        let stale = self.proxier.stale_flows(&flows);
        conntrack.forget(|connection| as_flow(connection).is_some_and(|flow| stale.contains(&flow)));
    }
}

impl Proxies {
    /// No node yet.
    pub fn new(fabric: Shared, modules: &Modules) -> Self {
        Proxies { fabric, module: modules.kube_proxy.make(&()).into(), nodes: BTreeMap::new() }
    }

    /// The proxy of a node begins, with all that there is.
    fn begin(&mut self, node: &Node, address: IpAddr, cache: &Cache, now: Instant) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let pods = LocalDetector::Range(pods());
        let config = Config { node_ip: Some(address), pods, ..Config::new(&name, Family::V4) };
        let mut proxier = Proxier::new(config, Box::new(Asked(self.module.clone())));
        let zone = zone_of_node(node).unwrap_or_default();
        proxier.set_zone(zone);
        cache.all::<Service>().for_each(|service| _ = proxier.set_service(service));
        cache.all::<EndpointSlice>().for_each(|slice| _ = proxier.set_slice(slice));
        let has_programs = self.fabric.borrow().has_programs;
        if !has_programs {
            let mut proxy = Proxy::default();
            // What it jumps to is its own, and its names are short enough.
            _ = proxy.rules.restore(&jumps());
            self.fabric.borrow_mut().proxies.insert(name.clone(), proxy);
        }
        let numbers = Numbers::default();
        let mut running = Running { proxier, numbers, address, zone: zone.into(), due: None, last: None };
        running.soon(now);
        self.nodes.insert(name, running);
    }

    fn see_node(&mut self, node: &Node, gone: bool, cache: &Cache, now: Instant) {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        if gone {
            self.nodes.remove(name);
            self.fabric.borrow_mut().proxies.remove(name);
            return;
        }
        let Some(address) = internal_ip(node) else { return };
        match self.nodes.get_mut(name) {
            Some(running) if running.zone == zone_of_node(node).unwrap_or_default() => {}
            Some(running) => {
                running.zone = zone_of_node(node).unwrap_or_default().into();
                running.proxier.set_zone(&running.zone);
                running.soon(now);
            }
            None => self.begin(node, address, cache, now),
        }
    }

    /// Tells all proxies that hear the API server; true if it matters to one.
    fn tell(&mut self, now: Instant, mut tell: impl FnMut(&mut Proxier) -> bool) {
        let fabric = self.fabric.borrow();
        for (_, running) in self.nodes.iter_mut().filter(|(name, _)| fabric.hears(name)) {
            if tell(&mut running.proxier) {
                running.soon(now);
            }
        }
    }

    fn sync(&mut self, name: &str, now: Instant) {
        let Some(running) = self.nodes.get_mut(name) else { return };
        (running.due, running.last) = (None, Some(now));
        if self.fabric.borrow().has_programs {
            return running.write_maps(name, &mut self.fabric.borrow_mut());
        }
        let existing = {
            let fabric = self.fabric.borrow();
            let Some(proxy) = fabric.proxies.get(name) else { return };
            proxy.rules.chains(IptablesTable::Nat).cloned().collect::<Vec<_>>()
        };
        // The module may be lost here; nothing is borrowed, and nothing half done.
        let sync = running.proxier.sync(now.nanos / 1_000_000, &existing);
        let mut fabric = self.fabric.borrow_mut();
        let Some(proxy) = fabric.proxies.get_mut(name) else { return };
        proxy.refused = proxy.rules.restore(&sync.restore).err();
        if proxy.refused.is_some() {
            running.proxier.failed();
            running.due = Some(now + SYNC_PERIOD);
        }
        if sync.cleans_flows {
            running.forget_flows(name, &mut fabric);
        }
        fabric.changed();
    }
}

fn as_flow(connection: &crate::datapath::conntrack::Connection) -> Option<Flow> {
    let original = connection.original;
    (original.protocol == Protocol::Udp).then_some(Flow {
        protocol: ServiceProtocol::Udp,
        source: original.source.address,
        destination: original.destination.address,
        port: original.destination.port,
        replies_from: connection.reply.source.address,
    })
}

/// A node's own address.
pub(super) fn internal_ip(node: &Node) -> Option<IpAddr> {
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let internal = addresses.filter(|address| address.type_ == "InternalIP");
    internal.filter_map(|address| address.address.parse().ok()).find(IpAddr::is_ipv4)
}

impl Component for Proxies {
    fn name(&self) -> &'static str {
        if self.fabric.borrow().has_programs { "felix" } else { "kube-proxy" }
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Service, Kind::EndpointSlice]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        match &change.object.object {
            Object::Node(node) => self.see_node(node, gone, world.cache, world.now),
            Object::Service(service) => self.tell(world.now, |proxier| match gone {
                true => proxier.remove_service(service),
                false => proxier.set_service(service),
            }),
            Object::EndpointSlice(slice) => self.tell(world.now, |proxier| match gone {
                true => proxier.remove_slice(slice),
                false => proxier.set_slice(slice),
            }),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        let is_due = |running: &Running| running.due.is_some_and(|due| due <= world.now);
        let due: Vec<String> = {
            let fabric = self.fabric.borrow();
            // Who has no power writes nothing; who only hears nothing has nothing new to write.
            let on = self.nodes.iter().filter(|(name, _)| !fabric.crashed.contains(*name));
            on.filter(|(_, running)| is_due(running)).map(|(name, _)| name.clone()).collect()
        };
        due.iter().for_each(|name| self.sync(name, world.now));
    }

    fn next_wake(&self) -> Option<Instant> {
        let fabric = self.fabric.borrow();
        let on = self.nodes.iter().filter(|(name, _)| !fabric.crashed.contains(*name));
        on.filter_map(|(_, running)| running.due).min()
    }

    fn fault(&mut self, fault: &Fault, world: &mut World<'_>) -> Result<bool, String> {
        let (Fault::Restart(name) | Fault::Heal(name)) = fault else { return Ok(false) };
        let Some(node) = world.cache.fetch::<Node>("", name) else { return Ok(false) };
        let (Some(address), Some(running)) = (internal_ip(node), self.nodes.get_mut(name)) else { return Ok(false) };
        if matches!(fault, Fault::Restart(_)) {
            // The rules of a machine are gone with its power.
            self.begin(node, address, world.cache, world.now);
            return Ok(true);
        }
        // It lists again, and what is there no more is gone.
        let rules = self.fabric.borrow().proxies.get(name).cloned();
        let last = running.last;
        self.begin(node, address, world.cache, world.now);
        if let (Some(running), Some(rules)) = (self.nodes.get_mut(name), rules) {
            running.last = last;
            self.fabric.borrow_mut().proxies.insert(name.clone(), rules);
        }
        Ok(true)
    }
}
