//! Fails: first-write — an empty store is at revision 0

use kit::control_plane::{
    Event, EventKind, KeyValue, Op, OpResponse, RangeRequest, RangeResponse, Store, StoreError, TxnResponse,
    WatchCreated, WatchRequest, WatchResponse,
};
use std::collections::BTreeMap;

#[derive(Default)]
struct Exercise {
    writes: i64,
    compacted: i64,
    log: Vec<Event>,
    watches: Vec<Option<Watch>>,
}

struct Watch {
    request: WatchRequest,
    read: usize,
    forgotten: i64,
}

fn covers(key: &str, end: &Option<String>, candidate: &str) -> bool {
    match end.as_deref() {
        None => candidate == key,
        Some("\0") => candidate >= key,
        Some(end) => (key..end).contains(&candidate),
    }
}

impl Exercise {
    fn revision(&self) -> i64 {
        self.writes
    }

    fn at(&self, revision: i64) -> BTreeMap<String, KeyValue> {
        let mut keys = BTreeMap::new();
        for event in self.log.iter().filter(|event| event.kv.mod_revision <= revision) {
            match event.kind {
                EventKind::Put => _ = keys.insert(event.kv.key.clone(), event.kv.clone()),
                EventKind::Delete => _ = keys.remove(&event.kv.key),
            }
        }
        keys
    }
}

impl Store for Exercise {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let at = if request.revision == 0 { self.revision() } else { request.revision };
        if at > self.revision() {
            return Err(StoreError::FutureRevision);
        }
        if at < self.compacted {
            return Err(StoreError::Compacted);
        }
        let mut kvs: Vec<KeyValue> = self.at(at).into_values().collect();
        kvs.retain(|kv| covers(&request.key, &request.range_end, &kv.key));
        let count = kvs.len();
        if request.limit > 0 {
            kvs.truncate(request.limit as usize);
        }
        if request.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value = String::new());
        }
        Ok(RangeResponse { revision: self.revision(), more: kvs.len() < count, count: count as u64, kvs })
    }

    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        let revision = self.revision() + 1;
        let before = self.log.len();
        let mut responses = Vec::new();
        for op in ops {
            let mut keys = self.at(revision);
            match op {
                Op::Put { key, value } => {
                    let prev_kv = keys.remove(key);
                    let (create_revision, version) =
                        prev_kv.as_ref().map_or((revision, 1), |kv| (kv.create_revision, kv.version + 1));
                    let (key, value) = (key.clone(), value.clone());
                    let kv = KeyValue { key, value, create_revision, mod_revision: revision, version };
                    self.log.push(Event { kind: EventKind::Put, kv, prev_kv: prev_kv.clone() });
                    responses.push(OpResponse::Put { prev_kv });
                }
                Op::Delete { key, range_end } => {
                    let mut prev_kvs: Vec<KeyValue> = keys.into_values().collect();
                    prev_kvs.retain(|kv| covers(key, range_end, &kv.key));
                    for prev in &prev_kvs {
                        let kv = KeyValue { key: prev.key.clone(), mod_revision: revision, ..KeyValue::default() };
                        self.log.push(Event { kind: EventKind::Delete, kv, prev_kv: Some(prev.clone()) });
                    }
                    responses.push(OpResponse::Delete { prev_kvs });
                }
            }
        }
        if self.log.len() > before {
            self.writes += 1;
        }
        TxnResponse { revision: self.revision(), responses }
    }

    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        if revision <= self.compacted {
            return Err(StoreError::Compacted);
        }
        if revision > self.revision() {
            return Err(StoreError::FutureRevision);
        }
        self.compacted = revision;
        Ok(())
    }

    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        let (watch_id, revision, start) = (self.watches.len() as i64, self.revision(), request.start_revision);
        if start > 0 && start < self.compacted {
            self.watches.push(None);
            return WatchCreated { watch_id, revision, compact_revision: Some(self.compacted) };
        }
        let read = if start == 0 { self.log.len() } else { 0 };
        self.watches.push(Some(Watch { request: request.clone(), read, forgotten: self.compacted }));
        WatchCreated { watch_id, revision, compact_revision: None }
    }

    fn cancel(&mut self, watch_id: i64) -> bool {
        self.watches.get_mut(watch_id as usize).and_then(Option::take).is_some()
    }

    fn events(&mut self) -> Vec<WatchResponse> {
        let mut responses = Vec::new();
        for (id, watch) in self.watches.iter_mut().enumerate() {
            let Some(watch) = watch else { continue };
            let Watch { request, read, forgotten } = watch;
            let mut events: Vec<Event> = self.log[*read..].to_vec();
            *read = self.log.len();
            events.retain(|event| covers(&request.key, &request.range_end, &event.kv.key));
            events.retain(|event| event.kv.mod_revision >= request.start_revision);
            for event in &mut events {
                if !request.prev_kv || event.kv.mod_revision <= *forgotten {
                    event.prev_kv = None;
                }
            }
            if !events.is_empty() {
                responses.push(WatchResponse { watch_id: id as i64, events });
            }
        }
        responses
    }
}

kit::exercise!(Exercise: Store);
