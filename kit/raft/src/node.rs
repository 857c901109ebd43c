//! One member: what it knows, and how time, messages and wishes reach it.
//!
//! Upstream: `raft.go` and `rawnode.go` in etcd-io/raft.

use super::flaw::Flaw;
use super::log::Log;
use super::membership::{Change, ChangeError, Membership};
use super::message::{Body, Entry, HardState, Id, Index, Message, Payload, Snapshot, Term};
use super::progress::Progress;
use super::read::{ReadState, Reads};
use super::storage::{Saved, Write};
use kit_time::random::{Purpose, Random};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a member behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name.
    pub id: Id,
    /// Ticks without a leader before it stands for election; each time up to twice as many, by chance. More than 4.
    pub election_ticks: u32,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_ticks: u32,
    /// Asks how an election would go before it raises its term.
    pub pre_vote: bool,
    /// A leader that hears no majority steps down, and nobody votes while it hears a leader.
    pub check_quorum: bool,
    /// A leader answers reads by its clock. Needs `check_quorum`, and clocks that run equally fast within a tenth.
    pub lease_reads: bool,
    /// The most entries in one message.
    pub max_entries: usize,
    /// The most messages under way to one member.
    pub max_inflight: usize,
    /// Where election timeouts come from.
    pub random: Random,
}

impl Config {
    /// The usual behaviour: that of etcd, which asks a majority for every read.
    pub fn new(id: Id, random: Random) -> Self {
        Config {
            id,
            election_ticks: 10,
            heartbeat_ticks: 1,
            pre_vote: true,
            check_quorum: true,
            lease_reads: false,
            max_entries: 64,
            max_inflight: 16,
            random,
        }
    }
}

/// What a member is in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It follows, or waits for a leader.
    Follower,
    /// It asks how an election would go.
    PreCandidate,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
}

