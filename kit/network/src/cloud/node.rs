//! The cloud node controller: tells nodes what the cloud knows of them.
//!
//! Source: `staging/src/k8s.io/cloud-provider/controllers/node/node_controller.go`. A kubelet of `--cloud-provider=external`
//! registers its node with a taint that keeps pods away until this controller has looked at it.

use super::Shared;
use super::provider::Instance;
use kit_api::core::{Node, NodeAddress, Taint};
use kit_api::node::{UNINITIALIZED, has_taint};
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// From one look at the addresses of all nodes to the next (`--node-status-update-frequency`).
const PERIOD: Instant = Instant::seconds(300);
/// Labels of old, and those that took their places: the old one counts where both are there (`labelReconcileInfo`).
const LABELS: [(&str, &str); 3] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];

/// Fills in nodes.
pub struct Nodes {
    cloud: Shared,
    queue: WorkQueue<String>,
    next: Instant,
}

/// The taint with which a node of a cloud begins.
pub fn uninitialized() -> Taint {
    Taint { key: UNINITIALIZED.into(), value: Some("true".into()), effect: "NoSchedule".into(), ..Taint::default() }
}

impl Nodes {
    /// A controller in front of this cloud.
    pub fn new(cloud: Shared) -> Self {
        Nodes { cloud, queue: WorkQueue::default(), next: PERIOD }
    }

    /// One node (`syncNode`).
    fn sync(&self, name: &str, world: &mut World<'_>) -> Result<(), String> {
        let Some(seen) = world.cache.fetch::<Node>("", name) else { return Ok(()) };
        let says = |error: kit_server::Error| error.to_string();
        if !has_taint(seen, UNINITIALIZED) {
            let labels = seen.metadata.labels.clone().unwrap_or_default();
            let reconciled = reconcile_labels(&labels);
            if reconciled == labels {
                return Ok(());
            }
            let mut node: Node = world.server.fetch("", name).map_err(says)?;
            let labels = node.metadata.labels.clone().unwrap_or_default();
            node.metadata.labels = Some(reconcile_labels(&labels));
            return world.server.update(node.into_object()).map(drop).map_err(says);
        }
        let cloud = self.cloud.borrow();
        let instance = cloud.instance(seen).map_err(|e| e.message)?.ok_or("instance not found")?;
        let mut node: Node = world.server.fetch("", name).map_err(says)?;
        initialize(&mut node, instance, &cloud.region);
        let addresses = instance.addresses.clone();
        drop(cloud);
        world.server.update(node.clone().into_object()).map_err(says)?;
        // What fails here is made up for with the next look at all addresses.
        _ = write_addresses(name, &addresses, world);
        world.server.record(&node, "Normal", "Synced", "Node synced successfully");
        Ok(())
    }

    /// The addresses of all nodes (`UpdateNodeStatus`).
    fn addresses(&self, world: &mut World<'_>) {
        let cache = world.cache;
        for node in cache.all::<Node>().filter(|node| !has_taint(node, UNINITIALIZED)) {
            let instance = self.cloud.borrow().instance(node).map(|instance| instance.map(|i| i.addresses.clone()));
            if let Ok(Some(addresses)) = instance {
                _ = write_addresses(node.metadata.name.as_deref().unwrap_or_default(), &addresses, world);
            }
        }
    }
}

/// What the cloud knows, into the node, and the taint away (`getNodeModifiersFromCloudProvider`).
pub fn initialize(node: &mut Node, instance: &Instance, region: &str) {
    let spec = node.spec.get_or_insert_default();
    // Who has one keeps it: it can't be changed.
    if spec.provider_id.as_deref().unwrap_or_default().is_empty() {
        spec.provider_id = Some(instance.provider_id());
    }
    spec.taints =
        spec.taints.take().map(|taints| taints.into_iter().filter(|taint| taint.key != UNINITIALIZED).collect());
    let values = [instance.zone.as_deref(), Some(region), Some(instance.instance_type.as_str())];
    let labels = node.metadata.labels.get_or_insert_default();
    for ((old, new), value) in LABELS.iter().zip(values) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            labels.insert((*old).into(), value.into());
            labels.insert((*new).into(), value.into());
        }
    }
}

/// The new label for each old one (`reconcileNodeLabels`).
pub fn reconcile_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut reconciled = labels.clone();
    for (old, new) in LABELS {
        if let Some(value) = labels.get(old) {
            reconciled.insert(new.into(), value.clone());
        }
    }
    reconciled
}

