//! Passes: both states of the world are turned into sets of pairs first, in loops as upstream's reconciler has them; what has been decided
//! about a volume is remembered in a map.

use kit::storage::Volumes;
use kit::storage::volumes::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

fn pause(times: u32) -> i64 {
    let mut pause = 500;
    for _ in 1..times {
        pause = (pause * 2).min(122_000);
        if pause == 122_000 {
            break;
        }
    }
    pause
}

impl Volumes for Exercise {
    fn reconcile(&self, node: &Node, now_ms: i64) -> Look {
        let mut desired: BTreeSet<(&str, &str)> = BTreeSet::new();
        for pod in &node.pods {
            for volume in &pod.volumes {
                if let Some(name) = &volume.volume {
                    desired.insert((name, &pod.name));
                }
            }
        }
        let mut held: Vec<i64> = Vec::new();
        let mut busy: BTreeSet<&str> = BTreeSet::new();
        let mut operations = Vec::new();
        let until = |volume: &str, kind: Kind| match node.failures.get(volume) {
            Some(failure) if failure.kind == kind => {
                Some(failure.at_ms + pause(failure.times)).filter(|at| *at > now_ms)
            }
            _ => None,
        };
        // unmountVolumes
        for mount in &node.mounts {
            if desired.contains(&(&mount.volume, &mount.pod)) {
                continue;
            }
            match until(&mount.volume, Kind::TearDown) {
                Some(at) => held.push(at),
                None => {
                    busy.insert(&mount.volume);
                    operations.push(Operation::TearDown { pod: mount.pod.clone(), volume: mount.volume.clone() });
                }
            }
        }
        // mountOrAttachVolumes
        for pod in node.pods.iter().filter(|pod| !pod.ending) {
            for wanted in &pod.volumes {
                let Some(volume) = wanted.volume.as_deref() else { continue };
                let Some(traits) = node.volumes.get(volume) else { continue };
                if busy.contains(volume) {
                    continue;
                }
                let mine = node.mounts.iter().find(|mount| mount.volume == volume && mount.pod == pod.name);
                if mine.is_some_and(|mount| mount.sure && !mount.remount) {
                    continue;
                }
                if traits.attach && !(node.reported.contains(volume) && node.attached.contains_key(volume)) {
                    continue;
                }
                if traits.single && node.mounts.iter().any(|mount| mount.volume == volume && mount.pod != pod.name) {
                    continue;
                }
                if let Some(at) = until(volume, Kind::Mount) {
                    held.push(at);
                    continue;
                }
                busy.insert(volume);
                let device = node.attached.get(volume).map_or(String::new(), String::clone);
                let (pod, volume) = (pod.name.clone(), volume.to_string());
                let mounted = node.devices.get(&volume) == Some(&Device { sure: true });
                operations.push(match (traits.block, traits.device && !mounted) {
                    (true, _) => Operation::Map { pod, volume, device },
                    (false, true) => Operation::MountDevice { volume, device },
                    (false, false) => Operation::SetUp { pod, volume, read_only: wanted.read_only },
                });
            }
        }
        // unmountDetachDevices
        for volume in node.devices.keys() {
            let wanted = desired.iter().any(|(name, _)| name == volume);
            if wanted || node.mounts.iter().any(|mount| mount.volume == *volume) {
                continue;
            }
            match until(volume, Kind::UnmountDevice) {
                Some(at) => held.push(at),
                None => operations.push(Operation::UnmountDevice { volume: volume.clone() }),
            }
        }
        let mut in_use = BTreeSet::new();
        let mounted = node.mounts.iter().map(|mount| mount.volume.as_str());
        for name in desired.iter().map(|(name, _)| *name).chain(node.devices.keys().map(String::as_str)).chain(mounted)
        {
            if node.volumes.get(name).is_some_and(|volume| volume.attach) {
                in_use.insert(name.to_string());
            }
        }
        Look { in_use, operations, again_ms: held.into_iter().min() }
    }

    fn late(&self, node: &Node, pod: &str) -> Option<Late> {
        let mut late = Late::default();
        for wanted in node.pods.iter().filter(|it| it.name == pod).flat_map(|pod| &pod.volumes) {
            let name = || wanted.name.clone();
            let Some(volume) = &wanted.volume else {
                late.unmounted.push(name());
                late.unprocessed.push(name());
                continue;
            };
            if !node.mounts.iter().any(|mount| mount.sure && mount.pod == pod && mount.volume == *volume) {
                late.unmounted.push(name());
            }
            let attach = node.volumes.get(volume).is_some_and(|volume| volume.attach);
            if attach && (!node.reported.contains(volume) || !node.attached.contains_key(volume)) {
                late.unattached.push(name());
            }
        }
        for list in [&mut late.unmounted, &mut late.unattached, &mut late.unprocessed] {
            list.sort();
        }
        if late.unmounted.is_empty() { None } else { Some(late) }
    }

