//! A store in the slot of `control_plane/store`, so that an API server and a cluster run on it.

use crate::api::{self, EventKind, PutRequest, covers};
use crate::{Bytes, Error, Kv, Result};
use kit_contract::control_plane as contract;
use kit_contract::control_plane::{OpResponse, StoreError};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the events of a write may take, of a store that tells its watches in its own time.
const PATIENCE: Duration = Duration::from_secs(10);

/// A store as the module of an API server. Others may hold the store too, to let its members fail.
///
/// The contract knows no store that is out of order. If this one is, a write changes nothing and a read finds nothing, and
/// [`Module::failure`] has the reason.
pub struct Module<K> {
    store: Rc<RefCell<K>>,
    watches: BTreeMap<i64, contract::WatchRequest>,
    owed: BTreeMap<i64, Vec<contract::Event>>,
    revision: i64,
    failure: Rc<RefCell<Option<Error>>>,
}

impl<K: Kv> Module<K> {
    /// The store as a module.
    pub fn over(store: Rc<RefCell<K>>) -> Module<K> {
        Module { store, watches: BTreeMap::new(), owed: BTreeMap::new(), revision: 1, failure: Rc::default() }
    }

    /// Where the reason will be if the store can't be asked.
    pub fn failure(&self) -> Rc<RefCell<Option<Error>>> {
        self.failure.clone()
    }

    /// The answer, or what is said in its place if the store can't be asked.
    fn or<T>(&self, answer: Result<T>, instead: T) -> T {
        answer.unwrap_or_else(|e| {
            *self.failure.borrow_mut() = Some(e);
            instead
        })
    }

    /// Takes over what the watches heard.
    fn listen(&mut self) -> Result<()> {
        for response in self.store.borrow_mut().poll()? {
            if response.canceled {
                self.watches.remove(&response.watch_id);
            }
            let owed = self.owed.entry(response.watch_id).or_default();
            owed.extend(response.events.into_iter().map(event));
        }
        Ok(())
    }

    /// Waits until all watches of these keys have heard of a revision.
    fn hear_of(&mut self, keys: &[Bytes], revision: i64) -> Result<()> {
        let begun = Instant::now();
        let wanting = self.watches.iter().filter(|(_, watch)| {
            let (key, end) = (watch.key.as_bytes(), end(watch.range_end.as_deref()));
            watch.start_revision <= revision && keys.iter().any(|candidate| covers(key, &end, candidate))
        });
        let wanting: Vec<i64> = wanting.map(|(&id, _)| id).collect();
        loop {
            self.listen()?;
            let heard = |id: &i64| {
                let last = self.owed.get(id).and_then(|owed| owed.last());
                last.is_some_and(|event| event.kv.mod_revision >= revision) || !self.watches.contains_key(id)
            };
            if wanting.iter().all(heard) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(Error::Timeout);
            }
        }
    }

    fn try_txn(&mut self, ops: &[contract::Op]) -> Result<contract::TxnResponse> {
        let success = ops.iter().map(|op| match op {
            contract::Op::Put { key, value } => api::Op::Put(PutRequest {
                key: key.as_str().into(),
                value: value.as_str().into(),
                prev_kv: true,
                ..PutRequest::default()
            }),
            contract::Op::Delete { key, range_end } => api::Op::DeleteRange(api::DeleteRangeRequest {
                key: key.as_str().into(),
                range_end: end(range_end.as_deref()),
                prev_kv: true,
            }),
        });
        let request = api::TxnRequest { success: success.collect(), ..api::TxnRequest::default() };
        let answer = self.store.borrow_mut().txn(&request)?;
        let mut changed: Vec<Bytes> = Vec::new();
        let responses = ops.iter().zip(answer.responses).filter_map(|(op, response)| match (op, response) {
            (contract::Op::Put { key, .. }, api::OpResponse::Put(put)) => {
                changed.push(key.as_str().into());
                Some(OpResponse::Put { prev_kv: put.prev_kv.map(key_value) })
            }
            (_, api::OpResponse::DeleteRange(deleted)) => {
                changed.extend(deleted.prev_kvs.iter().map(|kv| kv.key.clone()));
                Some(OpResponse::Delete { prev_kvs: deleted.prev_kvs.into_iter().map(key_value).collect() })
            }
            _ => None,
        });
        let responses = responses.collect();
        self.revision = answer.revision;
        self.hear_of(&changed, answer.revision)?;
        Ok(contract::TxnResponse { revision: answer.revision, responses })
    }

    fn try_watch(&mut self, request: &contract::WatchRequest) -> Result<contract::WatchCreated> {
        let contract::WatchRequest { key, range_end, start_revision, prev_kv } = request;
        let range_end = end(range_end.as_deref());
        // etcd refuses to watch nothing, while the contract's watch of nothing hears nothing: it is one of the key before
        // all others, which nobody writes.
        let nothing = !range_end.is_empty() && *range_end != [0] && key.as_bytes() >= &range_end[..];
        let asked = api::WatchRequest {
            key: if nothing { "\0".into() } else { key.as_str().into() },
            range_end: if nothing { Bytes::default() } else { range_end },
            start_revision: *start_revision,
            prev_kv: *prev_kv,
            ..api::WatchRequest::default()
        };
        let created = self.store.borrow_mut().watch(&asked)?;
        let api::WatchCreated { watch_id, revision, .. } = created;
        let start_revision = if *start_revision == 0 { revision + 1 } else { *start_revision };
        self.watches.insert(watch_id, contract::WatchRequest { start_revision, ..request.clone() });
        // What it is owed already is taken now, since a compaction may come.
        let past = api::RangeRequest { key: "\0".into(), revision: start_revision, ..api::RangeRequest::default() };
        let compacted = self.store.borrow_mut().range(&past) == Err(Error::Compacted);
        let begun = Instant::now();
        let mut compact_revision = None;
        while begun.elapsed() < PATIENCE {
            for response in self.store.borrow_mut().poll()? {
                if response.canceled && response.watch_id == watch_id {
                    compact_revision = Some(response.compact_revision);
                    self.watches.remove(&watch_id);
                }
                self.owed.entry(response.watch_id).or_default().extend(response.events.into_iter().map(event));
            }
            if !compacted || compact_revision.is_some() {
                break;
            }
        }
        Ok(contract::WatchCreated { watch_id, revision, compact_revision })
    }
}

