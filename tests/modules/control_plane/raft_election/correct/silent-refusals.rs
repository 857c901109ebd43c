//! Passes: a pure function from state and event to the next state, with votes as bits; it refuses by silence those who have nothing to learn, and a leader answers the candidate of an older term with a heartbeat, too.

use kit::control_plane::{
    Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, LogEnd, RaftElection,
};

struct Exercise {
    id: u64,
    members: Vec<u64>,
    log: LogEnd,
    state: State,
}

#[derive(Clone, Copy)]
struct State {
    ballot: Ballot,
    /// One bit for each member that voted for this one, by its place in the list; 0 unless it is a candidate.
    votes: u128,
    leads: bool,
}

impl State {
    fn follower(term: u64) -> Self {
        State { ballot: Ballot { term, voted_for: None }, votes: 0, leads: false }
    }
}

/// What follows from an event, apart from the next state.
#[derive(Default)]
struct Said {
    reset: bool,
    to: Vec<(u64, ElectionMessage)>,
}

impl RaftElection for Exercise {
    fn new(config: &ElectionConfig) -> Self {
        let state = State { ballot: config.ballot, ..State::follower(0) };
        Exercise { id: config.id, members: config.members.clone(), log: config.log, state }
    }

    fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput> {
        let (next, said) = self.next(self.state, event);
        let before = std::mem::replace(&mut self.state, next);
        let mut outputs = Vec::new();
        if next.ballot != before.ballot {
            outputs.push(ElectionOutput::Save(next.ballot));
        }
        if said.reset {
            outputs.push(ElectionOutput::ResetElectionTimer);
        }
        for (to, message) in said.to {
            outputs.push(ElectionOutput::Send { to, message });
        }
        outputs
    }
}

impl Exercise {
    fn next(&self, state: State, event: &ElectionEvent) -> (State, Said) {
        match event {
            ElectionEvent::ElectionTimeout if state.leads => (state, Said::default()),
            ElectionEvent::ElectionTimeout => {
                let ballot = Ballot { term: state.ballot.term + 1, voted_for: Some(self.id) };
                let request = ElectionMessage::RequestVote { term: ballot.term, log: self.log };
                let said = Said { reset: true, to: self.others(&request) };
                (State { ballot, votes: self.bit(self.id), leads: false }, said)
            }
            ElectionEvent::HeartbeatDue => {
                let beat = ElectionMessage::Heartbeat { term: state.ballot.term };
                (state, Said { reset: false, to: if state.leads { self.others(&beat) } else { vec![] } })
            }
            ElectionEvent::Message { from, message } if message.term() < state.ballot.term => {
                (state, Said { reset: false, to: self.teach(state, *from, message) })
            }
            ElectionEvent::Message { from, message } => {
                let newer = message.term() > state.ballot.term;
                self.hear(if newer { State::follower(message.term()) } else { state }, *from, message)
            }
        }
    }

    /// The answer to a message of an older term: its sender has to learn of this one.
    fn teach(&self, state: State, from: u64, message: &ElectionMessage) -> Vec<(u64, ElectionMessage)> {
        let term = state.ballot.term;
        let mut answers = match message {
            ElectionMessage::RequestVote { .. } => vec![(from, ElectionMessage::Vote { term, granted: false })],
            ElectionMessage::Heartbeat { .. } => vec![(from, ElectionMessage::HeartbeatReply { term })],
            ElectionMessage::Vote { .. } | ElectionMessage::HeartbeatReply { .. } => vec![],
        };
        if state.leads && !answers.is_empty() {
            answers.push((from, ElectionMessage::Heartbeat { term }));
        }
        answers
    }

    /// A message of this member's own term.
    fn hear(&self, mut state: State, from: u64, message: &ElectionMessage) -> (State, Said) {
        let term = state.ballot.term;
        let mut said = Said::default();
        match message {
            ElectionMessage::RequestVote { log, .. } => {
                let mine = [self.log.term, self.log.index];
                let may = *state.ballot.voted_for.get_or_insert(from) == from && [log.term, log.index] >= mine;
                if may {
                    said = Said { reset: true, to: vec![(from, ElectionMessage::Vote { term, granted: true })] };
                } else if state.ballot.voted_for == Some(from) {
                    // The log decided against it. Who is free stays free; who had voted for it has said so already.
                    state.ballot.voted_for = self.state.ballot.voted_for.filter(|_| self.state.ballot.term == term);
                }
            }
            ElectionMessage::Vote { granted, .. } => {
                if *granted && state.votes != 0 {
                    state.votes |= self.bit(from);
                }
                if 2 * state.votes.count_ones() as usize > self.members.len() {
                    state = State { votes: 0, leads: true, ..state };
                    said.to = self.others(&ElectionMessage::Heartbeat { term });
                }
            }
            ElectionMessage::Heartbeat { .. } => {
                state = State { votes: 0, leads: false, ..state };
                said = Said { reset: true, to: vec![(from, ElectionMessage::HeartbeatReply { term })] };
            }
            ElectionMessage::HeartbeatReply { .. } => {}
        }
        (state, said)
    }

    fn bit(&self, member: u64) -> u128 {
        self.members.iter().position(|id| *id == member).map_or(0, |place| 1 << place)
    }

    fn others(&self, message: &ElectionMessage) -> Vec<(u64, ElectionMessage)> {
        self.members.iter().filter(|id| **id != self.id).map(|id| (*id, message.clone())).collect()
    }
}

kit::exercise!(Exercise: RaftElection);
