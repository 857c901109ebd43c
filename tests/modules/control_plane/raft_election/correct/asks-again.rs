//! Passes: a candidate asks again at every heartbeat those who haven't answered; votes are a list, and terms are taken over by a function of their own.

use kit::control_plane::{Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, RaftElection};

struct Exercise {
    config: ElectionConfig,
    now: State,
}

#[derive(Clone, PartialEq)]
enum State {
    Waits,
    Asks { yes: Vec<u64>, no: Vec<u64> },
    Leads,
}

impl RaftElection for Exercise {
    fn new(config: &ElectionConfig) -> Self {
        Exercise { config: config.clone(), now: State::Waits }
    }

    fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput> {
        let (from, message) = match event {
            ElectionEvent::ElectionTimeout if self.now == State::Leads => return vec![],
            ElectionEvent::ElectionTimeout => {
                self.config.ballot = Ballot { term: self.term() + 1, voted_for: Some(self.config.id) };
                self.now = State::Asks { yes: vec![self.config.id], no: vec![] };
                let first = [ElectionOutput::Save(self.config.ballot), ElectionOutput::ResetElectionTimer];
                return first.into_iter().chain(self.say()).collect();
            }
            ElectionEvent::HeartbeatDue => return self.say(),
            ElectionEvent::Message { from, message } => (*from, message),
        };
        let mut first = Vec::new();
        if message.term() > self.term() {
            self.config.ballot = Ballot { term: message.term(), voted_for: None };
            self.now = State::Waits;
            first.push(ElectionOutput::Save(self.config.ballot));
        }
        let term = self.term();
        let answer = |message| ElectionOutput::Send { to: from, message };
        match message {
            ElectionMessage::RequestVote { term: of, .. } if *of < term => {
                first.push(answer(ElectionMessage::Vote { term, granted: false }));
            }
            ElectionMessage::RequestVote { log, .. } => {
                let behind = match log.term.cmp(&self.config.log.term) {
                    std::cmp::Ordering::Less => true,
                    std::cmp::Ordering::Equal => log.index < self.config.log.index,
                    std::cmp::Ordering::Greater => false,
                };
                let taken = matches!(self.config.ballot.voted_for, Some(other) if other != from);
                if behind || taken {
                    first.push(answer(ElectionMessage::Vote { term, granted: false }));
                } else {
                    self.config.ballot.voted_for = Some(from);
                    first.push(ElectionOutput::Save(self.config.ballot));
                    first.push(answer(ElectionMessage::Vote { term, granted: true }));
                    first.push(ElectionOutput::ResetElectionTimer);
                }
            }
            ElectionMessage::Vote { term: of, granted } => {
                if let State::Asks { yes, no } = &mut self.now
                    && *of == term
                {
                    let list = if *granted { yes } else { no };
                    if !list.contains(&from) {
                        list.push(from);
                    }
                }
                let majority = self.config.members.len() / 2 + 1;
                if matches!(&self.now, State::Asks { yes, .. } if yes.len() >= majority) {
                    self.now = State::Leads;
                    first.extend(self.say());
                }
            }
            ElectionMessage::Heartbeat { term: of } => {
                if *of == term {
                    self.now = State::Waits;
                    first.push(ElectionOutput::ResetElectionTimer);
                }
                first.push(answer(ElectionMessage::HeartbeatReply { term }));
            }
            ElectionMessage::HeartbeatReply { .. } => {}
        }
        first
    }
}

impl Exercise {
    fn term(&self) -> u64 {
        self.config.ballot.term
    }

    /// What this member has to say to others, being what it is.
    fn say(&self) -> Vec<ElectionOutput> {
        let term = self.term();
        let others = self.config.members.iter().copied().filter(|id| *id != self.config.id);
        match &self.now {
            State::Waits => vec![],
            State::Leads => {
                others.map(|to| ElectionOutput::Send { to, message: ElectionMessage::Heartbeat { term } }).collect()
            }
            State::Asks { yes, no } => others
                .filter(|id| !yes.contains(id) && !no.contains(id))
                .map(|to| ElectionOutput::Send {
                    to,
                    message: ElectionMessage::RequestVote { term, log: self.config.log },
                })
                .collect(),
        }
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftElection);
