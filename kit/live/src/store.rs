//! What keeps the objects of a cluster that outlives its process: a store on disk, or etcd, as the API server asks for it.
//!
//! The contract of `control_plane/store` knows no store that fails and no other writers; [`Kv`] does.

use kit_contract::control_plane as contract;
use kit_server::{Backend, Written};
use kit_store::api::*;
use kit_store::{Bytes, Error, Kv};
use std::time::{Duration, Instant};

/// How long the events of one's own write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long somebody else's events may take before the store is asked whether there are any.
const QUIET: Duration = Duration::from_millis(100);
/// How long one look at the watch takes, if nothing comes.
const LOOK: Duration = Duration::from_millis(1);

/// A store as the API server's.
pub struct Kept<K> {
    store: K,
    shared: bool,
    watch: Option<i64>,
    /// The revision that the watch has told of everything up to.
    heard: i64,
    /// A revision up to which nothing under `/registry/` is missing, though the watch had nothing to tell.
    quiet: i64,
    arrived: Vec<contract::Event>,
    behind: bool,
}

impl<K: Kv> Kept<K> {
    /// A store that nobody else writes to.
    pub fn alone(store: K) -> Kept<K> {
        Kept { store, shared: false, watch: None, heard: 0, quiet: 0, arrived: Vec::new(), behind: false }
    }

    /// A store that other API servers write to, too.
    pub fn shared(store: K) -> Kept<K> {
        Kept { shared: true, ..Kept::alone(store) }
    }

    /// Takes in what the watch has heard, and waits so long for it. A watch that was lost begins again where it was.
    fn listen(&mut self, time: Duration) -> Result<(), Error> {
        if self.watch.is_none() {
            self.begin(self.heard + 1)?;
        }
        let responses = self.store.poll_within(time).inspect_err(|_| self.watch = None)?;
        let watch = self.watch;
        for response in responses.into_iter().filter(|response| Some(response.watch_id) == watch) {
            if response.canceled {
                self.watch = None;
                self.behind |= response.compact_revision > 0;
            }
            for event in response.events {
                self.heard = self.heard.max(event.kv.mod_revision);
                self.arrived.push(self::event(event));
            }
        }
        Ok(())
    }

    fn begin(&mut self, from: i64) -> Result<(), Error> {
        let request = WatchRequest {
            key: "/registry/".into(),
            range_end: "/registry0".into(),
            start_revision: from,
            ..WatchRequest::default()
        };
        if let Some(before) = self.watch.take() {
            self.store.cancel(before)?;
        }
        self.watch = Some(self.store.watch(&request)?.watch_id);
        Ok(())
    }

    /// Waits until the watch has told of everything up to a revision; `false` if it doesn't in time.
    fn hear_of(&mut self, revision: i64, within: Duration) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            self.listen(LOOK)?;
            if self.heard >= revision || self.behind {
                return Ok(true);
            }
            if begun.elapsed() > within {
                return Ok(false);
            }
        }
    }

    fn everything(limit: i64) -> RangeRequest {
        RangeRequest { key: "/registry/".into(), range_end: "/registry0".into(), limit, ..RangeRequest::default() }
    }

    fn try_write(&mut self, op: &contract::Op, known: Option<i64>) -> Result<Written, Error> {
        let (key, op) = match op {
            contract::Op::Put { key, value } => {
                let put =
                    PutRequest { key: key.as_str().into(), value: value.as_str().into(), ..PutRequest::default() };
                (key, Op::Put(put))
            }
            contract::Op::Delete { key, range_end } => {
                let range_end = range_end.as_deref().map(Bytes::from).unwrap_or_default();
                let delete =
                    DeleteRangeRequest { key: key.as_str().into(), range_end, ..DeleteRangeRequest::default() };
                (key, Op::DeleteRange(delete))
            }
        };
        let key = Bytes::from(key.as_str());
        let compare = known.map(|known| Compare {
            key: key.clone(),
            range_end: Bytes::default(),
            result: CompareResult::Equal,
            target: Target::ModRevision(known),
        });
        let request = TxnRequest { compare: compare.into_iter().collect(), success: vec![op], ..TxnRequest::default() };
        let answer = self.store.txn(&request)?;
        if !answer.succeeded {
            self.try_catch_up()?;
            return Ok(Written::Late);
        }
        let nothing = matches!(answer.responses.first(), Some(OpResponse::DeleteRange(gone)) if gone.deleted == 0);
        if !nothing && !self.hear_of(answer.revision, PATIENCE)? {
            return Err(Error::Timeout);
        }
        Ok(Written::Done)
    }

    /// Waits until everything was heard that is in the store now.
    fn try_catch_up(&mut self) -> Result<(), Error> {
        // The least that a read can ask for says at which revision the store is.
        let now = self.store.range(&RangeRequest { count_only: true, ..Self::everything(0) })?.revision;
        if self.quiet >= now || self.hear_of(now, QUIET)? {
            return Ok(());
        }
        // The revision moves by writes elsewhere in the store, too.
        let since = RangeRequest { min_mod_revision: self.heard + 1, keys_only: true, ..Self::everything(0) };
        let last = self.store.range(&since)?.kvs.iter().map(|kv| kv.mod_revision).max();
        if let Some(last) = last.filter(|last| *last > self.heard)
            && !self.hear_of(last, PATIENCE)?
        {
            return Err(Error::Timeout);
        }
        self.quiet = now;
        Ok(())
    }
}

