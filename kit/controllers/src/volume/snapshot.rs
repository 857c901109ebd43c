//! Snapshots of volumes: the snapshot controller, and the program that stands beside a driver and takes them.
//!
//! VolumeSnapshots, VolumeSnapshotContents and VolumeSnapshotClasses are custom resources, which come with the controller. A snapshot
//! is what would be on the disk if its node lost power in that moment. Sources: `pkg/common-controller/snapshot_controller.go`,
//! `pkg/sidecar-controller/snapshot_controller.go` and `pkg/utils/util.go` of `kubernetes-csi/external-snapshotter`.

use kit_api::core::PersistentVolume;
use kit_api::core::PersistentVolumeClaim;
use kit_api::volume::volume_of;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::disk;
use kit_server::{Change, DeleteOptions, Error, Patch, Server};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const API_VERSION: &str = "snapshot.storage.k8s.io/v1";
/// The kind of what a user asks for.
pub const SNAPSHOT: &str = "VolumeSnapshot";
const CONTENT: &str = "VolumeSnapshotContent";
const CLASS: &str = "VolumeSnapshotClass";
/// Keeps a snapshot until its content is gone.
const BOUND: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";
const DEFAULT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";
/// How long it takes to take one, and how long until a failed try is made again.
const WORK: Instant = Instant::seconds(1);
const AGAIN: Instant = Instant::seconds(10);

/// Takes snapshots, and lets go of them.
pub struct Snapshots {
    disks: disk::Shared,
    /// When to look at each snapshot.
    due: BTreeMap<Key, Instant>,
    installed: bool,
}

/// The content that a snapshot is bound to.
pub fn content_of(server: &Server, namespace: &str, name: &str) -> Option<Value> {
    let snapshot = server.get(&Key::new(server.kind_of(API_VERSION, SNAPSHOT)?, namespace, name)).ok()?.to_value();
    let content = snapshot["status"]["boundVolumeSnapshotContentName"].as_str()?;
    Some(server.get(&Key::new(server.kind_of(API_VERSION, CONTENT)?, "", content)).ok()?.to_value())
}

fn definition(kind: &str, namespaced: bool) -> Value {
    let plural = format!("{}s", kind.to_lowercase()).replace("classs", "classes");
    let (group, version) = API_VERSION.split_once('/').unwrap_or_default();
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut schema = json!({"type": "object", "properties": {"spec": open, "status": open}});
    if kind == CLASS {
        let fields = json!({
            "driver": {"type": "string"}, "deletionPolicy": {"type": "string", "enum": ["Delete", "Retain"]},
            "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
        });
        schema = json!({"type": "object", "required": ["driver", "deletionPolicy"], "properties": fields});
    }
    let mut of_version =
        json!({"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    if kind != CLASS {
        of_version["subresources"] = json!({"status": {}});
    }
    let short = match kind {
        SNAPSHOT => "vs",
        CONTENT => "vsc",
        _ => "vsclass",
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // A group of k8s.io needs this word.
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi/external-snapshotter/pull/814"},
        },
        "spec": {
            "group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "shortNames": [short]},
            "versions": [of_version],
        },
    })
}

impl Snapshots {
    /// A controller that copies these disks.
    pub fn new(disks: disk::Shared) -> Self {
        Snapshots { disks, due: BTreeMap::new(), installed: false }
    }

    fn install(&mut self, world: &mut World<'_>) {
        let Some(kind) = Kind::named("customresourcedefinitions") else { return };
        self.installed = true;
        for definition in [definition(SNAPSHOT, true), definition(CONTENT, false), definition(CLASS, false)] {
            let Ok(object) = Object::from_value(kind, definition) else { continue };
            self.installed &=
                world.server.create(object).map_or_else(|error| error.reason == "AlreadyExists", |_| true);
        }
    }

    /// Looks at a snapshot. The answer says when to look again.
    fn sync(&self, key: &Key, world: &mut World<'_>) -> Result<Option<Instant>, Error> {
        let Ok(stored) = world.server.get(key).cloned() else { return Ok(None) };
        let snapshot = stored.to_value();
        let Some(kind) = world.server.kind_of(API_VERSION, CONTENT) else { return Ok(Some(AGAIN)) };
        let name = format!("snapcontent-{}", snapshot["metadata"]["uid"].as_str().unwrap_or_default());
        let content_key = Key::new(kind, "", &name);
        let content = world.server.get(&content_key).ok().map(|stored| stored.to_value());
        if snapshot["metadata"]["deletionTimestamp"].is_string() {
            self.forget(key, content, world)?;
            return Ok(None);
        }
        let status = |status: Value| Patch::Merge(json!({ "status": status }));
        match content {
            None => match self.content(&snapshot, &name, world) {
                Ok(content) => {
                    let finalizers = json!({"metadata": {"finalizers": [BOUND]}});
                    world.server.patch(key, &Patch::Merge(finalizers), false)?;
                    world
                        .server
                        .create(Object::from_value(kind, content).map_err(|why| Error::internal(why.to_string()))?)?;
                    let bound = json!({"boundVolumeSnapshotContentName": name, "readyToUse": false, "error": null});
                    world.server.patch(key, &status(bound), true)?;
                    let why = format!(
                        "Waiting for a snapshot {}/{} to be created by the CSI driver.",
                        key.namespace, key.name
                    );
                    world.server.record(&stored.object, "Normal", "CreatingSnapshot", &why);
                    Ok(Some(WORK))
                }
                Err(why) => {
                    if snapshot["status"]["error"]["message"] != why.as_str() {
                        let error = json!({"error": {"message": why, "time": now(world)}, "readyToUse": false});
                        world.server.patch(key, &status(error), true)?;
                        world.server.record(&stored.object, "Warning", "SnapshotContentCreationFailed", &why);
                    }
                    Ok(Some(AGAIN))
                }
            },
            Some(content) if content["status"]["readyToUse"] != true => {
                let volume = content["spec"]["source"]["volumeHandle"].as_str().unwrap_or_default();
                let handle = format!("snapshot-{}", snapshot["metadata"]["uid"].as_str().unwrap_or_default());
                self.disks.borrow_mut().copy(&disk::of_volume(volume), &disk::of_snapshot(&handle));
                let nanos = (world.time().as_second()) * 1_000_000_000;
                let taken =
                    json!({"snapshotHandle": handle, "creationTime": nanos, "readyToUse": true, "restoreSize": 0});
                world.server.patch(&content_key, &status(taken), true)?;
                let ready = json!({"readyToUse": true, "creationTime": now(world), "error": null});
                world.server.patch(key, &status(ready), true)?;
                let why = format!("Snapshot {}/{} is ready to use.", key.namespace, key.name);
                world.server.record(&stored.object, "Normal", "SnapshotReady", &why);
                Ok(None)
            }
            Some(_) => Ok(None),
        }
    }

