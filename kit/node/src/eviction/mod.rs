//! Pods on a node under pressure: what a module of `node/eviction` is asked, and what its answers mean.
//!
//! Source: `pkg/kubelet/eviction/eviction_manager.go`. Limits of single pods ([`disk_limit`]) are another matter.

pub mod disk_limit;
mod view;

use kit_api::Quantity;
use kit_api::core::Pod;
use kit_api::eviction::Threshold;
use kit_api::qos::QosClass;
use kit_contract::node::Eviction;
use kit_contract::node::eviction::{Condition, Evicted as Chosen, Resource, Signal, Usage};
use kit_contract::{Slot, flow};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// How a kubelet is set up.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Its thresholds.
    pub thresholds: Vec<Threshold>,
    /// How much there is in all, by signal.
    pub capacity: BTreeMap<String, Quantity>,
    /// For how long a condition stays after it was last seen (`evictionPressureTransitionPeriod`).
    pub transition: Instant,
    /// The longest grace period of a pod where a soft threshold is met, in seconds (`evictionMaxPodGracePeriod`).
    pub max_grace: i64,
    /// Whether images have a file system of their own.
    pub image_fs: bool,
}

/// What is known of a node at some moment.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// What is left, by signal.
    pub available: BTreeMap<String, Quantity>,
    /// When that was measured.
    pub measured: Instant,
}

/// What a pod uses.
#[derive(Debug, Clone, Default)]
pub struct PodFigures {
    /// In all.
    pub usage: Usage,
    /// Of each container that is known: its name, bytes of memory, and bytes on disk.
    pub containers: Vec<(String, Option<i64>, Option<i64>)>,
}

/// What is asked while the manager looks.
pub trait Node {
    /// What a pod uses; nothing if nobody knows.
    fn usage(&self, pod: &Pod) -> Option<PodFigures>;
    /// Removes containers that have ended and images that nobody uses, and measures anew.
    fn collect_garbage(&mut self) -> Figures;
}

/// What comes of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The conditions of the node that hold.
    pub conditions: BTreeSet<&'static str>,
    /// What it tries to win back, for the event `EvictionThresholdMet`.
    pub reclaims: Option<&'static str>,
    /// Whom it evicts.
    pub evicted: Option<Evicted>,
}

/// A pod that has to go; its status gets the reason `Evicted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evicted {
    /// Its uid, or where it has none its name.
    pub pod: String,
    /// Seconds.
    pub grace: i64,
    /// Of its status.
    pub message: String,
}

/// The eviction manager of a node.
pub struct Manager {
    config: Config,
    slot: Slot<dyn Eviction>,
    /// It is made when the node is short of something for the first time.
    module: Option<Box<dyn Eviction>>,
    conditions: BTreeSet<Condition>,
}

impl Manager {
    /// One that has seen nothing yet, with a module of this slot.
    pub fn new(config: Config, slot: Slot<dyn Eviction>) -> Self {
        Manager { config, slot, module: None, conditions: BTreeSet::new() }
    }

    /// The conditions of the node that hold.
    pub fn conditions(&self) -> impl Iterator<Item = &'static str> {
        self.conditions.iter().copied().map(view::condition)
    }

    /// Looks at a node and its active pods. At most one of them is evicted each time.
    pub fn look(&mut self, now: Instant, figures: &Figures, pods: &[Pod], node: &mut dyn Node) -> Outcome {
        if self.config.thresholds.is_empty() {
            return Outcome::default();
        }
        let module = self.module.get_or_insert_with(|| self.slot.make(&view::config(&self.config)));
        let known: Vec<Option<PodFigures>> = pods.iter().map(|pod| node.usage(pod)).collect();
        let looked = module.look(&view::seen(figures, pods, &known), view::ms(now));
        let mut evict = looked.evict;
        if looked.collect_garbage {
            evict = module.collected(&view::available(&node.collect_garbage()));
        }
        self.conditions = looked.conditions;
        let evicted = evict.and_then(|chosen| {
            let (pod, known) = pods.iter().zip(&known).find(|(pod, _)| id(pod) == chosen.pod)?;
            let message = self.message(&chosen, figures, pod, known.as_ref());
            Some(Evicted { pod: chosen.pod, grace: chosen.grace_seconds, message })
        });
        Outcome { conditions: self.conditions().collect(), reclaims: looked.reclaims.map(view::resource), evicted }
    }

    /// Whether a pod that was bound to the node is let in (`Admit`).
    ///
    /// # Errors
    ///
    /// The message with which the pod fails; its reason is `Evicted`.
    pub fn admit(&mut self, pod: &Pod, class: QosClass) -> Result<(), String> {
        let Some(module) = self.module.as_mut().filter(|_| !self.conditions.is_empty()) else { return Ok(()) };
        if module.admit(&view::newcomer(pod, class)) {
            return Ok(());
        }
        let conditions: Vec<&str> = self.conditions().collect();
        Err(format!("The node had condition: [{}]. ", conditions.join(" ")))
    }

    /// Why a pod has to go, and which of its containers use more than they asked for (`evictionMessage`).
    fn message(&self, chosen: &Chosen, figures: &Figures, pod: &Pod, known: Option<&PodFigures>) -> String {
        let resource = view::resource(chosen.because.signal.resource());
        let signal = flow(&chosen.because.signal);
        let mut message = format!("The node was low on resource: {resource}. ");
        let all = self.config.thresholds.iter();
        let threshold =
            all.into_iter().find(|one| view::threshold(one, &self.config.capacity).as_ref() == Some(&chosen.because));
        let capacity = self.config.capacity.get(&signal);
        if let Some(((threshold, capacity), available)) = threshold.zip(capacity).zip(figures.available.get(&signal)) {
            message += &format!("Threshold quantity: {}, available: {available}. ", threshold.value.of(capacity));
        }
        for (name, memory, disk) in known.iter().flat_map(|figures| &figures.containers) {
            let used = match chosen.because.signal.resource() {
                Resource::Memory => *memory,
                _ => *disk,
            };
            let Some(used) = used.filter(|_| chosen.exceeding.contains(name)) else { continue };
            message += &view::exceeds(pod, name, used, resource);
        }
        message
    }
}

fn id(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().or(pod.metadata.name.as_deref()).unwrap_or_default()
}

/// A signal by its name.
fn signal(name: &str) -> Option<Signal> {
    serde_json::from_value(name.into()).ok()
}
