//! Passes: every step that anything could be done in is written into one list, with its place in the order; what is held up is struck out, and
//! of the rest each volume does its first. Files are compared bit by bit, and directories are played forward.

use kit::storage::Volumes;
use kit::storage::volumes::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Exercise;

struct Step {
    volume: String,
    kind: Kind,
    operation: Operation,
}

/// What could be done, volume by volume, the first things first.
fn all_steps(node: &Node) -> Vec<Step> {
    let mut steps = Vec::new();
    let has = |pod: &Pod, volume: &String| pod.volumes.iter().any(|it| it.volume.as_ref() == Some(volume));
    for Mount { pod, volume, .. } in &node.mounts {
        if !node.pods.iter().any(|it| it.name == *pod && has(it, volume)) {
            let operation = Operation::TearDown { pod: pod.clone(), volume: volume.clone() };
            steps.push(Step { volume: volume.clone(), kind: Kind::TearDown, operation });
        }
    }
    for (volume, traits) in &node.volumes {
        let ready = !traits.attach || node.reported.contains(volume) && node.attached.contains_key(volume);
        let mounts: Vec<&Mount> = node.mounts.iter().filter(|mount| mount.volume == *volume).collect();
        for pod in node.pods.iter().filter(|pod| ready && !pod.ending) {
            let Some(wanted) = pod.volumes.iter().find(|it| it.volume.as_ref() == Some(volume)) else { continue };
            let (own, foreign): (Vec<&&Mount>, Vec<&&Mount>) = mounts.iter().partition(|mount| mount.pod == pod.name);
            let fine = own.iter().any(|mount| mount.sure && !mount.remount);
            if fine || traits.single && !foreign.is_empty() {
                continue;
            }
            let device = node.attached.get(volume).cloned().unwrap_or_default();
            let staged = !traits.device || node.devices.get(volume).is_some_and(|device| device.sure);
            let operation = if traits.block {
                Operation::Map { pod: pod.name.clone(), volume: volume.clone(), device }
            } else if staged {
                Operation::SetUp { pod: pod.name.clone(), volume: volume.clone(), read_only: wanted.read_only }
            } else {
                Operation::MountDevice { volume: volume.clone(), device }
            };
            steps.push(Step { volume: volume.clone(), kind: Kind::Mount, operation });
            break;
        }
    }
    for volume in node.devices.keys() {
        let held = node.mounts.iter().any(|mount| mount.volume == *volume);
        if !held && !node.pods.iter().any(|pod| has(pod, volume)) {
            let operation = Operation::UnmountDevice { volume: volume.clone() };
            steps.push(Step { volume: volume.clone(), kind: Kind::UnmountDevice, operation });
        }
    }
    steps
}

impl Volumes for Exercise {
    fn reconcile(&self, node: &Node, now_ms: i64) -> Look {
        let until = |step: &Step| {
            let failure = node.failures.get(&step.volume)?;
            let pause = 2_i64.saturating_pow((failure.times - 1).min(30)).saturating_mul(500).min(122_000);
            let until = failure.at_ms + pause;
            (failure.kind == step.kind && until > now_ms).then_some(until)
        };
        let mut chosen: BTreeMap<String, Kind> = BTreeMap::new();
        let (mut operations, mut again) = (Vec::new(), BTreeSet::new());
        for step in all_steps(node) {
            // The list is in the order of the steps, so the first that can be done settles its volume.
            if chosen.get(&step.volume).is_some_and(|kind| *kind != step.kind) {
                continue;
            }
            match until(&step) {
                Some(until) => _ = again.insert(until),
                None => {
                    chosen.insert(step.volume, step.kind);
                    operations.push(step.operation);
                }
            }
        }
        let wanted = node.pods.iter().flat_map(|pod| pod.volumes.iter().filter_map(|it| it.volume.clone()));
        let there = node.devices.keys().cloned().chain(node.mounts.iter().map(|mount| mount.volume.clone()));
        let in_use = wanted.chain(there).filter(|name| node.volumes.get(name).is_some_and(|it| it.attach)).collect();
        Look { in_use, operations, again_ms: again.first().copied() }
    }

    fn late(&self, node: &Node, pod: &str) -> Option<Late> {
        let mut said: BTreeMap<String, (bool, bool, bool)> = BTreeMap::new();
        for it in node.pods.iter().find(|it| it.name == pod)?.volumes.iter() {
            let state = match &it.volume {
                None => (true, false, true),
                Some(volume) => {
                    let there = node.mounts.iter().filter(|mount| mount.sure && mount.volume == *volume);
                    let attach = node.volumes.get(volume).map(|it| it.attach).unwrap_or(false);
                    let known = node.reported.contains(volume) as u8 + node.attached.contains_key(volume) as u8;
                    (there.filter(|mount| mount.pod == pod).count() == 0, attach && known < 2, false)
                }
            };
            said.insert(it.name.clone(), state);
        }
        let pick = |which: fn(&(bool, bool, bool)) -> bool| -> Vec<String> {
            said.iter().filter(|(_, state)| which(state)).map(|(name, _)| name.clone()).collect()
        };
        let late = Late { unmounted: pick(|it| it.0), unattached: pick(|it| it.1), unprocessed: pick(|it| it.2) };
        if late.unmounted.is_empty() { None } else { Some(late) }
    }

