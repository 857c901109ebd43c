//! One member of a Raft group, as far as it elects a leader.
//!
//! The sections are those of Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm*: §5.1 (terms),
//! §5.2 (elections) and §5.4.1 (whom to vote for). etcd's is `raft.go` in etcd-io/raft; pre-vote and leases, which it
//! adds, are left out here.
//!
//! Rules that Raft leaves open, for all members of a group:
//!
//! - **Order.** Outputs take effect in the order of the list, and a member can lose power between any two of them. What
//!   was saved survives; everything else is forgotten. So whatever a message says must have been saved before it.
//! - **Timers** run outside. Each member has one election timer, which rings when it was not reset for a time drawn anew
//!   each time, and then starts again by itself. The heartbeat timer of every member rings all the time, leader or not.
//! - **Messages** can be lost, late, repeated, and overtake each other. None is ever changed. Every message
//!   carries the term that its sender has when it sends it.
//! - **Earlier terms** (§5.1). Who asks for a vote or claims to lead in an earlier term than the member's own is told of the
//!   later one at once. (etcd ignores such messages, unless it has pre-vote or check-quorum.)
//! - **Logs** stand still in this exercise: each member is told how its own ends, and nothing is added.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

contract! {
    /// A member that elects.
    pub trait RaftElection {
        /// A member that starts, for the first time or again after a loss of power.
        fn new(config: &ElectionConfig) -> Self;

        /// Something happens; the answer is what to do about it, in order.
        fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput>;
    }
}

/// What a member knows when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElectionConfig {
    /// Its name, from 1 on.
    pub id: u64,
    /// All members, itself included. There are at least two, and they never change.
    pub members: Vec<u64>,
    /// What it saved last.
    #[serde(default)]
    pub ballot: Ballot,
    /// How its log ends.
    #[serde(default)]
    pub log: LogEnd,
}

/// What a member must never forget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// The greatest term that it has seen; 0 at first.
    pub term: u64,
    /// Whom it voted for in that term.
    pub voted_for: Option<u64>,
}

/// How a log ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnd {
    /// The term of the last entry; 0 if there is none.
    pub term: u64,
    /// Its index; 0 if there is none.
    pub index: u64,
}

/// What happens to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElectionEvent {
    /// The election timer rings.
    ElectionTimeout,
    /// The heartbeat timer rings. Only a leader has anything to do.
    HeartbeatDue,
    /// A message arrives.
    Message {
        /// Who sent it.
        from: u64,
        /// What it says.
        message: ElectionMessage,
    },
}

/// What a member does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElectionOutput {
    /// Saves, in the place of what was saved before. It is safe when the next output takes effect.
    Save(Ballot),
    /// Sends a message.
    Send {
        /// To whom; never to itself.
        to: u64,
        /// What it says.
        message: ElectionMessage,
    },
    /// Winds the election timer up again.
    ResetElectionTimer,
}

/// What members say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElectionMessage {
    /// A candidate asks for a vote.
    RequestVote {
        /// The term in which it wants to lead.
        term: u64,
        /// How its log ends.
        log: LogEnd,
    },
    /// The answer.
    Vote {
        /// The voter's term.
        term: u64,
        /// Whether the candidate has its vote in that term.
        granted: bool,
    },
    /// A leader's sign of life. Whoever sends it claims to lead in that term.
    Heartbeat {
        /// The leader's term.
        term: u64,
    },
    /// The answer, from which a leader of the past learns that it is one.
    HeartbeatReply {
        /// The follower's term.
        term: u64,
    },
}

impl ElectionMessage {
    /// The term that the message carries.
    pub fn term(&self) -> u64 {
        match self {
            ElectionMessage::RequestVote { term, .. }
            | ElectionMessage::Vote { term, .. }
            | ElectionMessage::Heartbeat { term }
            | ElectionMessage::HeartbeatReply { term } => *term,
        }
    }
}

impl Show for ElectionMessage {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ElectionMessage::RequestVote { term, log } => {
                format!("request for a vote, term {term}, log ends at index {} of term {}", log.index, log.term)
            }
            ElectionMessage::Vote { term, granted: true } => format!("vote, term {term}"),
            ElectionMessage::Vote { term, granted: false } => format!("no vote, term {term}"),
            ElectionMessage::Heartbeat { term } => format!("heartbeat, term {term}"),
            ElectionMessage::HeartbeatReply { term } => format!("heartbeat answered, term {term}"),
        }]
    }
}

impl Show for ElectionEvent {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ElectionEvent::ElectionTimeout => "election timeout".into(),
            ElectionEvent::HeartbeatDue => "heartbeat due".into(),
            ElectionEvent::Message { from, message } => format!("from {from}: {}", message.lines().join(", ")),
        }]
    }
}

impl Show for ElectionOutput {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ElectionOutput::Save(Ballot { term, voted_for: Some(id) }) => format!("save term {term}, vote for {id}"),
            ElectionOutput::Save(Ballot { term, voted_for: None }) => format!("save term {term}, no vote"),
            ElectionOutput::Send { to, message } => format!("to {to}: {}", message.lines().join(", ")),
            ElectionOutput::ResetElectionTimer => "reset the election timer".into(),
        }]
    }
}

impl Show for ElectionConfig {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
