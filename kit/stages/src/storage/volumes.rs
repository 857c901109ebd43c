//! Fresh scenarios of `storage/volumes`: a few pods and volumes in every state in which a node can be, with failures whose pause is just
//! over or not; files of volumes of every kind of driver; objects with and without their keys; and directories that nearly are what they
//! should be.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

const VOLUMES: [&str; 3] = ["disk-b", "disk-a", "files"];
const PODS: [&str; 4] = ["web", "api", "db", "old"];
const NOW: i64 = 400_000;

fn sometimes(probability: f64) -> impl Strategy<Value = bool> {
    prop::bool::weighted(probability)
}

/// What a volume is, and what is there of it.
#[derive(Debug, Clone)]
struct Drawn {
    traits: Value,
    attached: Option<&'static str>,
    reported: bool,
    device: Option<bool>,
    failure: Option<Value>,
}

fn volume() -> impl Strategy<Value = Drawn> {
    let traits = select(vec![
        json!({"attach": true, "device": true}),
        json!({"device": true}),
        json!({}),
        json!({"attach": true, "block": true}),
        json!({"attach": true, "device": true, "single": true}),
        json!({"attach": true}),
        json!({"single": true}),
        json!({"device": true, "single": true}),
    ]);
    let attached = option::weighted(0.8, select(vec!["/dev/xvdb", "/dev/xvdc", ""]));
    let device = option::weighted(0.7, sometimes(0.8));
    (traits, attached, sometimes(0.8), device, option::weighted(0.35, failure())).prop_map(
        |(traits, attached, reported, device, failure)| {
            let is = |what: &str| traits[what] == true;
            let (attached, reported) = (attached.filter(|_| is("attach")), reported && is("attach"));
            let device = device.filter(|_| is("device"));
            Drawn { traits, attached, reported, device, failure }
        },
    )
}

/// A failure whose pause is just over, or nearly.
fn failure() -> impl Strategy<Value = Value> {
    let kind = select(vec!["Mount", "Mount", "TearDown", "TearDown", "UnmountDevice"]);
    let times = prop_oneof![6 => 1_u32..5, 3 => 5_u32..12, 1 => select(vec![33_u32, 64, 65, u32::MAX])];
    let off = prop_oneof![3 => select(vec![0_i64, -1, 1]), 1 => -130_000_i64..130_000];
    (kind, times, off).prop_map(|(kind, times, off)| {
        let pause = (500_i64 << (times - 1).min(20)).min(122_000);
        json!({"kind": kind, "times": times, "at_ms": (NOW - pause + off).min(NOW)})
    })
}

/// Of each volume: whether a pod has it, only to read, and its mount there, if it is sure, and to be made anew.
type Wants = Vec<(bool, bool, Option<(bool, bool)>)>;

/// A pod: whether it is gone, which volumes it has, and what is there of them.
fn pod() -> impl Strategy<Value = (bool, Value, Wants)> {
    let mount = option::weighted(0.55, (sometimes(0.85), sometimes(0.15)));
    let volume = (sometimes(0.6), sometimes(0.2), mount);
    let life = select(vec!["there", "there", "there", "there", "ending", "gone"]);
    let unknown = option::weighted(0.15, Just("scratch"));
    (life, unknown, vec(volume, VOLUMES.len())).prop_map(|(life, unknown, volumes)| {
        let unknown: Vec<Value> = unknown.into_iter().map(|name| json!({"name": name, "volume": null})).collect();
        (life == "gone", json!({"ending": life == "ending", "volumes": unknown}), volumes)
    })
}

fn node() -> impl Strategy<Value = Value> {
    let pods = (1_usize..=PODS.len()).prop_flat_map(|count| vec(pod(), count));
    (vec(volume(), VOLUMES.len()), pods).prop_map(|(volumes, pods)| {
        let mut node = json!({"pods": [], "mounts": []});
        let named = |pick: &dyn Fn(&Drawn) -> Option<Value>| -> Map<String, Value> {
            let all = VOLUMES.iter().zip(&volumes);
            all.filter_map(|(name, volume)| Some((name.to_string(), pick(volume)?))).collect()
        };
        node["volumes"] = named(&|it| Some(it.traits.clone())).into();
        node["attached"] = named(&|it| it.attached.map(Value::from)).into();
        node["devices"] = named(&|it| it.device.map(|sure| json!({ "sure": sure }))).into();
        node["failures"] = named(&|it| it.failure.clone()).into();
        let reported = VOLUMES.iter().zip(&volumes).filter(|(_, it)| it.reported).map(|(name, _)| *name);
        let mut reported: Vec<&str> = reported.collect();
        reported.sort_unstable();
        node["reported"] = json!(reported);
        let (mut listed, mut mounts) = (Vec::new(), Vec::new());
        for (name, (gone, mut pod, wants)) in PODS.iter().zip(pods) {
            pod["name"] = json!(name);
            for (volume, (wanted, read_only, mount)) in VOLUMES.iter().zip(wants) {
                if wanted && let Some(list) = pod["volumes"].as_array_mut() {
                    list.push(json!({"name": format!("{volume}-in"), "volume": volume, "read_only": read_only}));
                }
                // What was never wanted is rarely there.
                if let Some((sure, remount)) = mount.filter(|(_, remount)| wanted || *remount) {
                    let remount = remount && sure;
                    mounts.push(json!({"pod": name, "volume": volume, "sure": sure, "remount": remount}));
                }
            }
            if !gone {
                listed.push(pod);
            }
        }
        (node["pods"], node["mounts"]) = (listed.into(), mounts.into());
        node
    })
}

