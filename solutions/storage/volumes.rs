//! The volume manager of a kubelet. Everything is decided by comparing two states of the world: what the node's pods want, and
//! what is there. Nothing is remembered between looks.

use kit::storage::Volumes;
use kit::storage::volumes::{
    AccessMode, Change, ChangePolicy, Device, Directory, EntryKind, File, Files, GroupPolicy, Kind, Late, Look,
    Missing, Mode, Mount, Node, Operation, Ownership, Payload, Pod, PodVolume, Projection, Source, Volume,
};
use std::collections::{BTreeMap, BTreeSet};

/// The reference.
#[derive(Default)]
pub struct Exercise;

// ANCHOR: solution
/// The pauses after failures, in milliseconds (`exponentialbackoff`: 500 ms to 2 min 2 s).
const FIRST: i64 = 500;
const MOST: i64 = 122_000;

/// What is added to modes: for the group, if it may only read, and for directories.
const READ_WRITE: u32 = 0o660;
const READ: u32 = 0o440;
const DIRECTORY: u32 = 0o2110;

/// One volume of a node.
struct Of<'a> {
    node: &'a Node,
    name: &'a str,
    volume: Volume,
}

impl Of<'_> {
    /// The volume in a pod's list.
    fn wanted<'p>(&self, pod: &'p Pod) -> Option<&'p PodVolume> {
        pod.volumes.iter().find(|it| it.volume.as_deref() == Some(self.name))
    }

    fn mounts(&self) -> impl Iterator<Item = &Mount> {
        self.node.mounts.iter().filter(|mount| mount.volume == self.name)
    }

    fn users(&self) -> impl Iterator<Item = (&Pod, &PodVolume)> {
        self.node.pods.iter().filter_map(|pod| Some((pod, self.wanted(pod)?)))
    }

    fn in_use(&self) -> bool {
        let there = self.node.devices.contains_key(self.name) || self.mounts().next().is_some();
        self.volume.attach && (there || self.users().next().is_some())
    }

    fn is_attached(&self) -> bool {
        // Before the API server knows that the volume is in use, it may still be detached at any time.
        self.node.reported.contains(self.name) && self.node.attached.contains_key(self.name)
    }

    /// The steps in order, each with what it has to do.
    fn steps(&self) -> [(Kind, Vec<Operation>); 3] {
        [
            (Kind::TearDown, self.tear_down()),
            (Kind::Mount, self.mount().into_iter().collect()),
            (Kind::UnmountDevice, self.unmount_device().into_iter().collect()),
        ]
    }

    fn tear_down(&self) -> Vec<Operation> {
        let is_stray = |mount: &&Mount| !self.users().any(|(pod, _)| pod.name == mount.pod);
        let tear = |mount: &Mount| Operation::TearDown { pod: mount.pod.clone(), volume: self.name.into() };
        self.mounts().filter(is_stray).map(tear).collect()
    }

    fn mount(&self) -> Option<Operation> {
        if self.volume.attach && !self.is_attached() {
            return None;
        }
        let lacks = |pod: &Pod| !self.mounts().any(|mount| mount.pod == pod.name && mount.sure && !mount.remount);
        let taken = |pod: &Pod| self.volume.single && self.mounts().any(|mount| mount.pod != pod.name);
        let mut users = self.users().filter(|(pod, _)| !pod.ending && lacks(pod) && !taken(pod));
        let (pod, wanted) = users.next()?;
        let (pod, volume) = (pod.name.clone(), self.name.to_string());
        let device = self.node.attached.get(self.name).cloned().unwrap_or_default();
        Some(if self.volume.block {
            Operation::Map { pod, volume, device }
        } else if self.volume.device && !self.node.devices.get(self.name).is_some_and(|Device { sure }| *sure) {
            Operation::MountDevice { volume, device }
        } else {
            Operation::SetUp { pod, volume, read_only: wanted.read_only }
        })
    }

    fn unmount_device(&self) -> Option<Operation> {
        let idle = self.mounts().next().is_none() && self.users().next().is_none();
        let there = self.node.devices.contains_key(self.name);
        (there && idle).then(|| Operation::UnmountDevice { volume: self.name.into() })
    }

    /// Until when a step is held up, as it failed.
    fn held(&self, kind: Kind) -> Option<i64> {
        let failure = self.node.failures.get(self.name).filter(|failure| failure.kind == kind)?;
        let doubled = FIRST.saturating_mul(1 << failure.times.saturating_sub(1).min(20));
        Some(failure.at_ms + doubled.min(MOST))
    }
}

impl Volumes for Exercise {
    fn reconcile(&self, node: &Node, now_ms: i64) -> Look {
        let mut look = Look::default();
        for (name, volume) in &node.volumes {
            let of = Of { node, name, volume: *volume };
            if of.in_use() {
                look.in_use.insert(name.clone());
            }
            for (kind, operations) in of.steps().into_iter().filter(|(_, operations)| !operations.is_empty()) {
                match of.held(kind).filter(|until| now_ms < *until) {
                    Some(until) => look.again_ms = Some(look.again_ms.map_or(until, |other| other.min(until))),
                    None => {
                        look.operations.extend(operations);
                        break;
                    }
                }
            }
        }
        look
    }

