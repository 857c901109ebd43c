//! What a leader does: send the log, count copies, commit (§5.3, §5.4.2).

use super::flaw::Flaw;
use super::membership::{Change, ChangeError, Membership};
use super::message::{Body, Id, Index, Payload, Term};
use super::node::{Raft, Refusal, Role};
use super::progress::{Mode, Progress};

impl Raft {
    /// The election is won.
    pub(super) fn lead(&mut self) {
        self.reset(self.term);
        self.role = Role::Leader;
        self.leader = Some(self.config.id);
        self.know_members();
        // Changes of earlier terms may be in the log without this leader having applied them.
        self.pending_change = self.log.last_index();
        self.log.push(self.term, Payload::Empty);
        self.send_appends();
    }

    /// Keeps one progress for each member.
    fn know_members(&mut self) {
        let all = self.members.all();
        self.progress.retain(|id, _| all.contains(id));
        for id in all {
            self.progress.entry(id).or_insert_with(|| Progress::new(self.log.last_index()));
        }
    }

    pub(super) fn tick_leader(&mut self) {
        self.since_heartbeat += 1;
        if self.elapsed >= self.config.election_ticks {
            self.elapsed = 0;
            if self.config.check_quorum && !self.hears_quorum() {
                return self.follow(self.term, None);
            }
            // Whoever should take over had its time.
            self.transferee = None;
        }
        if self.since_heartbeat >= self.config.heartbeat_ticks {
            self.since_heartbeat = 0;
            let retry_after = self.config.election_ticks;
            for progress in self.progress.values_mut() {
                // Nothing tells a leader that a snapshot was lost.
                if let Mode::Snapshot(_) = progress.mode {
                    progress.waiting += 1;
                    if progress.waiting >= retry_after {
                        progress.enter(Mode::Probe);
                    }
                }
            }
            self.send_heartbeats(self.reads.last_context());
        }
    }

    /// Whether a majority was heard since this was last asked.
    fn hears_quorum(&mut self) -> bool {
        let id = self.config.id;
        let active = |of: Id| self.progress.get(&of).is_some_and(|p| p.active || of == id);
        let heard = self.members.reached(|of| Index::from(active(of))) == 1;
        self.progress.values_mut().for_each(|progress| progress.active = false);
        heard
    }

    pub(super) fn send_heartbeats(&mut self, context: Option<u64>) {
        let (id, commit, sent) = (self.config.id, self.log.commit, self.clock);
        let to: Vec<_> =
            self.progress.iter().filter(|(to, _)| **to != id).map(|(to, progress)| (*to, progress.matched)).collect();
        for (to, matched) in to {
            self.send(to, Body::Heartbeat { commit: commit.min(matched), sent, context });
        }
    }

    /// Sends to everybody what they don't have.
    pub(super) fn send_appends(&mut self) {
        let ids: Vec<Id> = self.progress.keys().copied().filter(|id| *id != self.config.id).collect();
        for id in ids {
            self.send_append(id, true);
        }
    }

    /// Sends the next entries to a member, or a snapshot where they are compacted; false if it must wait, or if there
    /// is nothing to send and an empty message isn't wanted.
    fn send_append(&mut self, to: Id, even_empty: bool) -> bool {
        let Some(progress) = self.progress.get_mut(&to) else { return false };
        if progress.is_paused(self.config.max_inflight) {
            return false;
        }
        let prev_index = progress.next - 1;
        let Some(prev_term) = self.log.term(prev_index) else {
            if progress.active {
                progress.enter(Mode::Snapshot(self.log.snapshot.index));
                self.send(to, Body::Install(self.log.snapshot.clone()));
            }
            return false;
        };
        let entries = self.log.from(progress.next, self.config.max_entries).to_vec();
        if entries.is_empty() && !even_empty {
            return false;
        }
        progress.sent(prev_index + entries.len() as Index);
        let commit = self.log.commit;
        self.send(to, Body::Append { prev_index, prev_term, entries, commit });
        true
    }

    /// Its own entries count as copies when they are on its own disk.
    pub(super) fn saved_own(&mut self, last: Index) {
        // While it was writing, another leader may have taken entries away.
        let last = last.min(self.log.last_index());
        if self.role == Role::Leader
            && let Some(own) = self.progress.get_mut(&self.config.id)
        {
            own.accepted(last);
            if self.commit() {
                self.send_appends();
            }
        }
    }