fn look() -> impl Strategy<Value = Value> {
    node().prop_map(|node| question("reconcile", json!({"node": node, "now_ms": NOW})))
}

fn late() -> impl Strategy<Value = Value> {
    (node(), any::<prop::sample::Index>()).prop_filter_map("a pod is there", |(node, at)| {
        let pods = node["pods"].as_array()?;
        let pod = pods.get(at.index(pods.len().max(1)))?["name"].clone();
        Some(question("late", json!({"node": node, "pod": pod})))
    })
}

fn own() -> impl Strategy<Value = Value> {
    let gid = select(vec![0, 2000, 3000]);
    let mode = select(vec![
        "0755", "2770", "2775", "2771", "0770", "2550", "0644", "0600", "4755", "0660", "0440", "2750", "0777",
    ]);
    let kind = select(vec!["File", "Directory", "Link"]);
    let entry = (kind, gid, mode).prop_map(|(kind, gid, mode)| json!({"kind": kind, "gid": gid, "mode": mode}));
    let root =
        (select(vec![2000, 2000, 0]), select(vec!["2770", "2775", "0770", "2777", "2750", "2550", "2555", "0755"]));
    let root = root.prop_map(|(gid, mode)| json!({"kind": "Directory", "gid": gid, "mode": mode}));
    let modes = vec!["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];
    let policy = select(vec!["ReadWriteOnceWithFSType", "ReadWriteOnceWithFSType", "File", "None"]);
    let driver = (policy, sometimes(0.1), select(vec!["ext4", ""]), subsequence(modes, 0..=2)).prop_map(
        |(policy, mounts_group, fs_type, modes)| {
            json!({"policy": policy, "mounts_group": mounts_group, "fs_type": fs_type, "access_modes": modes})
        },
    );
    let asks = (option::weighted(0.9, Just(2000)), select(vec!["Always", "OnRootMismatch"]), sometimes(0.3));
    (asks, option::weighted(0.6, driver), root, vec(entry, 0..4)).prop_map(
        |((group, policy, read_only), driver, root, entries)| {
            let names = ["data", "data/a", "link"];
            let mut all = Map::from_iter([(String::new(), root)]);
            all.extend(names.iter().map(ToString::to_string).zip(entries));
            let files = json!({
                "fs_group": group, "policy": policy, "read_only": read_only, "driver": driver, "entries": all,
            });
            question("own", json!({ "files": files }))
        },
    )
}

fn project() -> impl Strategy<Value = Value> {
    let data = subsequence(vec!["a", "b", "c"], 0..=3);
    let mode = option::weighted(0.4, select(vec!["0400", "0600"]));
    let item = (select(vec!["a", "b", "c", "d"]), select(vec!["a", "x", "pod/x", "pod/y"]), mode)
        .prop_map(|(key, path, mode)| json!({"key": key, "path": path, "mode": mode}));
    let what = (select(vec!["ConfigMap", "Secret", "Kubelet"]), select(vec!["settings", "login"]), sometimes(0.3));
    let items = prop_oneof![2 => Just(Vec::new()), 3 => vec(item, 1..4)];
    let source = (what, option::weighted(0.8, data), items).prop_map(|((kind, name, optional), keys, items)| {
        let keys = keys.map(|keys| keys.into_iter().map(|key| (key.to_string(), json!(format!("{name} {key}")))));
        let data = keys.map(Map::from_iter);
        json!({"kind": kind, "name": name, "optional": optional, "items": items, "data": data})
    });
    (vec(source, 0..5), select(vec!["0644", "0400"])).prop_map(|(sources, mode)| {
        question("project", json!({"projection": {"sources": sources, "default_mode": mode}}))
    })
}

fn publish() -> impl Strategy<Value = Value> {
    let paths = vec!["tls.key", "tls.crt", "pod/labels", "pod/name", "pods"];
    let files = |paths: Vec<&'static str>| {
        let one = (sometimes(0.8), sometimes(0.8));
        let count = paths.len();
        (subsequence(paths, 0..=4), vec(one, count))
    };
    let same = sometimes(0.4);
    (files(paths.clone()), files(paths), same, sometimes(0.85), vec(sometimes(0.85), 5)).prop_map(
        |((old, _), (new, texts), same, there, linked)| {
            let new = if same { old.clone() } else { new };
            let old: Map<String, Value> =
                old.iter().filter(|_| there).map(|path| (path.to_string(), json!("1"))).collect();
            let file = |(path, (text, mode)): (&&str, &(bool, bool))| {
                let text = if *text || same && *mode { "1" } else { "2" };
                (path.to_string(), json!({"text": text, "mode": if *mode { "0644" } else { "0400" }}))
            };
            let payload: Map<String, Value> = new.iter().zip(&texts).map(file).collect();
            let firsts = old.keys().filter_map(|path| path.split('/').next());
            let mut links: Vec<&str> =
                firsts.zip(&linked).filter(|(_, linked)| **linked).map(|(name, _)| name).collect();
            links.dedup();
            let directory = json!({"data": there.then_some("..1"), "files": old, "links": links});
            question("publish", json!({"directory": directory, "payload": payload, "stamp": "..2"}))
        },
    )
}

