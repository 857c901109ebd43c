//! Passes: a leader that isn't answered by a majority steps down by itself, as etcd's does; votes are kept by member, and it saves at once whatever changes.

use kit::control_plane::{
    Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, LogEnd, RaftElection,
};
use std::collections::{HashMap, HashSet};

struct Exercise {
    id: u64,
    others: Vec<u64>,
    log: LogEnd,
    ballot: Ballot,
    standing: bool,
    leading: bool,
    votes: HashMap<u64, bool>,
    heard: HashSet<u64>,
    beats: u32,
    out: Vec<ElectionOutput>,
}

impl RaftElection for Exercise {
    fn new(config: &ElectionConfig) -> Self {
        Exercise {
            id: config.id,
            others: config.members.iter().copied().filter(|id| *id != config.id).collect(),
            log: config.log,
            ballot: config.ballot,
            standing: false,
            leading: false,
            votes: HashMap::new(),
            heard: HashSet::new(),
            beats: 0,
            out: Vec::new(),
        }
    }

    fn step(&mut self, event: &ElectionEvent) -> Vec<ElectionOutput> {
        match event {
            ElectionEvent::ElectionTimeout => {
                if !self.leading {
                    let term = self.ballot.term + 1;
                    self.save(term, Some(self.id));
                    self.out.push(ElectionOutput::ResetElectionTimer);
                    self.standing = true;
                    self.votes = HashMap::from([(self.id, true)]);
                    self.tell_all(ElectionMessage::RequestVote { term, log: self.log });
                }
            }
            ElectionEvent::HeartbeatDue => {
                if self.leading {
                    self.beats += 1;
                    if self.beats == 8 {
                        self.leading = self.heard.len() + 1 > self.others.len().div_ceil(2);
                        self.beats = 0;
                        self.heard.clear();
                    }
                    self.beat();
                }
            }
            ElectionEvent::Message { from, message } => self.message(*from, message),
        }
        std::mem::take(&mut self.out)
    }
}

impl Exercise {
    fn message(&mut self, from: u64, message: &ElectionMessage) {
        if message.term() > self.ballot.term {
            self.save(message.term(), None);
            self.standing = false;
            self.leading = false;
        }
        let term = self.ballot.term;
        let current = message.term() == term;
        match *message {
            ElectionMessage::RequestVote { log, .. } => {
                let newer = log.term > self.log.term || (log.term == self.log.term && log.index >= self.log.index);
                let mut granted = false;
                if current && newer {
                    if self.ballot.voted_for.is_none() {
                        self.save(term, Some(from));
                    }
                    granted = self.ballot.voted_for == Some(from);
                }
                if granted {
                    self.out.push(ElectionOutput::ResetElectionTimer);
                }
                self.tell(from, ElectionMessage::Vote { term, granted });
            }
            ElectionMessage::Vote { granted, .. } => {
                if current && self.standing {
                    self.votes.insert(from, granted);
                    let yes = self.votes.values().filter(|yes| **yes).count();
                    if yes * 2 > self.others.len() + 1 {
                        self.standing = false;
                        self.leading = true;
                        self.beats = 0;
                        self.heard.clear();
                        self.beat();
                    }
                }
            }
            ElectionMessage::Heartbeat { .. } => {
                if current {
                    self.standing = false;
                    self.out.push(ElectionOutput::ResetElectionTimer);
                }
                self.tell(from, ElectionMessage::HeartbeatReply { term });
            }
            ElectionMessage::HeartbeatReply { .. } => {
                if current {
                    self.heard.insert(from);
                }
            }
        }
    }

    fn save(&mut self, term: u64, voted_for: Option<u64>) {
        self.ballot = Ballot { term, voted_for };
        self.out.push(ElectionOutput::Save(self.ballot));
    }

    fn beat(&mut self) {
        if self.leading {
            self.tell_all(ElectionMessage::Heartbeat { term: self.ballot.term });
        }
    }

    fn tell_all(&mut self, message: ElectionMessage) {
        for to in self.others.clone() {
            self.tell(to, message.clone());
        }
    }

    fn tell(&mut self, to: u64, message: ElectionMessage) {
        self.out.push(ElectionOutput::Send { to, message });
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftElection);
