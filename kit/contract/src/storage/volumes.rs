//! The volume manager of a kubelet: what is mounted, whose the files are, and how objects become files.
//!
//! Sources: `pkg/kubelet/volumemanager` (`reconciler/reconciler_common.go`, `volume_manager.go`), `pkg/volume/util`
//! (`operationexecutor`, `nestedpendingoperations`, `atomic_writer.go`), `pkg/volume/volume_linux.go`,
//! `pkg/volume/csi/csi_mounter.go`, `pkg/volume/{configmap,secret,projected}`.
//!
//! Some things are simpler here. There, one operation mounts the device and sets up a pod's mount; here these are two, one
//! look after the other. Labels of SELinux, the growth of file systems and what a kubelet finds on its disk when it begins are the
//! business of others. Where upstream goes through a map in any order, there is a rule.

mod node;
mod show;

pub use node::{Device, Failure, Kind, Late, Look, Mount, Node, Operation, Pod, PodVolume, Volume};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::{BTreeMap, BTreeSet};

// ANCHOR: contract
contract! {
    /// The volume manager of one node. Times are milliseconds.
    pub trait Volumes {
        /// What is to be done now, by what pods want and what is there. For each volume, by name, the first of these steps that
        /// has anything to do:
        ///
        /// 1. **Tear down.** `TearDown` each mount of a pod that isn't in the list, or doesn't have the volume.
        /// 2. **Mount.** For the first pod in the list that isn't `ending`, has the volume, and whose mount isn't there, isn't
        ///    `sure`, or is to be done again (`remount`). If the driver attaches the volume (`attach`), it must be in `reported` and in
        ///    `attached`. If it is for a single pod (`single`), no other pod may have a mount of it; a pod for which that is so is
        ///    passed over.
        ///    - A `block` volume: `Map`.
        ///    - One that needs its device mounted (`device`), which isn't, or not surely: `MountDevice`. The pod's turn comes later.
        ///    - Any other: `SetUp`.
        /// 3. **Unmount the device.** `UnmountDevice` if there is a device, sure or not, no mount, and no pod in the list that has
        ///    the volume.
        ///
        /// A step whose `kind` is that of the volume's failure isn't done before `at_ms` plus a pause: 500 ms after the first failure,
        /// twice as long after each further one, at most 122 s. Meanwhile it has nothing to do, and the next step is looked at.
        /// `again_ms` is the first time at which such a step can be done, if any was held up.
        ///
        /// The path of a device is what `attached` says, or else empty. `in_use` are the volumes with `attach` that a pod in the list has,
        /// or that have a device or a mount.
        fn reconcile(&self, node: &Node, now_ms: i64) -> Look;

        /// What is said of the pod of this name when it has waited for too long: names as in `spec.volumes`, sorted.
        ///
        /// `unmounted` are those without a mount that is `sure`. If there is none, nothing is said. `unattached` are those with `attach`
        /// that aren't in `reported` or aren't in `attached`. `unprocessed` are those of which no volume is known.
        fn late(&self, node: &Node, pod: &str) -> Option<Late>;

        /// Whose the files of a volume are when it is mounted for a pod with this `fs_group`.
        ///
        /// *Who gives the group.* Without an `fs_group`, nobody. The kubelet does for volumes without a `driver`. With one:
        ///
        /// - If the driver mounts with a group (`mounts_group`), it is told the group (`told`), and the kubelet changes nothing.
        /// - If the volume is read-only, or the policy is `None`: nobody.
        /// - `File`: the kubelet.
        /// - `ReadWriteOnceWithFSType`: the kubelet, if there is an `fs_type`, and `ReadWriteOnce` or `ReadWriteOncePod` is among
        ///   the access modes.
        ///
        /// *What the kubelet does.* Every entry gets the group. To every mode but those of links, bits are added and none taken away: `0660`, or
        /// `0440` if the volume is read-only; to directories also `2110`. But with `OnRootMismatch` nothing is done if the root, whose path is
        /// empty, has the group and all of these bits already.
        ///
        /// `changed` are the entries that are other than before.
        fn own(&self, files: &Files) -> Ownership;

        /// The files that ConfigMaps, Secrets and the like become, by path.
        ///
        /// Without `items`, every key is a file of that name. With `items` each of these is a file at its `path`. The mode is that of
        /// the item, or else `default_mode`. Where two sources have a path, the later one wins.
        ///
        /// An error are all objects that aren't there, and for each object that is, the first item whose key it lacks; in the order of the
        /// sources, each once. What is `optional` can't be missing: then there are just no such files.
        fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>>;

        /// How files get into a directory, so that no reader ever sees half of them. `stamp` is the name for a new directory. In this
        /// order:
        ///
        /// 1. If `data` is none, or the old `files` don't have just the paths and texts of the new ones (modes don't count): `Write` the new
        ///    ones into `stamp`, `Link` `..data_tmp` to `stamp`, `Rename` `..data_tmp` to `..data`.
        /// 2. For the first part of each path that isn't among the `links`, sorted: `Link` it to `..data/` and itself.
        /// 3. For each link that is the first part of an old path, and of no new one, sorted: `Unlink` it.
        /// 4. If something was written, and there was a `data`: `Remove` that directory.
        fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change>;
    }
}
// ANCHOR_END: contract

