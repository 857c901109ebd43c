//! An informer: a copy of what the API server has, kept up to date by a list and a watch.
//!
//! It lists once, watches from the version of the list on, and lists anew when the server has forgotten what it missed
//! (410). Whoever asks the informer asks its copy, by key or by an index, and never the server. Components of the
//! cluster have the same in [`Cache`](crate::cache::Cache), fed by the engine; this one sends requests, as a
//! client over HTTP does. Sources: `client-go/tools/cache/{reflector,shared_informer,store,thread_safe_store}.go`.

use kit_server::{Body, Request, Server, Watch};
use kit_time::agenda::Instant;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What an index sorts an object under; none or several values are fine.
pub type IndexFn = fn(&Value) -> Vec<String>;

/// What handlers are told.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An object is new.
    Added(Value),
    /// An object is another than before, or a resync tells of it again.
    Updated {
        /// As it was.
        old: Value,
        /// As it is.
        new: Value,
    },
    /// An object is gone.
    Deleted {
        /// As it was last seen.
        last: Value,
        /// Whether its last version may have been missed (`DeletedFinalStateUnknown`).
        unknown: bool,
    },
}

/// A copy of the objects at one path.
#[derive(Debug)]
pub struct Informer {
    path: String,
    objects: BTreeMap<String, Value>,
    /// By the name of the index and the value: keys of objects.
    indexed: BTreeMap<(&'static str, String), BTreeSet<String>>,
    indexes: Vec<(&'static str, IndexFn)>,
    version: String,
    watch: Option<Box<Watch>>,
    resync: Option<Instant>,
    next_resync: Instant,
    lists: usize,
}

/// `namespace/name`, or the name alone (`MetaNamespaceKeyFunc`).
pub fn key(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    if text("namespace").is_empty() { text("name").into() } else { format!("{}/{}", text("namespace"), text("name")) }
}

impl Informer {
    /// An informer of a path such as `/api/v1/pods`. With `resync` it tells of all its objects again that often.
    pub fn new(path: &str, resync: Option<Instant>) -> Informer {
        Informer {
            path: path.into(),
            objects: BTreeMap::new(),
            indexed: BTreeMap::new(),
            indexes: Vec::new(),
            version: String::new(),
            watch: None,
            resync,
            next_resync: Instant::default(),
            lists: 0,
        }
    }

    /// Adds an index. Objects that are there already are sorted into it.
    pub fn add_index(&mut self, name: &'static str, of: IndexFn) {
        self.indexes.push((name, of));
        let there: Vec<(String, Value)> =
            self.objects.iter().map(|(key, object)| (key.clone(), object.clone())).collect();
        for (key, object) in there {
            for value in of(&object) {
                self.indexed.entry((name, value)).or_default().insert(key.clone());
            }
        }
    }

    /// Whether the first list is in (`HasSynced`).
    pub fn has_synced(&self) -> bool {
        self.lists > 0
    }

    /// How often it had to list.
    pub fn lists(&self) -> usize {
        self.lists
    }

    /// The version up to which it knows everything.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// One object by its key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.objects.get(key)
    }

    /// All objects by key.
    pub fn list(&self) -> impl Iterator<Item = &Value> {
        self.objects.values()
    }

    /// The objects that an index has under a value.
    pub fn by_index(&self, name: &'static str, value: &str) -> impl Iterator<Item = &Value> {
        let keys = self.indexed.get(&(name, value.to_string()));
        keys.into_iter().flatten().filter_map(|key| self.objects.get(key))
    }

    /// Takes over what is new at the server.
    pub fn sync(&mut self, server: &mut Server, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        if self.watch.is_none() {
            self.relist(server, now, &mut events);
        }
        let seen = match &mut self.watch {
            Some(watch) => server.events(watch),
            None => Vec::new(),
        };
        for event in seen {
            let object = event["object"].clone();
            match event["type"].as_str() {
                Some("ERROR") => self.watch = None,
                Some("BOOKMARK") => self.advance(&object),
                Some("DELETED") => {
                    self.advance(&object);
                    events.extend(self.remove(&key(&object), false));
                }
                _ => {
                    self.advance(&object);
                    events.extend(self.insert(object));
                }
            }
        }
        match &self.watch {
            // What was missed is forgotten: only a list can tell what there is now.
            None => self.relist(server, now, &mut events),
            // A watch that has run its time is opened again where it ended.
            Some(watch) if watch.ended() => self.watch = self.open(server),
            Some(_) => {}
        }
        if self.resync.is_some() && now >= self.next_resync {
            self.next_resync = now + self.resync.unwrap_or_default();
            let again = |object: &Value| Event::Updated { old: object.clone(), new: object.clone() };
            events.extend(self.objects.values().map(again));
        }
        events
    }

    fn advance(&mut self, object: &Value) {
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            self.version = version.into();
        }
    }

