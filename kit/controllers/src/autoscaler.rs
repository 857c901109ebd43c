//! The HPA controller in the cluster: syncs each autoscaler 15 seconds after it was seen, and after each sync.
//!
//! What a sync decides is in [`horizontal`]. The metrics are what the nodes measure at that moment; there is
//! no metrics-server between them that would be late. Others come from adapters.

use super::horizontal::{self, Around, History, Scale};
use crate::names::Name;
use horizontal::adapters::Adapters;
use horizontal::metrics::{Metrics, PodMetrics};
use kit_api::autoscaling::HorizontalPodAutoscaler as Autoscaler;
use kit_api::core::Pod;
use kit_api::selector::{self, Selector};
use kit_apimachinery::object::{About, AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::metrics::Usage;
use kit_client::selectors::Selectors;
use kit_client::work_queue::{Tally, WorkQueue};
use kit_contract::Modules;
use kit_contract::workloads::HorizontalPodAutoscaler;
use kit_server::{Change, ChangeKind, Patch};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// From one sync to the next (`--horizontal-pod-autoscaler-sync-period`), and to the first: an autoscaler is put into the
/// queue with this delay (`pkg/controller/podautoscaler/rate_limiters.go`, `enqueueHPA` in `horizontal.go`).
const PERIOD: Instant = Instant::seconds(15);
/// The window over which metrics-server averages.
const WINDOW_SECONDS: i64 = 15;

/// Scales workloads by what their pods use.
pub struct Autoscalers {
    module: Box<dyn HorizontalPodAutoscaler>,
    usage: Usage,
    adapters: Adapters,
    histories: BTreeMap<Key, History>,
    /// What each autoscaler was seen to select.
    selectors: Selectors,
    queue: WorkQueue<Key>,
}

impl Autoscalers {
    /// A controller with the module of the slot, and what the nodes measure.
    pub fn new(modules: &Modules, usage: Usage) -> Self {
        let module = modules.hpa.make(&());
        let (selectors, queue) = (Selectors::default(), WorkQueue::default());
        Autoscalers { module, usage, adapters: Adapters::default(), histories: BTreeMap::new(), selectors, queue }
    }

    /// A controller that asks these adapters for metrics that are no pod's CPU or memory.
    pub fn with_adapters(self, adapters: Adapters) -> Self {
        Autoscalers { adapters, ..self }
    }

    fn metrics(&self, pods: &[&Pod], world: &World<'_>) -> Metrics {
        let usage = self.usage.borrow();
        let mut metrics = Metrics::default();
        for pod in pods {
            let key = About::from(*pod).key();
            let Some(used) = usage.get(&key) else { continue };
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| {
                let used = used.iter().find(|(name, _)| *name == container.name);
                let (milli_cpu, memory) = used.map_or((0, 0), |(_, used)| *used);
                let used = [("cpu", milli_cpu), ("memory", memory * 1000)];
                (container.name.clone(), used.into_iter().map(|(name, used)| (name.to_string(), used)).collect())
            });
            let containers = containers.collect();
            let measured = PodMetrics { timestamp: world.time(), window_seconds: WINDOW_SECONDS, containers };
            metrics.resources.insert(key.name.to_string(), measured);
        }
        metrics
    }

    fn sync(&mut self, hpa: &Autoscaler, world: &mut World<'_>) {
        let key = About::from(hpa).key();
        let reference = hpa.spec.as_ref().map(|spec| spec.scale_target_ref.clone()).unwrap_or_default();
        let target = Kind::named(&reference.kind).map(|kind| Key::new(kind, &key.namespace, &reference.name));
        let scale = target.as_ref().and_then(|target| scale_of(&world.server.get(target).ok()?.object));
        let missing = format!("{}s \"{}\" not found", reference.kind.to_lowercase(), reference.name);
        let cache = world.cache;
        // Only what the target selects matters, and what else selects it.
        let selector = scale.as_ref().and_then(|scale| scale.selector.parse::<Selector>().ok());
        let pods = selector.map_or_else(Vec::new, |selector| cache.selected(&key.namespace, &selector));
        let mut metrics = self.metrics(&pods, world);
        self.adapters.fill(&mut metrics, hpa, &pods, world);
        let history = self.histories.entry(key.clone()).or_default();
        let rivals = pods.iter().flat_map(|pod| self.selectors.matching(&key.namespace, pod.metadata.labels.as_ref()));
        let others = rivals.filter(|(other, _)| **other != *key.name).collect();
        let now = world.time();
        let mut rescale = |replicas: i32| -> Result<(), String> {
            let Some(target) = &target else { return Ok(()) };
            let patch = Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
            world.server.patch(target, &patch, false).map(drop).map_err(|error| error.message)
        };
        let scale = scale.as_ref().ok_or(missing.as_str());
        let around = Around { scale, pods: &pods, metrics: &metrics, others: &others, now, rescale: &mut rescale };
        let result = horizontal::sync(self.module.as_ref(), hpa, around, history);
        if result.selector.is_some() {
            self.selectors.set(&name(&key), result.selector);
        }
        for event in result.events {
            world.server.record(hpa, event.type_, &event.reason, &event.message);
        }
        if let Ok(mut hpa) = world.server.fetch::<Autoscaler>(&key.namespace, &key.name) {
            hpa.status = Some(result.status);
            _ = world.server.update_status(hpa.into_object());
        }
    }
}

fn name(key: &Key) -> Name {
    (key.namespace.to_string(), key.name.to_string())
}

/// The `scale` subresource of what can be scaled.
fn scale_of(object: &Object) -> Option<Scale> {
    match object {
        Object::ReplicaSet(set) => {
            let spec = set.spec.as_ref()?;
            Some(Scale {
                spec_replicas: spec.replicas.unwrap_or(1),
                status_replicas: set.status.as_ref().map_or(0, |status| status.replicas),
                selector: selector::format(Some(&spec.selector)),
            })
        }
        Object::Deployment(deployment) => {
            let spec = deployment.spec.as_ref()?;
            Some(Scale {
                spec_replicas: spec.replicas.unwrap_or(1),
                status_replicas: deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0),
                selector: selector::format(Some(&spec.selector)),
            })
        }
        Object::StatefulSet(set) => {
            let spec = set.spec.as_ref()?;
            Some(Scale {
                spec_replicas: spec.replicas.unwrap_or(1),
                status_replicas: set.status.as_ref().map_or(0, |status| status.replicas),
                selector: selector::format(Some(&spec.selector)),
            })
        }
        _ => None,
    }
}

impl Component for Autoscalers {
    fn name(&self) -> &'static str {
        "horizontal-pod-autoscaler"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::HorizontalPodAutoscaler, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let key = &change.object.key;
        if key.kind != Kind::HorizontalPodAutoscaler {
            return;
        }
        if change.kind == ChangeKind::Deleted {
            self.histories.remove(key);
            self.selectors.set(&name(key), None);
            self.queue.remove(key);
        } else {
            self.queue.add(key.clone(), world.now + PERIOD);
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            if let Some(hpa) = world.cache.get(&key).and_then(|stored| stored.get::<Autoscaler>()).cloned() {
                self.sync(&hpa, world);
                self.queue.add(key, world.now + PERIOD);
            }
        }
    }

    fn queues(&self, now: Instant) -> Vec<(&'static str, Tally)> {
        vec![("horizontalpodautoscaler", self.queue.tally(now))]
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}