    fn late(&self, node: &Node, pod: &str) -> Option<Late> {
        let pod = node.pods.iter().find(|it| it.name == pod)?;
        let names = |is: &dyn Fn(&PodVolume) -> bool| {
            let all: BTreeSet<String> = pod.volumes.iter().filter(|it| is(it)).map(|it| it.name.clone()).collect();
            all.into_iter().collect::<Vec<_>>()
        };
        let is_there = |mount: &Mount, volume: &str| mount.pod == pod.name && mount.volume == volume && mount.sure;
        let has = |volume: &str| node.mounts.iter().any(|mount| is_there(mount, volume));
        let detached = |name: &str| {
            let volume = node.volumes.get(name).copied().unwrap_or_default();
            volume.attach && !Of { node, name, volume }.is_attached()
        };
        let late = Late {
            unmounted: names(&|it| !it.volume.as_deref().is_some_and(has)),
            unattached: names(&|it| it.volume.as_deref().is_some_and(detached)),
            unprocessed: names(&|it| it.volume.is_none()),
        };
        (!late.unmounted.is_empty()).then_some(late)
    }

    fn own(&self, files: &Files) -> Ownership {
        let nobody = Ownership::default();
        let Some(group) = files.fs_group else { return nobody };
        if let Some(driver) = &files.driver {
            let alone = |mode| matches!(mode, &AccessMode::ReadWriteOnce | &AccessMode::ReadWriteOncePod);
            let gives = match driver.policy {
                _ if driver.mounts_group => return Ownership { told: Some(group), ..nobody },
                _ if files.read_only => false,
                GroupPolicy::None => false,
                GroupPolicy::File => true,
                GroupPolicy::ReadWriteOnceWithFSType => {
                    !driver.fs_type.is_empty() && driver.access_modes.iter().any(alone)
                }
            };
            if !gives {
                return nobody;
            }
        }
        let file = if files.read_only { READ } else { READ_WRITE };
        let directory = file | DIRECTORY;
        let root = files.entries.get("");
        let fits = root.is_some_and(|root| root.gid == group && root.mode.0 & directory == directory);
        if files.policy == ChangePolicy::OnRootMismatch && fits {
            return nobody;
        }
        let mut changed = files.entries.clone();
        for entry in changed.values_mut() {
            entry.gid = group;
            entry.mode.0 |= match entry.kind {
                EntryKind::File => file,
                EntryKind::Directory => directory,
                // A mode is changed behind the link, where it isn't this volume's business.
                EntryKind::Link => 0,
            };
        }
        changed.retain(|path, entry| files.entries.get(path) != Some(entry));
        Ownership { changed, ..nobody }
    }

    fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>> {
        let (mut payload, mut missing) = (Payload::new(), Vec::new());
        for source in &projection.sources {
            match files_of(source, projection.default_mode) {
                Ok(files) => payload.extend(files),
                Err(why) if missing.contains(&why) => {}
                Err(why) => missing.push(why),
            }
        }
        if missing.is_empty() { Ok(payload) } else { Err(missing) }
    }

    fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        let texts = payload.iter().map(|(path, file)| (path, &file.text));
        let stale = directory.data.is_none() || !directory.files.iter().eq(texts);
        if stale {
            let (next, data) = ("..data_tmp".to_string(), "..data".to_string());
            changes.push(Change::Write { directory: stamp.into(), files: payload.clone() });
            changes.push(Change::Link { name: next.clone(), to: stamp.into() });
            // The only moment that readers notice: a rename is atomic.
            changes.push(Change::Rename { from: next, to: data });
        }
        let (old, new) = (first_parts(&directory.files), first_parts(payload));
        let link = |name: &&str| Change::Link { name: name.to_string(), to: format!("..data/{name}") };
        changes.extend(new.iter().filter(|name| !directory.links.contains(**name)).map(link));
        let gone = old.difference(&new).filter(|name| directory.links.contains(**name));
        changes.extend(gone.map(|name| Change::Unlink { name: name.to_string() }));
        let before = directory.data.iter().filter(|_| stale);
        changes.extend(before.map(|before| Change::Remove { directory: before.clone() }));
        changes
    }
}

/// What one source becomes.
fn files_of(source: &Source, default_mode: Mode) -> Result<Payload, Missing> {
    let Some(data) = &source.data else {
        let missing = Missing::Object { kind: source.kind, name: source.name.clone() };
        return if source.optional { Ok(Payload::new()) } else { Err(missing) };
    };
    let file = |text: &String, mode| File { text: text.clone(), mode };
    if source.items.is_empty() {
        return Ok(data.iter().map(|(key, text)| (key.clone(), file(text, default_mode))).collect());
    }
    let mut files = Payload::new();
    for item in &source.items {
        match data.get(&item.key) {
            Some(text) => _ = files.insert(item.path.clone(), file(text, item.mode.unwrap_or(default_mode))),
            None if source.optional => {}
            None => return Err(Missing::Key { kind: source.kind, key: item.key.clone() }),
        }
    }
    Ok(files)
}

/// What users see of these paths: names in the directory itself.
fn first_parts<T>(files: &BTreeMap<String, T>) -> BTreeSet<&str> {
    files.keys().filter_map(|path| path.split('/').next()).collect()
}
// ANCHOR_END: solution
