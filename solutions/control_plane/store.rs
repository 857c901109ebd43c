//! The reference for `control_plane/store`.
//!
//! The names follow etcd 3.5: `server/mvcc/kvstore_txn.go` for reads and writes, `kvstore.go` for
//! compaction, `key_index.go` for what a compaction keeps, `watchable_store.go` for watches.

// ANCHOR: solution
use kit::control_plane::{
    Event, EventKind, KeyValue, Op, OpResponse, RangeRequest, RangeResponse, Store, StoreError, TxnResponse,
    WatchCreated, WatchRequest, WatchResponse,
};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Two views of one history: by key for reads, by time for watches. Both share the versions.
pub struct Exercise {
    /// The last revision that was given out.
    revision: i64,
    /// The greatest revision that was compacted at; 0 before the first compaction.
    compacted: i64,
    /// Each key's versions, oldest first. A version whose `version` is 0 is a tombstone.
    keys: BTreeMap<String, Vec<Rc<KeyValue>>>,
    /// All writes since the compaction, oldest first, each with what it replaced.
    history: VecDeque<Write>,
    watches: BTreeMap<i64, Watch>,
    next_watch: i64,
}

struct Write {
    kv: Rc<KeyValue>,
    previous: Option<Rc<KeyValue>>,
}

struct Watch {
    request: WatchRequest,
    owed: Vec<Event>,
}

impl Default for Exercise {
    fn default() -> Self {
        Exercise {
            revision: 1,
            compacted: 0,
            keys: BTreeMap::new(),
            history: VecDeque::new(),
            watches: BTreeMap::new(),
            next_watch: 0,
        }
    }
}

impl Store for Exercise {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let at = if request.revision == 0 { self.revision } else { request.revision };
        if at > self.revision {
            return Err(StoreError::FutureRevision);
        }
        if at < self.compacted {
            return Err(StoreError::Compacted);
        }
        let mut kvs: Vec<KeyValue> = self.read(&request.key, request.range_end.as_deref(), at).map(copy).collect();
        let count = kvs.len();
        if request.limit > 0 {
            kvs.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        }
        if request.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        Ok(RangeResponse { revision: self.revision, more: kvs.len() < count, count: count as u64, kvs })
    }

    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        // All operations write at the same revision; it counts only if one of them did write.
        let revision = self.revision + 1;
        let mut responses = Vec::new();
        for op in ops {
            responses.push(match op {
                Op::Put { key, value } => {
                    let previous = self.read(key, None, revision).next().cloned();
                    let prev_kv = previous.as_ref().map(copy);
                    let (created, version) = prev_kv.as_ref().map_or((revision, 0), |p| (p.create_revision, p.version));
                    let kv = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: created,
                        mod_revision: revision,
                        version: version + 1,
                    };
                    self.write(kv, previous);
                    OpResponse::Put { prev_kv }
                }
                Op::Delete { key, range_end } => {
                    let gone: Vec<_> = self.read(key, range_end.as_deref(), revision).cloned().collect();
                    let prev_kvs = gone.iter().map(copy).collect();
                    for previous in gone {
                        let tombstone =
                            KeyValue { key: previous.key.clone(), mod_revision: revision, ..KeyValue::default() };
                        self.write(tombstone, Some(previous));
                    }
                    OpResponse::Delete { prev_kvs }
                }
            });
        }
        TxnResponse { revision: self.revision, responses }
    }

    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        if revision <= self.compacted {
            return Err(StoreError::Compacted);
        }
        if revision > self.revision {
            return Err(StoreError::FutureRevision);
        }
        self.compacted = revision;
        self.keys.retain(|_, versions| {
            // The last version at or before `revision` is still visible there, unless it says "deleted".
            let seen = versions.partition_point(|kv| kv.mod_revision <= revision);
            versions.drain(..seen.saturating_sub(1));
            if versions.first().is_some_and(|kv| kv.version == 0) {
                versions.remove(0);
            }
            !versions.is_empty()
        });
        while self.history.front().is_some_and(|write| write.kv.mod_revision < revision) {
            self.history.pop_front();
        }
        Ok(())
    }

    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        let watch_id = self.next_watch;
        self.next_watch += 1;
        let start = request.start_revision;
        if start > 0 && start < self.compacted {
            return WatchCreated { watch_id, revision: self.revision, compact_revision: Some(self.compacted) };
        }
        let mut watch = Watch { request: request.clone(), owed: Vec::new() };
        if start > 0 {
            for write in &self.history {
                watch.notify(write, write.kv.mod_revision > self.compacted);
            }
        }
        self.watches.insert(watch_id, watch);
        WatchCreated { watch_id, revision: self.revision, compact_revision: None }
    }

    fn cancel(&mut self, watch_id: i64) -> bool {
        self.watches.remove(&watch_id).is_some()
    }

    fn events(&mut self) -> Vec<WatchResponse> {
        self.watches
            .iter_mut()
            .filter(|(_, watch)| !watch.owed.is_empty())
            .map(|(&watch_id, watch)| WatchResponse { watch_id, events: std::mem::take(&mut watch.owed) })
            .collect()
    }
}

impl Exercise {
    /// The keys of a range that exist at revision `at`, in key order.
    fn read<'a>(&'a self, key: &'a str, range_end: Option<&'a str>, at: i64) -> impl Iterator<Item = &'a Rc<KeyValue>> {
        self.keys
            .range(key.to_string()..)
            .take_while(move |(candidate, _)| covers(key, range_end, candidate))
            .filter_map(move |(_, versions)| versions.iter().rfind(|kv| kv.mod_revision <= at))
            .filter(|kv| kv.version > 0)
    }

    /// Adds a version to a key's list, a write to history and an event to what watches are owed.
    fn write(&mut self, kv: KeyValue, previous: Option<Rc<KeyValue>>) {
        self.revision = kv.mod_revision;
        let kv = Rc::new(kv);
        match self.keys.get_mut(&kv.key) {
            Some(versions) => versions.push(kv.clone()),
            None => _ = self.keys.insert(kv.key.clone(), vec![kv.clone()]),
        }
        let write = Write { kv, previous };
        for watch in self.watches.values_mut() {
            watch.notify(&write, true);
        }
        self.history.push_back(write);
    }
}

impl Watch {
    /// Owes the event of a write, if it is asked for. `known`: whether what was before may still be told.
    fn notify(&mut self, Write { kv, previous }: &Write, known: bool) {
        let WatchRequest { key, range_end, start_revision, prev_kv } = &self.request;
        if kv.mod_revision >= *start_revision && covers(key, range_end.as_deref(), &kv.key) {
            let kind = if kv.version == 0 { EventKind::Delete } else { EventKind::Put };
            let prev_kv = previous.as_ref().filter(|_| *prev_kv && known).map(copy);
            self.owed.push(Event { kind, kv: copy(kv), prev_kv });
        }
    }
}

fn copy(kv: &Rc<KeyValue>) -> KeyValue {
    KeyValue::clone(kv)
}

/// Whether a range, written as etcd writes it, holds a key.
fn covers(key: &str, range_end: Option<&str>, candidate: &str) -> bool {
    match range_end {
        None => candidate == key,
        Some("\0") => candidate >= key,
        Some(end) => candidate >= key && candidate < end,
    }
}
// ANCHOR_END: solution
