//! What volumes hold: files made of objects, directories that come and go with their pod, and disks that outlive it. Which files and
//! modes that gives, and whose they are, says the module.
//!
//! Sources: `SetUpAt` of `pkg/volume/{emptydir,configmap,secret,projected,downwardapi}`, `pkg/volume/csi/csi_mounter.go`,
//! `pkg/volume/util/atomic_writer.go`.

use super::made;
use crate::kubelet::surroundings::{Place, Volumes};
use crate::program::tree::{Content, Entry, Tree};
use kit_api::core::{PersistentVolume, PodSpec, Volume};
use kit_api::storage::CSIDriver;
use kit_contract::storage::volumes::{
    AccessMode, Change, ChangePolicy, Directory, Driver, Entry as Seen, EntryKind, Files, GroupPolicy, Mode, Payload,
};
use kit_time::random::{Purpose, Random};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// What the new directory of an atomic writer is called before its random number.
const STAMP: &str = "..%Y_%m_%d_%H_%M_%S.";

/// Directories of a node.
const ROOT: [&str; 12] = [
    "",
    "/bin",
    "/etc",
    "/etc/kubernetes",
    "/etc/kubernetes/manifests",
    "/home",
    "/root",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
];

/// The disks of a cluster, and the directories of its nodes, by what they are.
pub type Disks = Rc<RefCell<BTreeMap<String, Tree>>>;

/// A volume that outlives its pods.
pub struct Disk<'a> {
    /// The volume.
    pub volume: &'a PersistentVolume,
    /// Its driver, if the API server knows it.
    pub driver: Option<CSIDriver>,
    /// Whether the pod wants only to read it.
    pub read_only: bool,
}

/// The text by which a module knows whether what a file says has changed.
pub fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What somebody finds who comes to a node itself, as `kubectl debug node/…` does.
fn root(node: &str) -> Tree {
    let directories = ROOT.map(|path| (path.to_string(), directory(0o755)));
    let files = [("/etc/hostname", format!("{node}\n")), ("/etc/os-release", "PRETTY_NAME=\"simulated\"\n".into())];
    let files = files.map(|(path, text)| (path.to_string(), Entry::of(Content::File(text.into_bytes()))));
    Rc::new(RefCell::new(directories.into_iter().chain(files).collect()))
}

fn directory(mode: u32) -> Entry {
    Entry::of(Content::Directory).with_mode(mode)
}