/// A file's mode, written as an octal number: `"0644"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(
    /// The bits.
    pub u32,
);

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= 0o7777);
        bits.map(Mode).ok_or_else(|| de::Error::custom(format!("`{text}` is no mode; one is \"0644\"")))
    }
}

/// The files of a volume, before it is given to a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// `securityContext.fsGroup` of the pod.
    #[serde(default)]
    pub fs_group: Option<i64>,
    /// `securityContext.fsGroupChangePolicy` of the pod.
    #[serde(default)]
    pub policy: ChangePolicy,
    /// Whether the volume is read-only.
    #[serde(default)]
    pub read_only: bool,
    /// Its CSI driver. Volumes like `emptyDir` and `secret` have none.
    #[serde(default)]
    pub driver: Option<Driver>,
    /// What is there, by path; the root's is empty.
    pub entries: BTreeMap<String, Entry>,
}

/// `fsGroupChangePolicy`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangePolicy {
    /// Whenever the volume is mounted.
    #[default]
    Always,
    /// Only if the root isn't as it should be.
    OnRootMismatch,
}

/// What matters of a CSI driver, and of a volume of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// `spec.fsGroupPolicy` of the CSIDriver.
    pub policy: GroupPolicy,
    /// Whether it says `VOLUME_MOUNT_GROUP` of its nodes.
    #[serde(default)]
    pub mounts_group: bool,
    /// `csi.fsType` of the volume; empty if it has none.
    #[serde(default)]
    pub fs_type: String,
    /// `spec.accessModes` of the volume.
    #[serde(default)]
    pub access_modes: Vec<AccessMode>,
}

/// `fsGroupPolicy`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupPolicy {
    /// The default: only file systems that one node has.
    ReadWriteOnceWithFSType,
    /// Always.
    File,
    /// Never.
    None,
}

/// How a volume may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::enum_variant_names)] // as Kubernetes calls them
pub enum AccessMode {
    /// By one node.
    ReadWriteOnce,
    /// By many nodes that only read.
    ReadOnlyMany,
    /// By many nodes.
    ReadWriteMany,
    /// By one pod.
    ReadWriteOncePod,
}

/// A file, a directory or a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Which of these.
    pub kind: EntryKind,
    /// Its group.
    pub gid: i64,
    /// Its mode.
    pub mode: Mode,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// What becomes of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ownership {
    /// The group that the driver is told.
    pub told: Option<i64>,
    /// Entries as they are now, if they were different.
    pub changed: BTreeMap<String, Entry>,
}

/// A volume that is made from objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// What it is made from, in order.
    pub sources: Vec<Source>,
    /// `defaultMode`
    pub default_mode: Mode,
}

/// One of its sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// The object's name.
    pub name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: bool,
    /// `items`; empty for all keys.
    #[serde(default)]
    pub items: Vec<Item>,
    /// What the object says, by key. None if it isn't there.
    pub data: Option<BTreeMap<String, String>>,
}

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// What the kubelet knows by itself: fields of the pod, and its token.
    Kubelet,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// In the object.
    pub key: String,
    /// In the volume.
    pub path: String,
    /// Its own mode.
    #[serde(default)]
    pub mode: Option<Mode>,
}

/// Files by path, such as `tls.crt` and `pod/labels`.
pub type Payload = BTreeMap<String, File>;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it says.
    pub text: String,
    /// Its mode.
    pub mode: Mode,
}

/// Why a volume can't be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// There is no such object.
    Object {
        /// What it should be.
        kind: SourceKind,
        /// Its name.
        name: String,
    },
    /// The object doesn't have this key.
    Key {
        /// What the object is.
        kind: SourceKind,
        /// The key.
        key: String,
    },
}

/// A directory that objects have been written to, or nothing yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    /// What the link `..data` leads to, if it is there.
    pub data: Option<String>,
    /// The files in there, by path.
    pub files: BTreeMap<String, String>,
    /// The links that users see. All of them lead through `..data`.
    pub links: BTreeSet<String>,
}

/// One change in the directory, which is done as a whole or not at all, but for `Write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes a directory and writes files into it, one after the other.
    Write {
        /// The new directory.
        directory: String,
        /// What is written.
        files: Payload,
    },
    /// Makes a symbolic link.
    Link {
        /// Its name.
        name: String,
        /// What it leads to.
        to: String,
    },
    /// Gives something another name. What had that name is gone.
    Rename {
        /// Its name so far.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// Removes a link.
    Unlink {
        /// Its name.
        name: String,
    },
    /// Removes a directory and what is in it.
    Remove {
        /// Its name.
        directory: String,
    },
}
