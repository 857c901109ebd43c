//! What the server asks of its store: what a module of `control_plane/store` can do, and what only life asks for. A disk fails, and
//! others write to the same etcd.

use kit_contract::control_plane::{Event, Op, RangeRequest, RangeResponse, Store, StoreError, WatchRequest};

/// A store for a server. Failures are sentences, in the store's own words.
pub trait Backend {
    /// The keys of a range, as [`Store::range`] has it.
    ///
    /// # Errors
    ///
    /// If the revision can't be had or the store can't be asked.
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, String>;

    /// Writes one key. With `known`, only if that is the revision of its last write, or 0 and there is no such key; without,
    /// in any case.
    ///
    /// # Errors
    ///
    /// If the store can't be asked, or didn't answer in time; then the write may have happened, and [`Backend::events`] tells.
    fn write(&mut self, op: &Op, known: Option<i64>) -> Result<Written, String>;

    /// Forgets history before a revision, as [`Store::compact`] has it; `false` if the store isn't there yet.
    fn compact(&mut self, revision: i64) -> bool;

    /// Watches everything under `/registry/` from a revision on; 0 for the next one.
    ///
    /// # Errors
    ///
    /// If the store can't be asked.
    fn watch(&mut self, from: i64) -> Result<(), String>;

    /// What has changed under `/registry/` since this was last asked, oldest first. After a [`Backend::write`] all of it is
    /// there, up to and with that write.
    ///
    /// # Errors
    ///
    /// If the store can't be asked any more.
    fn events(&mut self) -> Result<Vec<Event>, String>;

    /// Whether others write to the same store.
    fn shared(&self) -> bool {
        false
    }

    /// Whether the watch was lost, and what it missed is compacted: then everything has to be read anew.
    fn behind(&self) -> bool {
        false
    }

    /// Waits until [`Backend::events`] has all that was written to a shared store before this call.
    ///
    /// # Errors
    ///
    /// If the store can't be asked.
    fn catch_up(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// From now on writes may be answered before they are safe, as [`Server::hold`](crate::Server::hold) has it.
    fn hold(&mut self) {}

    /// Whether a crash may undo something that was answered.
    fn is_unsaved(&self) -> bool {
        false
    }

    /// Waits until a crash can't undo anything that was answered.
    ///
    /// # Errors
    ///
    /// If that can't be had; then the store answers nothing more.
    fn save(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// Somebody else wrote first, and nothing was done.
    Late,
}

/// A module of `control_plane/store`: it never fails, and nobody else writes to it.
pub(super) struct Module(pub Box<dyn Store>);

impl Backend for Module {
    fn range(&mut self, request: &RangeRequest) -> Result<RangeResponse, String> {
        self.0.range(request).map_err(|error| error.to_string())
    }

    fn write(&mut self, op: &Op, _known: Option<i64>) -> Result<Written, String> {
        self.0.txn(std::slice::from_ref(op));
        Ok(Written::Done)
    }

    fn compact(&mut self, revision: i64) -> bool {
        self.0.compact(revision) != Err(StoreError::FutureRevision)
    }

    fn watch(&mut self, from: i64) -> Result<(), String> {
        let everything = WatchRequest {
            key: "/registry/".into(),
            range_end: Some("/registry0".into()),
            start_revision: from,
            ..Default::default()
        };
        self.0.watch(&everything);
        Ok(())
    }

    fn events(&mut self) -> Result<Vec<Event>, String> {
        Ok(self.0.events().into_iter().flat_map(|response| response.events).collect())
    }
}
