//! What else keeps a pod with claims away from a node: a claim for one pod alone, the zone of a volume, and how many volumes a
//! node can have (VolumeRestrictions, VolumeZone, NodeVolumeLimits).
//!
//! Sources: `plugins/volumerestrictions/volume_restrictions.go`, `plugins/volumezone/volume_zone.go` and
//! `plugins/nodevolumelimits/csi.go` in `pkg/scheduler/framework`. Left out are disks that a pod names itself, without a claim.

use super::class::Class;
use super::nodes::{Node, Nodes};
use super::volumes::Volumes;
use kit_api::volume::{class_of, volume_of};
use kit_contract::scheduler::NodeLabels;
use std::collections::{BTreeMap, BTreeSet};

/// Another pod has the claim, wherever it runs.
pub const ALONE: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
/// A volume can't be reached from the node's zone.
pub const ZONE: &str = "node(s) had no available volume zone";
/// The node has as many volumes as it can have.
pub const LIMIT: &str = "node(s) exceed max volume count";

/// Labels of a volume that say where it is; the newer names first.
const PLACES: [(&str, &str); 4] = [
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
];

impl Volumes {
    /// Whether one of the claims is for one pod alone, and a pod has it (`satisfyReadWriteOncePod`).
    pub fn is_taken(&self, class: &Class, nodes: &Nodes) -> bool {
        let alone = |name: &str| {
            let modes = self.claim(&class.namespace, name).and_then(|claim| claim.spec.as_ref()?.access_modes.as_ref());
            modes.into_iter().flatten().any(|mode| mode == "ReadWriteOncePod")
        };
        let alone: Vec<&str> =
            class.claims.iter().map(|claim| claim.name.as_str()).filter(|name| alone(name)).collect();
        let has = |other: &Class| {
            other.namespace == class.namespace && other.claims.iter().any(|claim| alone.contains(&claim.name.as_str()))
        };
        let mut groups = nodes.list().iter().flat_map(|node| &node.groups);
        !alone.is_empty() && groups.any(|group| group.pods > 0 && has(&group.class))
    }

    /// Whether a volume's labels keep it away from a node. Nodes that say nothing of where they are can have any.
    pub fn is_elsewhere(&self, class: &Class, node: &NodeLabels) -> bool {
        if !PLACES.iter().any(|(label, _)| node.labels.contains_key(*label)) {
            return false;
        }
        let claims = class.claims.iter().filter_map(|claim| self.claim(&class.namespace, &claim.name));
        let mut volumes = claims.filter_map(|claim| self.volumes.get(volume_of(claim)));
        volumes.any(|volume| {
            PLACES.iter().any(|(label, newer)| {
                let Some(zones) = volume.metadata.labels.as_ref().and_then(|labels| labels.get(*label)) else {
                    return false;
                };
                let here = node.labels.get(*label).or_else(|| node.labels.get(*newer));
                // A volume that is in several zones names them all.
                here.is_none_or(|here| !zones.split("__").any(|zone| zone == here))
            })
        })
    }

    /// Whether the node would have more volumes of a driver than it can.
    pub fn are_too_many(&self, class: &Class, node: &Node) -> bool {
        let Some(limits) = self.limits.get(&node.labels.name) else { return false };
        let new = self.of_drivers(class);
        if new.is_empty() || limits.is_empty() {
            return false;
        }
        let mut there: BTreeSet<(String, String)> =
            node.groups.iter().flat_map(|group| self.of_drivers(&group.class)).collect();
        let attached = self.attached.iter().filter(|(_, at)| **at == node.labels.name).map(|(key, _)| &key.1);
        there.extend(attached.filter_map(|volume| self.of_driver(volume)));
        let mut counts: BTreeMap<&str, (i64, bool)> = BTreeMap::new();
        for volume in &there {
            counts.entry(&volume.0).or_default().0 += 1;
        }
        for volume in new.iter().filter(|volume| !there.contains(*volume)) {
            let count = counts.entry(&volume.0).or_default();
            *count = (count.0 + 1, true);
        }
        counts.iter().any(|(driver, (count, grows))| *grows && limits.get(*driver).is_some_and(|limit| count > limit))
    }

    /// The driver of a volume, and what it calls it.
    fn of_driver(&self, volume: &str) -> Option<(String, String)> {
        let csi = self.volumes.get(volume)?.spec.as_ref()?.csi.as_ref()?;
        Some((csi.driver.clone(), csi.volume_handle.clone()))
    }

    /// The volumes of a pod's claims; one that is yet to be made is called after its claim.
    fn of_drivers(&self, class: &Class) -> Vec<(String, String)> {
        let of = |name: &str| {
            let claim = self.claim(&class.namespace, name)?;
            match volume_of(claim) {
                "" => {
                    let provisioner = self.classes.get(class_of(claim))?.provisioner.clone();
                    Some((provisioner, format!("{}/{name}", class.namespace)))
                }
                volume => self.of_driver(volume),
            }
        };
        class.claims.iter().filter_map(|claim| of(&claim.name)).collect()
    }
}