/// Some questions, one after the other.
pub fn fresh() -> Generator {
    let one = prop_oneof![5 => look(), 2 => late(), 3 => own(), 3 => project(), 2 => publish()];
    several(one, 3)
        .prop_map(|mut drawn| {
            let (why, read) =
                match drawn["steps"][0].as_object().and_then(|step| step.keys().next()).map(String::as_str) {
                    Some("own") => (
                        "The kubelet gives files a group only where driver and volume allow it, and takes no bit away.",
                        "a-group-for-the-files",
                    ),
                    Some("project") => {
                        ("A volume is made whole or not at all, and later sources go first.", "what-the-files-are")
                    }
                    Some("publish") => {
                        ("New files are written beside the old ones, and one rename shows them all.", "never-half")
                    }
                    Some("late") => {
                        ("A pod that waits is told of each volume what it waits for.", "what-the-pod-is-told")
                    }
                    _ => (
                        "What pods want and what is there decides, volume by volume, one step after the other.",
                        "two-states-of-the-world",
                    ),
                };
            (drawn["why"], drawn["read"]) = (why.into(), read.into());
            drawn
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;
    use std::collections::BTreeSet;

    #[test]
    fn every_answer_is_met() {
        let slot = solutions::modules().volumes;
        let module = slot.make(&());
        let mut met = BTreeSet::new();
        for number in 1..400 {
            let drawn = Fresh::draw(&fresh(), "storage/volumes", "a", number).expect("it draws").scenario();
            for step in drawn["steps"].as_array().into_iter().flatten() {
                let parse = |call: &str, arg: &str| Some(step.get(call)?[arg].clone());
                if let Some(node) = parse("reconcile", "node") {
                    let node = serde_json::from_value(node).expect("a node");
                    let look = module.reconcile(&node, NOW);
                    met.extend(
                        look.operations
                            .iter()
                            .map(|one| format!("{one:?}").split(' ').next().unwrap_or_default().to_string()),
                    );
                    met.insert(format!("again {}", look.again_ms.is_some()));
                } else if let Some(files) = parse("own", "files") {
                    let files = serde_json::from_value(files).expect("files");
                    let own = module.own(&files);
                    met.insert(format!("changed {} told {}", !own.changed.is_empty(), own.told.is_some()));
                } else if let Some(projection) = parse("project", "projection") {
                    let projection = serde_json::from_value(projection).expect("a projection");
                    let missing = module.project(&projection).err().map_or(0, |missing| missing.len());
                    met.insert(format!("missing {}", missing.min(2)));
                } else if let Some(directory) = parse("publish", "directory") {
                    let directory = serde_json::from_value(directory).expect("a directory");
                    let payload = serde_json::from_value(step["publish"]["payload"].clone()).expect("a payload");
                    let changes = module.publish(&directory, &payload, "..2");
                    met.extend(
                        changes.iter().map(|one| format!("{one:?}").split(' ').next().unwrap_or_default().to_string()),
                    );
                    met.insert(format!("published {}", !changes.is_empty()));
                }
            }
        }
        for answer in [
            "MountDevice",
            "SetUp",
            "Map",
            "TearDown",
            "UnmountDevice",
            "again true",
            "again false",
            "changed true told false",
            "changed false told true",
            "changed false told false",
            "missing 0",
            "missing 1",
            "missing 2",
            "Write",
            "Link",
            "Rename",
            "Unlink",
            "Remove",
            "published false",
        ] {
            assert!(met.contains(answer), "{answer} of {met:?}");
        }
    }
}
