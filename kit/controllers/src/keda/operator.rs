//! The operator: looks at each ScaledObject every `pollingInterval`, keeps its HPA, and switches its target on and off.
//!
//! Sources: `controllers/keda/scaledobject_controller.go` and `hpa.go`, `pkg/scaling/scale_handler.go`,
//! `pkg/scaling/executor/scale_scaledobjects.go`.

use super::spec::{Spec, Wrong};
use super::status::Status;
use super::{API_VERSION, KIND, pause};
use crate::definitions;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::metrics::Sources;
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, DeleteOptions, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// The CustomResourceDefinition of `config/crd/bases/keda.sh_scaledobjects.yaml`, but for the fields of what this kit leaves out.
const DEFINITIONS: &str = include_str!("definitions.json");
/// How soon it looks again at what is wrong (the first delay of a controller is shorter, and grows).
const AGAIN: Instant = Instant::seconds(30);
const SOON: Instant = Instant::seconds(1);

/// Keeps ScaledObjects.
pub struct Operator {
    sources: Sources,
    queue: WorkQueue<Key>,
    installed: bool,
}

/// One look at one ScaledObject.
struct Look<'a, 'w> {
    key: &'a Key,
    object: Object,
    status: Status,
    world: &'a mut World<'w>,
}

impl Operator {
    /// An operator that reads these sources.
    pub fn new(sources: Sources) -> Self {
        Operator { sources, queue: WorkQueue::default(), installed: false }
    }

    /// Looks at one, and says when it does again.
    fn look(&self, key: &Key, world: &mut World<'_>) -> Option<Instant> {
        let stored = world.server.get(key).ok()?.clone();
        if stored.object.meta().deletion_timestamp.is_some() {
            return None;
        }
        let value = stored.to_value();
        let mut look = Look { key, object: stored.object.clone(), status: Status::of(&value), world };
        let after = match look.prepare(&value) {
            Ok(None) => None,
            Ok(Some((spec, replicas))) => Some(match spec.paused {
                None => {
                    self.scale(&spec, replicas, &mut look);
                    spec.polling
                }
                Some(wanted) => look.scale_and_pause(&spec, replicas, wanted),
            }),
            Err(Wrong { message, why }) => {
                look.fails(message);
                look.tell("Warning", "KEDAScalerFailed", &why);
                Some(AGAIN)
            }
        };
        if look.status.value != value["status"] {
            let patch = Patch::Merge(json!({ "status": look.status.value }));
            _ = look.world.server.patch(key, &patch, true);
        }
        after
    }

    /// Asks the triggers, and wakes the target or lets it sleep (`RequestScale`).
    fn scale(&self, spec: &Spec, replicas: i64, look: &mut Look<'_, '_>) {
        let (mut active, mut fails) = (Vec::new(), false);
        for trigger in &spec.triggers {
            let value = trigger.value_milli(&self.sources.borrow());
            match value {
                Ok(value) if trigger.is_active(value) => active.push(trigger.name.as_str()),
                Ok(_) => {}
                Err(why) => {
                    fails = true;
                    look.tell("Warning", "KEDAScalerFailed", &why);
                }
            }
        }
        let now = look.world.time();
        if !active.is_empty() {
            look.status.set("Active", "True", "ScalerActive", "Scaling is performed because triggers are active");
            if replicas == 0 || spec.idle.is_some() && replicas < spec.min {
                if look.change_scale(spec, replicas, spec.min.max(1), Some(&active.join(";"))) {
                    look.status.active_at(now);
                }
            } else if fails {
                let why = "Some triggers defined in ScaledObject are not working correctly";
                look.status.set("Ready", "Unknown", "PartialTriggerError", why);
            } else {
                look.status.active_at(now);
            }
            return;
        }
        look.status.set(
            "Active",
            "False",
            "ScalerNotActive",
            "Scaling is not performed because triggers are not active",
        );
        if fails && spec.fallback.as_ref().is_some_and(|fallback| fallback.replicas != 0) {
            // Who sleeps now isn't woken by a fallback, since its HPA sleeps, too.
        } else if fails && !spec.asks_for_fallback {
            // Nobody knows whether there is work: the target stays as it is.
            look.status.set(
                "Ready",
                "False",
                "TriggerError",
                "Triggers defined in ScaledObject are not working correctly",
            );
        } else if spec.idle.is_some_and(|idle| replicas > idle) || replicas > 0 && spec.min == 0 {
            let created = look.object.meta().creation_timestamp.as_ref().map(|time| time.0);
            if look.status.has_cooled_down(created, spec, now) {
                _ = look.change_scale(spec, replicas, spec.idle.unwrap_or(spec.min), None);
            } else {
                let why = "Scaler cooling down because triggers are not active";
                look.status.set("Active", "False", "ScalerCooldown", why);
            }
        } else if spec.idle.is_none() && replicas < spec.min {
            _ = look.write_scale(spec, spec.min);
        }
    }
}

