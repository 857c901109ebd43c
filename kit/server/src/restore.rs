//! A server over a store that holds objects already: of an earlier start, or written by other servers beside this one.
//!
//! Everything is read once, definitions first since they say what other keys mean, and from then on followed. An object that
//! can't be read stays in the store as it is: lists do without it, requests for it by name say why, and nobody can write over
//! it. Upstream fails the whole list (`apiserver/pkg/storage/etcd3/store.go`, `decode`), and with it every controller of
//! that kind; here the rest of the cluster comes up.

use super::{Change, ChangeKind, Error, FRESH, KEPT, Server, Snapshot, Stored, commit, is_definition};
use kit_apimachinery::object::{Key, Kind};
use kit_apimachinery::resource::Resource;
use kit_contract::control_plane::{Event, EventKind, KeyValue, RangeRequest};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// How many keys are read at once (`maxLimit` of etcd3's store grows to 10,000; `defaultPageSize` of its clients is this).
const PAGE: u64 = 500;

/// Built-in kinds by where their objects are in the store.
static BUILT_IN: LazyLock<BTreeMap<Cow<'static, str>, Kind>> = LazyLock::new(|| {
    let kinds = Resource::all().iter().map(Resource::as_kind);
    kinds.map(|kind| (kind.directory(), kind)).collect()
});

impl Server {
    /// Reads everything that the store has, and follows it from there.
    pub(super) fn load(&mut self) -> Result<(), Error> {
        let (revision, kvs) = self.read_all()?;
        self.store.watch(revision + 1).map_err(Error::internal)?;
        self.state = Snapshot { revision, ..Snapshot::default() };
        self.custom.clear();
        self.unreadable.clear();
        let definitions = format!("/registry/{}/", self.definition_kind().map(Kind::directory).unwrap_or_default());
        let (first, then): (Vec<_>, Vec<_>) = kvs.into_iter().partition(|kv| kv.key.starts_with(&definitions));
        for kv in first.into_iter().chain(then) {
            match self.read(&kv) {
                Ok((key, stored)) => {
                    self.learn(&key, Some(&stored));
                    self.state.objects.entry(key.kind).or_default().insert(key, stored);
                }
                Err(error) => _ = self.unreadable.insert(kv.key, error),
            }
        }
        self.horizon = revision;
        self.compaction.1 = revision;
        // Whoever waits for the next change that was known before has to list.
        self.dropped += self.log.len() + 1;
        self.log.clear();
        Ok(())
    }

    /// All keys under `/registry/`, page by page, as they are at one revision, and that revision.
    fn read_all(&mut self) -> Result<(i64, Vec<KeyValue>), Error> {
        let mut request = RangeRequest {
            key: "/registry/".into(),
            range_end: Some("/registry0".into()),
            limit: PAGE,
            ..RangeRequest::default()
        };
        let mut kvs: Vec<KeyValue> = Vec::new();
        loop {
            let page = self.store.range(&request).map_err(Error::internal)?;
            let more = page.more;
            if request.revision == 0 {
                request.revision = page.revision;
            }
            kvs.extend(page.kvs);
            match kvs.last().filter(|_| more) {
                // No other key lies between a key and the same with a zero byte.
                Some(last) => request.key = format!("{}\0", last.key),
                None => return Ok((request.revision, kvs)),
            }
        }
    }