impl Place<'_> {
    fn spec(&self) -> PodSpec {
        serde_json::from_value(self.pod["spec"].clone()).unwrap_or_default()
    }

    /// A directory that is there as long as its pod, unless it is the node's own: whatever needs no driver and isn't made of objects.
    pub fn plain(&self, volume: &Volume, volumes: &mut Volumes) -> Tree {
        if let Some(tree) = volumes.get(&volume.name) {
            return tree.clone();
        }
        let tree = match &volume.host_path {
            Some(of) => {
                let own = || if of.path == "/" { root(&self.node) } else { Tree::default() };
                self.disks.borrow_mut().entry(format!("{}:{}", self.node, of.path)).or_insert_with(own).clone()
            }
            None => Tree::default(),
        };
        volumes.insert(volume.name.clone(), tree.clone());
        if let Some(of) = &volume.empty_dir {
            // A file system in memory comes with a bit of its own.
            let mode = if of.medium.as_deref() == Some("Memory") { 0o1777 } else { 0o777 };
            tree.borrow_mut().entry(String::new()).or_insert(directory(mode));
            self.own(&tree, Files::default());
        }
        tree
    }

    /// Mounts a disk (`MountVolume.SetUp` of a driver).
    pub fn mount_disk(&self, name: &str, disk: &Disk<'_>, volumes: &mut Volumes) {
        let spec = disk.volume.spec.clone().unwrap_or_default();
        let of = match (&spec.csi, &spec.nfs) {
            (Some(csi), _) => format!("{}:{}", csi.driver, csi.volume_handle),
            (None, Some(nfs)) => format!("{}:{}", nfs.server, nfs.path),
            (None, None) => match spec.local.map(|of| of.path).or(spec.host_path.map(|of| of.path)) {
                Some(path) => format!("{}:{path}", self.node),
                None => disk.volume.metadata.uid.clone().unwrap_or_default(),
            },
        };
        let tree = self.disks.borrow_mut().entry(of).or_default().clone();
        tree.borrow_mut().entry(String::new()).or_insert(directory(0o755));
        // What is mounted before is what the containers see.
        volumes.insert(name.into(), tree.clone());
        let Some(csi) = spec.csi else { return };
        let driver = disk.driver.as_ref().map(|driver| &driver.spec);
        let policy = match driver.and_then(|driver| driver.fs_group_policy.as_deref()) {
            Some("File") => GroupPolicy::File,
            Some("None") => GroupPolicy::None,
            _ => GroupPolicy::ReadWriteOnceWithFSType,
        };
        let mode = |mode: &String| match mode.as_str() {
            "ReadWriteOnce" => Some(AccessMode::ReadWriteOnce),
            "ReadOnlyMany" => Some(AccessMode::ReadOnlyMany),
            "ReadWriteMany" => Some(AccessMode::ReadWriteMany),
            "ReadWriteOncePod" => Some(AccessMode::ReadWriteOncePod),
            _ => None,
        };
        let policy_of_pod = self.pod["spec"]["securityContext"]["fsGroupChangePolicy"].as_str();
        let on_mismatch = policy_of_pod == Some("OnRootMismatch");
        let asked = Files {
            policy: if on_mismatch { ChangePolicy::OnRootMismatch } else { ChangePolicy::Always },
            read_only: disk.read_only || csi.read_only == Some(true),
            driver: Some(Driver {
                policy,
                mounts_group: false,
                fs_type: csi.fs_type.unwrap_or_default(),
                access_modes: spec.access_modes.iter().flatten().filter_map(mode).collect(),
            }),
            ..Files::default()
        };
        self.own(&tree, asked);
    }

    /// Writes files that are made of objects, as the module does it.
    pub fn publish(&self, volume: &Volume, payload: &Payload, volumes: &mut Volumes) {
        let tree = volumes.entry(volume.name.clone()).or_default().clone();
        let mode = if volume.config_map.is_some() { 0o777 } else { 0o1777 };
        tree.borrow_mut().entry(String::new()).or_insert(directory(mode));
        let texts = self.contents(volume, payload);
        let digests = payload.iter().map(|(path, file)| {
            let text = texts.get(path).map(|bytes| digest(bytes)).unwrap_or_default();
            (path.clone(), kit_contract::storage::volumes::File { text, mode: file.mode })
        });
        let digests: Payload = digests.collect();
        let time = self.server.time();
        let (uid, attempt) = (self.uid(), time.as_nanosecond().unsigned_abs() as u64);
        let purpose = Purpose { component: "kubelet", object: uid, reason: &volume.name, attempt };
        let stamp = format!("{}{}", time.strftime(STAMP), Random::new(0).below(1 << 32, purpose));
        let changes = self.volumes.publish(&published(&tree), &digests, &stamp);
        for change in changes {
            self.apply(&tree, change, &texts);
        }
        self.own(&tree, Files { read_only: true, ..Files::default() });
    }

    fn apply(&self, tree: &Tree, change: Change, texts: &BTreeMap<String, Vec<u8>>) {
        let tree = &mut *tree.borrow_mut();
        let inside = |path: &str| format!("/{path}");
        match change {
            Change::Write { directory: name, files } => {
                tree.insert(inside(&name), directory(0o755));
                for (path, file) in files {
                    let bytes = texts.get(&path).cloned().unwrap_or_default();
                    for (end, _) in path.match_indices('/') {
                        tree.entry(format!("/{name}/{}", &path[..end])).or_insert(directory(0o755));
                    }
                    let owner = self.owner(&path);
                    let entry = Entry { uid: owner, ..Entry::of(Content::File(bytes)).with_mode(file.mode.0) };
                    tree.insert(format!("/{name}/{path}"), entry);
                }
            }
            Change::Link { name, to } => _ = tree.insert(inside(&name), Entry::of(Content::Link(to))),
            Change::Rename { from, to } => {
                if let Some(entry) = tree.remove(&inside(&from)) {
                    tree.insert(inside(&to), entry);
                }
            }
            Change::Unlink { name } => _ = tree.remove(&inside(&name)),
            Change::Remove { directory } => {
                let below = format!("/{directory}/");
                tree.retain(|path, _| *path != inside(&directory) && !path.starts_with(&below));
            }
        }
    }

    /// Gives a volume the group of the pod, if the module says so.
    fn own(&self, tree: &Tree, asked: Files) {
        let Some(group) = self.fs_group() else { return };
        let seen = |entry: &Entry| Seen {
            kind: match entry.content {
                Content::File(_) => EntryKind::File,
                Content::Directory => EntryKind::Directory,
                Content::Link(_) => EntryKind::Link,
            },
            gid: entry.gid.into(),
            mode: Mode(entry.mode),
        };
        let entries = tree.borrow().iter().map(|(path, it)| (path.trim_start_matches('/').into(), seen(it))).collect();
        let ownership = self.volumes.own(&Files { fs_group: Some(group), entries, ..asked });
        // A driver that is told the group mounts with it, so that everything looks like it.
        let told = ownership.told.and_then(|gid| u32::try_from(gid).ok());
        let mut tree = tree.borrow_mut();
        tree.values_mut().for_each(|entry| entry.gid = told.unwrap_or(entry.gid));
        for (path, now) in ownership.changed {
            let path = if path.is_empty() { path } else { format!("/{path}") };
            if let (Some(entry), Ok(gid)) = (tree.get_mut(&path), u32::try_from(now.gid)) {
                (entry.gid, entry.mode) = (gid, now.mode.0);
            }
        }
    }

    /// Who owns a file that is made: root, but a token is for the one user that all containers run as (`FsUserFrom`).
    fn owner(&self, path: &str) -> u32 {
        let spec = self.spec();
        let volumes = spec.volumes.iter().flatten().flat_map(made::sources);
        let mut tokens = volumes.filter_map(|source| source.service_account_token);
        if tokens.any(|token| token.path == path) { self.fs_user().unwrap_or_default() } else { 0 }
    }
}

/// What a module may know of a directory that objects were written to.
fn published(tree: &Tree) -> Directory {
    let tree = tree.borrow();
    let link = |path: &str| match tree.get(path).map(|entry| &entry.content) {
        Some(Content::Link(to)) => Some(to.clone()),
        _ => None,
    };
    let Some(data) = link("/..data") else { return Directory::default() };
    let below = format!("/{data}/");
    let file = |(path, entry): (&String, &Entry)| match &entry.content {
        Content::File(bytes) => Some((path.strip_prefix(&below)?.to_string(), digest(bytes))),
        _ => None,
    };
    let files = tree.iter().filter_map(file).collect();
    let named = |path: &String| path.strip_prefix('/').filter(|name| !name.starts_with("..")).map(str::to_string);
    let links = tree.keys().filter(|path| link(path).is_some()).filter_map(named).collect();
    Directory { data: Some(data), files, links }
}
