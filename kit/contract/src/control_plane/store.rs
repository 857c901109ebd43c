//! The revisioned key-value store under the API server.
//!
//! It is the part of etcd v3 on which Kubernetes stands: one counter for the whole store, every version of
//! every key readable until it is compacted, and watches that miss nothing. Sources:
//! `server/mvcc/{kvstore,kvstore_txn,watchable_store}.go` and `api/etcdserverpb/rpc.proto` in etcd 3.5.
//!
//! Five rules hold for all calls:
//!
//! - **Order.** Keys are never empty. They are ordered by their bytes, as Rust orders strings.
//! - **Ranges.** `key` and `range_end` together name a set of keys. Without a `range_end` it is the one key;
//!   with `range_end` `"\0"` it is every key from `key` on; otherwise it is every key from `key` on and before
//!   `range_end`, which is none at all if `range_end` isn't after `key`. A `range_end` is never empty.
//! - **Revisions.** An empty store is at revision 1. Each transaction that changes something moves the store
//!   to the next revision, so the first write is revision 2. Nothing else moves it. No call gives a negative
//!   revision.
//! - **Compaction.** The store remembers the greatest revision it was compacted at. Below it nothing can be
//!   read; at it and above everything can. Before the first compaction nothing is forgotten.
//! - **Watches.** What a watch has not fetched yet waits for it: a later compaction takes nothing away.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};
use std::fmt;

contract! {
    /// A key-value store that remembers every version of every key.
    pub trait Store {
        /// The keys of a range as they were at one revision, in key order.
        ///
        /// `revision` 0 means now. Each key comes with the last version that was written at or before that
        /// revision; a key that was deleted by then, or not yet created, is absent. `limit` 0 means no limit.
        ///
        /// The answer's `revision` is the store's revision now, even for a read of the past.
        ///
        /// # Errors
        ///
        /// [`StoreError::FutureRevision`] above the store's revision, [`StoreError::Compacted`] below the
        /// revision of the last compaction. A read at exactly that revision works.
        fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError>;

        /// Applies all operations in order, as one change with one revision.
        ///
        /// A put always changes something, even where the value stays the same. A delete changes something
        /// if it finds a key. If no operation changes anything, the revision stays as it is and no watch
        /// hears of the transaction.
        ///
        /// No key is put twice in one transaction, and no delete covers a key that the same transaction puts
        /// (etcd's server refuses such requests). Deletes may overlap: the later one doesn't find what the
        /// earlier one deleted.
        ///
        /// The answer has one response for each operation, in the same order, and the revision of the store
        /// after the transaction.
        fn txn(&mut self, ops: &[Op]) -> TxnResponse;

        /// Forgets all that only a read below `revision` could show.
        ///
        /// The current version of every key stays, however old it is. The store's revision does not change.
        ///
        /// # Errors
        ///
        /// [`StoreError::Compacted`] at or below the revision of the last compaction,
        /// [`StoreError::FutureRevision`] above the store's revision. Compacting at the store's own revision
        /// works. `revision` is 1 or more.
        fn compact(&mut self, revision: i64) -> Result<(), StoreError>;

        /// Starts a watch on a range, from a revision on.
        ///
        /// `start_revision` 0 means from now: the first change that it sees is the next one. A
        /// `start_revision` in the past replays: all events of the range from that revision on are owed at
        /// once. One in the future keeps the watch silent until the store gets there.
        ///
        /// A `start_revision` above 0 and below the revision of the last compaction can't be served: the
        /// watch is cancelled at once and the answer's `compact_revision` says where history begins. A start
        /// at exactly that revision works, and replays its events.
        ///
        /// Watch ids count up from 0 and are never used again. A watch that is cancelled at once uses one up too.
        fn watch(&mut self, request: &WatchRequest) -> WatchCreated;

        /// Ends a watch and drops what it was still owed; `false` if no such watch is running.
        fn cancel(&mut self, watch_id: i64) -> bool;

        /// What watches are owed since this was last asked.
        ///
        /// One response for each watch that is owed anything, in the order of their ids. A response holds its
        /// events in the order in which they happened: by revision, within one revision by the order of the
        /// operations, within one delete by key.
        ///
        /// Where the watch asked for `prev_kv`, an event carries the version that it replaced or deleted. It
        /// carries none for a key that didn't exist before, nor where a watch replays an event whose
        /// predecessor was already compacted when the watch was made: the revision before the event is then
        /// below the revision of the last compaction.
        fn events(&mut self) -> Vec<WatchResponse>;
    }
}

/// One version of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value; empty in the event of a delete and where only keys were asked for.
    #[serde(default)]
    pub value: String,
    /// The revision that created the key; a key that is deleted and put again is a new one. 0 in the event of a delete.
    #[serde(default)]
    pub create_revision: i64,
    /// The revision that wrote this version; in the event of a delete, the revision of the delete.
    pub mod_revision: i64,
    /// How many times the key was put since it was created, this one included. 0 in the event of a delete.
    #[serde(default)]
    pub version: i64,
}

/// What to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeRequest {
    /// The one key, or the first key of the range.
    pub key: String,
    /// The first key after the range; see the [rules](self).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// The revision to read at; 0 for now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revision: i64,
    /// The greatest number of keys to answer; 0 for all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limit: u64,
    /// Leaves the values out: they are empty in the answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub keys_only: bool,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeResponse {
    /// The revision of the store now.
    pub revision: i64,
    /// The keys, in key order, at most `limit` of them.
    pub kvs: Vec<KeyValue>,
    /// The number of keys in the range at the revision that was read, whatever the limit.
    pub count: u64,
    /// Whether the limit left keys out.
    pub more: bool,
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Deletes all keys of a range.
    Delete {
        /// The one key, or the first key of the range.
        key: String,
        /// The first key after the range; see the [rules](self).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        range_end: Option<String>,
    },
}

