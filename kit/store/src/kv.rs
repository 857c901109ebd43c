//! What every store can do.

use crate::api::*;
use crate::{Error, Result};
use std::time::Duration;

/// A key-value store with etcd's semantics, as one client sees it.
///
/// Calls wait for their answer. Time passes only when the caller says so ([`Kv::pass`]), except in a real etcd, and within
/// the calls of a replicated store, whose members need time to agree.
pub trait Kv {
    /// Reads a range.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`] and [`Error::FutureRevision`]; [`Error::EmptyKey`].
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse>;

    /// Writes one key.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseNotFound`], and where the value or the lease is to stay [`Error::KeyNotFound`]; those of a request that
    /// contradicts itself.
    fn put(&mut self, request: &PutRequest) -> Result<PutResponse>;

    /// Deletes a range.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyKey`].
    fn delete_range(&mut self, request: &DeleteRangeRequest) -> Result<DeleteRangeResponse>;

    /// Decides, and carries out one list of operations as one change.
    ///
    /// # Errors
    ///
    /// Those of its operations, in which case none of them happened; [`Error::DuplicateKey`], [`Error::TooManyOps`].
    fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse>;

    /// Several transactions that don't wait for each other, as from as many clients.
    fn txns(&mut self, requests: &[TxnRequest]) -> Vec<Result<TxnResponse>> {
        requests.iter().map(|request| self.txn(request)).collect()
    }

    /// Forgets what only a read below a revision could show, and answers the revision of the store.
    ///
    /// # Errors
    ///
    /// [`Error::Compacted`] at or below the last compaction, [`Error::FutureRevision`] above the store's revision.
    fn compact(&mut self, revision: i64) -> Result<i64>;

    /// Grants a lease for so many seconds, at least two, and answers its id and its time. For id 0 the store chooses one.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseExists`], [`Error::LeaseTtlTooLarge`].
    fn lease_grant(&mut self, id: i64, ttl: i64) -> Result<(i64, i64)>;

    /// Ends a lease, and with it its keys, as one change.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseNotFound`].
    fn lease_revoke(&mut self, id: i64) -> Result<()>;

    /// Renews a lease, and answers for how many seconds; 0 if there is no such lease.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn lease_keep_alive(&mut self, id: i64) -> Result<i64>;

    /// What is left of a lease.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn lease_time_to_live(&mut self, id: i64, keys: bool) -> Result<LeaseStatus>;

    /// The ids of all leases, in order.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn leases(&mut self) -> Result<Vec<i64>>;

    /// Starts a watch. A start that is compacted is no error yet: the watch begins, and the next [`Kv::poll`] cancels it.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated>;

    /// Ends a watch; `false` if no such watch is running.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn cancel(&mut self, watch_id: i64) -> Result<bool>;

    /// Asks to be told, after everything else, how far the watches are: a response of watch -1 with the store's revision.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn request_progress(&mut self) -> Result<()>;

    /// What came for the watches. Within one watch responses are in the order in which things happened; between watches
    /// nothing is promised.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn poll(&mut self) -> Result<Vec<WatchResponse>>;

    /// The same, and waits so long for something to come, where things come in their own time.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn poll_within(&mut self, _time: Duration) -> Result<Vec<WatchResponse>> {
        self.poll()
    }

    /// Lets time pass: leases end, watches are told how far they are.
    ///
    /// # Errors
    ///
    /// Only if the store can't be asked.
    fn pass(&mut self, time: Duration) -> Result<()>;

    /// From now on changes are answered, and watches told of them, before they are safe: a crash may undo them until
    /// [`Kv::save`], and nobody may hear of them before. Many changes then wait for the disk together. A store that has no
    /// use for this goes on as before.
    fn hold(&mut self) {}

    /// Whether something was answered that a crash may undo.
    fn is_unsaved(&self) -> bool {
        false
    }

    /// Waits until a crash can't undo anything that was answered.
    ///
    /// # Errors
    ///
    /// If the disk fails. What was answered since the last time may be lost then, and the store answers nothing more.
    fn save(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How a store behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// After which time without events a watch that asked for it is told how far it is
    /// (`--experimental-watch-progress-notify-interval`).
    pub progress_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { progress_interval: Duration::from_secs(600) }
    }
}

/// An answer that doesn't fit its question; no store gives one.
pub(crate) fn unexpected<T>() -> Result<T> {
    Err(Error::Other("the store's answer doesn't fit the question".into()))
}
