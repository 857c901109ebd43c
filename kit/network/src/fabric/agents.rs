//! The plugin's agents, one on each node: they join nodes and pods to the network, and enforce policies where the plugin does.
//!
//! A node that is cut off from the API server keeps what its agent has written. So does one whose agent has stopped. Where the API has a DaemonSet
//! of agents they come and go with its pods, and [`settings`](super::settings) are what they read when they start.

use super::policies::Unread;
use super::proxies::internal_ip;
use super::settings::{Agent, Settings};
use super::{Fabric, Kind as PluginKind, MTU, NODE_PREFIX, Shared};
use crate::datapath::cluster;
use crate::datapath::conntrack::Conntrack;
use crate::ipam::cidr::Cidr;
use kit_api::core::Node;
use kit_apimachinery::object::{Kind, Object};
use kit_client::component::{Component, World};
use kit_client::fault::{Fault, NetworkFault};
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How often timers of BGP are looked at.
const TICK: Instant = Instant::seconds(10);

/// All agents.
pub struct Agents {
    fabric: Shared,
    settings: Settings,
    /// Nodes whose agent was stopped.
    stopped: BTreeSet<String>,
    /// Policies, and those who they are about, that have changed.
    unread: Unread,
    /// Whether agents have to take over what was read.
    untold: bool,
    /// Whether nodes have come or changed.
    unsynced: bool,
    next: Option<Instant>,
}

impl Agents {
    /// The agents of this network's plugin.
    pub fn new(fabric: Shared) -> Self {
        let kind = fabric.borrow().kind;
        Agents {
            fabric,
            settings: Settings::new(kind),
            stopped: BTreeSet::new(),
            unread: Unread::default(),
            untold: false,
            unsynced: false,
            next: (kind == PluginKind::Calico).then_some(TICK),
        }
    }

    fn see(&mut self, node: &Node, gone: bool) {
        let mut fabric = self.fabric.borrow_mut();
        let name = node.metadata.name.clone().unwrap_or_default();
        let known = fabric.cluster.nodes.iter().position(|known| known.name == name);
        if gone {
            if known.is_some() {
                fabric.leave(&name);
                self.unsynced = true;
            }
            return;
        }
        let Some(address) = internal_ip(node) else { return };
        let address = Cidr { address, prefix: NODE_PREFIX };
        let range = node.spec.as_ref().and_then(|spec| spec.pod_cidr.as_deref()?.parse::<Cidr>().ok());
        if let Some(at) = known.filter(|at| fabric.cluster.nodes[*at].address == address) {
            let known = &mut fabric.cluster.nodes[at];
            if std::mem::replace(&mut known.pod_cidr, range) == range {
                return;
            }
        } else {
            if known.is_some() {
                fabric.leave(&name);
            }
            let pod_cidr = range;
            fabric.join(cluster::Node { mtu: MTU, pod_cidr, ..cluster::Node::new(&name, address) });
            self.configure(&mut fabric, &name);
        }
        (self.untold, self.unsynced) = (true, true);
    }

    /// Which agents can't work now.
    fn count_down(&self, fabric: &mut Fabric) {
        let all = self.stopped.iter().chain(&fabric.crashed).chain(&fabric.apart);
        fabric.cluster.agents_down = all.cloned().collect();
    }

    fn of_network(&mut self, fault: &NetworkFault) -> Result<(), String> {
        let fabric = self.fabric.clone();
        let mut fabric = fabric.borrow_mut();
        let (NetworkFault::StopAgent(name)
        | NetworkFault::StartAgent(name)
        | NetworkFault::Narrow { node: name, .. }
        | NetworkFault::Widen(name)
        | NetworkFault::Flood(name)
        | NetworkFault::Ebb(name)) = fault;
        if !fabric.cluster.nodes.iter().any(|node| node.name == *name) {
            let all: Vec<&str> = fabric.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
            return Err(format!("there is no node `{name}` in the network; there are: {}", all.join(", ")));
        }
        match fault {
            NetworkFault::StopAgent(_) => self.stop(&mut fabric, name),
            NetworkFault::StartAgent(_) => self.start(&mut fabric, name),
            NetworkFault::Narrow { mtu, .. } => _ = fabric.cluster.world.links.insert(name.clone(), *mtu),
            NetworkFault::Widen(_) => _ = fabric.cluster.world.links.remove(name),
            NetworkFault::Flood(_) | NetworkFault::Ebb(_) => {
                let max = if matches!(fault, NetworkFault::Flood(_)) { 0 } else { Conntrack::default().max };
                let host = fabric.cluster.world.namespaces.get_mut(name);
                if let Some(conntrack) = host.and_then(|host| host.conntrack.as_mut()) {
                    conntrack.max = max;
                    if max == 0 {
                        // Who has no answer makes room, and would do so for long.
                        conntrack.connections.retain(|connection| connection.is_answered);
                    }
                }
            }
        }
        self.count_down(&mut fabric);
        fabric.sync();
        Ok(())
    }