    fn own(&self, files: &Files) -> Ownership {
        let mut own = Ownership::default();
        let Some(group) = files.fs_group else { return own };
        if let Some(driver) = &files.driver {
            if driver.mounts_group {
                own.told = Some(group);
                return own;
            }
            if files.read_only || driver.policy == GroupPolicy::None {
                return own;
            }
            if driver.policy == GroupPolicy::ReadWriteOnceWithFSType {
                let once = [AccessMode::ReadWriteOnce, AccessMode::ReadWriteOncePod];
                if driver.fs_type.is_empty() || !once.iter().any(|mode| driver.access_modes.contains(mode)) {
                    return own;
                }
            }
        }
        let mask = |kind| match (kind, files.read_only) {
            (EntryKind::Link, _) => 0,
            (EntryKind::File, true) => 0o440,
            (EntryKind::File, false) => 0o660,
            (EntryKind::Directory, true) => 0o2550,
            (EntryKind::Directory, false) => 0o2770,
        };
        if files.policy == ChangePolicy::OnRootMismatch {
            let bits = mask(EntryKind::Directory);
            if matches!(files.entries.get(""), Some(root) if root.gid == group && root.mode.0 | bits == root.mode.0) {
                return own;
            }
        }
        for (path, entry) in &files.entries {
            let now = Entry { gid: group, mode: Mode(entry.mode.0 | mask(entry.kind)), kind: entry.kind };
            if now != *entry {
                own.changed.insert(path.clone(), now);
            }
        }
        own
    }

    fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>> {
        let mut payload = BTreeMap::new();
        let mut errors: Vec<Missing> = Vec::new();
        'sources: for source in &projection.sources {
            let kind = source.kind;
            let empty = BTreeMap::new();
            let mut fail = |missing: Missing| {
                if !errors.contains(&missing) {
                    errors.push(missing);
                }
            };
            let data = match &source.data {
                Some(data) => data,
                None if source.optional => &empty,
                None => {
                    fail(Missing::Object { kind, name: source.name.clone() });
                    continue;
                }
            };
            let whole = data.keys().map(|key| Item { key: key.clone(), path: key.clone(), mode: None });
            let items: Vec<Item> = if source.items.is_empty() { whole.collect() } else { source.items.clone() };
            let mut files = Vec::new();
            for item in items {
                match data.get(&item.key) {
                    Some(text) => {
                        let mode = item.mode.unwrap_or(projection.default_mode);
                        files.push((item.path, File { text: text.clone(), mode }));
                    }
                    None if source.optional => {}
                    None => {
                        fail(Missing::Key { kind, key: item.key });
                        continue 'sources;
                    }
                }
            }
            payload.extend(files);
        }
        if errors.is_empty() { Ok(payload) } else { Err(errors) }
    }

    fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change> {
        let same = directory.data.is_some()
            && directory.files.len() == payload.len()
            && directory.files.iter().all(|(path, text)| payload.get(path).is_some_and(|file| file.text == *text));
        let first = |path: &String| path.split_once('/').map_or(path.clone(), |(first, _)| first.to_string());
        let mut changes = Vec::new();
        if !same {
            changes.push(Change::Write { directory: stamp.to_string(), files: payload.clone() });
            changes.push(Change::Link { name: "..data_tmp".into(), to: stamp.to_string() });
            changes.push(Change::Rename { from: "..data_tmp".into(), to: "..data".into() });
        }
        let new: BTreeSet<String> = payload.keys().map(first).collect();
        let old: BTreeSet<String> = directory.files.keys().map(first).collect();
        for name in &new - &directory.links {
            changes.push(Change::Link { to: format!("..data/{name}"), name });
        }
        for name in &(&old - &new) & &directory.links {
            changes.push(Change::Unlink { name });
        }
        if let (false, Some(before)) = (same, &directory.data) {
            changes.push(Change::Remove { directory: before.clone() });
        }
        changes
    }
}

kit::exercise!(Exercise: Volumes);
