//! What pods want on a node, what is there, and what is done.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A node, as its volume manager sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The pods whose containers run, or are about to. One whose containers have ended for good isn't among them.
    pub pods: Vec<Pod>,
    /// All volumes that are wanted or mounted, by their unique names.
    pub volumes: BTreeMap<String, Volume>,
    /// `status.volumesAttached` of the Node: the path of each device, by the volume's name.
    pub attached: BTreeMap<String, String>,
    /// `status.volumesInUse` of the Node, as the API server has it.
    pub reported: BTreeSet<String>,
    /// Devices that are mounted on the node, by the volume's name.
    pub devices: BTreeMap<String, Device>,
    /// What is mounted into pods, or mapped.
    pub mounts: Vec<Mount>,
    /// The last operation on a volume, if it failed.
    pub failures: BTreeMap<String, Failure>,
}

/// A pod of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// No other has it.
    pub name: String,
    /// Whether it is being ended. Its containers may still run.
    #[serde(default)]
    pub ending: bool,
    /// Its volumes.
    #[serde(default)]
    pub volumes: Vec<PodVolume>,
}

/// One of a pod's volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodVolume {
    /// As in `spec.volumes`.
    pub name: String,
    /// The unique name of the volume behind it. None if the claim isn't there, or isn't bound. A pod has no volume twice.
    pub volume: Option<String>,
    /// Whether the pod may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// What matters of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Volume {
    /// Whether its driver attaches it to nodes, which the attach/detach controller takes care of.
    pub attach: bool,
    /// Whether it is mounted once for the node, before pods get it from there.
    pub device: bool,
    /// Whether it is a raw device (`volumeMode: Block`). Then nothing is mounted.
    pub block: bool,
    /// Whether only one pod may have it (its only access mode is `ReadWriteOncePod`).
    pub single: bool,
}

/// A device that is mounted on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Whether that is sure. It isn't if the driver didn't answer in time: it may be mounted or not.
    pub sure: bool,
}

/// A volume in a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The pod's name.
    pub pod: String,
    /// The volume's unique name.
    pub volume: String,
    /// Whether it is sure that it is there.
    #[serde(default = "usually")]
    pub sure: bool,
    /// Whether it has to be set up once more, since what it is made from may have changed.
    #[serde(default)]
    pub remount: bool,
}

fn usually() -> bool {
    true
}

/// An operation that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which step it was.
    pub kind: Kind,
    /// How often in a row it failed, at least once.
    pub times: u32,
    /// When it did the last time.
    pub at_ms: i64,
}

/// The steps that operations belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// `TearDown`
    TearDown,
    /// `MountDevice`, `SetUp` and `Map`
    Mount,
    /// `UnmountDevice`
    UnmountDevice,
}

/// What follows from a look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Look {
    /// What the node's status says in `volumesInUse` from now on.
    pub in_use: BTreeSet<String>,
    /// What is begun now, in any order.
    pub operations: Vec<Operation>,
    /// When the first step that is held up can be done.
    pub again_ms: Option<i64>,
}

/// What can be done about a volume.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Mounts a device on the node (of CSI: `NodeStageVolume`).
    MountDevice {
        /// The volume.
        volume: String,
        /// The device's path.
        device: String,
    },
    /// Mounts a volume into a pod, or writes it there (`NodePublishVolume`).
    SetUp {
        /// The pod.
        pod: String,
        /// The volume.
        volume: String,
        /// Whether the pod may only read it.
        read_only: bool,
    },
    /// Gives a pod the device itself.
    Map {
        /// The pod.
        pod: String,
        /// The volume.
        volume: String,
        /// The device's path.
        device: String,
    },
    /// Takes a volume out of a pod (`NodeUnpublishVolume`).
    TearDown {
        /// The pod.
        pod: String,
        /// The volume.
        volume: String,
    },
    /// Unmounts a device from the node (`NodeUnstageVolume`).
    UnmountDevice {
        /// The volume.
        volume: String,
    },
}

impl Operation {
    /// The volume.
    pub fn volume(&self) -> &str {
        match self {
            Operation::MountDevice { volume, .. }
            | Operation::SetUp { volume, .. }
            | Operation::Map { volume, .. }
            | Operation::TearDown { volume, .. }
            | Operation::UnmountDevice { volume } => volume,
        }
    }

    /// The pod; empty if it is about the node.
    pub fn pod(&self) -> &str {
        match self {
            Operation::SetUp { pod, .. } | Operation::Map { pod, .. } | Operation::TearDown { pod, .. } => pod,
            Operation::MountDevice { .. } | Operation::UnmountDevice { .. } => "",
        }
    }

    /// The step that it belongs to.
    pub fn kind(&self) -> Kind {
        match self {
            Operation::MountDevice { .. } | Operation::SetUp { .. } | Operation::Map { .. } => Kind::Mount,
            Operation::TearDown { .. } => Kind::TearDown,
            Operation::UnmountDevice { .. } => Kind::UnmountDevice,
        }
    }
}

/// What a pod has waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// What it doesn't have.
    pub unmounted: Vec<String>,
    /// What isn't attached.
    pub unattached: Vec<String>,
    /// What the kubelet couldn't find.
    pub unprocessed: Vec<String>,
}