    /// What is to be taken, by whom, and what becomes of it in the end.
    fn content(&self, snapshot: &Value, name: &str, world: &World<'_>) -> Result<Value, String> {
        let server = &*world.server;
        let (spec, meta) = (&snapshot["spec"], &snapshot["metadata"]);
        let namespace = meta["namespace"].as_str().unwrap_or_default();
        let claim = spec["source"]["persistentVolumeClaimName"].as_str().unwrap_or_default();
        let missing = || format!("Failed to get PVC {claim:?} from the API server");
        let claim = server.fetch::<PersistentVolumeClaim>(namespace, claim).map_err(|_| missing())?;
        let volume = server.fetch::<PersistentVolume>("", volume_of(&claim)).map_err(|_| {
            format!(
                "the PVC {} is not yet bound to a PV, will not attempt to take a snapshot",
                claim.metadata.name.clone().unwrap_or_default()
            )
        })?;
        let csi = volume.spec.and_then(|spec| spec.csi).ok_or("the volume is not one of a CSI driver")?;
        let kind = server.kind_of(API_VERSION, CLASS).ok_or("there are no classes of snapshots")?;
        let classes = server.snapshot().list(kind).map(|stored| stored.to_value());
        let is_default = |class: &Value| class["metadata"]["annotations"][DEFAULT_CLASS] == "true";
        let wanted = spec["volumeSnapshotClassName"].as_str();
        let class = classes.filter(|class| class["driver"] == csi.driver.as_str()).find(|class| match wanted {
            Some(wanted) => class["metadata"]["name"] == wanted,
            None => is_default(class),
        });
        let class = class.ok_or("cannot find default snapshot class")?;
        Ok(json!({
            "apiVersion": API_VERSION, "kind": CONTENT, "metadata": {"name": name},
            "spec": {
                "deletionPolicy": class["deletionPolicy"], "driver": csi.driver, "source": {"volumeHandle": csi.volume_handle},
                "volumeSnapshotClassName": class["metadata"]["name"],
                "volumeSnapshotRef": {
                    "apiVersion": API_VERSION, "kind": SNAPSHOT, "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
                },
            },
        }))
    }

    /// A snapshot is deleted: what was kept goes with it, unless its policy says otherwise.
    fn forget(&self, key: &Key, content: Option<Value>, world: &mut World<'_>) -> Result<(), Error> {
        if let Some(content) = content.filter(|content| content["spec"]["deletionPolicy"] == "Delete")
            && let Some(kind) = world.server.kind_of(API_VERSION, CONTENT)
        {
            let name = content["metadata"]["name"].as_str().unwrap_or_default();
            world.server.delete(&Key::new(kind, "", name), &DeleteOptions::default())?;
            let kept = disk::of_snapshot(content["status"]["snapshotHandle"].as_str().unwrap_or_default());
            self.disks.borrow_mut().retain(|name| name != kept);
        }
        world.server.patch(key, &Patch::Merge(json!({"metadata": {"finalizers": null}})), false).map(drop)
    }
}

fn now(world: &World<'_>) -> String {
    kit_api::jiff::Timestamp::from_second(world.time().as_second()).unwrap_or_default().to_string()
}

impl Component for Snapshots {
    fn name(&self) -> &'static str {
        "snapshot-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    fn watches_custom(&self) -> bool {
        true
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let key = &change.object.key;
        if key.kind.resource().kind == SNAPSHOT && key.kind.resource().api_version == API_VERSION {
            self.due.entry(key.clone()).or_insert(world.now);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if !self.installed {
            self.install(world);
        }
        let due: Vec<Key> = self.due.iter().filter(|(_, at)| **at <= world.now).map(|(key, _)| key.clone()).collect();
        for key in due {
            match self.sync(&key, world) {
                Ok(None) => _ = self.due.remove(&key),
                Ok(Some(after)) => _ = self.due.insert(key, world.now + after),
                Err(_) => _ = self.due.insert(key, world.now + AGAIN),
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }
}
