//! Passes: a whole picture of the store for each revision; what was there before an event is looked up in the picture before it.

use kit::control_plane::{
    Event, EventKind, KeyValue, Op, OpResponse, RangeRequest, RangeResponse, Store, StoreError, TxnResponse,
    WatchCreated, WatchRequest, WatchResponse,
};
use std::collections::BTreeMap;
use std::sync::Arc;

type Picture = BTreeMap<String, Arc<KeyValue>>;

struct Exercise {
    /// From the last compaction on; the last one is now.
    pictures: BTreeMap<i64, Arc<Picture>>,
    /// What was written at each of these revisions, without what was there before.
    changes: BTreeMap<i64, Vec<(EventKind, KeyValue)>>,
    compacted: i64,
    /// By id; none where a watch has ended.
    watches: Vec<Option<(WatchRequest, Vec<Event>)>>,
}

impl Default for Exercise {
    fn default() -> Self {
        let pictures = BTreeMap::from([(1, Arc::default())]);
        Exercise { pictures, changes: BTreeMap::new(), compacted: 0, watches: Vec::new() }
    }
}

/// The keys that a range means: from the first, before the second if there is one.
fn bounds(key: &str, range_end: Option<&str>) -> (String, Option<String>) {
    match range_end {
        None => (key.to_string(), Some(format!("{key}\0"))),
        Some("\0") => (key.to_string(), None),
        Some(end) => (key.to_string(), Some(end.to_string())),
    }
}

fn is_within((from, before): &(String, Option<String>), key: &str) -> bool {
    from.as_str() <= key && before.as_deref().is_none_or(|before| key < before)
}

fn select<'a>(picture: &'a Picture, key: &str, range_end: Option<&str>) -> Vec<&'a KeyValue> {
    let bounds = bounds(key, range_end);
    let from = picture.range(bounds.0.clone()..);
    from.take_while(|(key, _)| is_within(&bounds, key)).map(|(_, kv)| &**kv).collect()
}

impl Exercise {
    fn now(&self) -> i64 {
        self.pictures.keys().next_back().copied().unwrap_or(1)
    }

    /// The events of a watch at one revision.
    fn events_at(&self, revision: i64, request: &WatchRequest) -> Vec<Event> {
        let bounds = bounds(&request.key, request.range_end.as_deref());
        // It isn't there any more if the event was the first after a compaction.
        let before = self.pictures.get(&(revision - 1)).filter(|_| request.prev_kv);
        let changes = self.changes.get(&revision).into_iter().flatten();
        let event = |(kind, kv): &(EventKind, KeyValue)| {
            let prev_kv = before.and_then(|picture| picture.get(&kv.key)).map(|kv| KeyValue::clone(kv));
            Event { kind: *kind, kv: kv.clone(), prev_kv }
        };
        changes.filter(|(_, kv)| is_within(&bounds, &kv.key)).map(event).collect()
    }
}

impl Store for Exercise {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let now = self.now();
        let at = match request.revision {
            0 => now,
            at if at > now => return Err(StoreError::FutureRevision),
            at if at < self.compacted => return Err(StoreError::Compacted),
            at => at,
        };
        let empty = Arc::default();
        let found = select(self.pictures.get(&at).unwrap_or(&empty), &request.key, request.range_end.as_deref());
        let limit = match request.limit {
            0 => found.len(),
            limit => found.len().min(limit as usize),
        };
        let value = |kv: &KeyValue| if request.keys_only { String::new() } else { kv.value.clone() };
        let kvs = found[..limit].iter().map(|kv| KeyValue { value: value(kv), ..(*kv).clone() }).collect();
        Ok(RangeResponse { revision: now, kvs, count: found.len() as u64, more: limit < found.len() })
    }

    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        let now = self.now();
        let next = now + 1;
        let before = self.pictures[&now].clone();
        let mut picture = Picture::clone(&before);
        let mut changes = Vec::new();
        let mut responses = Vec::new();
        for op in ops {
            match op {
                Op::Put { key, value } => {
                    let (key, value) = (key.clone(), value.clone());
                    let old = picture.get(&key);
                    let kv = KeyValue {
                        create_revision: old.map_or(next, |old| old.create_revision),
                        version: old.map_or(0, |old| old.version) + 1,
                        mod_revision: next,
                        key: key.clone(),
                        value,
                    };
                    changes.push((EventKind::Put, kv.clone()));
                    let old = picture.insert(key, Arc::new(kv));
                    responses.push(OpResponse::Put { prev_kv: old.map(|old| KeyValue::clone(&old)) });
                }
                Op::Delete { key, range_end } => {
                    let prev_kvs: Vec<KeyValue> =
                        select(&picture, key, range_end.as_deref()).into_iter().cloned().collect();
                    for KeyValue { key, .. } in &prev_kvs {
                        picture.remove(key);
                        let gone = KeyValue { key: key.clone(), mod_revision: next, ..KeyValue::default() };
                        changes.push((EventKind::Delete, gone));
                    }
                    responses.push(OpResponse::Delete { prev_kvs });
                }
            }
        }
        if changes.is_empty() {
            return TxnResponse { revision: now, responses };
        }
        self.pictures.insert(next, Arc::new(picture));
        self.changes.insert(next, changes);
        for id in 0..self.watches.len() {
            let Some((request, _)) = &self.watches[id] else { continue };
            if request.start_revision > next {
                continue;
            }
            let events = self.events_at(next, request);
            self.watches[id].as_mut().expect("it was there").1.extend(events);
        }
        TxnResponse { revision: next, responses }
    }

    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        if revision <= self.compacted {
            return Err(StoreError::Compacted);
        }
        if revision > self.now() {
            return Err(StoreError::FutureRevision);
        }
        self.compacted = revision;
        self.pictures = self.pictures.split_off(&revision);
        self.changes = self.changes.split_off(&revision);
        Ok(())
    }

    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        let created = WatchCreated {
            watch_id: self.watches.len() as i64,
            revision: self.now(),
            compact_revision: Some(self.compacted).filter(|compacted| (1..*compacted).contains(&request.start_revision)),
        };
        let watch = created.compact_revision.is_none().then(|| {
            let past = if request.start_revision == 0 { 0..0 } else { request.start_revision..created.revision + 1 };
            let missed = past.flat_map(|revision| self.events_at(revision, request)).collect();
            (request.clone(), missed)
        });
        self.watches.push(watch);
        created
    }

    fn cancel(&mut self, watch_id: i64) -> bool {
        let place = usize::try_from(watch_id).ok().and_then(|place| self.watches.get_mut(place));
        place.and_then(Option::take).is_some()
    }

    fn events(&mut self) -> Vec<WatchResponse> {
        let mut responses = Vec::new();
        for (watch_id, watch) in (0..).zip(&mut self.watches) {
            if let Some((_, owed)) = watch
                && !owed.is_empty()
            {
                responses.push(WatchResponse { watch_id, events: owed.drain(..).collect() });
            }
        }
        responses
    }
}

kit::exercise!(Exercise: Store);
