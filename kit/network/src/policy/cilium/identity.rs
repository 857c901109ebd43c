//! Identities: numbers for sets of labels. Pods with the same labels share one, wherever they run.
//!
//! Sources: `pkg/identity/numericidentity.go`, `pkg/identity/reserved.go`, `pkg/labels/cidr.go` and `pkg/ipcache/cidr.go`.

use super::dns::NameSelector;
use super::selector::{CLUSTER, LabelKey, NAMESPACE, NAMESPACE_LABELS};
use kit_api::cidr::{Cidr, bits};
use kit_api::selector::Labels as KubernetesLabels;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Labels with their sources.
pub type Labels = BTreeMap<LabelKey, String>;

/// A number that stands for labels; 0 is nobody in particular.
pub type IdentityId = u32;

/// What a rule can mean by a name, with its number.
pub const RESERVED: [(&str, IdentityId); 10] = [
    ("host", 1),
    ("world", 2),
    ("unmanaged", 3),
    ("health", 4),
    ("init", 5),
    ("remote-node", 6),
    ("kube-apiserver", 7),
    ("ingress", 8),
    ("world-ipv4", 9),
    ("world-ipv6", 10),
];
/// Nodes number pods from here on, the same everywhere in the cluster.
const FIRST_POD: IdentityId = 256;
/// Each node numbers addresses outside for itself, from here on.
const FIRST_LOCAL: IdentityId = 1 << 24;

/// What an endpoint or an address is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// Its number.
    pub id: IdentityId,
    /// Its labels.
    pub labels: Labels,
    /// The network of addresses outside.
    pub network: Option<Cidr>,
    /// Selectors of names that have led to the address.
    pub names: BTreeSet<NameSelector>,
}

/// All identities of a cluster as one node knows them, and whose they are: what Cilium keeps in its ipcache.
#[derive(Debug, Clone)]
pub struct Identities {
    /// Both families are in use, and the world outside is two.
    is_dual_stack: bool,
    by_id: BTreeMap<IdentityId, Identity>,
    next_pod: IdentityId,
    next_local: IdentityId,
    by_address: BTreeMap<IpAddr, IdentityId>,
    networks: BTreeMap<Cidr, IdentityId>,
}

fn reserved(name: &str) -> Labels {
    [(LabelKey::new("reserved", name), String::new())].into()
}

impl Default for Identities {
    fn default() -> Self {
        let mut by_id = BTreeMap::new();
        for (name, id) in RESERVED {
            let mut labels = reserved(name);
            if name == "kube-apiserver" {
                labels.extend(reserved("remote-node"));
            }
            by_id.insert(id, Identity { id, labels, network: None, names: BTreeSet::new() });
        }
        Identities {
            is_dual_stack: false,
            by_id,
            next_pod: FIRST_POD,
            next_local: FIRST_LOCAL + 1,
            by_address: BTreeMap::new(),
            networks: BTreeMap::new(),
        }
    }
}

/// The labels of a pod that count: its own, and those of its namespace and cluster.
pub fn pod_labels(namespace: &str, own: &KubernetesLabels, of_namespace: &KubernetesLabels) -> Labels {
    let k8s = |key: &str, value: &str| (LabelKey::new("k8s", key), value.to_string());
    let own = own.iter().map(|(key, value)| k8s(key, value));
    let of_namespace = of_namespace.iter().map(|(key, value)| k8s(&format!("{NAMESPACE_LABELS}{key}"), value));
    own.chain(of_namespace).chain([k8s(NAMESPACE, namespace), k8s(CLUSTER, "default")]).collect()
}

impl Identities {
    /// Those of a cluster with addresses of both families.
    pub fn of_dual_stack() -> Identities {
        Identities { is_dual_stack: true, ..Identities::default() }
    }

    /// What an address outside is about which nothing else is known (`AddWorldLabel` in `pkg/labels/cidr.go`).
    fn world(&self, address: IpAddr) -> &'static str {
        match address {
            _ if !self.is_dual_stack => "world",
            IpAddr::V4(_) => "world-ipv4",
            IpAddr::V6(_) => "world-ipv6",
        }
    }

    /// The identity of pods with these labels; a new one, if they are the first.
    pub fn of_labels(&mut self, labels: Labels) -> IdentityId {
        let known = self.by_id.values().find(|identity| identity.network.is_none() && identity.labels == labels);
        if let Some(known) = known {
            return known.id;
        }
        let id = self.next_pod;
        self.next_pod += 1;
        self.by_id.insert(id, Identity { id, labels, network: None, names: BTreeSet::new() });
        id
    }

    /// From now on the address belongs to an endpoint.
    pub fn assign(&mut self, address: IpAddr, id: IdentityId) {
        self.by_address.insert(address, id);
    }

    /// Rules speak of this network, so that its addresses are no longer the same as all others outside.
    pub fn know_network(&mut self, network: Cidr) {
        let network = Cidr { address: network.first(), ..network };
        if self.networks.contains_key(&network) {
            return;
        }
        let id = self.new_outside(network, BTreeSet::new());
        self.networks.insert(network, id);
    }

    /// A name that selectors are interested in was answered with an address.
    pub fn learn(&mut self, address: IpAddr, selectors: impl IntoIterator<Item = NameSelector>) {
        let mut names: BTreeSet<NameSelector> = selectors.into_iter().collect();
        if names.is_empty() {
            return;
        }
        let (network, known) = match self.get(self.of_address(address)) {
            Some(identity) => (identity.network, identity.names.clone()),
            None => (None, BTreeSet::new()),
        };
        names.extend(known);
        let network = network.unwrap_or(Cidr { address, prefix: bits(address) });
        let id = self.new_outside(network, names);
        self.by_address.insert(address, id);
    }

    fn new_outside(&mut self, network: Cidr, names: BTreeSet<NameSelector>) -> IdentityId {
        let id = self.next_local;
        self.next_local += 1;
        let mut labels = reserved(self.world(network.address));
        labels.insert(LabelKey::new("cidr", &network.to_string()), String::new());
        labels.extend(names.iter().map(|name| (LabelKey::new("fqdn", &name.to_string()), String::new())));
        self.by_id.insert(id, Identity { id, labels, network: Some(network), names });
        id
    }

    /// Whose address that is: an endpoint's, or one of the smallest network around it that rules speak of, or the world's.
    pub fn of_address(&self, address: IpAddr) -> IdentityId {
        if let Some(id) = self.by_address.get(&address) {
            return *id;
        }
        let around = self.networks.iter().filter(|(network, _)| network.contains(address));
        let smallest = around.max_by_key(|(network, _)| network.prefix).map(|(_, id)| *id);
        smallest.or_else(|| self.of_entity(self.world(address))).unwrap_or_default()
    }

    /// The reserved identity of that name.
    pub fn of_entity(&self, name: &str) -> Option<IdentityId> {
        RESERVED.iter().find(|(reserved, _)| *reserved == name).map(|(_, id)| *id)
    }

    /// An identity by its number.
    pub fn get(&self, id: IdentityId) -> Option<&Identity> {
        self.by_id.get(&id)
    }

    /// All of them, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Identity> {
        self.by_id.values()
    }
}