    fn own(&self, files: &Files) -> Ownership {
        let Some(gid) = files.fs_group else { return Ownership::default() };
        let told = files.driver.as_ref().filter(|driver| driver.mounts_group).map(|_| gid);
        let allowed = files.driver.as_ref().is_none_or(|driver| {
            let one_node =
                |mode: &AccessMode| *mode == AccessMode::ReadWriteOnce || *mode == AccessMode::ReadWriteOncePod;
            !files.read_only
                && match driver.policy {
                    GroupPolicy::File => true,
                    GroupPolicy::None => false,
                    GroupPolicy::ReadWriteOnceWithFSType => {
                        driver.fs_type != "" && driver.access_modes.iter().any(one_node)
                    }
                }
        });
        if told.is_some() || !allowed {
            return Ownership { told, ..Ownership::default() };
        }
        // Owner and group: read, write, execute. And that what is new gets the group.
        let (read, write, execute, inherit) = ([0o400, 0o40], [0o200, 0o20], [0o100, 0o10], 0o2000);
        let needed = |kind: EntryKind| -> Vec<u32> {
            let mut bits = Vec::new();
            if kind != EntryKind::Link {
                bits.extend(read);
                bits.extend(write.iter().filter(|_| !files.read_only));
            }
            if kind == EntryKind::Directory {
                bits.extend(execute);
                bits.push(inherit);
            }
            bits
        };
        let fits = |entry: &Entry| entry.gid == gid && needed(entry.kind).iter().all(|bit| entry.mode.0 & bit != 0);
        if files.policy == ChangePolicy::OnRootMismatch && files.entries.get("").is_some_and(fits) {
            return Ownership::default();
        }
        let mut changed = BTreeMap::new();
        for (path, entry) in files.entries.iter().filter(|(_, entry)| !fits(entry)) {
            let mode = needed(entry.kind).into_iter().fold(entry.mode.0, |mode, bit| mode | bit);
            changed.insert(path.clone(), Entry { kind: entry.kind, gid, mode: Mode(mode) });
        }
        Ownership { told: None, changed }
    }

    fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>> {
        let lacks = |source: &Source| match &source.data {
            _ if source.optional => None,
            None => Some(Missing::Object { kind: source.kind, name: source.name.clone() }),
            Some(data) => {
                let item = source.items.iter().find(|item| !data.contains_key(&item.key))?;
                Some(Missing::Key { kind: source.kind, key: item.key.clone() })
            }
        };
        let mut missing: Vec<Missing> = Vec::new();
        for one in projection.sources.iter().filter_map(lacks) {
            if missing.iter().all(|other| *other != one) {
                missing.push(one);
            }
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut payload = Payload::new();
        for source in &projection.sources {
            for (key, text) in source.data.iter().flatten().filter(|_| source.items.is_empty()) {
                payload.insert(key.clone(), File { text: text.clone(), mode: projection.default_mode });
            }
            for item in &source.items {
                if let Some(text) = source.data.as_ref().and_then(|data| data.get(&item.key)) {
                    let mode = item.mode.unwrap_or(projection.default_mode);
                    payload.insert(item.path.clone(), File { text: text.clone(), mode });
                }
            }
        }
        Ok(payload)
    }

    fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        let pairs = |files: &BTreeMap<String, String>| files.clone().into_iter().collect::<Vec<(String, String)>>();
        let new: Vec<(String, String)> = payload.iter().map(|(path, file)| (path.clone(), file.text.clone())).collect();
        let up_to_date = directory.data.is_some() && pairs(&directory.files) == new;
        if !up_to_date {
            changes.push(Change::Write { directory: stamp.to_owned(), files: payload.clone() });
            changes.push(Change::Link { name: "..data_tmp".to_owned(), to: stamp.to_owned() });
            changes.push(Change::Rename { from: "..data_tmp".to_owned(), to: "..data".to_owned() });
        }
        let mut links = directory.links.clone();
        for (path, _) in &new {
            let name = path.split('/').next().unwrap_or(path).to_string();
            if links.insert(name.clone()) {
                let to = format!("..data/{name}");
                changes.push(Change::Link { name, to });
            }
        }
        for name in directory.links.iter() {
            let leads = |path: &String| path == name || path.starts_with(&format!("{name}/"));
            if directory.files.keys().any(leads) && !new.iter().any(|(path, _)| leads(path)) {
                changes.push(Change::Unlink { name: name.clone() });
            }
        }
        if let Some(before) = directory.data.as_ref().filter(|_| !up_to_date) {
            changes.push(Change::Remove { directory: before.clone() });
        }
        changes
    }
}

kit::exercise!(Exercise: Volumes);