impl<K: Kv> contract::Store for Module<K> {
    fn range(&mut self, request: &contract::RangeRequest) -> std::result::Result<contract::RangeResponse, StoreError> {
        let asked = api::RangeRequest {
            key: request.key.as_str().into(),
            range_end: end(request.range_end.as_deref()),
            revision: request.revision,
            limit: i64::try_from(request.limit).unwrap_or(0),
            keys_only: request.keys_only,
            ..api::RangeRequest::default()
        };
        let answer = self.store.borrow_mut().range(&asked);
        refusal(&answer)?;
        let nothing = api::RangeResponse { revision: self.revision, ..api::RangeResponse::default() };
        let answer = self.or(answer, nothing);
        Ok(contract::RangeResponse {
            revision: answer.revision,
            kvs: answer.kvs.into_iter().map(key_value).collect(),
            count: answer.count as u64,
            more: answer.more,
        })
    }

    fn txn(&mut self, ops: &[contract::Op]) -> contract::TxnResponse {
        let answer = self.try_txn(ops);
        let nothing = ops.iter().map(|op| match op {
            contract::Op::Put { .. } => OpResponse::Put { prev_kv: None },
            contract::Op::Delete { .. } => OpResponse::Delete { prev_kvs: Vec::new() },
        });
        self.or(answer, contract::TxnResponse { revision: self.revision, responses: nothing.collect() })
    }

    fn compact(&mut self, revision: i64) -> std::result::Result<(), StoreError> {
        let answer = self.store.borrow_mut().compact(revision);
        refusal(&answer)?;
        self.or(answer, 0);
        Ok(())
    }

    fn watch(&mut self, request: &contract::WatchRequest) -> contract::WatchCreated {
        let answer = self.try_watch(request);
        self.or(answer, contract::WatchCreated { watch_id: -1, ..contract::WatchCreated::default() })
    }

    fn cancel(&mut self, watch_id: i64) -> bool {
        self.owed.remove(&watch_id);
        let running = self.watches.remove(&watch_id).is_some();
        let answer = self.store.borrow_mut().cancel(watch_id);
        self.or(answer, false);
        running
    }

    fn events(&mut self) -> Vec<contract::WatchResponse> {
        let heard = self.listen();
        self.or(heard, ());
        let owed = std::mem::take(&mut self.owed).into_iter().filter(|(_, events)| !events.is_empty());
        owed.map(|(watch_id, events)| contract::WatchResponse { watch_id, events }).collect()
    }
}

fn end(range_end: Option<&str>) -> Bytes {
    range_end.map(Bytes::from).unwrap_or_default()
}

/// The errors that the contract knows.
fn refusal<T>(answer: &Result<T>) -> std::result::Result<(), StoreError> {
    match answer {
        Err(Error::Compacted) => Err(StoreError::Compacted),
        Err(Error::FutureRevision) => Err(StoreError::FutureRevision),
        _ => Ok(()),
    }
}

fn key_value(kv: api::KeyValue) -> contract::KeyValue {
    let api::KeyValue { key, value, create_revision, mod_revision, version, .. } = kv;
    contract::KeyValue { key: key.text(), value: value.text(), create_revision, mod_revision, version }
}

fn event(event: api::Event) -> contract::Event {
    contract::Event {
        kind: match event.kind {
            EventKind::Put => contract::EventKind::Put,
            EventKind::Delete => contract::EventKind::Delete,
        },
        kv: key_value(event.kv),
        prev_kv: event.prev_kv.map(key_value),
    }
}
