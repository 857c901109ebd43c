//! Scheduled backups: snapshots of a claim, each of them restored once to a scratch database that is thrown away.
//!
//! What is begun, tested and deleted is the module's decision. Upstream: `internal/controller/backup_controller.go` and
//! `pkg/reconciler/backup/volumesnapshot` of CloudNativePG, which takes snapshots of a replica where there is one.

use super::hands::Hands;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::database::{API_VERSION, CLUSTER, KIND, Report};
use kit_contract::failure::DatabaseOperator as Module;
use kit_contract::failure::database_operator::{Backup, BackupAction, Backups, Database, Phase, State, Test};
use kit_server::{DeleteOptions, Patch};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a backup says of its test, and how long the log was when it began.
const TEST: &str = "databases.example.com/test";
const LSN: &str = "databases.example.com/lsn";
/// How long a restore may take.
const PATIENCE: i64 = 300;

/// Does what is due about the backups of a database that asks for some.
pub fn sync(hands: &mut Hands<'_, '_>, database: &Database, reports: &BTreeMap<Key, Report>, module: &dyn Module) {
    let plan = &hands.object["spec"]["backup"];
    let (Some(every), Some(window)) = (plan["everySeconds"].as_i64(), plan["windowSeconds"].as_i64()) else { return };
    let Some(kind) = hands.world.server.kind_of("snapshot.storage.k8s.io/v1", "VolumeSnapshot") else { return };
    let now = hands.world.time().as_second();
    let snapshots: Vec<Value> = (hands.world.cache.stored(kind).map(|stored| stored.to_value()))
        .filter(|it| {
            it["metadata"]["namespace"] == *hands.key.namespace && it["metadata"]["labels"][CLUSTER] == *hands.key.name
        })
        .filter(|it| it["metadata"]["deletionTimestamp"].is_null())
        .collect();
    for snapshot in snapshots.iter().filter(|it| it["metadata"]["annotations"][TEST] == "running") {
        judge(hands, snapshot, reports, now);
    }
    let backups = Backups {
        now,
        every_seconds: every,
        window_seconds: window,
        backups: snapshots.iter().filter_map(backup).collect(),
        archive: Vec::new(),
    };
    for action in module.backups(&backups) {
        match action {
            BackupAction::Start => start(hands, database, now),
            BackupAction::Test(name) => try_out(hands, database, &name),
            BackupAction::Delete(name) => {
                let key = Key::new(kind, &hands.key.namespace, &name);
                _ = hands.world.server.delete(&key, &DeleteOptions::default());
            }
        }
    }
}

fn seconds(value: &Value) -> Option<i64> {
    value.as_str()?.parse::<Timestamp>().ok().map(|time| time.as_second())
}

/// A snapshot as the module sees it.
fn backup(snapshot: &Value) -> Option<Backup> {
    let (meta, status) = (&snapshot["metadata"], &snapshot["status"]);
    let phase = match (status["readyToUse"] == true, status["error"].is_object()) {
        (true, _) => Phase::Done,
        (_, true) => Phase::Failed,
        _ => Phase::Running,
    };
    let annotation = |name: &str| meta["annotations"][name].as_str().unwrap_or_default();
    let test = match annotation(TEST) {
        "running" => Test::Running,
        "passed" => Test::Passed,
        "failed" => Test::Failed,
        _ => Test::None,
    };
    let ended = seconds(&status["creationTime"]).or_else(|| seconds(&status["error"]["time"]));
    Some(Backup {
        name: meta["name"].as_str()?.into(),
        begun_at: seconds(&meta["creationTimestamp"])?,
        ended_at: ended.filter(|_| phase != Phase::Running),
        lsn: annotation(LSN).parse().unwrap_or(0),
        phase,
        test,
    })
}

/// A snapshot of the replica that has most; of the primary if there is none.
fn start(hands: &mut Hands<'_, '_>, database: &Database, now: i64) {
    let reports = |state: State| {
        let all = database.instances.iter().filter_map(move |it| Some((it, it.report?)));
        all.filter(move |(_, report)| report.state == state).max_by_key(|(_, report)| report.lsn)
    };
    let Some((instance, report)) = reports(State::Replica).or_else(|| reports(State::Primary)) else { return };
    let meta = &hands.object["metadata"];
    let mut spec = json!({"source": {"persistentVolumeClaimName": instance.name}});
    if let Some(class) = hands.object["spec"]["backup"]["volumeSnapshotClassName"].as_str() {
        spec["volumeSnapshotClassName"] = class.into();
    }
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {
            "name": format!("{}-{now}", database.name), "namespace": meta["namespace"], "labels": {CLUSTER: meta["name"]},
            "annotations": {LSN: report.lsn.to_string()},
        },
        "spec": spec,
    });
    create(hands, &snapshot);
}

fn create(hands: &mut Hands<'_, '_>, object: &Value) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_string();
    let Some(kind) = hands.world.server.kind_of(&text("apiVersion"), &text("kind")) else { return };
    if let Ok(object) = Object::from_value(kind, object.clone()) {
        _ = hands.world.server.create(object);
    }
}

fn annotate(hands: &mut Hands<'_, '_>, backup: &str, test: &str) {
    let Some(kind) = hands.world.server.kind_of("snapshot.storage.k8s.io/v1", "VolumeSnapshot") else { return };
    let patch = Patch::Merge(json!({"metadata": {"annotations": {TEST: test}}}));
    _ = hands.world.server.patch(&Key::new(kind, &hands.key.namespace, backup), &patch, false);
}

/// The name of the database that a backup is tried out with.
fn scratch(backup: &str) -> String {
    format!("{backup}-test")
}

/// Begins a database of one instance with what a backup has.
fn try_out(hands: &mut Hands<'_, '_>, database: &Database, backup: &str) {
    let spec = &hands.object["spec"];
    let scratch = json!({
        "apiVersion": API_VERSION, "kind": KIND,
        "metadata": {"name": scratch(backup), "namespace": hands.object["metadata"]["namespace"]},
        "spec": {
            "instances": 1, "image": database.spec.image, "storage": spec["storage"], "restore": {"volumeSnapshot": backup},
        },
    });
    create(hands, &scratch);
    annotate(hands, backup, "running");
}

/// Looks whether a scratch database has what its backup should have, and throws it away then.
fn judge(hands: &mut Hands<'_, '_>, snapshot: &Value, reports: &BTreeMap<Key, Report>, now: i64) {
    let name = snapshot["metadata"]["name"].as_str().unwrap_or_default();
    let instance = format!("{}-1", scratch(name));
    let report = reports.get(&Key::new(Kind::Pod, &hands.key.namespace, &instance));
    let wanted: u64 = snapshot["metadata"]["annotations"][LSN].as_str().and_then(|lsn| lsn.parse().ok()).unwrap_or(0);
    let begun = seconds(&snapshot["status"]["creationTime"]).unwrap_or(now);
    let verdict = match report.filter(|report| report.state == kit_client::database::State::Primary) {
        Some(report) if report.lsn >= wanted => "passed",
        Some(_) => "failed",
        None if now - begun > PATIENCE => "failed",
        None => return,
    };
    annotate(hands, name, verdict);
    let namespace = hands.key.namespace.clone();
    let claim = Key::new(Kind::PersistentVolumeClaim, &namespace, &instance);
    let database = Key::new(hands.key.kind, &namespace, &scratch(name));
    for key in [database, claim] {
        _ = hands.world.server.delete(&key, &DeleteOptions::default());
    }
}