    /// Moves the commit on: to what a majority has, and only if that is of this term (§5.4.2).
    fn commit(&mut self) -> bool {
        let matched = |id| self.progress.get(&id).map_or(0, |progress| progress.matched);
        let mut index = self.electorate().reached(matched);
        if self.flawed(Flaw::CommitsOnMinority) {
            index = self.progress.values().map(|progress| progress.matched).max().unwrap_or(index);
        }
        if self.flawed(Flaw::SendsBeforeItSaves) {
            let last = self.log.last_index();
            index = self.members.reached(|id| if id == self.config.id { last } else { matched(id) });
        }
        let own_term = self.log.term(index) == Some(self.term) || self.flawed(Flaw::NoCurrentTermRule);
        if index <= self.log.commit || !own_term {
            return false;
        }
        self.log.commit_to(index);
        self.release_reads();
        true
    }

    /// The answer to entries or a snapshot.
    pub(super) fn append_answered(&mut self, from: Id, index: Index, refused: Option<(Index, Term)>) {
        if self.role != Role::Leader {
            return;
        }
        let most = self.config.max_inflight;
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.active = true;
        if let Some((hint, hint_term)) = refused {
            // The member's hint skips a term of its own; this skips one of the leader's.
            let agree = if hint_term > 0 { self.log.before_conflict(hint, hint_term).0 } else { hint };
            if progress.refused(index, agree) {
                self.send_append(from, true);
            }
            return;
        }
        let was_paused = progress.is_paused(most);
        let news = progress.accepted(index);
        match progress.mode {
            Mode::Probe if news || progress.matched == index => progress.enter(Mode::Replicate),
            Mode::Snapshot(_) if progress.matched + 1 >= self.log.first_index() => progress.enter(Mode::Replicate),
            _ => {}
        }
        if self.commit() {
            self.send_appends();
        } else if was_paused {
            self.send_append(from, true);
        }
        while self.send_append(from, false) {}
        self.hand_over_if_ready(from);
    }

    /// The answer to a heartbeat.
    pub(super) fn heartbeat_answered(&mut self, from: Id, sent: u64, context: Option<u64>) {
        if self.role != Role::Leader {
            return;
        }
        let (most, last) = (self.config.max_inflight, self.log.last_index());
        let Some(progress) = self.progress.get_mut(&from) else { return };
        progress.active = true;
        progress.answered = progress.answered.max(sent);
        progress.free_one(most);
        if progress.matched < last || progress.mode == Mode::Probe {
            self.send_append(from, true);
        }
        if let Some(context) = context {
            self.read_confirmed(from, context);
        }
    }

    /// Hands leadership to a member as soon as it has the whole log (§3.10 of the thesis). An election timeout later
    /// this leader goes on, if nobody took over.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotLeader`], also for a member without a vote; [`Refusal::Transferring`].
    pub fn transfer_leader(&mut self, to: Id) -> Result<(), Refusal> {
        if self.role != Role::Leader || !self.members.votes(to) {
            return Err(Refusal::NotLeader(self.leader));
        }
        if to == self.config.id || self.transferee == Some(to) {
            return Ok(());
        }
        if self.transferee.is_some() {
            return Err(Refusal::Transferring);
        }
        self.transferee = Some(to);
        self.elapsed = 0;
        self.hand_over_if_ready(to);
        if !self.lease_given_up {
            self.send_append(to, true);
        }
        Ok(())
    }

    fn hand_over_if_ready(&mut self, to: Id) {
        let ready = self.progress.get(&to).is_some_and(|progress| progress.matched == self.log.last_index());
        if self.transferee == Some(to) && ready {
            self.lease_given_up = true;
            self.send(to, Body::TimeoutNow);
        }
    }

    /// A change of the membership was applied; answers the new one.
    ///
    /// # Errors
    ///
    /// [`ChangeError`] if the change doesn't fit the membership any more; then nothing changes, on any member.
    pub fn apply_change(&mut self, change: &Change) -> Result<&Membership, ChangeError> {
        self.members = self.members.changed(change)?;
        if self.role == Role::Leader {
            self.know_members();
            // Fewer voters may be content with what there is.
            self.commit();
            self.send_appends();
            if self.transferee.is_some_and(|to| !self.members.votes(to)) {
                self.transferee = None;
            }
        }
        Ok(&self.members)
    }

    /// A leader ends a joint membership that it should end, once the change that began it is applied. A leader that
    /// is no member any more steps down when that is applied.
    pub(super) fn leave_if_due(&mut self) {
        if self.role != Role::Leader {
            return;
        }
        if self.members.auto_leave && self.log.applied >= self.pending_change {
            self.pending_change = self.log.push(self.term, Payload::Change(Change::Leave));
            self.send_appends();
        }
        if !self.members.votes(self.config.id) {
            self.follow(self.term, None);
        }
    }
}
