//! Passes: a leader sends only when its heartbeat is due, ten entries at most, and goes back by one entry for each refusal: the slowest that is still right.

use kit::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};
use std::collections::BTreeMap;

/// What a leader believes of a follower.
struct Peer {
    id: u64,
    agrees: u64,
    next: u64,
}

#[derive(Default)]
struct Exercise {
    config: ReplicationConfig,
    peers: Option<Vec<Peer>>,
    commit: u64,
    applied: u64,
}

impl RaftReplication for Exercise {
    fn new(config: &ReplicationConfig) -> Self {
        let done = config.snapshot.index;
        Exercise { config: config.clone(), peers: None, commit: done, applied: done }
    }

    fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput> {
        let mut out = match event {
            ReplicationEvent::Elected { term } => {
                self.config.term = *term;
                let next = self.end() + 1;
                let others = self.config.members.iter().filter(|id| **id != self.config.id);
                self.peers = Some(others.map(|id| Peer { id: *id, agrees: 0, next }).collect());
                self.write("")
            }
            ReplicationEvent::NewTerm { term } => self.follow(*term),
            ReplicationEvent::Propose { command } if self.peers.is_some() => self.write(command),
            ReplicationEvent::Propose { .. } => vec![],
            ReplicationEvent::HeartbeatDue => {
                self.peers.iter().flatten().map(|peer| send(peer.id, self.news(peer))).collect()
            }
            ReplicationEvent::Compact(snapshot) => {
                self.config.log.retain(|entry| entry.index > snapshot.index);
                self.config.snapshot = snapshot.clone();
                vec![]
            }
            ReplicationEvent::Message { from, message } => {
                let mut out = if message.term() > self.config.term { self.follow(message.term()) } else { vec![] };
                out.extend(self.hear(*from, message));
                out
            }
        };
        let ready = self.config.log.iter().filter(|entry| (self.applied + 1..=self.commit).contains(&entry.index));
        out.extend(ready.cloned().map(ReplicationOutput::Apply));
        self.applied = self.commit;
        out
    }
}

impl Exercise {
    fn end(&self) -> u64 {
        self.config.log.last().map_or(self.config.snapshot.index, |entry| entry.index)
    }

    fn term_of(&self, index: u64) -> Option<u64> {
        let LogSnapshot { index: covered, term, .. } = self.config.snapshot;
        let own = self.config.log.iter().find(|entry| entry.index == index).map(|entry| entry.term);
        own.or((index == covered).then_some(term))
    }

    fn follow(&mut self, term: u64) -> Vec<ReplicationOutput> {
        self.config.term = term;
        self.peers = None;
        vec![]
    }

    fn write(&mut self, command: &str) -> Vec<ReplicationOutput> {
        let entry = LogEntry { term: self.config.term, index: self.end() + 1, command: command.into() };
        self.config.log.push(entry.clone());
        vec![ReplicationOutput::Save(vec![entry])]
    }

    fn news(&self, peer: &Peer) -> ReplicationMessage {
        let (term, prev_log_index) = (self.config.term, peer.next - 1);
        let Some(prev_log_term) = self.term_of(prev_log_index) else {
            return ReplicationMessage::InstallSnapshot { term, snapshot: self.config.snapshot.clone() };
        };
        let entries = self.config.log.iter().filter(|entry| entry.index >= peer.next).take(10).cloned().collect();
        ReplicationMessage::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit: self.commit }
    }

    fn hear(&mut self, from: u64, message: &ReplicationMessage) -> Vec<ReplicationOutput> {
        let term = self.config.term;
        let reply = |success, index| vec![send(from, ReplicationMessage::AppendReply { term, success, index })];
        match message {
            ReplicationMessage::AppendReply { success, index, .. } => {
                if message.term() == term {
                    self.count(from, *success, *index);
                }
                vec![]
            }
            _ if message.term() < term => reply(false, 0),
            ReplicationMessage::InstallSnapshot { snapshot, .. } => {
                let mut out = vec![];
                if snapshot.index > self.commit && self.term_of(snapshot.index) != Some(snapshot.term) {
                    out.push(ReplicationOutput::Restore(snapshot.clone()));
                    self.config.log.clear();
                    self.config.snapshot = snapshot.clone();
                    self.applied = snapshot.index;
                }
                self.commit = self.commit.max(snapshot.index);
                out.extend(reply(true, snapshot.index));
                out
            }
            ReplicationMessage::AppendEntries { prev_log_index, prev_log_term, entries, leader_commit, .. } => {
                let prev = *prev_log_index;
                if prev > self.commit && self.term_of(prev) != Some(*prev_log_term) {
                    return reply(false, prev - 1);
                }
                let mut out = vec![];
                let same = entries
                    .iter()
                    .take_while(|entry| entry.index <= self.commit || self.term_of(entry.index) == Some(entry.term))
                    .count();
                if let Some(first) = entries.get(same) {
                    self.config.log.retain(|entry| entry.index < first.index);
                    self.config.log.extend_from_slice(&entries[same..]);
                    out.push(ReplicationOutput::Save(entries[same..].to_vec()));
                }
                let agreed = prev + entries.len() as u64;
                self.commit = self.commit.max(agreed.min(*leader_commit));
                out.extend(reply(true, agreed));
                out
            }
        }
    }

    fn count(&mut self, from: u64, success: bool, index: u64) {
        let end = self.end();
        let Some(peers) = &mut self.peers else { return };
        for peer in peers.iter_mut().filter(|peer| peer.id == from) {
            if success {
                peer.agrees = peer.agrees.max(index);
                peer.next = peer.next.max(peer.agrees + 1);
            } else if index + 1 < peer.next {
                // One step is always safe, whatever the follower says.
                peer.next = (peer.next - 1).max(peer.agrees + 1);
            }
        }
        let mut ends: BTreeMap<u64, usize> = BTreeMap::new();
        for agrees in peers.iter().map(|peer| peer.agrees).chain([end]) {
            *ends.entry(agrees).or_default() += 1;
        }
        let mut copies = 0;
        for (index, members) in ends.into_iter().rev() {
            copies += members;
            if copies > self.config.members.len() / 2 {
                if self.term_of(index) == Some(self.config.term) {
                    self.commit = self.commit.max(index);
                }
                return;
            }
        }
    }
}

fn send(to: u64, message: ReplicationMessage) -> ReplicationOutput {
    ReplicationOutput::Send { to, message }
}

kit::exercise!(Exercise: kit::control_plane::RaftReplication);
