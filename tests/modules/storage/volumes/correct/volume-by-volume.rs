//! Passes: each volume is a small state of its own, counted in one walk over pods and mounts, and one function per step says what it would do;
//! files are decided by tables of bits, and projections by folding.

use kit::storage::Volumes;
use kit::storage::volumes::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

#[derive(Default)]
struct Exercise;

/// What concerns one volume.
#[derive(Default)]
struct State<'a> {
    strangers: Vec<&'a str>,
    holders: usize,
    users: usize,
    candidates: Vec<(&'a str, bool)>,
    mounted: HashSet<&'a str>,
}

fn states(node: &Node) -> HashMap<&str, State<'_>> {
    let mut states: HashMap<&str, State<'_>> = HashMap::new();
    let mut fine: HashSet<(&str, &str)> = HashSet::new();
    for mount in &node.mounts {
        let state = states.entry(&mount.volume).or_default();
        state.holders += 1;
        state.mounted.insert(&mount.pod);
        if mount.sure && !mount.remount {
            fine.insert((&mount.pod, &mount.volume));
        }
    }
    let mut wanted: HashSet<(&str, &str)> = HashSet::new();
    for pod in &node.pods {
        for volume in &pod.volumes {
            let Some(name) = &volume.volume else { continue };
            let state = states.entry(name).or_default();
            state.users += 1;
            wanted.insert((&pod.name, name));
            if !pod.ending && !fine.contains(&(pod.name.as_str(), name.as_str())) {
                state.candidates.push((&pod.name, volume.read_only));
            }
        }
    }
    for mount in node.mounts.iter().filter(|mount| !wanted.contains(&(mount.pod.as_str(), mount.volume.as_str()))) {
        if let Some(state) = states.get_mut(mount.volume.as_str()) {
            state.strangers.push(&mount.pod);
        }
    }
    states
}

fn retry_at(node: &Node, volume: &str, kind: Kind) -> i64 {
    let Some(failure) = node.failures.get(volume) else { return i64::MIN };
    if failure.kind != kind {
        return i64::MIN;
    }
    // 500 * 2^8 is more than the most.
    let pause = if failure.times > 8 { 122_000 } else { 500 << (failure.times - 1) };
    failure.at_ms + pause
}

impl Volumes for Exercise {
    fn reconcile(&self, node: &Node, now_ms: i64) -> Look {
        let states = states(node);
        let mut look = Look::default();
        for (name, volume) in &node.volumes {
            let none = State::default();
            let state = states.get(name.as_str()).unwrap_or(&none);
            let device = node.devices.get(name);
            if volume.attach && (state.users + state.holders > 0 || device.is_some()) {
                look.in_use.insert(name.clone());
            }
            let mut done = false;
            let mut step = |kind: Kind, operations: Vec<Operation>| {
                if done || operations.is_empty() {
                    return;
                }
                let at = retry_at(node, name, kind);
                if at > now_ms {
                    look.again_ms = Some(look.again_ms.unwrap_or(i64::MAX).min(at));
                } else {
                    look.operations.extend(operations);
                    done = true;
                }
            };
            let down = |pod: &&str| Operation::TearDown { pod: pod.to_string(), volume: name.clone() };
            step(Kind::TearDown, state.strangers.iter().map(down).collect());
            let attached = !volume.attach || node.attached.contains_key(name) && node.reported.contains(name);
            let free = |pod: &str| !volume.single || state.holders == usize::from(state.mounted.contains(pod));
            let next = state.candidates.iter().find(|(pod, _)| attached && free(pod));
            let mount = next.map(|(pod, read_only)| {
                let path = node.attached.get(name).cloned().unwrap_or_default();
                if volume.block {
                    return Operation::Map { pod: pod.to_string(), volume: name.clone(), device: path };
                }
                match device {
                    Some(Device { sure: true }) => {}
                    _ if !volume.device => {}
                    _ => return Operation::MountDevice { volume: name.clone(), device: path },
                }
                Operation::SetUp { pod: pod.to_string(), volume: name.clone(), read_only: *read_only }
            });
            step(Kind::Mount, Vec::from_iter(mount));
            if device.is_some() && state.users == 0 && state.holders == 0 {
                step(Kind::UnmountDevice, vec![Operation::UnmountDevice { volume: name.clone() }]);
            }
        }
        look
    }

    fn late(&self, node: &Node, pod: &str) -> Option<Late> {
        let pod = node.pods.iter().find(|one| one.name == pod)?;
        let mut volumes: Vec<&PodVolume> = pod.volumes.iter().collect();
        volumes.sort_by(|one, other| one.name.cmp(&other.name));
        let sure: HashSet<&String> =
            node.mounts.iter().filter(|one| one.pod == pod.name && one.sure).map(|one| &one.volume).collect();
        let pick = |keep: &dyn Fn(&Option<String>) -> bool| {
            volumes.iter().filter(|one| keep(&one.volume)).map(|one| one.name.clone()).collect::<Vec<String>>()
        };
        let unmounted = pick(&|volume| !matches!(volume, Some(name) if sure.contains(name)));
        if unmounted.is_empty() {
            return None;
        }
        let unattached = pick(&|volume| {
            let Some(name) = volume else { return false };
            let must = node.volumes.get(name).map(|volume| volume.attach) == Some(true);
            must && [node.reported.contains(name), node.attached.contains_key(name)].contains(&false)
        });
        Some(Late { unmounted, unattached, unprocessed: pick(&Option::is_none) })
    }

