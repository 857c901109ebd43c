//! # Raft: electing a leader
//!
//! Members of a Raft group elect one of them, and never two in the same term, though any of them may lose power at any
//! moment and messages get lost. You write one member. The grader runs several of it, each in a process of its own.
//!
//! About 40 minutes · builds on nothing · book: "Raft: electing a leader" · stuck? `cargo grade hint control_plane/raft_election`

use kit::control_plane::{
    Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, LogEnd, RaftElection,
};

/// What the member knows. Add what is missing: above all, what it is now, and who voted for it.
#[allow(dead_code)]
struct Exercise {
    id: u64,
    members: Vec<u64>,
    log: LogEnd,
    /// As it was saved last.
    ballot: Ballot,
}

impl RaftElection for Exercise {
    /// A member that starts, for the first time or again after a loss of power: then `config.ballot` is what it saved.
    fn new(config: &ElectionConfig) -> Self {
        Exercise { id: config.id, members: config.members.clone(), log: config.log, ballot: config.ballot }
    }

    /// Something happens; answer what to do about it, in order.
    ///
    /// - The election timer rings: unless it leads, the member begins a new term, votes for itself, and asks all others.
    /// - The heartbeat timer rings: a leader sends a heartbeat to all others.
    /// - A message with a greater term comes: the member takes the term over, without a vote in it, and follows.
    /// - `RequestVote`: granted only in the member's own term, only if it has voted for nobody else in that term, and only
    ///   if the candidate's log is at least as up to date: the greater last term, or the same and at least the same index.
    /// - `Vote`: a majority of all members, counted once each, makes a candidate of this term a leader. It sends
    ///   heartbeats at once.
    /// - `Heartbeat` of the member's own term: somebody else leads. It is always answered.
    /// - `RequestVote` and `Heartbeat` of an earlier term are answered at once, too, with the member's own term: whoever sent
    ///   them doesn't know of it.
    /// - The timer is reset when a vote is granted, a leader of this term is heard, or an election begins.
    ///
    /// A member can lose power between any two outputs: save before you say.
    fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput> {
        match event {
            ElectionEvent::ElectionTimeout => todo!("stand for election, in a new term"),
            ElectionEvent::HeartbeatDue => todo!("a leader sends heartbeats, all others do nothing"),
            ElectionEvent::Message { from, message } => {
                let _ = from;
                match message {
                    ElectionMessage::RequestVote { .. } => todo!("grant the vote or refuse it"),
                    ElectionMessage::Vote { .. } => todo!("count the vote"),
                    ElectionMessage::Heartbeat { .. } => todo!("follow the leader"),
                    ElectionMessage::HeartbeatReply { .. } => todo!("is the term greater?"),
                }
            }
        }
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftElection);
