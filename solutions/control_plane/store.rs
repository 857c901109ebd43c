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

/// Two views of one history: by key for reads, by time for watches.
pub struct Exercise {
    /// The last revision that was given out.
    revision: i64,
    /// The greatest revision that was compacted at; 0 before the first compaction.
    compacted: i64,
    /// Each key's versions, oldest first. A version whose `version` is 0 is a tombstone.
    keys: BTreeMap<String, Vec<KeyValue>>,
    /// All events since the compaction, oldest first, each with what it replaced.
    history: VecDeque<Event>,
    watches: BTreeMap<i64, Watch>,
    next_watch: i64,
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
        let mut kvs = self.read(&request.key, request.range_end.as_deref(), at);
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
                    let prev_kv = self.read(key, None, revision).pop();
                    let (created, version) = prev_kv.as_ref().map_or((revision, 0), |p| (p.create_revision, p.version));
                    let kv = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: created,
                        mod_revision: revision,
                        version: version + 1,
                    };
                    self.write(EventKind::Put, kv, prev_kv.clone());
                    OpResponse::Put { prev_kv }
                }
                Op::Delete { key, range_end } => {
                    let prev_kvs = self.read(key, range_end.as_deref(), revision);
                    for prev in &prev_kvs {
                        let tombstone =
                            KeyValue { key: prev.key.clone(), mod_revision: revision, ..KeyValue::default() };
                        self.write(EventKind::Delete, tombstone, Some(prev.clone()));
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
        while self.history.front().is_some_and(|event| event.kv.mod_revision < revision) {
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
            for event in &self.history {
                let mut event = event.clone();
                if event.kv.mod_revision <= self.compacted {
                    event.prev_kv = None;
                }
                watch.notify(&event);
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
    fn read(&self, key: &str, range_end: Option<&str>, at: i64) -> Vec<KeyValue> {
        self.keys
            .range(key.to_string()..)
            .take_while(|(candidate, _)| covers(key, range_end, candidate))
            .filter_map(|(_, versions)| versions.iter().rfind(|kv| kv.mod_revision <= at))
            .filter(|kv| kv.version > 0)
            .cloned()
            .collect()
    }

    /// Adds a version to a key's list, an event to history and to what watches are owed.
    fn write(&mut self, kind: EventKind, kv: KeyValue, prev_kv: Option<KeyValue>) {
        self.revision = kv.mod_revision;
        self.keys.entry(kv.key.clone()).or_default().push(kv.clone());
        let event = Event { kind, kv, prev_kv };
        for watch in self.watches.values_mut() {
            watch.notify(&event);
        }
        self.history.push_back(event);
    }
}

impl Watch {
    fn notify(&mut self, event: &Event) {
        let WatchRequest { key, range_end, start_revision, prev_kv } = &self.request;
        if event.kv.mod_revision >= *start_revision && covers(key, range_end.as_deref(), &event.kv.key) {
            let prev_kv = event.prev_kv.as_ref().filter(|_| *prev_kv).cloned();
            self.owed.push(Event { kind: event.kind, kv: event.kv.clone(), prev_kv });
        }
    }
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