    fn own(&self, files: &Files) -> Ownership {
        let by_kubelet = match (&files.driver, files.fs_group) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(Driver { mounts_group: true, .. }), group) => {
                return Ownership { told: group, changed: BTreeMap::new() };
            }
            (Some(driver), Some(_)) => {
                let once = driver
                    .access_modes
                    .iter()
                    .filter(|mode| !matches!(mode, AccessMode::ReadOnlyMany | AccessMode::ReadWriteMany));
                let usual = !driver.fs_type.is_empty() && once.count() > 0;
                !files.read_only
                    && (driver.policy == GroupPolicy::File
                        || driver.policy == GroupPolicy::ReadWriteOnceWithFSType && usual)
            }
        };
        let gid = files.fs_group.unwrap_or_default();
        let want = |entry: &Entry| {
            let r = 0o440;
            let w = if files.read_only { 0 } else { 0o220 };
            let x = 0o110 | 0o2000;
            let bits = match entry.kind {
                EntryKind::Link => 0,
                EntryKind::File => r | w,
                EntryKind::Directory => r | w | x,
            };
            Entry { gid, mode: Mode(entry.mode.0 | bits), ..*entry }
        };
        let root_fits = files.entries.get("").is_some_and(|root| want(root) == *root);
        let skip = files.policy == ChangePolicy::OnRootMismatch && root_fits;
        let all = files.entries.iter().filter(|(_, entry)| by_kubelet && !skip && want(entry) != **entry);
        Ownership { told: None, changed: all.map(|(path, entry)| (path.clone(), want(entry))).collect() }
    }

    fn project(&self, projection: &Projection) -> Result<Payload, Vec<Missing>> {
        let one = |source: &Source| -> Result<Vec<(String, File)>, Missing> {
            let (kind, name) = (source.kind, source.name.clone());
            let nothing = BTreeMap::new();
            let data =
                source.data.as_ref().or(source.optional.then_some(&nothing)).ok_or(Missing::Object { kind, name })?;
            let mode = projection.default_mode;
            if source.items.is_empty() {
                return Ok(data.iter().map(|(key, text)| (key.clone(), File { text: text.clone(), mode })).collect());
            }
            let found = source.items.iter().map(|item| {
                let Some(text) = data.get(&item.key) else {
                    let missing = Missing::Key { kind, key: item.key.clone() };
                    return if source.optional { Ok(None) } else { Err(missing) };
                };
                Ok(Some((item.path.clone(), File { text: text.clone(), mode: item.mode.unwrap_or(mode) })))
            });
            found.filter_map(Result::transpose).collect()
        };
        projection.sources.iter().map(one).fold(Ok(Payload::new()), |sum, next| match (sum, next) {
            (Ok(mut payload), Ok(files)) => {
                payload.extend(files);
                Ok(payload)
            }
            (Ok(_), Err(missing)) => Err(vec![missing]),
            (Err(errors), Ok(_)) => Err(errors),
            (Err(mut errors), Err(missing)) => {
                if !errors.contains(&missing) {
                    errors.push(missing);
                }
                Err(errors)
            }
        })
    }

    fn publish(&self, directory: &Directory, payload: &Payload, stamp: &str) -> Vec<Change> {
        let texts: BTreeMap<String, String> =
            payload.iter().map(|(path, file)| (path.clone(), file.text.clone())).collect();
        let write = directory.data.is_none() || texts != directory.files;
        let first = |path: &str| path.chars().take_while(|c| *c != '/').collect::<String>();
        let new: BTreeSet<String> = texts.keys().map(|path| first(path)).collect();
        let old: BTreeSet<String> = directory.files.keys().map(|path| first(path)).collect();
        let switch = [
            Change::Write { directory: stamp.into(), files: payload.clone() },
            Change::Link { name: "..data_tmp".into(), to: stamp.into() },
            Change::Rename { from: "..data_tmp".into(), to: "..data".into() },
        ];
        let links = new.iter().filter(|name| !directory.links.contains(*name));
        let links = links.map(|name| Change::Link { name: name.clone(), to: ["..data", name].join("/") });
        let gone = directory.links.iter().filter(|name| old.contains(*name) && !new.contains(*name));
        let gone = gone.map(|name| Change::Unlink { name: name.clone() });
        let before = directory.data.clone().filter(|_| write).map(|directory| Change::Remove { directory });
        switch.into_iter().filter(|_| write).chain(links).chain(gone).chain(before).collect()
    }
}

kit::exercise!(Exercise: Volumes);
