//! # A key-value store that forgets nothing too early
//!
//! Under the API server stands etcd. It gives every change a revision, can be read as it was at any of them, and
//! tells watchers what changed since. `resourceVersion`, optimistic concurrency, list-then-watch and `410 Gone` all
//! come from there. You build that store: reads at a revision, transactions, compaction and watches.
//!
//! About 45 minutes · builds on nothing · book: "The store: revisions, compaction and watches" · stuck? `cargo grade hint control_plane/store`

use kit::control_plane::{
    Op, RangeRequest, RangeResponse, Store, StoreError, TxnResponse, WatchCreated, WatchRequest, WatchResponse,
};

/// What the store remembers. Add fields; an empty store is at revision 1.
#[derive(Default)]
struct Exercise {}

impl Store for Exercise {
    /// The keys of a range as they were at one revision, in key order.
    ///
    /// No `range_end` is one key, `"\0"` is every key from `key` on, anything else ends before `range_end`.
    /// `revision` 0 is now, `limit` 0 is no limit. `count` ignores the limit; the answer's `revision` is always the
    /// store's own. Above that revision it is `FutureRevision`, below the last compaction it is `Compacted`.
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        let _ = request;
        todo!("find the last version at or before the revision, for each key of the range")
    }

    /// Applies all operations in order, as one change with one revision.
    ///
    /// A put always changes something, a delete only if it finds a key. Where nothing changes, the revision stays.
    /// Watches are owed an event for each change.
    fn txn(&mut self, ops: &[Op]) -> TxnResponse {
        let _ = ops;
        todo!("write all operations at the next revision, and remember what each replaced")
    }

    /// Forgets all that only a read below `revision` could show.
    ///
    /// `Compacted` at or below the last compaction, `FutureRevision` above the store's revision.
    fn compact(&mut self, revision: i64) -> Result<(), StoreError> {
        let _ = revision;
        todo!("drop the versions that no read at or after the revision can see")
    }

    /// Starts a watch; ids count up from 0.
    ///
    /// From now on with `start_revision` 0; a start in the past replays all events since; one in the future keeps the
    /// watch silent until the store gets there; a start below the last compaction cancels the watch at once, and
    /// `compact_revision` says so.
    fn watch(&mut self, request: &WatchRequest) -> WatchCreated {
        let _ = request;
        todo!("remember the watch, and replay what it missed")
    }

    /// Ends a watch and drops what it was owed; `false` if no such watch is running.
    fn cancel(&mut self, watch_id: i64) -> bool {
        let _ = watch_id;
        todo!("forget the watch")
    }

    /// What watches are owed since this was last asked: one response per watch, by id, oldest event first.
    ///
    /// The event of a delete holds the key and the revision of the delete. `prev_kv` comes only where the watch asked
    /// for it.
    fn events(&mut self) -> Vec<WatchResponse> {
        todo!("hand out what watches are owed, once")
    }
}

kit::exercise!(Exercise: kit::control_plane::Store);
