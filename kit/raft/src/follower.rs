//! What a follower does with a leader's entries and snapshots (§5.3, §7).

use super::flaw::Flaw;
use super::message::{Body, Entry, Id, Index, Snapshot, Term};
use super::node::Raft;

impl Raft {
    pub(super) fn append(&mut self, from: Id, prev: (Index, Term), entries: Vec<Entry>, commit: Index) {
        let (prev_index, prev_term) = prev;
        if prev_index < self.log.commit {
            // What is committed agrees with every leader.
            return self.send(from, Body::AppendReply { index: self.log.commit, refused: None });
        }
        let prev = match self.log.term(prev_index) {
            Some(term) if self.flawed(Flaw::NoConsistencyCheck) => (prev_index, term),
            _ => prev,
        };
        if let Some(agreed) = self.log.append(prev, entries) {
            self.log.commit_to(commit.min(agreed));
            return self.send(from, Body::AppendReply { index: agreed, refused: None });
        }
        let refused = self.log.before_conflict(prev_index.min(self.log.last_index()), prev_term);
        self.send(from, Body::AppendReply { index: prev_index, refused: Some(refused) });
    }

    pub(super) fn install(&mut self, from: Id, mut snapshot: Snapshot) {
        let Snapshot { index, term, .. } = snapshot;
        if index > self.log.commit {
            if self.log.term(index) == Some(term) {
                // All that the snapshot holds is in the log already.
                self.log.commit_to(index);
            } else {
                // The snapshot may be older than the change that made this member one, so that it isn't in it.
                if self.flawed(Flaw::ForgetsTheSnapshotIndex) {
                    snapshot.index -= 1;
                }
                self.restore(snapshot);
            }
        }
        self.send(from, Body::AppendReply { index: self.log.commit, refused: None });
    }
}
