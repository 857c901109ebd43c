//! Linearizable reads without an entry in the log (§6.4 of the Raft thesis). Upstream: `read_only.go`.
//!
//! A leader notes how far the log is committed and asks a majority whether it still leads; who has applied that much
//! may answer. With leases the leader's clock stands in for the question.

use super::flaw::Flaw;
use super::message::{Body, Id, Index};
use super::node::{Raft, Refusal, Role};
use std::collections::{BTreeSet, VecDeque};

/// A read that may be answered by whoever has applied `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadState {
    /// Which read.
    pub context: u64,
    /// How much must be applied.
    pub index: Index,
}

/// Reads on their way.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// They wait for an entry of the leader's own term to be committed: before that, it can't know what is.
    early: Vec<(Id, u64)>,
    /// They wait for a majority to confirm the leader.
    asked: VecDeque<Asked>,
    pub(super) ready: Vec<ReadState>,
}

#[derive(Debug)]
struct Asked {
    from: Id,
    context: u64,
    index: Index,
    confirmed: BTreeSet<Id>,
}

impl Reads {
    pub(super) fn forget(&mut self) {
        self.early.clear();
        self.asked.clear();
    }

    pub(super) fn last_context(&self) -> Option<u64> {
        self.asked.back().map(|asked| asked.context)
    }
}

impl Raft {
    /// Asks for a read; the answer comes as a [`ReadState`] in some [`Ready`](super::Ready), or never, if the leader
    /// changes meanwhile. `context` is of the caller's choice and must be unique in the group.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotLeader`] if no leader is known.
    pub fn read_index(&mut self, context: u64) -> Result<(), Refusal> {
        match self.leader {
            None => return Err(Refusal::NotLeader(None)),
            Some(leader) if leader == self.config.id => self.read_for(leader, context),
            Some(leader) => self.send(leader, Body::Read { context }),
        }
        Ok(())
    }

    /// A leader begins a read, for itself or for a follower.
    pub(super) fn read_for(&mut self, from: Id, context: u64) {
        if self.role != Role::Leader {
            return;
        }
        let knows = self.log.term(self.log.commit) == Some(self.term) || self.flawed(Flaw::ReadsBeforeItsOwnEntry);
        if !knows {
            return self.reads.early.push((from, context));
        }
        let index = self.log.commit;
        if self.holds_lease() || self.flawed(Flaw::ReadsWithoutQuorum) {
            return self.answer_read(from, context, index);
        }
        self.reads.asked.push_back(Asked { from, context, index, confirmed: BTreeSet::new() });
        self.send_heartbeats(Some(context));
        self.read_confirmed(self.config.id, context);
    }

    /// Whether a majority promised, not long ago, to elect nobody else.
    ///
    /// A member keeps silent for `election_ticks` after it heard a heartbeat. Counted from when that was sent, minus
    /// one tick at each end and a fifth for clocks that differ, nobody else can lead yet.
    fn holds_lease(&self) -> bool {
        let super::Config { lease_reads, check_quorum, election_ticks, id, .. } = self.config;
        if !lease_reads || !check_quorum || self.lease_given_up {
            return false;
        }
        let answered = |of| if of == id { self.clock } else { self.progress.get(&of).map_or(0, |p| p.answered) };
        let since = self.members.reached(answered);
        let lease = u64::from(election_ticks - election_ticks / 5 - 2);
        since > 0 && self.clock - since <= lease
    }

    /// A member confirmed the leader after this read, and so after all before it.
    pub(super) fn read_confirmed(&mut self, by: Id, context: u64) {
        let Some(at) = self.reads.asked.iter().position(|asked| asked.context == context) else { return };
        self.reads.asked[at].confirmed.insert(by);
        let confirmed = |of: Id| Index::from(self.reads.asked[at].confirmed.contains(&of));
        if self.members.reached(confirmed) == 1 {
            for Asked { from, context, index, .. } in self.reads.asked.drain(..=at).collect::<Vec<_>>() {
                self.answer_read(from, context, index);
            }
        }
    }

    /// Something was committed: if it is of this term, reads that waited for that begin.
    pub(super) fn release_reads(&mut self) {
        if self.log.term(self.log.commit) == Some(self.term) {
            for (from, context) in std::mem::take(&mut self.reads.early) {
                self.read_for(from, context);
            }
        }
    }

    fn answer_read(&mut self, from: Id, context: u64, index: Index) {
        if from == self.config.id {
            self.reads.ready.push(ReadState { context, index });
        } else {
            self.send(from, Body::ReadReply { context, index });
        }
    }
}
