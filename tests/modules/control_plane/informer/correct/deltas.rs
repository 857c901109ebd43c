//! Passes: a reflector that makes deltas of everything, and an indexer behind it that alone decides what is told, as upstream has them.

use kit::control_plane::{
    CachedObject, Index, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};
use std::collections::{BTreeSet, HashMap, HashSet};

enum Delta {
    Store(CachedObject),
    Delete(CachedObject),
    FinalStateUnknown(String),
    Sync(String),
}

#[derive(Default)]
struct Indexer {
    items: HashMap<String, CachedObject>,
    indices: HashMap<(bool, String), BTreeSet<String>>,
}

impl Indexer {
    fn values(object: &CachedObject) -> Vec<(bool, String)> {
        let mut values = vec![(false, object.namespace.clone())];
        if !object.node.is_empty() {
            values.push((true, object.node.clone()));
        }
        values
    }

    fn set(&mut self, key: &str, object: Option<CachedObject>) -> Option<CachedObject> {
        let old = self.items.remove(key);
        for value in old.iter().flat_map(Self::values) {
            self.indices.entry(value).or_default().remove(key);
        }
        if let Some(object) = object {
            for value in Self::values(&object) {
                self.indices.entry(value).or_default().insert(key.to_string());
            }
            self.items.insert(key.to_string(), object);
        }
        old
    }
}

struct Exercise {
    indexer: Indexer,
    resync_every: i64,
    resync_at: Option<i64>,
    last_sync_resource_version: String,
    unavailable: bool,
    listing_from: String,
    watching_since: i64,
    quiet: bool,
    backoff: Option<(i64, i64)>,
    after: Option<(i64, bool)>,
}

impl Exercise {
    fn process(&mut self, deltas: Vec<Delta>, initial: bool) -> Vec<InformerOutput> {
        let mut told = Vec::new();
        for delta in deltas {
            match delta {
                Delta::Store(new) => match self.indexer.set(&new.key(), Some(new.clone())) {
                    None => told.push(InformerOutput::Added { object: new, initial }),
                    Some(old) if old.resource_version != new.resource_version => {
                        told.push(InformerOutput::Updated { old, new });
                    }
                    Some(_) => {}
                },
                Delta::Delete(last) => {
                    if self.indexer.set(&last.key(), None).is_some() {
                        told.push(InformerOutput::Deleted { last, unknown: false });
                    }
                }
                Delta::FinalStateUnknown(key) => {
                    if let Some(last) = self.indexer.set(&key, None) {
                        told.push(InformerOutput::Deleted { last, unknown: true });
                    }
                }
                Delta::Sync(key) => {
                    if let Some(object) = self.indexer.items.get(&key) {
                        told.push(InformerOutput::Updated { old: object.clone(), new: object.clone() });
                    }
                }
            }
        }
        told
    }

    fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.indexer.items.keys().cloned().collect();
        keys.sort();
        keys
    }

    fn list(&mut self) -> InformerOutput {
        self.after = None;
        self.listing_from = if self.unavailable {
            String::new()
        } else if self.last_sync_resource_version.is_empty() {
            "0".to_string()
        } else {
            self.last_sync_resource_version.clone()
        };
        InformerOutput::List(self.listing_from.clone())
    }

    fn watch(&mut self, now: i64) -> InformerOutput {
        self.after = None;
        self.watching_since = now;
        self.quiet = true;
        InformerOutput::Watch(self.last_sync_resource_version.clone())
    }

    fn back_off(&mut self, now: i64, then_watch: bool) -> InformerOutput {
        let pause = match self.backoff {
            Some((at, pause)) if now - at <= 120_000 => std::cmp::min(pause * 2, 30_000),
            _ => 800,
        };
        self.backoff = Some((now, pause));
        self.after = Some((now + pause, then_watch));
        InformerOutput::Pause(pause)
    }
}

impl Informer for Exercise {
    fn new(config: &InformerConfig) -> Self {
        Exercise {
            indexer: Indexer::default(),
            resync_every: config.resync,
            resync_at: None,
            last_sync_resource_version: String::new(),
            unavailable: false,
            listing_from: String::new(),
            watching_since: 0,
            quiet: true,
            backoff: None,
            after: None,
        }
    }

    fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput> {
        let mut outputs = Vec::new();
        match event {
            InformerEvent::Start => outputs.push(self.list()),
            InformerEvent::Listed { resource_version, items } => {
                let first = self.resync_at.is_none();
                let keep: HashSet<String> = items.iter().map(CachedObject::key).collect();
                let mut deltas: Vec<Delta> = items.iter().cloned().map(Delta::Store).collect();
                let gone = self.keys().into_iter().filter(|key| !keep.contains(key));
                deltas.extend(gone.map(Delta::FinalStateUnknown));
                outputs = self.process(deltas, first);
                if first {
                    self.resync_at = Some(now + self.resync_every);
                }
                self.unavailable = false;
                self.last_sync_resource_version = resource_version.clone();
                outputs.push(self.watch(now));
            }
            InformerEvent::ListFailed(RequestFailure::Expired | RequestFailure::TooLarge) => {
                self.unavailable = true;
                let again = !self.listing_from.is_empty();
                outputs.push(if again { self.list() } else { self.back_off(now, false) });
            }
            InformerEvent::ListFailed(_) => outputs.push(self.back_off(now, false)),
            InformerEvent::Watched { kind, object } => {
                let delta = match kind {
                    WatchEventType::Deleted => Delta::Delete(object.clone()),
                    _ => Delta::Store(object.clone()),
                };
                outputs = self.process(vec![delta], false);
                self.quiet = false;
                self.last_sync_resource_version = object.resource_version.clone();
            }
            InformerEvent::Bookmark(version) => {
                self.quiet = false;
                self.last_sync_resource_version = version.clone();
            }
            InformerEvent::WatchFailed(failure) => {
                outputs.push(self.back_off(now, *failure == RequestFailure::Unavailable));
            }
            InformerEvent::WatchClosed => {
                let very_short = self.quiet && now - self.watching_since < 1000;
                outputs.push(if very_short { self.back_off(now, false) } else { self.watch(now) });
            }
            InformerEvent::Tick => {
                if self.resync_every > 0 && self.resync_at.is_some_and(|at| at <= now) {
                    self.resync_at = Some(now + self.resync_every);
                    let deltas = self.keys().into_iter().map(Delta::Sync).collect();
                    outputs = self.process(deltas, false);
                }
                match self.after {
                    Some((at, true)) if at <= now => outputs.push(self.watch(now)),
                    Some((at, false)) if at <= now => outputs.push(self.list()),
                    _ => {}
                }
            }
        }
        outputs
    }

    fn has_synced(&mut self) -> bool {
        self.resync_at.is_some()
    }

    fn get(&mut self, key: &str) -> Option<CachedObject> {
        self.indexer.items.get(key).cloned()
    }

    fn by_index(&mut self, index: &Index, value: &str) -> Vec<String> {
        let keys = self.indexer.indices.get(&(*index == Index::Node, value.to_string()));
        keys.map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }
}

kit::exercise!(Exercise: Informer);
