//! Passes: timers on an agenda, pauses that are worked out from when earlier ones began, and a list that becomes a new cache beside the old one.

use kit::control_plane::{
    CachedObject, Index, Informer, InformerConfig, InformerEvent, InformerOutput, RequestFailure, WatchEventType,
};
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq)]
enum Timer {
    Resync,
    List,
    Watch,
}

struct Exercise {
    resync: i64,
    cache: BTreeMap<String, CachedObject>,
    synced: bool,
    /// What is known last; none before the first list.
    version: Option<String>,
    /// What lists ask for instead, since a version was refused.
    instead: Option<&'static str>,
    last_list: String,
    watch_began: i64,
    watch_was_silent: bool,
    agenda: Vec<(i64, Timer)>,
    pauses: Vec<i64>,
}

impl Exercise {
    fn set(&mut self, timer: Timer, at: i64) {
        self.agenda.push((at, timer));
    }

    /// What a handler is told of an object that is there.
    fn seen(old: Option<&CachedObject>, new: &CachedObject, initial: bool) -> Option<InformerOutput> {
        match old {
            None => Some(InformerOutput::Added { object: new.clone(), initial }),
            Some(old) => (old.resource_version != new.resource_version)
                .then(|| InformerOutput::Updated { old: old.clone(), new: new.clone() }),
        }
    }

    fn ask(&mut self, what: Timer, now: i64) -> InformerOutput {
        // A request ends the pause before it.
        self.agenda.retain(|(_, timer)| *timer == Timer::Resync);
        if what == Timer::List {
            let usual = self.version.as_deref().unwrap_or("0");
            self.last_list = self.instead.unwrap_or(usual).to_string();
            return InformerOutput::List(self.last_list.clone());
        }
        (self.watch_began, self.watch_was_silent) = (now, true);
        InformerOutput::Watch(self.version.clone().unwrap_or_default())
    }

    fn pause_before(&mut self, what: Timer, now: i64) -> InformerOutput {
        let mut millis = 800;
        let mut later = now;
        for began in self.pauses.iter().rev() {
            if later - began > 120_000 || millis >= 30_000 {
                break;
            }
            later = *began;
            millis *= 2;
        }
        let millis = millis.min(30_000);
        self.pauses.push(now);
        self.set(what, now + millis);
        InformerOutput::Pause(millis)
    }

    fn tick(&mut self, now: i64) -> Vec<InformerOutput> {
        let (due, later): (Vec<_>, Vec<_>) = self.agenda.drain(..).partition(|(at, _)| *at <= now);
        self.agenda = later;
        let mut told = Vec::new();
        if due.iter().any(|(_, timer)| *timer == Timer::Resync) {
            let again = self.cache.values().map(|object| (object.clone(), object.clone()));
            told.extend(again.map(|(old, new)| InformerOutput::Updated { old, new }));
            self.set(Timer::Resync, now + self.resync);
        }
        for (_, timer) in due {
            if timer != Timer::Resync {
                told.push(self.ask(timer, now));
            }
        }
        told
    }

    fn listed(&mut self, version: &str, items: &[CachedObject], now: i64) -> Vec<InformerOutput> {
        let initial = !std::mem::replace(&mut self.synced, true);
        if initial && self.resync > 0 {
            self.set(Timer::Resync, now + self.resync);
        }
        let mut old = std::mem::take(&mut self.cache);
        let mut told = Vec::new();
        for item in items {
            let key = item.key();
            let before = self.cache.remove(&key).or_else(|| old.remove(&key));
            told.extend(Self::seen(before.as_ref(), item, initial));
            self.cache.insert(key, item.clone());
        }
        // What is left of the old one isn't in the list.
        told.extend(old.into_values().map(|last| InformerOutput::Deleted { last, unknown: true }));
        self.version = Some(version.to_string());
        self.instead = None;
        told.push(self.ask(Timer::Watch, now));
        told
    }

    fn watched(&mut self, kind: WatchEventType, object: &CachedObject) -> Option<InformerOutput> {
        self.bookmark(&object.resource_version);
        if kind == WatchEventType::Deleted {
            let was_there = self.cache.remove(&object.key()).is_some();
            return was_there.then(|| InformerOutput::Deleted { last: object.clone(), unknown: false });
        }
        let old = self.cache.insert(object.key(), object.clone());
        Self::seen(old.as_ref(), object, false)
    }

    fn bookmark(&mut self, version: &str) {
        self.version = Some(version.to_string());
        self.watch_was_silent = false;
    }
}

impl Informer for Exercise {
    fn new(config: &InformerConfig) -> Self {
        Exercise {
            resync: config.resync,
            cache: BTreeMap::new(),
            synced: false,
            version: None,
            instead: None,
            last_list: String::new(),
            watch_began: 0,
            watch_was_silent: true,
            agenda: Vec::new(),
            pauses: Vec::new(),
        }
    }

    fn step(&mut self, event: &InformerEvent, now: i64) -> Vec<InformerOutput> {
        use RequestFailure::{Expired, TooLarge, Unavailable};
        match event {
            InformerEvent::Start => vec![self.ask(Timer::List, now)],
            InformerEvent::Listed { resource_version, items } => self.listed(resource_version, items, now),
            InformerEvent::ListFailed(failure) => {
                if let Expired | TooLarge = failure {
                    self.instead = Some("");
                    if !self.last_list.is_empty() {
                        return vec![self.ask(Timer::List, now)];
                    }
                }
                vec![self.pause_before(Timer::List, now)]
            }
            InformerEvent::Watched { kind, object } => Vec::from_iter(self.watched(*kind, object)),
            InformerEvent::Bookmark(version) => {
                self.bookmark(version);
                Vec::new()
            }
            InformerEvent::WatchFailed(Unavailable) => vec![self.pause_before(Timer::Watch, now)],
            InformerEvent::WatchFailed(_) => vec![self.pause_before(Timer::List, now)],
            InformerEvent::WatchClosed if self.watch_was_silent && now < self.watch_began + 1000 => {
                vec![self.pause_before(Timer::List, now)]
            }
            InformerEvent::WatchClosed => vec![self.ask(Timer::Watch, now)],
            InformerEvent::Tick => self.tick(now),
        }
    }

    fn has_synced(&mut self) -> bool {
        self.synced
    }

    fn get(&mut self, key: &str) -> Option<CachedObject> {
        self.cache.get(key).cloned()
    }

    fn by_index(&mut self, index: &Index, value: &str) -> Vec<String> {
        let is_in = |object: &CachedObject| match index {
            Index::Namespace => object.namespace == value,
            Index::Node => !object.node.is_empty() && object.node == value,
        };
        self.cache.iter().filter(|(_, object)| is_in(object)).map(|(key, _)| key.clone()).collect()
    }
}

kit::exercise!(Exercise: Informer);