/// What a transaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxnResponse {
    /// The revision of the store after the transaction.
    pub revision: i64,
    /// One for each operation, in the same order.
    pub responses: Vec<OpResponse>,
}

/// What one operation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpResponse {
    /// A put.
    Put {
        /// The version that it replaced; none if the key is new.
        prev_kv: Option<KeyValue>,
    },
    /// A delete.
    Delete {
        /// What it deleted, in key order.
        prev_kvs: Vec<KeyValue>,
    },
}

/// What to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchRequest {
    /// The one key, or the first key of the range.
    pub key: String,
    /// The first key after the range; see the [rules](self).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// The first revision whose events are wanted; 0 for the next one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub start_revision: i64,
    /// Whether events carry the version before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prev_kv: bool,
}

/// The answer to a [`WatchRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchCreated {
    /// The name of the watch from now on.
    pub watch_id: i64,
    /// The revision of the store now.
    pub revision: i64,
    /// Set if the watch was cancelled at once because its start is compacted: the revision of the last compaction.
    ///
    /// etcd says so in a second message on the same stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_revision: Option<i64>,
}

/// The events that one watch is owed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchResponse {
    /// The watch.
    pub watch_id: i64,
    /// Its events, oldest first; never empty.
    pub events: Vec<Event>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The new version; of a delete, only the key and the revision of the delete, everything else empty or 0.
    pub kv: KeyValue,
    /// The version before, if the watch asked for it and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_kv: Option<KeyValue>,
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was written.
    Put,
    /// It was deleted.
    Delete,
}

/// Why a revision can't be had. The texts are etcd's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreError {
    /// It is forgotten.
    Compacted,
    /// It is still to come.
    FutureRevision,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreError::Compacted => "etcdserver: mvcc: required revision has been compacted",
            StoreError::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
        })
    }
}

impl std::error::Error for StoreError {}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Show for StoreError {
    fn lines(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Show for KeyValue {
    fn lines(&self) -> Vec<String> {
        let KeyValue { create_revision, mod_revision, version, .. } = self;
        vec![format!(
            "{} = {}  (created {create_revision}, modified {mod_revision}, version {version})",
            flow(&self.key),
            flow(&self.value),
        )]
    }
}

impl Show for RangeResponse {
    fn lines(&self) -> Vec<String> {
        let more = if self.more { " and there are more" } else { "" };
        let mut lines = vec![format!("revision {}, {}{more}", self.revision, keys(self.count))];
        lines.extend(self.kvs.iter().flat_map(Show::lines));
        lines
    }
}

impl Show for TxnResponse {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("revision {}", self.revision)];
        lines.extend(self.responses.iter().flat_map(Show::lines));
        lines
    }
}

impl Show for OpResponse {
    fn lines(&self) -> Vec<String> {
        match self {
            OpResponse::Put { prev_kv: None } => vec!["put a new key".into()],
            OpResponse::Put { prev_kv: Some(kv) } => {
                kv.lines().into_iter().map(|kv| format!("replaced {kv}")).collect()
            }
            OpResponse::Delete { prev_kvs } if prev_kvs.is_empty() => vec!["deleted nothing".into()],
            OpResponse::Delete { prev_kvs } => {
                prev_kvs.iter().flat_map(Show::lines).map(|kv| format!("deleted {kv}")).collect()
            }
        }
    }
}

impl Show for WatchCreated {
    fn lines(&self) -> Vec<String> {
        let WatchCreated { watch_id, revision, compact_revision } = self;
        vec![match compact_revision {
            None => format!("watch {watch_id} created at revision {revision}"),
            Some(compacted) => {
                format!("watch {watch_id} cancelled at revision {revision}: history begins at revision {compacted}")
            }
        }]
    }
}

impl Show for WatchResponse {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("watch {}, {}", self.watch_id, plural(self.events.len() as u64, "event"))];
        lines.extend(self.events.iter().flat_map(Show::lines).map(|line| format!("  {line}")));
        lines
    }
}

impl Show for Event {
    fn lines(&self) -> Vec<String> {
        let KeyValue { key, value, create_revision, mod_revision, version } = &self.kv;
        // A delete that carries more than it should must look different from one that doesn't.
        let bare = value.is_empty() && *create_revision == 0 && *version == 0;
        let mut lines = match self.kind {
            EventKind::Delete if bare => vec![format!("delete {}  (modified {mod_revision})", flow(key))],
            EventKind::Delete => self.kv.lines().into_iter().map(|kv| format!("delete {kv}")).collect(),
            EventKind::Put => self.kv.lines().into_iter().map(|kv| format!("put {kv}")).collect(),
        };
        if let Some(prev) = &self.prev_kv {
            lines.extend(prev.lines().into_iter().map(|kv| format!("  was {kv}")));
        }
        lines
    }
}

macro_rules! request {
    ($($t:ty)*) => {$(
        impl Show for $t {
            fn lines(&self) -> Vec<String> {
                vec![flow(self)]
            }
        }
    )*};
}
request!(RangeRequest WatchRequest Op);

fn keys(count: u64) -> String {
    plural(count, "key")
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
