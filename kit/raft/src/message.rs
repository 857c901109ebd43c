//! What members keep and what they say to each other.

use super::membership::{Change, Membership};
use std::sync::Arc;

/// A member's name; never 0.
pub type Id = u64;
/// A term: the number of an election.
pub type Term = u64;
/// A place in the log; the first entry has 1.
pub type Index = u64;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub index: Index,
    /// The term of the leader that wrote it.
    pub term: Term,
    /// What it holds.
    pub payload: Payload,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: what a new leader writes first, so that it can commit what came before.
    Empty,
    /// A command for the state machine.
    Command(Arc<[u8]>),
    /// Another membership, from the moment when it is applied.
    Change(Change),
}

/// What a member must not forget, beside its log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HardState {
    /// The greatest term that it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<Id>,
    /// How far it knows the log to be committed. Raft would get along without it.
    pub commit: Index,
}

/// The state machine at one place of the log, in the place of everything up to there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that it covers.
    pub index: Index,
    /// That entry's term.
    pub term: Term,
    /// The membership there.
    pub members: Membership,
    /// The state machine, in its own encoding.
    pub data: Arc<[u8]>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub from: Id,
    /// For whom it is.
    pub to: Id,
    /// The sender's term; of a pre-vote, the term that it would have.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A candidate asks for a vote.
    Vote {
        /// The last entry of the candidate's log.
        last_index: Index,
        /// That entry's term.
        last_term: Term,
        /// Only asks how the vote would go (§9.6 of the Raft thesis).
        pre: bool,
        /// A leader asked for this election, so the voter's lease doesn't hold it back.
        force: bool,
    },
    /// The answer to [`Body::Vote`].
    VoteReply {
        /// Whether it was a pre-vote.
        pre: bool,
        /// Yes or no.
        granted: bool,
    },
    /// A leader's entries.
    Append {
        /// The entry before them.
        prev_index: Index,
        /// That entry's term.
        prev_term: Term,
        /// The entries.
        entries: Vec<Entry>,
        /// How far the log is committed.
        commit: Index,
    },
    /// The answer to [`Body::Append`] and [`Body::Install`].
    AppendReply {
        /// Accepted: the log agrees with the leader's up to here. Refused: the `prev_index` that was refused.
        index: Index,
        /// Refused: the last entry that may agree, and its term here (0 if it is forgotten).
        refused: Option<(Index, Term)>,
    },
    /// A leader's sign of life.
    Heartbeat {
        /// How far the log is committed, at most as far as the receiver's log agrees.
        commit: Index,
        /// The leader's clock in ticks when it was sent.
        sent: u64,
        /// A read that waits for the answer.
        context: Option<u64>,
    },
    /// The answer to [`Body::Heartbeat`], which repeats what it said.
    HeartbeatReply {
        /// As in the heartbeat.
        sent: u64,
        /// As in the heartbeat.
        context: Option<u64>,
    },
    /// A snapshot for a member that is too far behind.
    Install(Snapshot),
    /// A leader asks a member to stand for election now.
    TimeoutNow,
    /// A follower asks its leader for a read index.
    Read {
        /// Which read.
        context: u64,
    },
    /// The answer to [`Body::Read`].
    ReadReply {
        /// Which read.
        context: u64,
        /// Whoever has applied this much may answer the read.
        index: Index,
    },
}
