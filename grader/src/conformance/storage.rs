//! Tables of the controllers of volumes.

use super::Check;
use super::pure::compare;
use kit_api::core::{PersistentVolume, PersistentVolumeClaim};
use kit_api::jiff::Timestamp;
use kit_api::storage::StorageClass;
use kit_apimachinery::object::{AsKind, Object};
use kit_controllers::volume::binder::decision::{Action, Decision, Known, View};
use kit_controllers::volume::binder::{claim, view, volume};
use serde_json::{Map, Value, json};
use solutions::storage::claim_binding;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    (table == "pv_binding").then_some(pv_binding as Check)
}

const NAMESPACE: &str = "default";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

fn read<T: for<'a> serde::Deserialize<'a>>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn class(told: &Value) -> Result<StorageClass, String> {
    let annotations = (told["default"] == true).then(|| json!({DEFAULT: "true"}));
    let created = told["created"].as_i64().and_then(|created| Timestamp::from_second(created).ok());
    read(json!({
        "metadata": {"name": told["name"], "annotations": annotations, "creationTimestamp": json!(created)},
        "provisioner": told["provisioner"], "volumeBindingMode": told["volumeBindingMode"],
    }))
}

fn the_volume(told: &Value) -> Result<PersistentVolume, String> {
    let reference = told.get("claimRef").map(|claim| {
        json!({"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": claim["name"], "uid": claim["uid"]})
    });
    read(json!({
        "metadata": {"name": told["name"], "labels": told["labels"], "annotations": told["annotations"]},
        "spec": {
            "accessModes": told["accessModes"], "capacity": {"storage": told["capacity"]}, "claimRef": reference,
            "persistentVolumeReclaimPolicy": told["reclaimPolicy"], "storageClassName": told["storageClassName"],
            "volumeMode": told["volumeMode"], "csi": {"driver": "csi.example.com", "volumeHandle": told["name"]},
        },
        "status": {"phase": told["phase"], "message": told["message"]},
    }))
}

fn the_claim(told: &Value) -> Result<PersistentVolumeClaim, String> {
    let capacity = told.get("statusCapacity").map(|amount| json!({"storage": amount}));
    read(json!({
        "metadata": {"namespace": NAMESPACE, "name": told["name"], "uid": told["uid"], "annotations": told["annotations"]},
        "spec": {
            "accessModes": told["accessModes"], "resources": {"requests": {"storage": told["request"]}},
            "storageClassName": told["storageClassName"], "volumeMode": told["volumeMode"],
            "volumeName": told["volumeName"], "selector": told["selector"],
        },
        "status": {"phase": told["phase"], "accessModes": told["statusAccessModes"], "capacity": capacity},
    }))
}