/// The addresses of the cloud, with the host name that the kubelet said if the cloud has none (`updateNodeAddress`).
pub fn merge_addresses(of_cloud: &[NodeAddress], of_node: &[NodeAddress]) -> Vec<NodeAddress> {
    let is_name = |address: &&NodeAddress| address.type_ == "Hostname";
    let mut merged = of_cloud.to_vec();
    if !merged.is_empty() && !of_cloud.iter().any(|address| is_name(&address)) {
        merged.extend(of_node.iter().filter(is_name).cloned());
    }
    merged
}

fn write_addresses(name: &str, of_cloud: &[NodeAddress], world: &mut World<'_>) -> Result<(), kit_server::Error> {
    let mut node: Node = world.server.fetch("", name)?;
    let status = node.status.get_or_insert_default();
    let before = status.addresses.clone().unwrap_or_default();
    let merged = merge_addresses(of_cloud, &before);
    if merged.is_empty() || merged == before {
        return Ok(());
    }
    status.addresses = Some(merged);
    world.server.update_status(node.into_object()).map(drop)
}

impl Component for Nodes {
    fn name(&self) -> &'static str {
        "cloud-node-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        if let (Object::Node(node), true) = (&change.object.object, change.kind != ChangeKind::Deleted) {
            self.queue.add(node.metadata.name.clone().unwrap_or_default(), world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(name) = self.queue.pop(world.now) {
            let result = self.sync(&name, world);
            self.queue.done(name, &result, world.now);
        }
        if world.now >= self.next {
            self.addresses(world);
            self.next = world.now + PERIOD;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next().into_iter().chain([self.next]).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn instance() -> Instance {
        Instance {
            name: "node-1".into(),
            zone: Some("zone-1".into()),
            instance_type: "standard-4".into(),
            addresses: Vec::new(),
            stopped: false,
        }
    }

    #[test]
    fn a_node_is_filled_in_once() {
        let json = json!({"metadata": {"name": "node-1", "labels": {"team": "shop"}}, "spec": {"providerID": "its://own",
            "taints": [{"key": UNINITIALIZED, "effect": "NoSchedule"}, {"key": "gpu", "effect": "NoSchedule"}]}});
        let mut node: Node = serde_json::from_value(json).expect("a node");
        assert!(has_taint(&node, UNINITIALIZED));
        initialize(&mut node, &instance(), "region-1");
        let spec = node.spec.clone().unwrap_or_default();
        assert_eq!(spec.provider_id.as_deref(), Some("its://own"), "what is there stays");
        assert_eq!(spec.taints.unwrap_or_default().iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), ["gpu"]);
        let labels = node.metadata.labels.unwrap_or_default();
        for (key, value) in [
            ("team", "shop"),
            ("topology.kubernetes.io/zone", "zone-1"),
            ("topology.kubernetes.io/region", "region-1"),
            ("node.kubernetes.io/instance-type", "standard-4"),
            ("beta.kubernetes.io/instance-type", "standard-4"),
        ] {
            assert_eq!(labels.get(key).map(String::as_str), Some(value));
        }
    }

    #[test]
    fn the_old_label_counts() {
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let labels = |pairs: Pairs<'_>| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let (old, new) = LABELS[0];
        let cases: [(Pairs<'_>, Pairs<'_>); 3] = [
            (&[(old, "a")], &[(old, "a"), (new, "a")]),
            (&[(old, "a"), (new, "b")], &[(old, "a"), (new, "a")]),
            (&[(new, "b")], &[(new, "b")]),
        ];
        for (before, after) in cases {
            assert_eq!(reconcile_labels(&labels(before)), labels(after));
        }
    }

    #[test]
    fn the_host_name_is_kept() {
        let address = |type_: &str, text: &str| NodeAddress { type_: type_.into(), address: text.into() };
        let (inside, outside, name) =
            (address("InternalIP", "10.0.0.1"), address("ExternalIP", "198.51.100.1"), address("Hostname", "node-1"));
        let of_node = [address("InternalIP", "192.168.0.1"), name.clone()];
        let of_cloud = [inside.clone(), outside.clone()];
        assert_eq!(merge_addresses(&of_cloud, &of_node), [inside, outside, name]);
        assert_eq!(merge_addresses(&[], &of_node), [], "nothing is known");
    }
}
