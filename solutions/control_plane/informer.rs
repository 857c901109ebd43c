//! The reference for `control_plane/informer`.
//!
//! The names follow `client-go/tools/cache`.

// ANCHOR: solution
use kit::control_plane::{
    CachedObject, Index, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};
use std::collections::{BTreeMap, BTreeSet};

const PAUSE: i64 = 800;
const MAX_PAUSE: i64 = 30_000;
/// After so long a pause is as short as the first one again.
const CALM: i64 = 120_000;
/// A watch that ends before and has shown nothing has failed.
const SHORT: i64 = 1_000;

/// A reflector in front of an indexed cache.
pub struct Exercise {
    store: Store,
    phase: Phase,
    /// Up to which everything is known; empty before the first list.
    version: String,
    /// The server refused a version, and no list has succeeded since.
    version_unavailable: bool,
    resync: i64,
    /// None before the first list.
    synced_at: Option<i64>,
    next_pause: i64,
    last_pause: Option<i64>,
}

enum Phase {
    Idle,
    /// From the newest version or not.
    Listing {
        newest: bool,
    },
    Watching {
        since: i64,
        events: usize,
    },
    Paused {
        until: i64,
        then: Then,
    },
}

#[derive(Clone, Copy)]
enum Then {
    List,
    Watch,
}

impl Informer for Exercise {
    fn new(config: &InformerConfig) -> Self {
        Exercise {
            store: Store::default(),
            phase: Phase::Idle,
            version: String::new(),
            version_unavailable: false,
            resync: config.resync,
            synced_at: None,
            next_pause: PAUSE,
            last_pause: None,
        }
    }

    // ANCHOR: step
    fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput> {
        let mut told = Vec::new();
        let request = match event {
            InformerEvent::Start => Some(self.list()),
            InformerEvent::Listed { resource_version, items } => {
                told = self.store.replace(items, self.synced_at.is_none());
                self.synced_at.get_or_insert(now);
                self.version = resource_version.clone();
                self.version_unavailable = false;
                Some(self.watch(now))
            }
            InformerEvent::ListFailed(RequestFailure::Expired | RequestFailure::TooLarge) => {
                let newest = matches!(self.phase, Phase::Listing { newest: true });
                self.version_unavailable = true;
                Some(if newest { self.pause(Then::List, now) } else { self.list() })
            }
            InformerEvent::ListFailed(_) => Some(self.pause(Then::List, now)),
            InformerEvent::Watched { kind, object } => {
                told.extend(match kind {
                    WatchEventType::Added | WatchEventType::Modified => self.store.insert(object, false),
                    WatchEventType::Deleted => self.store.remove(object),
                });
                self.seen(&object.resource_version);
                None
            }
            InformerEvent::Bookmark(version) => {
                self.seen(version);
                None
            }
            InformerEvent::WatchFailed(RequestFailure::Unavailable) => Some(self.pause(Then::Watch, now)),
            InformerEvent::WatchFailed(_) => Some(self.pause(Then::List, now)),
            InformerEvent::WatchClosed => Some(match self.phase {
                Phase::Watching { since, events: 0 } if now - since < SHORT => self.pause(Then::List, now),
                _ => self.watch(now),
            }),
            InformerEvent::Tick => {
                if self.synced_at.is_some_and(|at| self.resync > 0 && now - at >= self.resync) {
                    self.synced_at = Some(now);
                    told = self.store.resync();
                }
                match self.phase {
                    Phase::Paused { until, then: Then::List } if now >= until => Some(self.list()),
                    Phase::Paused { until, then: Then::Watch } if now >= until => Some(self.watch(now)),
                    _ => None,
                }
            }
        };
        told.extend(request);
        told
    }
    // ANCHOR_END: step

    fn has_synced(&mut self) -> bool {
        self.synced_at.is_some()
    }

    fn get(&mut self, key: &str) -> Option<CachedObject> {
        self.store.objects.get(key).cloned()
    }

