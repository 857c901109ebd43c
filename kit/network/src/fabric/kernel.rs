//! What a real kernel has to hold of the network of a running cluster.

use super::reach::From;
use super::{Fabric, Kind};
use crate::datapath::kernel::rules::Tables;
use crate::datapath::kernel::{Names, State};
use crate::datapath::packet::Protocol;
use crate::proxy::ruleset::Ruleset;
use std::collections::{BTreeMap, BTreeSet};

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Namespaces and what is in them.
    pub state: State,
    /// The rules of each node, by namespace.
    pub rules: BTreeMap<String, Tables>,
    /// Who is there, by namespace.
    pub places: BTreeMap<String, Place>,
}

/// Who is in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// What is in its `resolv.conf`.
    pub resolv_conf: String,
    /// Pods that listen there, by namespace and name, and where. On a node they are those that use its network.
    pub pods: BTreeMap<(String, String), BTreeSet<(Protocol, u16)>>,
    /// Its port 53 is CoreDNS'.
    pub answers_dns: bool,
}

impl Kind {
    /// Whether tables of a kernel can do what the plugin does.
    ///
    /// # Errors
    ///
    /// What they can't, and what to do instead.
    pub fn is_for_kernels(self) -> Result<(), String> {
        match self {
            Kind::Flannel | Kind::Calico => Ok(()),
            Kind::Cilium => Err("Cilium's datapath is made of eBPF programs, which are only simulated here; take `--network flannel`, or follow \
                 simulated packets with `cargo grade cluster packet`"
                .into()),
        }
    }
}

impl Fabric {
    /// Changes with everything on which the way of a packet depends.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What a kernel has to hold now.
    ///
    /// # Errors
    ///
    /// What no kernel can.
    pub fn wanted(&self, names: &Names) -> Result<Wanted, String> {
        let state = State::of(&self.cluster.world, names)?;
        let plugin = self.cluster.rules();
        let none = Ruleset::default();
        let mut wanted = Wanted { state, ..Wanted::default() };
        for node in &self.cluster.nodes {
            let proxy = self.proxies.get(&node.name).map_or(&none, |proxy| &proxy.rules);
            wanted.rules.insert(names.of(&node.name), Tables::of(&node.name, proxy, &plugin));
        }
        for name in self.cluster.world.namespaces.keys() {
            let resolv_conf = self.conf_of(name).to_string();
            wanted.places.insert(names.of(name), Place { resolv_conf, ..Place::default() });
        }
        let on_hosts = self
            .on_hosts
            .iter()
            .flat_map(|(node, pods)| pods.iter().map(move |(pod, ports)| (node, pod, ports.clone())));
        let own = self.sandboxes.iter().filter_map(|(pod, name)| {
            let listens = self.cluster.world.namespaces.get(name)?.listens.clone();
            Some((name, pod, listens.unwrap_or_default()))
        });
        for (name, pod, ports) in own.chain(on_hosts) {
            let Some(place) = wanted.places.get_mut(&names.of(name)) else { continue };
            place.pods.insert((pod.namespace.clone(), pod.pod.clone()), ports);
            place.answers_dns |= self.is_server(name);
        }
        Ok(wanted)
    }

    /// Where somebody is, by name in the world: a node, `[NAMESPACE/]POD`, the first pod of a workload, or `client`, if no pod is
    /// called so.
    ///
    /// # Errors
    ///
    /// If nobody is there.
    pub fn place(&self, who: &str) -> Result<String, String> {
        let is_node = |name: &str| self.cluster.nodes.iter().any(|node| node.name == name);
        let is_machine = |name: &str| self.cluster.world.namespaces.get(name).is_some_and(|there| there.is_host);
        let from = match *who.split('/').collect::<Vec<_>>() {
            [name] if !is_node(name) => From::Pod("default".into(), name.into()),
            [namespace, name] if From::read(who).is_err() => From::Pod(namespace.into(), name.into()),
            _ => From::read(who)?,
        };
        let first = self.places(&from)?.into_iter().next().or_else(|| is_machine(who).then(|| who.into()));
        first.ok_or_else(|| format!("{} is no node, and no pod with a network", super::reach::shown(&from)))
    }
}