    /// What the store has and can't be read, by key, and why.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.unreadable.iter().map(|(key, why)| (key.as_str(), why))
    }

    /// An error if the store has something at this key that can't be read.
    pub(super) fn readable(&self, key: &Key) -> Result<(), Error> {
        match self.unreadable.is_empty() {
            true => Ok(()),
            false => self.unreadable.get(&key.path()).map_or(Ok(()), |why| Err(why.clone())),
        }
    }

    fn read(&self, kv: &KeyValue) -> Result<(Key, Arc<Stored>), Error> {
        let keys = self.keys_at(&kv.key);
        let said = || serde_json::from_str::<Value>(&kv.value).unwrap_or_default()["apiVersion"].clone();
        let key = match &keys[..] {
            [first, _, ..] => {
                let version = said();
                Some(keys.iter().find(|key| version == key.kind.api_version()).unwrap_or(first))
            }
            _ => keys.first(),
        };
        let unknown = || Error::internal(format!("the store has {}, which is of no kind that is served", kv.key));
        let key = key.ok_or_else(unknown)?;
        let object = commit::decode(key, &kv.value, kv.mod_revision)?;
        if object.key() != *key {
            return Err(Error::internal(format!("the store's {} holds an object of another name", kv.key)));
        }
        Ok((key.clone(), Stored::new(key, object)))
    }

    /// What a key of the store may stand for: one object, or one in each version of a custom resource.
    fn keys_at(&self, path: &str) -> Vec<Key> {
        let Some(rest) = path.strip_prefix("/registry/") else { return Vec::new() };
        let at = |at: usize| rest.match_indices('/').nth(at).map_or(rest, |(end, _)| &rest[..end]);
        let (one, two) = (at(0), at(1));
        let mut kinds: Vec<Kind> =
            [one, two].iter().filter_map(|directory| BUILT_IN.get(*directory)).copied().collect();
        if kinds.is_empty() {
            let custom = self.custom.values().map(|resource| resource.as_kind());
            kinds.extend(custom.filter(|kind| kind.directory() == two));
        }
        let key = |kind: Kind| {
            let rest: Vec<&str> = rest.strip_prefix(&*kind.directory())?.strip_prefix('/')?.split('/').collect();
            match (&rest[..], kind.namespaced()) {
                ([namespace, name], true) => Some(Key::new(kind, namespace, name)),
                ([name], false) => Some(Key::new(kind, "", name)),
                _ => None,
            }
        };
        kinds.into_iter().filter_map(key).collect()
    }

    /// The kind of definitions.
    pub(crate) fn definition_kind(&self) -> Option<Kind> {
        BUILT_IN.values().copied().find(|kind| is_definition(*kind))
    }

    /// Takes note of what an object means to the server itself; without one, it is gone.
    fn learn(&mut self, key: &Key, stored: Option<&Stored>) {
        if !is_definition(key.kind) {
            return;
        }
        match stored {
            Some(stored) => self.serve_definition(&stored.to_value()),
            None => self.custom.retain(|_, resource| resource.qualified() != *key.name),
        }
    }

    /// Whether other servers write to the same store.
    pub fn is_shared(&self) -> bool {
        self.store.shared()
    }

    /// Takes over what other servers have written to the store until now.
    ///
    /// # Errors
    ///
    /// If the store can't be asked.
    pub fn sync(&mut self) -> Result<(), Error> {
        if !self.store.shared() {
            return Ok(());
        }
        let events = self.store.events().map_err(Error::internal)?;
        if self.store.behind() {
            return self.load();
        }
        events.into_iter().for_each(|event| self.take_foreign(event));
        Ok(())
    }

    /// The same, and waits for all that was written before this call: a read after it misses nothing.
    ///
    /// # Errors
    ///
    /// If the store can't be asked.
    pub fn catch_up(&mut self) -> Result<(), Error> {
        self.store.catch_up().map_err(Error::internal)?;
        self.sync()
    }

    /// Takes over one change that another server made.
    pub(super) fn take_foreign(&mut self, event: Event) {
        let Event { kind, kv, .. } = event;
        let revision = kv.mod_revision;
        self.state.revision = revision;
        self.unreadable.remove(&kv.key);
        let by: Arc<str> = "another API server".into();
        let read = match kind {
            EventKind::Put => self.read(&kv).map(Some),
            EventKind::Delete => Ok(None),
        };
        let before = self.keys_at(&kv.key).into_iter().find(|key| self.state.get(key).is_some());
        let read = read.unwrap_or_else(|why| {
            // What was there before can't be shown as if it were still so.
            self.unreadable.insert(kv.key.clone(), why);
            None
        });
        if let Some(before) = before.filter(|before| read.as_ref().is_none_or(|(key, _)| key != before)) {
            self.learn(&before, None);
            self.apply(&before, None, revision, &by);
        }
        if let Some((key, stored)) = read {
            self.learn(&key, Some(&stored));
            self.apply(&key, Some(stored), revision, &by);
        }
    }

    /// Changes the state, and says so to watches.
    pub(super) fn apply(&mut self, key: &Key, stored: Option<Arc<Stored>>, revision: i64, by: &Arc<str>) {
        self.state.revision = revision;
        let objects = self.state.objects.entry(key.kind).or_default();
        let (kind, object, previous) = match stored {
            Some(stored) => {
                let previous = objects.insert(key.clone(), stored.clone());
                (if previous.is_some() { ChangeKind::Modified } else { ChangeKind::Added }, stored, previous)
            }
            None => {
                let Some(previous) = objects.remove(key) else { return };
                let last = previous.object.clone().at_revision(revision);
                (ChangeKind::Deleted, Stored::new(key, last), Some(previous))
            }
        };
        self.log.push_back(Change { at: self.now, revision, kind, object, previous, by: by.clone() });
        while self.log.len() > KEPT && self.log.front().is_some_and(|change| change.at + FRESH < self.now) {
            self.drop_first();
        }
    }
}
