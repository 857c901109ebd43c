//! etcd's requests and answers, as in `api/etcdserverpb/rpc.proto`.
//!
//! `key` and `range_end` together name a set of keys: without a `range_end` (empty) it is the one key, with `"\0"` every
//! key from `key` on, otherwise every key from `key` on and before `range_end`.

use crate::Bytes;
use serde::{Deserialize, Serialize};

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $t:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$of])* #[serde(skip_serializing_if = "is_default")] pub $field: $t,)*
        }
    )*};
}

messages! {
    /// One version of one key.
    KeyValue {
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
        /// The revision that created the key.
        create_revision: i64,
        /// The revision that wrote this version.
        mod_revision: i64,
        /// How many times the key was put since it was created. 0 in the event of a delete.
        version: i64,
        /// The lease that the key ends with; 0 for none.
        lease: i64,
    }

    /// What to read.
    RangeRequest {
        /// The one key, or the first of the range.
        key: Bytes,
        /// The first key after the range.
        range_end: Bytes,
        /// The greatest number of keys to answer; 0 for all.
        limit: i64,
        /// The revision to read at; 0 or less for now.
        revision: i64,
        /// How the keys are ordered.
        sort_order: SortOrder,
        /// By what they are ordered.
        sort_target: SortTarget,
        /// A read from the asked member alone, which may be old; only the replicated stores know the difference.
        serializable: bool,
        /// Leaves the values out.
        keys_only: bool,
        /// Answers only how many there are.
        count_only: bool,
        /// Leaves out what was last written before it; 0 for nothing.
        min_mod_revision: i64,
        /// Leaves out what was last written after it; 0 for nothing.
        max_mod_revision: i64,
        /// Leaves out what was created before it; 0 for nothing.
        min_create_revision: i64,
        /// Leaves out what was created after it; 0 for nothing.
        max_create_revision: i64,
    }

    /// What was read.
    RangeResponse {
        /// The revision of the store.
        revision: i64,
        /// The keys.
        kvs: Vec<KeyValue>,
        /// Whether the limit left keys out.
        more: bool,
        /// How many keys the range has, whatever the limit and whatever was left out by revision.
        count: i64,
    }

    /// What to write.
    PutRequest {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
        /// The lease that it ends with; 0 for none.
        lease: i64,
        /// Answers the version that is replaced.
        prev_kv: bool,
        /// Keeps the present value.
        ignore_value: bool,
        /// Keeps the present lease.
        ignore_lease: bool,
    }

    /// What was written.
    PutResponse {
        /// The revision of the write.
        revision: i64,
        /// The version that was replaced, if it was asked for and there is one.
        prev_kv: Option<KeyValue>,
    }

    /// What to delete.
    DeleteRangeRequest {
        /// The one key, or the first of the range.
        key: Bytes,
        /// The first key after the range.
        range_end: Bytes,
        /// Answers what is deleted.
        prev_kv: bool,
    }

    /// What was deleted.
    DeleteRangeResponse {
        /// The revision of the store, which only moves if something was deleted.
        revision: i64,
        /// How many keys were deleted.
        deleted: i64,
        /// What was deleted, in key order, if it was asked for.
        prev_kvs: Vec<KeyValue>,
    }

    /// Operations, of which one list is carried out, as one change.
    TxnRequest {
        /// All of these must hold …
        compare: Vec<Compare>,
        /// … for these to be carried out,
        success: Vec<Op>,
        /// and these are, if one doesn't.
        failure: Vec<Op>,
    }

    /// What a transaction did.
    TxnResponse {
        /// The revision of the store after it.
        revision: i64,
        /// Whether all compares held.
        succeeded: bool,
        /// One for each operation, in the same order.
        responses: Vec<OpResponse>,
    }

    /// What to watch.
    WatchRequest {
        /// The one key, or the first of the range.
        key: Bytes,
        /// The first key after the range.
        range_end: Bytes,
        /// The first revision whose events are wanted; 0 for the next one.
        start_revision: i64,
        /// Tells the store's revision from time to time, when there are no events.
        progress_notify: bool,
        /// Kinds of events that aren't wanted.
        filters: Vec<EventKind>,
        /// Adds to each event the version before.
        prev_kv: bool,
        /// The name of the watch; 0 lets the store choose.
        watch_id: i64,
        /// Splits responses of more than 2 MiB.
        fragment: bool,
    }

    /// The answer to a [`WatchRequest`].
    WatchCreated {
        /// The name of the watch from now on; -1 if there is none.
        watch_id: i64,
        /// The revision of the store.
        revision: i64,
        /// Why there is none.
        cancel_reason: Option<String>,
    }

    /// What a watch hears.
    WatchResponse {
        /// The watch; -1 for the progress of all of them.
        watch_id: i64,
        /// The revision of the store. Without events this is all there is to say: everything up to it was told.
        revision: i64,
        /// The events, oldest first.
        events: Vec<Event>,
        /// The rest of this response follows.
        fragment: bool,
        /// The watch has ended.
        canceled: bool,
        /// It has, because it was still owed events from before this revision, at which history now begins.
        compact_revision: i64,
    }

    /// One change of one key.
    Event {
        /// What happened.
        kind: EventKind,
        /// The new version; of a delete, only the key and the revision of the delete.
        kv: KeyValue,
        /// The version before, if the watch asked for it and there is one.
        prev_kv: Option<KeyValue>,
    }

    /// What is left of a lease.
    LeaseStatus {
        /// Full seconds until it ends; -1 if there is no such lease.
        ttl: i64,
        /// For how many seconds it is granted, each time.
        granted_ttl: i64,
        /// The keys that end with it, in order, if they were asked for.
        keys: Vec<Bytes>,
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }
    )*};
}

