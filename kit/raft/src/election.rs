//! How a leader is found (§5.2, §5.4.1; pre-vote and leadership transfer: §9.6 and §3.10 of the Raft thesis).

use super::flaw::Flaw;
use super::membership::{Membership, Outcome};
use super::message::{Body, Id, Index, Payload, Term};
use super::node::{Raft, Role};
use std::borrow::Cow;

impl Raft {
    /// A term begins or goes on with somebody else in the lead.
    pub(super) fn follow(&mut self, term: Term, leader: Option<Id>) {
        self.reset(term);
        self.role = Role::Follower;
        self.leader = leader;
    }

    pub(super) fn reset(&mut self, term: Term) {
        if term != self.term {
            self.term = term;
            self.vote = None;
        }
        self.leader = None;
        self.elapsed = 0;
        self.since_heartbeat = 0;
        self.votes.clear();
        self.progress.clear();
        self.transferee = None;
        self.lease_given_up = false;
        self.pending_change = 0;
        self.reads.forget();
        self.draw_timeout();
    }

    /// A message from the leader of this term came in.
    pub(super) fn heard_leader(&mut self, from: Id) {
        if self.role == Role::Follower {
            self.leader = Some(from);
            self.elapsed = 0;
        } else if self.role != Role::Leader {
            self.follow(self.term, Some(from));
        }
    }

    /// Whether a leader may be alive that counts on this member not to elect another one (§6.4.1 of the thesis).
    pub(super) fn owes_silence(&self) -> bool {
        let heard = self.leader.is_some() || self.just_started;
        self.config.check_quorum && heard && self.elapsed < self.config.election_ticks
    }

    /// The election timeout is over.
    pub(super) fn stand(&mut self) {
        if self.role == Role::Leader || self.change_is_waiting() {
            return;
        }
        self.campaign(self.config.pre_vote, false);
    }

    /// The leader asked for an election, so there is nothing to be found out first.
    pub(super) fn stand_now(&mut self) {
        if self.role == Role::Follower && self.members.votes(self.config.id) && !self.change_is_waiting() {
            self.campaign(false, true);
        }
    }

    /// A committed change that isn't applied yet: who votes would be decided by an old membership.
    fn change_is_waiting(&self) -> bool {
        self.log.unapplied(usize::MAX).iter().any(|entry| matches!(entry.payload, Payload::Change(_)))
    }

    fn campaign(&mut self, pre: bool, force: bool) {
        let term = self.term + 1;
        if pre {
            self.role = Role::PreCandidate;
            self.leader = None;
            self.votes.clear();
            self.draw_timeout();
        } else {
            self.reset(term);
            self.role = Role::Candidate;
            self.vote = Some(self.config.id);
        }
        let id = self.config.id;
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        for to in self.members.all() {
            if to != id && self.members.votes(to) {
                self.send_at(to, term, Body::Vote { last_index, last_term, pre, force });
            }
        }
        self.voted(id, pre, true);
    }

    /// Somebody asks for a vote.
    pub(super) fn asked_for_vote(&mut self, from: Id, term: Term, last_index: Index, last_term: Term, pre: bool) {
        let free = self.vote.is_none() && self.leader.is_none() || self.flawed(Flaw::VotesTwice);
        let may = self.vote == Some(from) || free || (pre && term > self.term);
        let up_to_date = self.log.is_up_to_date(last_index, last_term) || self.flawed(Flaw::NoLogCheck);
        if !may || !up_to_date {
            return self.send(from, Body::VoteReply { pre, granted: false });
        }
        // The answer to a pre-vote carries the term that it is about, which isn't this member's.
        self.send_at(from, term, Body::VoteReply { pre, granted: true });
        if !pre {
            self.elapsed = 0;
            self.vote = Some(from);
        }
    }

    /// A vote was counted.
    pub(super) fn voted(&mut self, from: Id, pre: bool, granted: bool) {
        let expected = if pre { Role::PreCandidate } else { Role::Candidate };
        if self.role != expected {
            return;
        }
        self.votes.entry(from).or_insert(granted);
        match self.electorate().outcome(|id| self.votes.get(&id).copied()) {
            Outcome::Won if pre => self.campaign(false, false),
            Outcome::Won => self.lead(),
            Outcome::Lost => self.follow(self.term, None),
            Outcome::Open => {}
        }
    }

    /// Whose majorities count.
    pub(super) fn electorate(&self) -> Cow<'_, Membership> {
        if self.flawed(Flaw::IgnoresTheOldVoters) {
            return Cow::Owned(Membership::of(self.members.voters.iter().copied()));
        }
        Cow::Borrowed(&self.members)
    }
}
