//! The log of one member: everything after the last snapshot, in memory.
//!
//! Upstream keeps the part that is not yet on disk apart (`log.go`, `log_unstable.go`); here a mark says where it begins.

use super::message::{Entry, Index, Payload, Snapshot, Term};
use super::storage::Saved;

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// What stands for everything before the entries.
    pub snapshot: Snapshot,
    entries: Vec<Entry>,
    /// Everything up to here is committed.
    pub commit: Index,
    /// Everything up to here is applied.
    pub applied: Index,
    /// The first entry that has to be written yet.
    unsaved: Index,
}

impl Log {
    /// The log as it was saved. What the snapshot covers counts as applied.
    pub fn new(saved: Saved) -> Self {
        let Saved { hard_state, snapshot, entries } = saved;
        let start = snapshot.index;
        let last = entries.last().map_or(start, |entry| entry.index);
        let commit = hard_state.commit.clamp(start, last);
        Log { snapshot, entries, commit, applied: start, unsaved: last + 1 }
    }

    /// The first entry that is still there.
    pub fn first_index(&self) -> Index {
        self.snapshot.index + 1
    }

    /// The last entry, or what the snapshot covers.
    pub fn last_index(&self) -> Index {
        self.snapshot.index + self.entries.len() as Index
    }

    /// The term of the last entry.
    pub fn last_term(&self) -> Term {
        self.entries.last().map_or(self.snapshot.term, |entry| entry.term)
    }

    /// The term of an entry; none if it is compacted or not there yet.
    pub fn term(&self, index: Index) -> Option<Term> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// The entries from `first` on, at most so many; empty if `first` is compacted.
    pub fn from(&self, first: Index, most: usize) -> &[Entry] {
        let Some(start) = first.checked_sub(self.first_index()) else { return &[] };
        let start = (start as usize).min(self.entries.len());
        let end = start.saturating_add(most).min(self.entries.len());
        &self.entries[start..end]
    }

    /// Whether a log that ends like this is at least as up to date (§5.4.1).
    pub fn is_up_to_date(&self, last_index: Index, last_term: Term) -> bool {
        (last_term, last_index) >= (self.last_term(), self.last_index())
    }

    /// Adds one entry of the leader itself.
    pub fn push(&mut self, term: Term, payload: Payload) -> Index {
        let index = self.last_index() + 1;
        self.entries.push(Entry { index, term, payload });
        index
    }

    /// Takes a leader's entries in, if the entry before them agrees: from the first one that differs on, the leader's
    /// replace what was there. Answers the last index at which both logs agree.
    pub fn append(&mut self, prev: (Index, Term), entries: Vec<Entry>) -> Option<Index> {
        if self.term(prev.0) != Some(prev.1) {
            return None;
        }
        let agreed = prev.0 + entries.len() as Index;
        let known = entries.iter().take_while(|entry| self.term(entry.index) == Some(entry.term)).count();
        if let Some(first) = entries.get(known) {
            let keep = first.index - self.first_index();
            self.entries.truncate(keep as usize);
            self.unsaved = self.unsaved.min(first.index);
            self.entries.extend(entries.into_iter().skip(known));
        }
        Some(agreed)
    }

    /// The last entry at or before `index` whose term is at most `term`, and its term (0 if it is forgotten).
    ///
    /// With this the one side of a conflict skips a whole term of the other (`findConflictByTerm` in `log.go`).
    pub fn before_conflict(&self, index: Index, term: Term) -> (Index, Term) {
        for at in (0..=index).rev() {
            match self.term(at) {
                Some(there) if there > term => {}
                there => return (at, there.unwrap_or_default()),
            }
        }
        (0, 0)
    }

    /// Marks everything up to `index` as committed.
    pub fn commit_to(&mut self, index: Index) {
        self.commit = self.commit.max(index.min(self.last_index()));
    }

    /// What must be written.
    pub fn unsaved(&self) -> &[Entry] {
        self.from(self.unsaved.max(self.first_index()), usize::MAX)
    }

    /// Everything up to `index` is on disk.
    pub fn saved_to(&mut self, index: Index) {
        self.unsaved = self.unsaved.max(index + 1);
    }

    /// What is committed and not yet applied, at most so many.
    pub fn unapplied(&self, most: usize) -> &[Entry] {
        let count = self.commit.saturating_sub(self.applied) as usize;
        self.from(self.applied + 1, count.min(most))
    }

    /// Replaces everything by a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot) {
        let index = snapshot.index;
        *self = Log { snapshot, entries: Vec::new(), commit: index, applied: index, unsaved: index + 1 };
    }

    /// Forgets the entries that a snapshot of this member's own state covers.
    pub fn compact(&mut self, snapshot: Snapshot) {
        let covered = snapshot.index.saturating_sub(self.snapshot.index) as usize;
        self.entries.drain(..covered.min(self.entries.len()));
        self.snapshot = snapshot;
    }
}