choices! {
    /// How keys are ordered.
    SortOrder {
        /// As they come: by key, or ascending if they are to be ordered by anything else.
        #[default]
        None,
        /// The least first.
        Ascend,
        /// The greatest first.
        Descend,
    }

    /// By what keys are ordered. Equal ones stay in the order of their keys.
    SortTarget {
        /// By key.
        #[default]
        Key,
        /// By the number of puts.
        Version,
        /// By the revision that created the key.
        Create,
        /// By the revision that wrote it last.
        Mod,
        /// By value.
        Value,
    }

    /// What happened to a key.
    EventKind {
        /// It was written.
        #[default]
        Put,
        /// It was deleted.
        Delete,
    }

    /// How two values must compare.
    CompareResult {
        /// They are the same.
        #[default]
        Equal,
        /// The store's is greater.
        Greater,
        /// The store's is less.
        Less,
        /// They differ.
        NotEqual,
    }
}

/// A condition of a transaction: on one key, or on every key of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// The one key, or the first of the range.
    pub key: Bytes,
    /// The first key after the range.
    #[serde(default, skip_serializing_if = "is_default")]
    pub range_end: Bytes,
    /// How the store's value must compare.
    #[serde(default)]
    pub result: CompareResult,
    /// To what.
    pub target: Target,
}

/// What is compared. Of a key that doesn't exist all numbers are 0, and no compare of its value holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The number of puts.
    Version(i64),
    /// The revision that created the key.
    CreateRevision(i64),
    /// The revision that wrote it last.
    ModRevision(i64),
    /// The value.
    Value(Bytes),
    /// The lease.
    Lease(i64),
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Reads, and sees what the operations before it did.
    Range(RangeRequest),
    /// Writes a key.
    Put(PutRequest),
    /// Deletes a range.
    DeleteRange(DeleteRangeRequest),
    /// A transaction within. All compares are decided before anything is changed.
    Txn(TxnRequest),
}

/// What one operation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpResponse {
    /// Of a read.
    Range(RangeResponse),
    /// Of a put.
    Put(PutResponse),
    /// Of a delete.
    DeleteRange(DeleteRangeResponse),
    /// Of a transaction within.
    Txn(TxnResponse),
}

impl KeyValue {
    /// Whether it says that the key was deleted.
    pub fn is_tombstone(&self) -> bool {
        self.version == 0
    }
}

/// Whether a range holds a key.
pub fn covers(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