impl Look<'_, '_> {
    /// Sees to it that all is there, and says how many replicas the target has; nothing if nothing is to be scaled
    /// (`reconcileScaledObject`).
    fn prepare(&mut self, object: &Value) -> Result<Option<(Spec, i64)>, Wrong> {
        let ready = "ScaledObject is defined correctly and is ready for scaling";
        let was_paused = self.status.is("Paused", "True");
        if pause::is_due(object) {
            if !was_paused {
                self.pause(object);
                self.is_ready("ScaledObject is paused");
                return Ok(None);
            }
            // Another number was asked for since, or somebody else has scaled the target.
            if self.has_paused_replicas(object) {
                self.is_ready(ready);
                return Ok(None);
            }
        } else if was_paused {
            let why = "pause annotation removed for ScaledObject";
            self.status.set("Paused", "False", "ScaledObjectUnpaused", why);
        }
        let spec = Spec::read(object)?;
        let message = "ScaledObject doesn't have correct scaleTargetRef specification";
        let missing = || Wrong { message, why: "Target resource doesn't exist".into() };
        let target = self.target(&spec).ok_or_else(missing)?;
        let there = self.world.server.get(&target).map_err(|_| missing())?.to_value();
        let replicas = super::replicas(&spec, &there)
            .ok_or_else(|| Wrong { message, why: "Target resource doesn't expose /scale subresource".into() })?;
        if pause::annotations(object) == [None, None] && !self.status.value["pausedReplicaCount"].is_null() {
            self.status.value["pausedReplicaCount"] = Value::Null;
        }
        self.keep_hpa(&spec)
            .map_err(|why| Wrong { message: "failed to ensure HPA is correctly created for ScaledObject", why })?;
        if !self.was_ready() {
            self.tell("Normal", "KEDAScalersStarted", "Started scalers watch");
        }
        self.is_ready(ready);
        if spec.fallback.is_none() {
            self.status.no_fallback();
        }
        self.status.value["hpaName"] = spec.hpa_name().into();
        self.status.value["scaleTargetKind"] = format!("{}.{}", spec.api_version, spec.kind).into();
        self.status.value["externalMetricNames"] = spec.triggers.iter().map(|trigger| trigger.metric.clone()).collect();
        Ok(Some((spec, replicas)))
    }

    /// What a trigger has to say is no matter of this.
    fn was_ready(&self) -> bool {
        let status = &self.status;
        status.is("Ready", "True") || status.has("TriggerError") || status.has("PartialTriggerError")
    }

    fn is_ready(&mut self, message: &str) {
        if !self.was_ready() {
            self.tell("Normal", "ScaledObjectReady", "ScaledObject is ready for scaling");
        }
        self.status.set("Ready", "True", "ScaledObjectReady", message);
    }

    fn fails(&mut self, message: &str) {
        self.status.set("Ready", "False", "ScaledObjectCheckFailed", message);
        self.status.set("Active", "Unknown", "UnknownState", "ScaledObject check failed");
        self.tell("Warning", "ScaledObjectCheckFailed", message);
    }

