//! The updater: once a minute it evicts the pods that the module names. Evictions go through the API, so that budgets count;
//! whoever was refused is asked for again a minute later.
//!
//! Sources: `pkg/updater/logic/updater.go`, `pkg/updater/restriction`.

use super::admission::{Limits, Requested, fitted};
use super::object::Autoscaler;
use super::policy;
use super::recommender::is_pending;
use kit_api::apps::{DaemonSet, ReplicaSet, StatefulSet};
use kit_api::core::{Container, ContainerStatus, Pod};
use kit_api::jiff::Timestamp;
use kit_api::owner;
use kit_apimachinery::object::{Key, Kind};
use kit_client::component::{Component, World};
use kit_contract::Modules;
use kit_contract::workloads::VerticalPodAutoscaler;
use kit_contract::workloads::vpa::{
    Change as Direction, ContainerView, EvictRequest, PodView, Recommendation, Requirement,
};
use kit_server::{Change, DeleteOptions, Snapshot};
use kit_time::agenda::Instant;
use serde_json::Value;
use std::collections::BTreeMap;

/// `--updater-interval`
const PERIOD: Instant = Instant::seconds(60);
/// `--min-replicas`
const MIN_REPLICAS: u32 = 2;

/// Evicts pods that should request something else.
pub struct Updater {
    module: Box<dyn VerticalPodAutoscaler>,
    due: Instant,
}

impl Updater {
    /// An updater with the module of the slot.
    pub fn new(modules: &Modules) -> Self {
        Updater { module: modules.vpa.make(&()), due: PERIOD }
    }

    fn look(&self, autoscaler: &Autoscaler, all: &[Autoscaler], world: &mut World<'_>) {
        let snapshot = world.server.snapshot();
        let mut groups: BTreeMap<(String, String), Vec<Pod>> = BTreeMap::new();
        for pod in autoscaler.pods(all, snapshot) {
            if let Some(owner) = owner::controller_of(&pod.metadata) {
                groups.entry((owner.kind.clone(), owner.name.clone())).or_default().push(pod);
            }
        }
        let mut evicted = Vec::new();
        for ((kind, name), pods) in groups {
            let replicas = configured(snapshot, &autoscaler.stored.key.namespace, &kind, &name, pods.len());
            // A controller that asks for nobody, or that nobody knows, is left alone.
            if let Some(replicas) = replicas.filter(|replicas| *replicas > 0) {
                evicted.extend(self.module.evict(&request(autoscaler, replicas, &pods, snapshot, world.time())));
            }
        }
        for name in evicted {
            self.evict(autoscaler, &name, world);
        }
    }

    fn evict(&self, autoscaler: &Autoscaler, name: &str, world: &mut World<'_>) {
        let namespace = autoscaler.stored.key.namespace.clone();
        let Ok(pod) = world.server.fetch::<Pod>(&namespace, name) else { return };
        if world.server.evict_pod(&namespace, name, &DeleteOptions::default()).is_err() {
            return;
        }
        let why = "Pod was evicted by VPA Updater to apply resource recommendation.";
        world.server.record(&pod, "Normal", "EvictedByVPA", why);
        let why = format!("VPA Updater evicted Pod {name} to apply resource recommendation.");
        world.server.record(&autoscaler.stored.object, "Normal", "EvictedPod", &why);
    }
}

/// How many pods a controller asks for (`getReplicaCount`).
fn configured(snapshot: &Snapshot, namespace: &str, kind: &str, name: &str, there: usize) -> Option<u32> {
    let stored = snapshot.get(&Key::new(Kind::named(kind)?, namespace, name))?;
    let replicas = if let Some(set) = stored.get::<ReplicaSet>() {
        set.spec.as_ref()?.replicas?
    } else if let Some(set) = stored.get::<StatefulSet>() {
        set.spec.as_ref()?.replicas?
    } else if let Some(set) = stored.get::<DaemonSet>() {
        set.status.as_ref()?.number_ready
    } else {
        return u32::try_from(there).ok();
    };
    u32::try_from(replicas).ok()
}

fn request(autoscaler: &Autoscaler, replicas: u32, pods: &[Pod], snapshot: &Snapshot, now: Timestamp) -> EvictRequest {
    let policy = &autoscaler.spec["updatePolicy"];
    let limits = Limits::of(snapshot, &autoscaler.stored.key.namespace);
    // Pods of one controller have one template: what the first one can have, all can.
    let fit = |recommendation: Recommendation| {
        let mut containers = pods.iter().flat_map(|pod| pod.spec.iter().flat_map(|spec| &spec.containers));
        let container = containers.find(|container| container.name == recommendation.container_name);
        container.map(|container| fitted(&recommendation, &requested(container), &autoscaler.spec, &limits).0)
    };
    EvictRequest {
        replicas,
        min_replicas: policy["minReplicas"].as_u64().map_or(MIN_REPLICAS, |least| least as u32),
        recommendations: policy::read(&autoscaler.status).into_iter().filter_map(fit).collect(),
        requirements: policy["evictionRequirements"].as_array().into_iter().flatten().filter_map(requirement).collect(),
        pods: pods.iter().map(|pod| view(pod, now)).collect(),
    }
}

fn requirement(value: &Value) -> Option<Requirement> {
    let change = match value["changeRequirement"].as_str()? {
        "TargetHigherThanRequests" => Direction::Higher,
        _ => Direction::Lower,
    };
    let names = value["resources"].as_array()?.iter();
    Some(Requirement { resources: names.filter_map(|name| policy::resource(name.as_str()?)).collect(), change })
}

fn requested(container: &Container) -> Requested {
    let resources = container.resources.clone().unwrap_or_default();
    Requested {
        requests: policy::of_container(resources.requests.as_ref()),
        limits: policy::of_container(resources.limits.as_ref()),
    }
}

fn view(pod: &Pod, now: Timestamp) -> PodView {
    let status = pod.status.clone().unwrap_or_default();
    let killed = |status: &ContainerStatus| {
        let last = status.last_state.as_ref()?.terminated.as_ref()?;
        let (from, to) = (last.started_at.as_ref()?.0, last.finished_at.as_ref()?.0);
        (last.reason.as_deref() == Some("OOMKilled")).then(|| to.duration_since(from).as_secs())
    };
    let statuses = status.container_statuses.unwrap_or_default();
    let container = |container: &Container| ContainerView {
        name: container.name.clone(),
        requests: requested(container).requests,
        out_of_memory_after_seconds: statuses.iter().find(|status| status.name == container.name).and_then(killed),
    };
    // Who wasn't there at admission is left alone.
    let observed = pod.metadata.annotations.as_ref().and_then(|all| all.get("vpaObservedContainers"));
    let is_observed = |container: &&Container| {
        observed.is_none_or(|observed| observed.split(", ").any(|name| name == container.name))
    };
    PodView {
        name: pod.metadata.name.clone().unwrap_or_default(),
        pending: is_pending(pod),
        started_seconds_ago: status.start_time.map(|at| now.duration_since(at.0).as_secs()),
        containers: pod.spec.iter().flat_map(|spec| &spec.containers).filter(is_observed).map(container).collect(),
    }
}

impl Component for Updater {
    fn name(&self) -> &'static str {
        "vpa-updater"
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
        let all = Autoscaler::all(world.server);
        for autoscaler in all.iter().filter(|autoscaler| autoscaler.evicts()) {
            self.look(autoscaler, &all, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.due)
    }
}