/// Why a member doesn't take a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else leads, or nobody that it knows of.
    NotLeader(Option<Id>),
    /// Leadership is on its way to another member.
    Transferring,
    /// Another change of the membership is not yet applied.
    ChangePending,
    /// The change makes no sense.
    Change(ChangeError),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotLeader(Some(id)) => write!(f, "member {id} leads: ask there"),
            Refusal::NotLeader(None) => f.write_str("there is no leader now: try again later"),
            Refusal::Transferring => f.write_str("leadership is being handed over: try again later"),
            Refusal::ChangePending => f.write_str("another change of the membership is not yet applied: wait for it"),
            Refusal::Change(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// What has to be done, in this order: write and sync, send, apply; then [`Raft::advance`].
#[derive(Debug, Default)]
pub struct Ready {
    /// To be written and synced first.
    pub write: Write,
    /// To be sent then.
    pub messages: Vec<Message>,
    /// To be applied to the state machine; before these, the snapshot in `write` if there is one.
    pub committed: Vec<Entry>,
    /// Reads that may be answered once as much is applied.
    pub reads: Vec<ReadState>,
}

/// The most entries that are handed out to be applied at a time.
const APPLY_AT_ONCE: usize = 1024;

/// One member of a Raft group.
#[derive(Debug)]
pub struct Raft {
    pub(super) config: Config,
    pub(super) term: Term,
    pub(super) vote: Option<Id>,
    pub(super) leader: Option<Id>,
    pub(super) role: Role,
    pub(super) log: Log,
    pub(super) members: Membership,
    pub(super) progress: BTreeMap<Id, Progress>,
    pub(super) votes: BTreeMap<Id, bool>,
    /// Ticks since a leader was heard, a vote was granted or, at a leader, the quorum was checked.
    pub(super) elapsed: u32,
    pub(super) since_heartbeat: u32,
    pub(super) timeout: u32,
    drawn: u64,
    /// All ticks so far.
    pub(super) clock: u64,
    /// Until a whole election timeout after its start, a member may owe somebody its silence.
    pub(super) just_started: bool,
    pub(super) transferee: Option<Id>,
    /// Set once this leader asked somebody to stand for election: leases don't hold against that.
    pub(super) lease_given_up: bool,
    /// No change may be proposed before this is applied.
    pub(super) pending_change: Index,
    pub(super) reads: Reads,
    outbox: Vec<Message>,
    restored: Option<Snapshot>,
    saved: HardState,
    flaw: Option<Flaw>,
}

impl Raft {
    /// A member that goes on from what was saved.
    pub fn new(config: Config, saved: Saved) -> Self {
        let HardState { term, vote, .. } = saved.hard_state;
        let (hard_state, members) = (saved.hard_state, saved.snapshot.members.clone());
        let mut raft = Raft {
            term,
            vote,
            leader: None,
            role: Role::Follower,
            log: Log::new(saved),
            members,
            progress: BTreeMap::new(),
            votes: BTreeMap::new(),
            elapsed: 0,
            since_heartbeat: 0,
            timeout: 0,
            drawn: 0,
            clock: 0,
            just_started: true,
            transferee: None,
            lease_given_up: false,
            pending_change: 0,
            reads: Reads::default(),
            outbox: Vec::new(),
            restored: None,
            saved: hard_state,
            flaw: None,
            config,
        };
        raft.draw_timeout();
        raft
    }

    /// A tick of the clock.
    pub fn tick(&mut self) {
        self.clock += 1;
        self.elapsed += 1;
        if self.elapsed >= self.config.election_ticks {
            self.just_started = false;
        }
        if self.role == Role::Leader {
            return self.tick_leader();
        }
        if self.elapsed >= self.timeout && self.members.votes(self.config.id) {
            self.elapsed = 0;
            self.stand();
        }
    }

    /// Takes a message in.
    pub fn step(&mut self, message: Message) {
        let Message { from, to, term, .. } = message;
        if to != self.config.id || !self.admits(&message) {
            return;
        }
        match message.body {
            Body::Vote { last_index, last_term, pre, .. } => {
                self.asked_for_vote(from, term, last_index, last_term, pre)
            }
            Body::VoteReply { pre, granted } => self.voted(from, pre, granted),
            Body::TimeoutNow => self.stand_now(),
            Body::Append { prev_index, prev_term, entries, commit } => {
                self.heard_leader(from);
                self.append(from, (prev_index, prev_term), entries, commit);
            }
            Body::Install(snapshot) => {
                self.heard_leader(from);
                self.install(from, snapshot);
            }
            Body::Heartbeat { commit, sent, context } => {
                self.heard_leader(from);
                self.log.commit_to(commit);
                self.send(from, Body::HeartbeatReply { sent, context });
            }
            Body::AppendReply { index, refused } => self.append_answered(from, index, refused),
            Body::HeartbeatReply { sent, context } => self.heartbeat_answered(from, sent, context),
            Body::Read { context } => self.read_for(from, context),
            Body::ReadReply { context, index } => self.reads.ready.push(ReadState { context, index }),
        }
    }

    /// What terms say about a message; false if it goes no further. Upstream: the first half of `Step` in `raft.go`.
    fn admits(&mut self, message: &Message) -> bool {
        let Message { from, term, .. } = *message;
        if term > self.term {
            match message.body {
                Body::Vote { force: false, .. } if self.owes_silence() => return false,
                // Neither changes the term: nobody was elected.
                Body::Vote { pre: true, .. } | Body::VoteReply { pre: true, granted: true } => {}
                _ if self.flawed(Flaw::NeverStepsDown) && self.role == Role::Leader => self.term = term,
                Body::Append { .. } | Body::Heartbeat { .. } | Body::Install(_) => self.follow(term, Some(from)),
                _ => self.follow(term, None),
            }
            return true;
        }
        if term < self.term {
            match message.body {
                // A leader of the past, or one whose followers went on without it, learns the term from an answer.
                Body::Append { .. } | Body::Heartbeat { .. } | Body::Install(_)
                    if self.config.check_quorum || self.config.pre_vote =>
                {
                    self.send(from, Body::AppendReply { index: 0, refused: Some((0, 0)) });
                }
                Body::Vote { pre: true, .. } => self.send(from, Body::VoteReply { pre: true, granted: false }),
                _ => {}
            }
            return false;
        }
        true
    }

    /// Proposes a command; answers the term and the index that it has if it is ever committed.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: the command is then certainly not in the log.
    pub fn propose(&mut self, command: Arc<[u8]>) -> Result<(Term, Index), Refusal> {
        self.propose_entry(Payload::Command(command))
    }

    /// Proposes a change of the membership.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: one change at a time, and none that makes no sense.
    pub fn propose_change(&mut self, change: Change) -> Result<(Term, Index), Refusal> {
        self.members.changed(&change).map_err(Refusal::Change)?;
        if self.role == Role::Leader && self.pending_change > self.log.applied {
            return Err(Refusal::ChangePending);
        }
        let place = self.propose_entry(Payload::Change(change))?;
        self.pending_change = place.1;
        Ok(place)
    }

    fn propose_entry(&mut self, payload: Payload) -> Result<(Term, Index), Refusal> {
        if self.role != Role::Leader || !self.progress.contains_key(&self.config.id) {
            return Err(Refusal::NotLeader(self.leader.filter(|leader| *leader != self.config.id)));
        }
        if self.transferee.is_some() {
            return Err(Refusal::Transferring);
        }
        let index = self.log.push(self.term, payload);
        self.send_appends();
        Ok((self.term, index))
    }

    /// What there is to do now.
    pub fn ready(&mut self) -> Ready {
        let hard_state = self.hard_state();
        let kept = HardState { vote: hard_state.vote.filter(|_| !self.flawed(Flaw::ForgetsItsVote)), ..hard_state };
        let write = Write {
            hard_state: (hard_state != self.saved).then_some(kept),
            snapshot: self.restored.take(),
            entries: self.log.unsaved().to_vec(),
        };
        self.saved = hard_state;
        Ready {
            write,
            messages: std::mem::take(&mut self.outbox),
            committed: self.log.unapplied(APPLY_AT_ONCE).to_vec(),
            reads: std::mem::take(&mut self.reads.ready),
        }
    }

    /// Whether [`Raft::ready`] has anything in it.
    pub fn has_ready(&self) -> bool {
        self.hard_state() != self.saved
            || self.restored.is_some()
            || !self.outbox.is_empty()
            || !self.reads.ready.is_empty()
            || !self.log.unsaved().is_empty()
            || !self.log.unapplied(1).is_empty()
    }

    /// What `ready` said is done.
    pub fn advance(&mut self, ready: &Ready) {
        if let Some(last) = ready.write.entries.last() {
            self.log.saved_to(last.index);
            self.saved_own(last.index);
        }
        if let Some(last) = ready.committed.last() {
            self.log.applied = self.log.applied.max(last.index);
            self.leave_if_due();
        }
    }

    /// The state machine's state after `index` is in `data`: entries up to there may be forgotten. `members` is the
    /// membership at `index`. Answers the snapshot, for the disk.
    pub fn compact(&mut self, index: Index, members: Membership, data: Arc<[u8]>) -> Option<Snapshot> {
        if index <= self.log.snapshot.index || index > self.log.applied {
            return None;
        }
        let snapshot = Snapshot { index, term: self.log.term(index)?, members, data };
        self.log.compact(snapshot.clone());
        Some(snapshot)
    }

    pub(super) fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, commit: self.log.commit }
    }

    pub(super) fn send(&mut self, to: Id, body: Body) {
        let term = self.term;
        self.send_at(to, term, body);
    }

    pub(super) fn send_at(&mut self, to: Id, term: Term, body: Body) {
        self.outbox.push(Message { from: self.config.id, to, term, body });
    }

    /// Replaces everything by a leader's snapshot.
    pub(super) fn restore(&mut self, snapshot: Snapshot) {
        self.members = snapshot.members.clone();
        self.log.restore(snapshot.clone());
        self.restored = Some(snapshot);
    }

    /// A new election timeout, between one and two times `election_ticks` (§5.2).
    pub(super) fn draw_timeout(&mut self) {
        let Config { id, election_ticks, random, .. } = self.config;
        let object = id.to_string();
        // The term keeps the draws after a restart apart from those before.
        let attempt = (self.term << 16) + self.drawn;
        let purpose = Purpose { component: "raft", object: &object, reason: "election-timeout", attempt };
        self.timeout = election_ticks + random.below(u64::from(election_ticks), purpose) as u32;
        self.drawn += 1;
    }

    pub(super) fn flawed(&self, flaw: Flaw) -> bool {
        cfg!(test) && self.flaw == Some(flaw)
    }

    #[cfg(test)]
    pub(crate) fn with_flaw(mut self, flaw: Option<Flaw>) -> Self {
        self.flaw = flaw;
        self
    }

    /// Its name.
    pub fn id(&self) -> Id {
        self.config.id
    }

    /// What it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its term.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whom it follows; itself if it leads.
    pub fn leader(&self) -> Option<Id> {
        self.leader
    }

    /// The membership as far as it is applied.
    pub fn members(&self) -> &Membership {
        &self.members
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.log
    }
}