    /// Nothing scales the target any more, the HPA neither.
    fn pause(&mut self, object: &Value) {
        let name = [&object["status"]["hpaName"], &object["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["name"]];
        let name = name.into_iter().find_map(|name| name.as_str().filter(|name| !name.is_empty()));
        let name = name.map_or_else(|| format!("keda-hpa-{}", self.key.name), String::from);
        let key = Key::new(Kind::HorizontalPodAutoscaler, &self.key.namespace, &name);
        _ = self.world.server.delete(&key, &DeleteOptions::default());
        self.status.set("Paused", "True", "ScaledObjectPaused", "ScaledObject is paused");
    }

    /// Whether the target has as many replicas as there are to be while it is paused; also if nobody can tell
    /// (`checkIfTargetResourceReachPausedCount`).
    fn has_paused_replicas(&self, object: &Value) -> bool {
        let Ok(spec) = Spec::read(object) else { return true };
        let Some((wanted, target)) = spec.paused.zip(self.target(&spec)) else { return true };
        let there = self.world.server.get(&target).ok().and_then(|there| super::replicas(&spec, &there.to_value()));
        there.is_none_or(|there| there == wanted)
    }

    /// Scales the target to what it is to have while it is paused, and looks soon whether that is so. Upstream does this at the
    /// next poll.
    fn scale_and_pause(&mut self, spec: &Spec, replicas: i64, wanted: i64) -> Instant {
        if !self.status.is("Paused", "True") {
            self.fails("ScaledObject paused replicas are being scaled");
        }
        if replicas == wanted || self.write_scale(spec, wanted).is_ok() {
            self.status.value["pausedReplicaCount"] = wanted.into();
        }
        SOON
    }

    fn target(&self, spec: &Spec) -> Option<Key> {
        spec.target_key(&self.key.namespace, self.world)
    }

    /// Creates the HPA, or changes it where it isn't as the ScaledObject wants it (`updateHPAIfNeeded`).
    fn keep_hpa(&mut self, spec: &Spec) -> Result<(), String> {
        let key = Key::new(Kind::HorizontalPodAutoscaler, &self.key.namespace, spec.hpa_name());
        let (wanted, server) = (spec.hpa(self.key), &mut self.world.server);
        if let Ok(there) = server.get(&key) {
            if covers(&there.to_value()["spec"], &wanted) {
                return Ok(());
            }
            let patch = Patch::Merge(json!({ "spec": wanted }));
            return server.patch(&key, &patch, false).map(drop).map_err(|error| error.message);
        }
        let owner = json!({
            "apiVersion": API_VERSION, "kind": KIND, "name": &*self.key.name, "uid": self.object.uid(),
            "controller": true, "blockOwnerDeletion": true,
        });
        let labels = json!({
            "app.kubernetes.io/name": spec.hpa_name(), "app.kubernetes.io/part-of": &*self.key.name,
            "app.kubernetes.io/managed-by": "keda-operator", "app.kubernetes.io/version": "2.17.3",
        });
        let object = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": wanted,
            "metadata": {
                "name": spec.hpa_name(), "namespace": &*self.key.namespace, "labels": labels, "ownerReferences": [owner],
            },
        });
        let object = Object::from_value(key.kind, object).map_err(|why| why.to_string())?;
        server.create(object).map(drop).map_err(|error| error.message)
    }

    fn write_scale(&mut self, spec: &Spec, replicas: i64) -> Result<(), String> {
        let target = self.target(spec).ok_or("Target resource doesn't exist")?;
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.world.server.patch(&target, &patch, false).map(drop).map_err(|error| error.message)
    }

    /// Scales the target and tells of it: up if a trigger asks for it (`scaleFromZeroOrIdle`), else down (`scaleToZeroOrIdle`).
    fn change_scale(&mut self, spec: &Spec, from: i64, to: i64, by: Option<&str>) -> bool {
        let done = self.write_scale(spec, to).is_ok();
        let of = format!("{}.{} {}/{}", spec.api_version, spec.kind, self.key.namespace, spec.target);
        let (reason, message) = match (by, done) {
            (Some(by), true) => {
                ("KEDAScaleTargetActivated", format!("Scaled {of} from {from} to {to}, triggered by {by}"))
            }
            (Some(_), false) => {
                ("KEDAScaleTargetActivationFailed", format!("Failed to scale {of} from {from} to {to}"))
            }
            (None, true) => ("KEDAScaleTargetDeactivated", format!("Deactivated {of} from {from} to {to}")),
            (None, false) => {
                ("KEDAScaleTargetDeactivationFailed", format!("Failed to deactivate {of} from {from} to {to}"))
            }
        };
        self.tell(if done { "Normal" } else { "Warning" }, reason, &message);
        done
    }

    fn tell(&mut self, type_: &str, reason: &str, message: &str) {
        self.world.server.record(&self.object, type_, reason, message);
    }
}

/// Whether all that is wanted is there; the API server may have added defaults.
fn covers(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => {
            wanted.iter().all(|(field, wanted)| there.get(field).is_some_and(|there| covers(there, wanted)))
        }
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len() && there.iter().zip(wanted).all(|(there, wanted)| covers(there, wanted))
        }
        _ => there == wanted,
    }
}

impl Component for Operator {
    fn name(&self) -> &'static str {
        "keda-operator"
    }

    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    fn watches_custom(&self) -> bool {
        true
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let key = &change.object.key;
        if key.kind.name() != KIND || key.kind.api_version() != API_VERSION {
            return;
        }
        // Its own writes of the status are no news, nor are other annotations.
        let now = change.object.to_value();
        let news = |object: &Value| {
            (object["metadata"]["generation"].clone(), pause::annotations(object).map(|text| text.map(String::from)))
        };
        let same = change.previous.as_ref().is_some_and(|before| news(&before.to_value()) == news(&now));
        match change.kind {
            ChangeKind::Deleted => self.queue.remove(key),
            _ if !same => self.queue.add(key.clone(), world.now),
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if !self.installed {
            self.installed = true;
            definitions::install(DEFINITIONS, world.server);
        }
        while let Some(key) = self.queue.pop(world.now) {
            if let Some(after) = self.look(&key, world) {
                self.queue.add(key, world.now + after);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        if self.installed { self.queue.next() } else { Some(Instant::default()) }
    }
}
