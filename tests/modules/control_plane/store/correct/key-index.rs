//! Passes: an index of revisions for each key over a map of revisions, as etcd's backend has it; watches read from the map.

use kit::control_plane::{
    Event, EventKind, KeyValue, Op, OpResponse, RangeRequest, RangeResponse, Store, StoreError, TxnResponse,
    WatchCreated, WatchRequest, WatchResponse,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A revision of the store, and the number of the change in it.
type Revision = (i64, usize);

struct Exercise {
    now: i64,
    compacted: i64,
    index: BTreeMap<String, Vec<Revision>>,
    /// A version of 0 says that the key was deleted.
    records: BTreeMap<Revision, KeyValue>,
    watches: HashMap<i64, Watch>,
    made: i64,
}

struct Watch {
    request: WatchRequest,
    next: Revision,
    forgotten: i64,
    owed: Vec<Event>,
}

impl Default for Exercise {
    fn default() -> Self {
        let (index, records, watches) = Default::default();
        Exercise { now: 1, compacted: 0, index, records, watches, made: 0 }
    }
}

fn in_range(key: &str, end: Option<&str>, candidate: &str) -> bool {
    let after = match end {
        None => candidate > key,
        Some(end) => end != "\0" && candidate >= end,
    };
    candidate >= key && !after
}

impl Exercise {
    fn version(&self, key: &str, at: i64) -> Option<&KeyValue> {
        let revisions = self.index.get(key)?;
        let found = revisions.partition_point(|(main, _)| *main <= at);
        let kv = &self.records[revisions.get(found.checked_sub(1)?)?];
        (kv.version > 0).then_some(kv)
    }

    fn keys(&self, key: &str, end: Option<&str>, at: i64) -> Vec<KeyValue> {
        let keys = self.index.keys().filter(|candidate| in_range(key, end, candidate));
        keys.filter_map(|key| self.version(key, at)).cloned().collect()
    }

    fn record(&mut self, sub: &mut usize, kv: KeyValue) {
        self.index.entry(kv.key.clone()).or_default().push((kv.mod_revision, *sub));
        self.records.insert((kv.mod_revision, *sub), kv);
        *sub += 1;
    }

    /// Moves what a watch has not seen from the records to what it is owed.
    fn catch_up(&mut self) {
        for watch in self.watches.values_mut() {
            for (&(main, sub), kv) in self.records.range(watch.next..) {
                watch.next = (main, sub + 1);
                if !in_range(&watch.request.key, watch.request.range_end.as_deref(), &kv.key) {
                    continue;
                }
                let revisions = &self.index[&kv.key];
                let at = revisions.iter().position(|revision| *revision == (main, sub));
                let before = at.and_then(|at| revisions.get(at.checked_sub(1)?)).map(|revision| &self.records[revision]);
                let wanted = watch.request.prev_kv && main > watch.forgotten;
                let prev_kv = before.filter(|kv| wanted && kv.version > 0).cloned();
                let kind = if kv.version > 0 { EventKind::Put } else { EventKind::Delete };
                watch.owed.push(Event { kind, kv: kv.clone(), prev_kv });
            }
        }
    }
}

impl Store for Exercise {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let at = match request.revision {
            0 => self.now,
            revision if revision > self.now => return Err(StoreError::FutureRevision),
            revision if revision < self.compacted => return Err(StoreError::Compacted),
            revision => revision,
        };
        let all = self.keys(&request.key, request.range_end.as_deref(), at);
        let limit = if request.limit == 0 { all.len() } else { all.len().min(request.limit as usize) };
        let strip = |kv: &KeyValue| KeyValue {
            value: if request.keys_only { String::new() } else { kv.value.clone() },
            ..kv.clone()
        };
        let kvs: Vec<KeyValue> = all[..limit].iter().map(strip).collect();
        Ok(RangeResponse { revision: self.now, kvs, count: all.len() as u64, more: limit < all.len() })
    }

    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        let (next, mut sub, mut responses) = (self.now + 1, 0, Vec::new());
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    let prev_kv = self.version(key, next).cloned();
                    let mut kv = prev_kv.clone().unwrap_or(KeyValue { create_revision: next, ..KeyValue::default() });
                    (kv.key, kv.value) = (key.clone(), value.clone());
                    (kv.mod_revision, kv.version) = (next, kv.version + 1);
                    self.record(&mut sub, kv);
                    responses.push(OpResponse::Put { prev_kv });
                }
                Op::Delete { key, range_end } => {
                    let prev_kvs = self.keys(key, range_end.as_deref(), next);
                    for prev in &prev_kvs {
                        let gone = KeyValue { key: prev.key.clone(), mod_revision: next, ..KeyValue::default() };
                        self.record(&mut sub, gone);
                    }
                    responses.push(OpResponse::Delete { prev_kvs });
                }
            }
        }
        self.now += i64::from(sub > 0);
        TxnResponse { revision: self.now, responses }
    }

    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        if revision > self.now {
            return Err(StoreError::FutureRevision);
        }
        if revision <= self.compacted {
            return Err(StoreError::Compacted);
        }
        self.catch_up();
        self.compacted = revision;
        let mut kept = HashSet::new();
        for revisions in self.index.values_mut() {
            let older = revisions.partition_point(|(main, _)| *main < revision);
            let seen = revisions.partition_point(|(main, _)| *main <= revision);
            // Changes at the compaction stay for watches; before it, only what a read there still shows.
            let first = if older < seen { older } else { older.saturating_sub(1) };
            revisions.drain(..first);
            kept.extend(revisions.iter().copied());
        }
        self.index.retain(|_, revisions| !revisions.is_empty());
        self.records.retain(|revision, _| kept.contains(revision));
        Ok(())
    }

    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        let watch_id = self.made;
        self.made += 1;
        if (1..self.compacted).contains(&request.start_revision) {
            return WatchCreated { watch_id, revision: self.now, compact_revision: Some(self.compacted) };
        }
        let from = if request.start_revision == 0 { self.now + 1 } else { request.start_revision };
        let watch = Watch { request: request.clone(), next: (from, 0), forgotten: self.compacted, owed: Vec::new() };
        self.watches.insert(watch_id, watch);
        WatchCreated { watch_id, revision: self.now, compact_revision: None }
    }

    fn cancel(&mut self, watch_id: i64) -> bool {
        self.watches.remove(&watch_id).is_some()
    }

    fn events(&mut self) -> Vec<WatchResponse> {
        self.catch_up();
        let owed = |(id, watch): (&i64, &mut Watch)| WatchResponse { watch_id: *id, events: std::mem::take(&mut watch.owed) };
        let mut responses: Vec<WatchResponse> = self.watches.iter_mut().map(owed).collect();
        responses.retain(|response| !response.events.is_empty());
        responses.sort_by_key(|response| response.watch_id);
        responses
    }
}

kit::exercise!(Exercise: Store);