/// What there is to tell, without what is empty; an empty class says that there is to be none.
fn told(fields: Value) -> Value {
    let empty = |value: &Value| {
        value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    let fields = fields.as_object().cloned().unwrap_or_default();
    fields.into_iter().filter(|(_, value)| !empty(value)).collect::<Map<_, _>>().into()
}

fn show_volume(volume: &PersistentVolume) -> Value {
    let object = json!(volume);
    let (meta, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    let reference = &spec["claimRef"];
    told(json!({
        "name": meta["name"], "labels": meta["labels"], "annotations": meta["annotations"],
        "accessModes": spec["accessModes"], "capacity": spec["capacity"]["storage"],
        "claimRef": told(json!({"name": reference["name"], "uid": reference["uid"]})),
        "reclaimPolicy": spec["persistentVolumeReclaimPolicy"], "storageClassName": spec["storageClassName"],
        "volumeMode": spec["volumeMode"], "phase": status["phase"], "message": status["message"],
    }))
}

fn show_claim(claim: &PersistentVolumeClaim) -> Value {
    let object = json!(claim);
    let (meta, spec, status) = (&object["metadata"], &object["spec"], &object["status"]);
    told(json!({
        "name": meta["name"], "uid": meta["uid"], "annotations": meta["annotations"],
        "accessModes": spec["accessModes"], "request": spec["resources"]["requests"]["storage"],
        "storageClassName": spec["storageClassName"], "volumeMode": spec["volumeMode"],
        "volumeName": spec["volumeName"], "selector": spec["selector"], "phase": status["phase"],
        "statusAccessModes": status["accessModes"], "statusCapacity": status["capacity"]["storage"],
    }))
}

/// One round: every volume, then every claim.
struct Round {
    known: Known,
    writes: Vec<String>,
    events: Vec<String>,
}

impl Round {
    fn decide(&self, sync: impl FnOnce(&View<'_>) -> Decision) -> Decision {
        let live = |name: &(String, String)| self.known.claims.get(name).cloned();
        let nobody = |_: &(String, String)| Vec::new();
        sync(&View { known: &self.known, module: &claim_binding::Exercise, pods: &nobody, live: &live })
    }

    fn carry_out(&mut self, decision: Decision) {
        for action in decision.0 {
            match action {
                Action::Write { object, status } => {
                    let verb = if status { "update/status" } else { "update" };
                    let kind = if matches!(object, Object::PersistentVolume(_)) { "volume" } else { "claim" };
                    self.writes.push(format!("{verb} {kind} {}", object.name()));
                    self.known.store(&object);
                }
                Action::Delete(key) => self.writes.push(format!("delete volume {}", key.name)),
                Action::Tell(about, type_, reason, message) => {
                    self.events.push(format!("{}: {type_} {reason} {message}", about.name()));
                }
                Action::LookAt(_) => {}
            }
        }
    }
}

fn pv_binding(case: &Value) -> Result<(), String> {
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let mut classes = list(case, "storageClasses").iter().map(class).collect::<Result<Vec<_>, _>>()?;
    for (index, round) in list(case, "rounds").iter().enumerate() {
        for done in list(round, "user") {
            if let Some(name) = done.as_str().and_then(|done| done.strip_prefix("add default class ")) {
                classes.push(class(&json!({
                    "name": name, "default": true, "created": 100, "provisioner": "csi.example.com",
                    "volumeBindingMode": "Immediate",
                }))?);
            }
        }
        let mut known = Known::default();
        for told in list(round, "volumes") {
            known.store(&the_volume(&told)?.into_object());
        }
        for told in list(round, "claims") {
            known.store(&the_claim(&told)?.into_object());
        }
        let (volumes, claims) = (
            known.volumes.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
            known.claims.keys().cloned().collect::<Vec<_>>(),
        );
        let mut round_of = Round { known, writes: Vec::new(), events: Vec::new() };
        for name in volumes {
            let volume = round_of.known.volumes.get(&name).cloned().unwrap_or_default();
            let decision = round_of.decide(|view| volume::sync(&volume, view));
            round_of.carry_out(decision);
        }
        for name in claims {
            let claim = round_of.known.claims[&name].clone();
            let cluster = round_of.known.cluster(&claim, classes.iter().map(view::class).collect(), Vec::new());
            let decision = round_of.decide(|view| claim::sync(&claim, &cluster, view));
            round_of.carry_out(decision);
        }
        let wrote = !round_of.writes.is_empty();
        let all = |shown: Vec<Value>| if wrote && !shown.is_empty() { Value::Array(shown) } else { Value::Null };
        let some = |lines: &[String]| if lines.is_empty() { Value::Null } else { json!(lines) };
        compare(
            round,
            json!({
                "writes": some(&round_of.writes),
                "events": some(&round_of.events),
                "volumesAfter": all(round_of.known.volumes.iter().map(|(_, volume)| show_volume(volume)).collect()),
                "claimsAfter": all(round_of.known.claims.values().map(show_claim).collect()),
            }),
        )
        .map_err(|why| format!("{} round {}: {why}", case["name"], index + 1))?;
    }
    Ok(())
}
