//! The recommender: once a minute a sample of each container, and what comes of it.
//!
//! Sources: `pkg/recommender/routines/recommender.go`, `pkg/recommender/input/cluster_feeder.go` and
//! `pkg/recommender/model/vpa.go`.

use super::container::{Container, Sample};
use super::install::{self, CHECKPOINT};
use super::object::{Autoscaler, GROUP};
use super::{Model, checkpoint, policy};
use kit_api::core::{ContainerStatus, Pod};
use kit_api::pod;
use kit_apimachinery::object::{About, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::metrics::Usage;
use kit_contract::Modules;
use kit_contract::workloads::VerticalPodAutoscaler;
use kit_contract::workloads::vpa::{RecommendRequest, Recommendation, Resource};
use kit_server::{Change, Patch};
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `--recommender-interval`
const PERIOD: Instant = Instant::seconds(60);

/// Recommends what containers should request.
pub struct Recommender {
    module: Box<dyn VerticalPodAutoscaler>,
    usage: Usage,
    /// By autoscaler and container.
    models: BTreeMap<(Key, String), Model>,
    /// By pod and container, with the restarts that were seen.
    containers: BTreeMap<(Key, String), (Container, i32)>,
    /// Autoscalers whose checkpoints were read.
    known: BTreeSet<Key>,
    due: Instant,
}

impl Recommender {
    /// A recommender with the module of the slot, and what the nodes measure.
    pub fn new(modules: &Modules, usage: Usage) -> Self {
        Recommender {
            module: modules.vpa.make(&()),
            usage,
            models: BTreeMap::new(),
            containers: BTreeMap::new(),
            known: BTreeSet::new(),
            due: Instant::default(),
        }
    }

    /// Takes over what an earlier recommender had learnt.
    fn load(&mut self, autoscaler: &Key, world: &World<'_>) {
        if !self.known.insert(autoscaler.clone()) {
            return;
        }
        let Some(kind) = world.server.kind_of(&format!("{GROUP}/v1"), CHECKPOINT) else { return };
        for stored in world.server.snapshot().list_in(kind, &autoscaler.namespace) {
            let value = stored.to_value();
            let container = value["spec"]["containerName"].as_str().unwrap_or_default();
            // What can't be read is left alone, and written anew.
            let model = checkpoint::load(&value["status"]).ok();
            if let Some(model) = model.filter(|_| value["spec"]["vpaObjectName"] == *autoscaler.name) {
                self.models.insert((autoscaler.clone(), container.into()), model);
            }
        }
    }

    /// Takes a sample of each container of a pod, and looks whether one was killed for its memory.
    fn observe_pod(&mut self, autoscaler: &Key, pod: &Pod, world: &World<'_>) {
        let (key, now) = (About::from(pod).key(), world.time());
        let usage = self.usage.borrow();
        let used = usage.get(&key).map_or(&[][..], Vec::as_slice);
        let used_by = |container: &str| used.iter().find(|(name, _)| name == container).map(|(_, used)| *used);
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let statuses: BTreeMap<&str, &ContainerStatus> =
            statuses.map(|status| (status.name.as_str(), status)).collect();
        for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
            let model = self.models.entry((autoscaler.clone(), container.name.clone())).or_default();
            let id = (key.clone(), container.name.clone());
            let (memory, restarts) = self.containers.entry(id).or_default();
            if let Some(status) = statuses.get(container.name.as_str()) {
                let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
                let killed = last.filter(|last| last.reason.as_deref() == Some("OOMKilled"));
                if let Some(killed) = killed.filter(|_| status.restart_count > *restarts) {
                    let resources = container.resources.as_ref();
                    let requests = policy::of_container(resources.and_then(|of| of.requests.as_ref()));
                    let amount = requests.get(&Resource::Memory).copied().unwrap_or_default();
                    let at = killed.finished_at.as_ref().map_or(now, |at| at.0);
                    memory.record_oom(Sample { at, amount }, model, self.module.as_ref());
                }
                *restarts = status.restart_count;
            }
            if let Some((cpu, bytes)) = used_by(&container.name) {
                memory.add_cpu(Sample { at: now, amount: cpu }, model, self.module.as_ref());
                memory.add_memory(Sample { at: now, amount: bytes }, model, self.module.as_ref());
            }
        }
    }

    fn look(&mut self, autoscaler: &Autoscaler, all: &[Autoscaler], world: &mut World<'_>) {
        let key = autoscaler.stored.key.clone();
        self.load(&key, world);
        let pods = autoscaler.pods(all, world.server.snapshot());
        for pod in &pods {
            self.observe_pod(&key, pod, world);
        }
        let of = |(of, _): &&(Key, String)| *of == key;
        let names: Vec<String> = self.models.keys().filter(of).map(|(_, name)| name.clone()).collect();
        let containers = names.iter().map(|name| self.models[&(key.clone(), name.clone())].history(name)).collect();
        let request = RecommendRequest { containers, policies: policy::policies(&autoscaler.spec) };
        let recommended = self.module.recommend(&request);
        let status = status(autoscaler, &recommended, !pods.is_empty(), world);
        if status != autoscaler.status {
            _ = world.server.patch(&key, &Patch::Merge(json!({ "status": status })), true);
        }
        for name in names {
            let model = &self.models[&(key.clone(), name.clone())];
            keep(&key, &name, checkpoint::save(model, world.time()), world);
        }
    }
}

