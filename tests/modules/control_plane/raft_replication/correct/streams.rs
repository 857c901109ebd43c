//! Passes: a leader streams, counting what it sent as received until it is refused or the heartbeat is due; the log is a map by index, and each entry is saved by itself.

use kit::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};
use std::collections::BTreeMap;

struct Exercise {
    config: ReplicationConfig,
    log: BTreeMap<u64, LogEntry>,
    commit: u64,
    applied: u64,
    /// Of every member, itself included: up to where its log agrees. Empty where this member doesn't lead.
    agrees: BTreeMap<u64, u64>,
    /// Of every other member: up to where everything was sent.
    sent: BTreeMap<u64, u64>,
}

use ReplicationOutput::{Apply, Restore, Save, Send};

impl RaftReplication for Exercise {
    fn new(config: &ReplicationConfig) -> Self {
        let log = config.log.iter().map(|entry| (entry.index, entry.clone())).collect();
        let (commit, applied) = (config.snapshot.index, config.snapshot.index);
        let config = ReplicationConfig { log: Vec::new(), ..config.clone() };
        Exercise { config, log, commit, applied, agrees: BTreeMap::new(), sent: BTreeMap::new() }
    }

    fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput> {
        let mut outputs = match event {
            ReplicationEvent::Elected { term } => {
                self.config.term = *term;
                let last = self.last().0;
                self.agrees = self.config.members.iter().map(|id| (*id, 0)).collect();
                self.sent = self.config.members.iter().map(|id| (*id, last)).collect();
                self.write(String::new())
            }
            ReplicationEvent::NewTerm { term } => {
                self.forget_leading(*term);
                Vec::new()
            }
            ReplicationEvent::Propose { command } if self.leads() => self.write(command.clone()),
            ReplicationEvent::Propose { .. } => Vec::new(),
            ReplicationEvent::HeartbeatDue if self.leads() => {
                // Whatever was not answered may be lost.
                for (id, sent) in &mut self.sent {
                    if self.agrees[id] > 0 {
                        *sent = self.agrees[id];
                    }
                }
                self.send_all(true)
            }
            ReplicationEvent::HeartbeatDue => Vec::new(),
            ReplicationEvent::Compact(snapshot) => {
                self.log = self.log.split_off(&(snapshot.index + 1));
                self.config.snapshot = snapshot.clone();
                Vec::new()
            }
            ReplicationEvent::Message { from, message } => self.message(*from, message),
        };
        let ready: Vec<_> = self
            .log
            .range(self.applied + 1..)
            .map(|(_, entry)| entry)
            .take_while(|entry| entry.index <= self.commit)
            .cloned()
            .collect();
        for entry in ready {
            self.applied = entry.index;
            outputs.push(Apply(entry));
        }
        outputs
    }
}

impl Exercise {
    fn leads(&self) -> bool {
        !self.agrees.is_empty()
    }

    fn forget_leading(&mut self, term: u64) {
        self.config.term = term;
        self.agrees.clear();
        self.sent.clear();
    }

    fn last(&self) -> (u64, u64) {
        let snapshot = &self.config.snapshot;
        self.log.last_key_value().map_or((snapshot.index, snapshot.term), |(index, entry)| (*index, entry.term))
    }

    fn term_of(&self, index: u64) -> Option<u64> {
        let LogSnapshot { index: base, term, .. } = self.config.snapshot;
        if index == base { Some(term) } else { self.log.get(&index).map(|entry| entry.term) }
    }

    fn write(&mut self, command: String) -> Vec<ReplicationOutput> {
        let entry = LogEntry { term: self.config.term, index: self.last().0 + 1, command };
        self.log.insert(entry.index, entry.clone());
        self.agrees.insert(self.config.id, entry.index);
        let mut outputs = vec![Save(vec![entry])];
        outputs.extend(self.send_all(false));
        outputs
    }