    fn by_index(&mut self, index: &Index, value: &str) -> Vec<String> {
        let index = match index {
            Index::Namespace => &self.store.by_namespace,
            Index::Node => &self.store.by_node,
        };
        index.get(value).into_iter().flatten().cloned().collect()
    }
}

impl Exercise {
    // ANCHOR: list
    fn list(&mut self) -> InformerOutput {
        let from = match (self.version_unavailable, self.version.as_str()) {
            (true, _) => "",
            (false, "") => "0",
            (false, version) => version,
        };
        self.phase = Phase::Listing { newest: from.is_empty() };
        InformerOutput::List(from.into())
    }
    // ANCHOR_END: list

    fn watch(&mut self, now: i64) -> InformerOutput {
        self.phase = Phase::Watching { since: now, events: 0 };
        InformerOutput::Watch(self.version.clone())
    }

    fn seen(&mut self, version: &str) {
        self.version = version.into();
        if let Phase::Watching { events, .. } = &mut self.phase {
            *events += 1;
        }
    }

    fn pause(&mut self, then: Then, now: i64) -> InformerOutput {
        if self.last_pause.is_some_and(|last| now - last > CALM) {
            self.next_pause = PAUSE;
        }
        let pause = self.next_pause;
        self.next_pause = (pause * 2).min(MAX_PAUSE);
        self.last_pause = Some(now);
        self.phase = Phase::Paused { until: now + pause, then };
        InformerOutput::Pause(pause)
    }
}

// ANCHOR: store
/// The objects by key, and keys by what they are sorted by.
#[derive(Default)]
struct Store {
    objects: BTreeMap<String, CachedObject>,
    by_namespace: BTreeMap<String, BTreeSet<String>>,
    by_node: BTreeMap<String, BTreeSet<String>>,
}

impl Store {
    /// Puts an object in, and says what handlers are told: the cache knows whether it is new, and not the event.
    fn insert(&mut self, object: &CachedObject, initial: bool) -> Option<InformerOutput> {
        let old = self.take(&object.key());
        self.by_namespace.entry(object.namespace.clone()).or_default().insert(object.key());
        if !object.node.is_empty() {
            self.by_node.entry(object.node.clone()).or_default().insert(object.key());
        }
        self.objects.insert(object.key(), object.clone());
        match old {
            None => Some(InformerOutput::Added { object: object.clone(), initial }),
            Some(old) if old.resource_version == object.resource_version => None,
            Some(old) => Some(InformerOutput::Updated { old, new: object.clone() }),
        }
    }

    fn remove(&mut self, object: &CachedObject) -> Option<InformerOutput> {
        self.take(&object.key())?;
        Some(InformerOutput::Deleted { last: object.clone(), unknown: false })
    }

    /// Makes the cache what a list says.
    fn replace(&mut self, items: &[CachedObject], initial: bool) -> Vec<InformerOutput> {
        let mut told: Vec<_> = items.iter().filter_map(|item| self.insert(item, initial)).collect();
        let there: BTreeSet<String> = items.iter().map(CachedObject::key).collect();
        let gone: Vec<String> = self.objects.keys().filter(|key| !there.contains(*key)).cloned().collect();
        let gone = gone.iter().filter_map(|key| self.take(key));
        told.extend(gone.map(|last| InformerOutput::Deleted { last, unknown: true }));
        told
    }

    fn resync(&self) -> Vec<InformerOutput> {
        let again = |object: &CachedObject| InformerOutput::Updated { old: object.clone(), new: object.clone() };
        self.objects.values().map(again).collect()
    }

    fn take(&mut self, key: &str) -> Option<CachedObject> {
        let object = self.objects.remove(key)?;
        for (index, value) in [(&mut self.by_namespace, &object.namespace), (&mut self.by_node, &object.node)] {
            if let Some(keys) = index.get_mut(value) {
                keys.remove(key);
            }
        }
        Some(object)
    }
}
// ANCHOR_END: store
// ANCHOR_END: solution
