//! The pod garbage collector: takes away pods of which no kubelet will ever say that they are gone.
//!
//! Source: `pkg/controller/podgc/gc_controller.go`. Upstream looks at all pods each time; here the watch notes those that
//! may have to go.

use kit_api::core::{Node, Pod};
use kit_api::{node, pod};
use kit_apimachinery::object::{About, AsKind, Key, Kind};
use kit_client::component::{Component, World};
use kit_server::{Change, ChangeKind, DeleteOptions, Error, registry};
use kit_time::agenda::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// From one look to the next (`gcCheckPeriod`).
const PERIOD: Instant = Instant::seconds(20);
/// For how long a node must have been missing (`quarantineTime`).
const QUARANTINE: Instant = Instant::seconds(40);
/// How many pods that have ended may stay (`--terminated-pod-gc-threshold`).
const THRESHOLD: usize = 12_500;

/// Takes pods away.
#[derive(Default)]
pub struct PodGarbageCollector {
    quarantine: Quarantine,
    suspects: BTreeSet<Key>,
    next: Instant,
}

/// Nodes that pods name and that aren't there, and when that has been so for long enough.
#[derive(Default)]
pub struct Quarantine(BTreeMap<String, Instant>);

/// A pod to be deleted by force. If it has not ended it is marked as failed first.
pub struct Victim<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its node is gone, which is said in its condition DisruptionTarget.
    pub orphaned: bool,
}

fn is_out_of_service(node: &Node) -> bool {
    !node::is_ready(node) && node::has_taint(node, node::OUT_OF_SERVICE)
}

/// Evicted pods first, then the oldest (`byEvictionAndCreationTimestamp`).
fn sort(pods: &mut [&Pod]) {
    pods.sort_by_key(|pod| {
        let evicted = pod.status.as_ref().and_then(|status| status.reason.as_deref()) == Some("Evicted");
        let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!(evicted && pod::phase(pod) == "Failed"), created, pod.metadata.name.as_deref())
    });
}

/// Which of these pods have to go, in order; one can be named twice. `node` is what the cache has, `exists` asks the API
/// server, and a `threshold` of 0 is none.
pub fn victims<'a, 'n>(
    pods: &[&'a Pod],
    threshold: usize,
    quarantine: &mut Quarantine,
    now: Instant,
    node: impl Fn(&str) -> Option<&'n Node>,
    exists: impl Fn(&str) -> Result<bool, Error>,
) -> Vec<Victim<'a>> {
    let mut victims: Vec<Victim<'a>> = Vec::new();
    let plain = |pod: &'a Pod| Victim { pod, orphaned: false };
    let mut ended: Vec<&'a Pod> = pods.iter().copied().filter(|pod| pod::is_finished(pod)).collect();
    if threshold > 0 && ended.len() > threshold {
        sort(&mut ended);
        victims.extend(ended[..ended.len() - threshold].iter().copied().map(plain));
    }
    let shut_down = |pod: &&Pod| pod::node_name(pod).and_then(&node).is_some_and(is_out_of_service);
    let mut lost: Vec<&'a Pod> =
        pods.iter().copied().filter(|pod| pod::is_terminating(pod)).filter(shut_down).collect();
    sort(&mut lost);
    victims.extend(lost.into_iter().map(plain));
    let missing = |pod: &&'a Pod| pod::node_name(pod).filter(|name| node(name).is_none());
    for name in pods.iter().filter_map(missing) {
        quarantine.0.entry(name.into()).or_insert(now + QUARANTINE);
    }
    let due: Vec<String> = quarantine.0.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
    for name in &due {
        quarantine.0.remove(name);
    }
    let gone = |name: &&String| node(name).is_none() && exists(name).is_ok_and(|exists| !exists);
    let gone: BTreeSet<&str> = due.iter().filter(gone).map(String::as_str).collect();
    let orphans = pods.iter().copied().filter(|pod| pod::node_name(pod).is_some_and(|name| gone.contains(name)));
    victims.extend(orphans.map(|pod| Victim { pod, orphaned: true }));
    let unscheduled = |pod: &&&Pod| pod::is_terminating(pod) && pod::node_name(pod).is_none();
    victims.extend(pods.iter().filter(unscheduled).copied().map(plain));
    victims
}

/// Marks a pod as failed, if it hasn't ended, and deletes it by force (`markFailedAndDeletePodWithCondition`).
fn take_away(victim: &Victim<'_>, world: &mut World<'_>) -> Result<(), Error> {
    let key = About::from(victim.pod).key();
    let uid = victim.pod.metadata.uid.clone();
    if !pod::is_finished(victim.pod) {
        let mut pod: Pod = world.server.fetch(&key.namespace, &key.name)?;
        if pod.metadata.uid != uid {
            return Err(Error::not_found(&key));
        }
        pod.status.get_or_insert_default().phase = Some("Failed".into());
        if victim.orphaned {
            let (reason, message) = (Some("DeletionByPodGC"), Some("PodGC: node no longer exists"));
            registry::set_condition(&mut pod, "DisruptionTarget", "True", reason, message, world.time());
        }
        world.server.update_status(pod.into_object())?;
    }
    let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
    world.server.delete(&key, &options).map(drop)
}

impl PodGarbageCollector {
    fn note(&mut self, key: &Key, world: &World<'_>) {
        let Some(pod) = world.cache.fetch::<Pod>(&key.namespace, &key.name) else {
            self.suspects.remove(key);
            return;
        };
        let homeless = pod::node_name(pod).is_some_and(|name| world.cache.fetch::<Node>("", name).is_none());
        if homeless || pod::is_terminating(pod) || pod::is_finished(pod) {
            self.suspects.insert(key.clone());
        } else {
            self.suspects.remove(key);
        }
    }
}

impl Component for PodGarbageCollector {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Node, Kind::Pod]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        match change.object.get::<Node>() {
            None => self.note(&change.object.key, world),
            Some(node) if change.kind == ChangeKind::Deleted => {
                let name = node.metadata.name.as_deref();
                let pods = world.cache.stored(Kind::Pod);
                let here = pods.filter(|stored| stored.get::<Pod>().and_then(pod::node_name) == name);
                self.suspects.extend(here.map(|stored| stored.key.clone()));
            }
            Some(_) => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        if world.now < self.next {
            return;
        }
        self.next = world.now + PERIOD;
        let cache = world.cache;
        let pods = self.suspects.iter().filter_map(|key| cache.fetch::<Pod>(&key.namespace, &key.name));
        let pods: Vec<&Pod> = pods.collect();
        let exists = |name: &str| match world.server.get(&Key::new(Kind::Node, "", name)) {
            Err(error) if error.is_not_found() => Ok(false),
            found => found.map(|_| true),
        };
        let node = |name: &str| cache.fetch::<Node>("", name);
        let victims = victims(&pods, THRESHOLD, &mut self.quarantine, world.now, node, exists);
        for victim in &victims {
            // What goes wrong is tried again at the next look.
            _ = take_away(victim, world);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        Some(self.next)
    }
}
