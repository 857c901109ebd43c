//! What the part of a driver that runs on each node tells the kubelet: `CSINode` (`pkg/volume/csi/nodeinfomanager`).

use kit_api::core::Node;
use kit_api::meta::{ObjectMeta, OwnerReference};
use kit_api::storage::{CSINode, CSINodeDriver, CSINodeSpec};
use kit_apimachinery::object::AsKind;
use kit_client::component::World;
use kit_server::Error;
use std::collections::BTreeSet;

/// Where a disk can be reached from.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// The zone of a node, if it has one.
pub fn zone(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get(ZONE).map(String::as_str)
}

/// Writes down that the drivers are at work on a node. What somebody else has said of them stays.
pub fn register(node: &Node, drivers: &BTreeSet<String>, world: &mut World<'_>) -> Result<(), Error> {
    let name = node.metadata.name.clone().unwrap_or_default();
    let there = world.server.fetch::<CSINode>("", &name).ok();
    let mut own = there.clone().unwrap_or_else(|| CSINode {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: name.clone(),
                uid: node.metadata.uid.clone().unwrap_or_default(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        spec: CSINodeSpec::default(),
    });
    let known: BTreeSet<String> = own.spec.drivers.iter().map(|driver| driver.name.clone()).collect();
    let new = drivers.difference(&known).map(|driver| CSINodeDriver {
        name: driver.clone(),
        node_id: name.clone(),
        topology_keys: zone(node).map(|_| vec![ZONE.into()]),
        ..CSINodeDriver::default()
    });
    own.spec.drivers.extend(new.collect::<Vec<_>>());
    match there {
        None => world.server.create(own.into_object()).map(drop),
        Some(there) if there != own => world.server.update(own.into_object()).map(drop),
        Some(_) => Ok(()),
    }
}