    fn relist(&mut self, server: &mut Server, now: Instant, events: &mut Vec<Event>) {
        let answer = server.request(&Request { method: "GET", path: &self.path, ..Request::default() });
        let Ok(list) = serde_json::from_str::<Value>(answer.as_text()) else { return };
        if answer.code != 200 {
            return;
        }
        let kind = list["kind"].as_str().unwrap_or_default().trim_end_matches("List").to_string();
        let mut there = BTreeSet::new();
        for item in list["items"].as_array().into_iter().flatten() {
            let mut object = item.clone();
            object["kind"] = kind.as_str().into();
            object["apiVersion"] = list["apiVersion"].clone();
            there.insert(key(&object));
            events.extend(self.insert(object));
        }
        let gone: Vec<String> = self.objects.keys().filter(|key| !there.contains(*key)).cloned().collect();
        for key in gone {
            events.extend(self.remove(&key, true));
        }
        self.advance(&list);
        if !self.has_synced() {
            self.next_resync = now + self.resync.unwrap_or_default();
        }
        self.lists += 1;
        self.watch = self.open(server);
    }

    fn open(&self, server: &mut Server) -> Option<Box<Watch>> {
        let query = format!("watch=1&allowWatchBookmarks=true&resourceVersion={}", self.version);
        let request = Request { method: "GET", path: &self.path, query: &query, ..Request::default() };
        match server.request(&request).body {
            Body::Watch(watch) => Some(watch),
            _ => None,
        }
    }

    fn insert(&mut self, object: Value) -> Option<Event> {
        let key = key(&object);
        let old = self.objects.insert(key.clone(), object.clone());
        if let Some(old) = &old {
            self.unindex(&key, old);
        }
        for (name, of) in self.indexes.clone() {
            for value in of(&object) {
                self.indexed.entry((name, value)).or_default().insert(key.clone());
            }
        }
        match old {
            None => Some(Event::Added(object)),
            Some(old) if old["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"] => None,
            Some(old) => Some(Event::Updated { old, new: object }),
        }
    }

    fn remove(&mut self, key: &str, unknown: bool) -> Option<Event> {
        let last = self.objects.remove(key)?;
        self.unindex(key, &last);
        Some(Event::Deleted { last, unknown })
    }

    fn unindex(&mut self, key: &str, object: &Value) {
        for (name, of) in self.indexes.clone() {
            for value in of(object) {
                if let Some(keys) = self.indexed.get_mut(&(name, value)) {
                    keys.remove(key);
                }
            }
        }
        self.indexed.retain(|_, keys| !keys.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    const MAPS: &str = "/api/v1/namespaces/default/configmaps";

    fn send(server: &mut Server, method: &str, path: &str, body: Value) {
        let body = body.to_string();
        let answer = server.request(&Request { method, path, body: body.as_bytes(), ..Request::default() });
        assert!(answer.code < 300, "{}", answer.as_text());
    }

    fn make(server: &mut Server, name: &str, team: &str) {
        send(server, "POST", MAPS, json!({"metadata": {"name": name, "labels": {"team": team}}}));
    }

    fn told(events: &[Event]) -> Vec<String> {
        let tell = |event: &Event| match event {
            Event::Added(object) => format!("+{}", key(object)),
            Event::Updated { new, .. } => format!("~{}", key(new)),
            Event::Deleted { last, unknown } => format!("-{}{}", key(last), if *unknown { "?" } else { "" }),
        };
        events.iter().map(tell).collect()
    }

    #[test]
    fn it_lists_once_and_then_follows() {
        let (mut server, mut informer) = (crate::reference_server(), Informer::new(MAPS, None));
        informer.add_index("team", |object| {
            object["metadata"]["labels"]["team"].as_str().map(str::to_string).into_iter().collect()
        });
        make(&mut server, "a", "red");
        assert_eq!(told(&informer.sync(&mut server, Instant::default())), ["+default/a"]);
        make(&mut server, "b", "red");
        send(&mut server, "DELETE", &format!("{MAPS}/a"), json!({}));
        assert_eq!(told(&informer.sync(&mut server, Instant::default())), ["+default/b", "-default/a"]);
        assert_eq!(informer.by_index("team", "red").map(key).collect::<Vec<_>>(), ["default/b"]);
        assert_eq!((informer.lists(), informer.by_index("team", "blue").count()), (1, 0));
    }

    #[test]
    fn it_lists_again_when_it_missed_too_much() {
        let (mut server, mut informer) = (crate::reference_server(), Informer::new(MAPS, None));
        make(&mut server, "a", "red");
        informer.sync(&mut server, Instant::default());
        send(&mut server, "DELETE", &format!("{MAPS}/a"), json!({}));
        for minute in 1..20 {
            server.enter(Instant::seconds(minute * 60), &Arc::from("test"));
            make(&mut server, &format!("m{minute}"), "blue");
        }
        let events = told(&informer.sync(&mut server, Instant::seconds(1200)));
        assert_eq!((informer.lists(), events.len(), events.last().map(String::as_str)), (2, 20, Some("-default/a?")));
    }

    #[test]
    fn a_resync_tells_of_everything_again() {
        let (mut server, mut informer) = (crate::reference_server(), Informer::new(MAPS, Some(Instant::seconds(30))));
        make(&mut server, "a", "red");
        assert_eq!(told(&informer.sync(&mut server, Instant::default())), ["+default/a"]);
        assert_eq!(told(&informer.sync(&mut server, Instant::seconds(29))), Vec::<String>::new());
        assert_eq!(told(&informer.sync(&mut server, Instant::seconds(30))), ["~default/a"]);
    }
}