/// Writes a checkpoint.
fn keep(autoscaler: &Key, container: &str, status: Value, world: &mut World<'_>) {
    let Some(kind) = world.server.kind_of(&format!("{GROUP}/v1"), CHECKPOINT) else { return };
    let key = Key::new(kind, &autoscaler.namespace, &format!("{}-{container}", autoscaler.name));
    if world.server.get(&key).is_ok() {
        _ = world.server.patch(&key, &Patch::Merge(json!({ "status": status })), false);
        return;
    }
    let object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": CHECKPOINT,
        "metadata": {"name": &*key.name, "namespace": &*key.namespace},
        "spec": {"vpaObjectName": &*autoscaler.name, "containerName": container}, "status": status,
    });
    if let Ok(object) = Object::from_value(kind, object) {
        _ = world.server.create(object);
    }
}

/// The new status (`UpdateConditions`, `AsStatus`).
fn status(autoscaler: &Autoscaler, recommended: &[Recommendation], matched: bool, world: &World<'_>) -> Value {
    let before = &autoscaler.status["conditions"];
    let mut conditions: BTreeMap<String, Value> = BTreeMap::new();
    let mut set = |type_: &str, is: bool, reason: &str, message: &str| {
        let status = if is { "True" } else { "False" };
        let there = before.as_array().into_iter().flatten().find(|there| there["type"] == type_);
        let same = there.filter(|there| there["status"] == status).map(|there| there["lastTransitionTime"].clone());
        let now = || world.time().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
        let mut condition = json!({"type": type_, "status": status, "lastTransitionTime": same.unwrap_or_else(now)});
        for (field, text) in [("reason", reason), ("message", message)].iter().filter(|(_, text)| !text.is_empty()) {
            condition[*field] = (*text).into();
        }
        conditions.insert(type_.into(), condition);
    };
    let target = &autoscaler.spec["targetRef"];
    let text = |field: &str| target[field].as_str().unwrap_or_default().to_string();
    let (kind, name, namespace) = (text("kind"), text("name"), &autoscaler.stored.key.namespace);
    let is_there = Kind::named(&kind).is_some_and(|kind| world.server.get(&Key::new(kind, namespace, &name)).is_ok());
    if !is_there {
        let why = format!("Cannot read targetRef. Reason: {kind} {namespace}/{name} does not exist");
        set("ConfigUnsupported", true, "", &why);
    }
    let (reason, message) = if matched { ("", "") } else { ("NoPodsMatched", "No pods match this VPA object") };
    if !matched {
        set("NoPodsMatched", true, reason, message);
    }
    match recommended.is_empty() {
        false => set("RecommendationProvided", true, "", ""),
        true => set("RecommendationProvided", false, reason, message),
    }
    let conditions: Vec<Value> = conditions.into_values().collect();
    let mut status = json!({ "conditions": conditions });
    if !recommended.is_empty() {
        let list = policy::write(&autoscaler.spec, recommended);
        status["recommendation"] = json!({ "containerRecommendations": list });
    }
    status
}

impl Component for Recommender {
    fn name(&self) -> &'static str {
        "vpa-recommender"
    }

    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    fn observe(&mut self, _: &Change, _: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.due {
            return;
        }
        self.due = world.now + PERIOD;
        install::definitions(world.server);
        let all = Autoscaler::all(world.server);
        for autoscaler in &all {
            self.look(autoscaler, &all, world);
        }
        let is_there = |key: &Key| world.server.get(key).is_ok();
        self.models.retain(|(autoscaler, _), _| is_there(autoscaler));
        self.known.retain(is_there);
        self.containers.retain(|(pod, _), _| is_there(pod));
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.due)
    }
}

/// Whether a pod counts as pending.
pub(super) fn is_pending(pod: &Pod) -> bool {
    pod::phase(pod) == "Pending"
}
