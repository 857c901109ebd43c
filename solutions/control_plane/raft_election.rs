//! The reference for `control_plane/raft_election`.
//!
//! The sections are those of the Raft paper. The names follow it, and `raft.go` in etcd-io/raft.

// ANCHOR: solution
use kit::control_plane::{
    Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, LogEnd, RaftElection,
};
use std::collections::BTreeSet;

/// One member.
pub struct Exercise {
    id: u64,
    members: Vec<u64>,
    log: LogEnd,
    /// As it was saved last.
    ballot: Ballot,
    role: Role,
}

enum Role {
    Follower,
    /// With those who voted for it, itself included.
    Candidate(BTreeSet<u64>),
    Leader,
}

impl RaftElection for Exercise {
    fn new(config: &ElectionConfig) -> Self {
        let ElectionConfig { id, members, ballot, log } = config.clone();
        Exercise { id, members, log, ballot, role: Role::Follower }
    }

    fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput> {
        match event {
            ElectionEvent::ElectionTimeout if matches!(self.role, Role::Leader) => Vec::new(),
            ElectionEvent::ElectionTimeout => self.stand(),
            ElectionEvent::HeartbeatDue if matches!(self.role, Role::Leader) => self.heartbeats(),
            ElectionEvent::HeartbeatDue => Vec::new(),
            ElectionEvent::Message { from, message } => {
                // A greater term ends whatever this member was in its own (§5.1). It must be saved with the answer's
                // vote or without, but before the answer.
                let before = self.ballot;
                if message.term() > self.ballot.term {
                    self.ballot = Ballot { term: message.term(), voted_for: None };
                    self.role = Role::Follower;
                }
                let answer = self.receive(*from, message);
                let save = (self.ballot != before).then_some(ElectionOutput::Save(self.ballot));
                save.into_iter().chain(answer).collect()
            }
        }
    }
}

impl Exercise {
    /// Begins a new term and asks everybody for a vote (§5.2).
    fn stand(&mut self) -> Vec<ElectionOutput> {
        self.ballot = Ballot { term: self.ballot.term + 1, voted_for: Some(self.id) };
        self.role = Role::Candidate(BTreeSet::from([self.id]));
        let request = ElectionMessage::RequestVote { term: self.ballot.term, log: self.log };
        let mut outputs = vec![ElectionOutput::Save(self.ballot), ElectionOutput::ResetElectionTimer];
        outputs.extend(self.to_all(&request));
        outputs
    }

    fn receive(&mut self, from: u64, message: &ElectionMessage) -> Vec<ElectionOutput> {
        let term = self.ballot.term;
        match message {
            ElectionMessage::RequestVote { term: asked, log } => {
                let free = self.ballot.voted_for.is_none_or(|id| id == from);
                // The greater last term wins, and in the same term the longer log (§5.4.1).
                let up_to_date = (log.term, log.index) >= (self.log.term, self.log.index);
                let granted = *asked == term && free && up_to_date;
                let mut outputs = vec![send(from, ElectionMessage::Vote { term, granted })];
                if granted {
                    self.ballot.voted_for = Some(from);
                    outputs.push(ElectionOutput::ResetElectionTimer);
                }
                outputs
            }
            ElectionMessage::Vote { term: of, granted: true } if *of == term => {
                let Role::Candidate(votes) = &mut self.role else { return Vec::new() };
                votes.insert(from);
                if votes.len() <= self.members.len() / 2 {
                    return Vec::new();
                }
                self.role = Role::Leader;
                self.heartbeats()
            }
            ElectionMessage::Heartbeat { term: of } => {
                let mut outputs = vec![send(from, ElectionMessage::HeartbeatReply { term })];
                if *of == term {
                    // Somebody else won this term.
                    self.role = Role::Follower;
                    outputs.push(ElectionOutput::ResetElectionTimer);
                }
                outputs
            }
            ElectionMessage::Vote { .. } | ElectionMessage::HeartbeatReply { .. } => Vec::new(),
        }
    }

    fn heartbeats(&self) -> Vec<ElectionOutput> {
        self.to_all(&ElectionMessage::Heartbeat { term: self.ballot.term })
    }

    fn to_all(&self, message: &ElectionMessage) -> Vec<ElectionOutput> {
        self.members.iter().filter(|id| **id != self.id).map(|id| send(*id, message.clone())).collect()
    }
}

fn send(to: u64, message: ElectionMessage) -> ElectionOutput {
    ElectionOutput::Send { to, message }
}
// ANCHOR_END: solution