    fn stop(&mut self, fabric: &mut Fabric, node: &str) {
        self.stopped.insert(node.into());
        fabric.cluster.stop_agent(node);
    }

    fn start(&mut self, fabric: &mut Fabric, node: &str) {
        self.stopped.remove(node);
        self.untold = true;
        self.configure(fabric, node);
        fabric.cluster.start_agent(node);
    }

    /// A node's agent starts, and reads what it is told.
    fn configure(&self, fabric: &mut Fabric, node: &str) {
        if let Some(node) = fabric.cluster.nodes.iter_mut().find(|known| known.name == node) {
            node.mtu = self.settings.mtu().unwrap_or(MTU);
        }
    }

    /// A pod of the agents' DaemonSet has come or gone.
    fn of_pod(&mut self, agent: &Agent) {
        let fabric = self.fabric.clone();
        let mut fabric = fabric.borrow_mut();
        let (Agent::Started(node) | Agent::Ended(node)) = agent;
        if !fabric.cluster.nodes.iter().any(|known| known.name == *node) {
            return;
        }
        match agent {
            Agent::Started(_) => self.start(&mut fabric, node),
            Agent::Ended(_) => self.stop(&mut fabric, node),
        }
        self.count_down(&mut fabric);
        self.unsynced = true;
    }

    /// Power and the way to the control plane.
    fn of_machine(&mut self, fault: &Fault) -> bool {
        let mut fabric = self.fabric.borrow_mut();
        let (Fault::Crash(name) | Fault::Restart(name) | Fault::Partition(name) | Fault::Heal(name)) = fault else {
            return false;
        };
        if !fabric.cluster.nodes.iter().any(|node| node.name == *name) {
            return false;
        }
        match fault {
            Fault::Crash(_) => {
                fabric.crashed.insert(name.clone());
                fabric.cluster.crash(name);
            }
            Fault::Restart(_) => {
                fabric.crashed.remove(name);
                self.configure(&mut fabric, name);
                fabric.cluster.restart(name);
            }
            Fault::Partition(_) => _ = fabric.apart.insert(name.clone()),
            _ => _ = fabric.apart.remove(name),
        }
        self.count_down(&mut fabric);
        self.untold = true;
        fabric.sync();
        true
    }
}

impl Fabric {
    fn join(&mut self, node: cluster::Node) {
        let (name, wire) = (node.name.clone(), node.subnet().to_string());
        self.cluster.join(node);
        if let Some(wire) = self.cluster.world.wires.get_mut(&wire) {
            wire.mtu = self.carries;
        }
        self.listen_on_host(&name);
    }

    fn leave(&mut self, node: &str) {
        self.cluster.leave(node);
        self.sandboxes.retain(|sandbox, _| sandbox.node != node);
        self.on_hosts.remove(node);
        self.policies.forget(node);
        self.changed();
    }
}

impl Component for Agents {
    fn name(&self) -> &'static str {
        match self.fabric.borrow().kind {
            PluginKind::Flannel => "flanneld",
            PluginKind::Calico => "calico-node",
            PluginKind::Cilium => "cilium-agent",
        }
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Pod, Kind::Namespace, Kind::NetworkPolicy, Kind::ConfigMap]
    }

    fn observe(&mut self, change: &Change, _world: &mut World<'_>) {
        let gone = change.kind == ChangeKind::Deleted;
        match &change.object.object {
            Object::Node(node) => self.see(node, gone),
            Object::Pod(pod) => {
                self.fabric.borrow_mut().names.configure(pod, gone);
                if let Some(agent) = self.settings.see(pod, gone) {
                    self.of_pod(&agent);
                }
            }
            Object::ConfigMap(map) => self.settings.read(map, gone),
            _ => {}
        }
        self.untold |= self.unread.note(&change.object.key);
    }

    fn run(&mut self, world: &mut World<'_>) {
        let mut fabric = self.fabric.borrow_mut();
        if std::mem::take(&mut self.unsynced) {
            fabric.sync();
        }
        if std::mem::take(&mut self.untold) {
            fabric.policies.read(&std::mem::take(&mut self.unread), world.cache);
            let names = fabric.cluster.nodes.iter().map(|node| &node.name);
            let up = names.filter(|name| !fabric.cluster.agents_down.contains(*name));
            for name in up.cloned().collect::<Vec<_>>() {
                fabric.policies.apply(&name);
            }
            fabric.changed();
        }
        if self.next.is_some_and(|next| next <= world.now) {
            self.next = Some(world.now + TICK);
            _ = fabric.cluster.advance(TICK.nanos.unsigned_abs() / 1_000_000_000);
            fabric.changed();
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.next
    }

    fn fault(&mut self, fault: &Fault, _world: &mut World<'_>) -> Result<bool, String> {
        match fault {
            Fault::Network(fault) => self.of_network(fault).map(|()| true),
            fault => Ok(self.of_machine(fault)),
        }
    }
}