impl<K: Kv> Backend for Kept<K> {
    fn range(&mut self, request: &contract::RangeRequest) -> Result<contract::RangeResponse, String> {
        let contract::RangeRequest { key, range_end, revision, limit, keys_only } = request;
        let asked = RangeRequest {
            key: key.as_str().into(),
            range_end: range_end.as_deref().map(Bytes::from).unwrap_or_default(),
            revision: *revision,
            limit: i64::try_from(*limit).unwrap_or(0),
            keys_only: *keys_only,
            ..RangeRequest::default()
        };
        let answer = self.store.range(&asked).map_err(said)?;
        Ok(contract::RangeResponse {
            revision: answer.revision,
            kvs: answer.kvs.into_iter().map(key_value).collect(),
            count: answer.count.unsigned_abs(),
            more: answer.more,
        })
    }

    fn write(&mut self, op: &contract::Op, known: Option<i64>) -> Result<Written, String> {
        self.try_write(op, known).map_err(said)
    }

    fn compact(&mut self, revision: i64) -> bool {
        // Another server may have done it; a store that can't be asked now will be asked again in five minutes.
        !matches!(self.store.compact(revision), Err(Error::FutureRevision))
    }

    fn watch(&mut self, from: i64) -> Result<(), String> {
        self.heard = self.heard.max(from - 1);
        self.behind = false;
        self.arrived.clear();
        self.begin(from).map_err(said)
    }

    fn events(&mut self) -> Result<Vec<contract::Event>, String> {
        self.listen(LOOK).map_err(said)?;
        Ok(std::mem::take(&mut self.arrived))
    }

    fn shared(&self) -> bool {
        self.shared
    }

    fn behind(&self) -> bool {
        self.behind
    }

    fn catch_up(&mut self) -> Result<(), String> {
        match self.shared {
            true => self.try_catch_up().map_err(said),
            false => Ok(()),
        }
    }

    fn hold(&mut self) {
        self.store.hold();
    }

    fn is_unsaved(&self) -> bool {
        self.store.is_unsaved()
    }

    fn save(&mut self) -> Result<(), String> {
        self.store.save().map_err(said)
    }
}

fn said(error: Error) -> String {
    error.to_string()
}

fn key_value(kv: KeyValue) -> contract::KeyValue {
    let KeyValue { key, value, create_revision, mod_revision, version, .. } = kv;
    contract::KeyValue { key: key.text(), value: value.text(), create_revision, mod_revision, version }
}

fn event(event: Event) -> contract::Event {
    let kind = match event.kind {
        EventKind::Put => contract::EventKind::Put,
        EventKind::Delete => contract::EventKind::Delete,
    };
    contract::Event { kind, kv: key_value(event.kv), prev_kv: None }
}