    fn send_all(&mut self, even_empty: bool) -> Vec<ReplicationOutput> {
        let others: Vec<u64> = self.sent.keys().copied().filter(|id| *id != self.config.id).collect();
        others.into_iter().filter_map(|to| self.send(to, even_empty)).collect()
    }

    fn send(&mut self, to: u64, even_empty: bool) -> Option<ReplicationOutput> {
        let (prev_log_index, term) = (self.sent[&to], self.config.term);
        let Some(prev_log_term) = self.term_of(prev_log_index) else {
            let snapshot = self.config.snapshot.clone();
            return even_empty.then_some(Send { to, message: ReplicationMessage::InstallSnapshot { term, snapshot } });
        };
        let entries: Vec<_> = self.log.range(prev_log_index + 1..).take(100).map(|(_, entry)| entry.clone()).collect();
        if entries.is_empty() && !even_empty {
            return None;
        }
        self.sent.insert(to, prev_log_index + entries.len() as u64);
        let leader_commit = self.commit;
        Some(Send {
            to,
            message: ReplicationMessage::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit },
        })
    }

    fn message(&mut self, from: u64, message: &ReplicationMessage) -> Vec<ReplicationOutput> {
        if message.term() > self.config.term {
            self.forget_leading(message.term());
        }
        let term = self.config.term;
        let reply =
            |success, index| Send { to: from, message: ReplicationMessage::AppendReply { term, success, index } };
        match message {
            ReplicationMessage::AppendReply { term: of, .. } if *of < term || !self.leads() => Vec::new(),
            ReplicationMessage::AppendReply { success: true, index, .. } => {
                let agrees = self.agrees.entry(from).or_default();
                *agrees = (*agrees).max(*index);
                let reached = *agrees;
                let sent = self.sent.entry(from).or_default();
                *sent = (*sent).max(reached);
                let mut all: Vec<u64> = self.agrees.values().copied().collect();
                all.sort_unstable_by(|a, b| b.cmp(a));
                let majority = all[all.len() / 2];
                if majority > self.commit && self.term_of(majority) == Some(term) {
                    self.commit = majority;
                }
                self.send(from, false).into_iter().collect()
            }
            ReplicationMessage::AppendReply { success: false, index, .. } => {
                if *index >= self.sent[&from] {
                    return Vec::new();
                }
                self.sent.insert(from, (*index).max(self.agrees[&from]));
                self.send(from, true).into_iter().collect()
            }
            other if other.term() < term => vec![reply(false, 0)],
            ReplicationMessage::InstallSnapshot { snapshot, .. } => {
                let mut outputs = Vec::new();
                if self.term_of(snapshot.index) != Some(snapshot.term) && snapshot.index > self.applied {
                    outputs.push(Restore(snapshot.clone()));
                    self.log.clear();
                    self.applied = snapshot.index;
                    self.config.snapshot = snapshot.clone();
                }
                self.commit = self.commit.max(snapshot.index);
                outputs.push(reply(true, snapshot.index));
                outputs
            }
            ReplicationMessage::AppendEntries { prev_log_index, prev_log_term, entries, leader_commit, .. } => {
                let base = self.config.snapshot.index;
                if *prev_log_index >= base && self.term_of(*prev_log_index) != Some(*prev_log_term) {
                    return vec![reply(
                        false,
                        self.last().0.min(prev_log_index - 1).min(self.commit.max(prev_log_index / 2)),
                    )];
                }
                let mut outputs = Vec::new();
                for entry in entries.iter().filter(|entry| entry.index > base) {
                    if self.term_of(entry.index) != Some(entry.term) {
                        self.log.split_off(&entry.index);
                        self.log.insert(entry.index, entry.clone());
                        outputs.push(Save(vec![entry.clone()]));
                    }
                }
                let agreed = prev_log_index + entries.len() as u64;
                self.commit = self.commit.max(agreed.min(*leader_commit));
                outputs.push(reply(true, agreed));
                outputs
            }
        }
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftReplication);
