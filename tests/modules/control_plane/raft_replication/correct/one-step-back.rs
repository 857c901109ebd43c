//! Passes: a refused leader goes back one entry at a time, the whole log with what is compacted lies in one list, and only one message to a follower is under way.

use kit::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};
use std::collections::HashMap;

struct Exercise {
    me: u64,
    others: Vec<u64>,
    term: u64,
    leads: bool,
    snapshot: LogSnapshot,
    /// The first one stands for the snapshot, so that every index from it on has a term.
    log: Vec<LogEntry>,
    commit: u64,
    applied: u64,
    next: HashMap<u64, u64>,
    has: HashMap<u64, u64>,
    out: Vec<ReplicationOutput>,
}

fn base(snapshot: &LogSnapshot) -> LogEntry {
    LogEntry { term: snapshot.term, index: snapshot.index, command: String::new() }
}

impl RaftReplication for Exercise {
    fn new(config: &ReplicationConfig) -> Self {
        let mut log = vec![base(&config.snapshot)];
        log.extend(config.log.iter().cloned());
        Exercise {
            me: config.id,
            others: config.members.iter().copied().filter(|id| *id != config.id).collect(),
            term: config.term,
            leads: false,
            commit: config.snapshot.index,
            applied: config.snapshot.index,
            snapshot: config.snapshot.clone(),
            log,
            next: HashMap::new(),
            has: HashMap::new(),
            out: Vec::new(),
        }
    }

    fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput> {
        match event {
            ReplicationEvent::Elected { term } => {
                self.term = *term;
                self.leads = true;
                let next = self.last() + 1;
                self.next = self.others.iter().map(|id| (*id, next)).collect();
                self.has = self.others.iter().map(|id| (*id, 0)).collect();
                self.add("");
            }
            ReplicationEvent::NewTerm { term } => {
                self.term = *term;
                self.leads = false;
            }
            ReplicationEvent::Propose { command } => {
                if self.leads {
                    self.add(command);
                }
            }
            ReplicationEvent::HeartbeatDue => self.send_all(),
            ReplicationEvent::Compact(snapshot) => {
                self.log.retain(|entry| entry.index >= snapshot.index);
                self.log[0] = base(snapshot);
                self.snapshot = snapshot.clone();
            }
            ReplicationEvent::Message { from, message } => self.message(*from, message),
        }
        while self.applied < self.commit {
            self.applied += 1;
            let entry = self.entry(self.applied).cloned().unwrap_or_default();
            self.out.push(ReplicationOutput::Apply(entry));
        }
        std::mem::take(&mut self.out)
    }
}

impl Exercise {
    fn last(&self) -> u64 {
        self.log[self.log.len() - 1].index
    }

    fn entry(&self, index: u64) -> Option<&LogEntry> {
        self.log.iter().find(|entry| entry.index == index)
    }

    fn add(&mut self, command: &str) {
        let entry = LogEntry { term: self.term, index: self.last() + 1, command: command.into() };
        self.log.push(entry.clone());
        self.out.push(ReplicationOutput::Save(vec![entry]));
        self.send_all();
    }

    fn send_all(&mut self) {
        for to in self.others.clone() {
            self.send(to);
        }
    }

    fn send(&mut self, to: u64) {
        if !self.leads {
            return;
        }
        let prev = self.next[&to] - 1;
        let term = self.term;
        let message = if let Some(before) = self.entry(prev) {
            ReplicationMessage::AppendEntries {
                term,
                prev_log_index: prev,
                prev_log_term: before.term,
                entries: self.log.iter().filter(|entry| entry.index > prev).take(60).cloned().collect(),
                leader_commit: self.commit,
            }
        } else {
            ReplicationMessage::InstallSnapshot { term, snapshot: self.snapshot.clone() }
        };
        self.out.push(ReplicationOutput::Send { to, message });
    }

    fn message(&mut self, from: u64, message: &ReplicationMessage) {
        if message.term() > self.term {
            self.term = message.term();
            self.leads = false;
        }
        let current = message.term() == self.term;
        match message {
            ReplicationMessage::AppendReply { success, index, .. } => {
                if !current || !self.leads {
                    return;
                }
                if *success {
                    if *index > self.has[&from] {
                        self.has.insert(from, *index);
                        self.next.insert(from, index + 1);
                    }
                    for index in (self.commit + 1..=self.last()).rev() {
                        let copies = 1 + self.has.values().filter(|has| **has >= index).count();
                        let own = self.entry(index).is_some_and(|entry| entry.term == self.term);
                        if own && copies * 2 > self.others.len() + 1 {
                            self.commit = index;
                            break;
                        }
                    }
                    if self.has[&from] < self.last() {
                        self.send(from);
                    }
                } else if self.next[&from] > self.has[&from] + 1 && *index + 1 < self.next[&from] {
                    *self.next.entry(from).or_default() -= 1;
                    self.send(from);
                }
            }
            ReplicationMessage::AppendEntries { prev_log_index, prev_log_term, entries, leader_commit, .. } => {
                let prev = *prev_log_index;
                let fits =
                    prev < self.log[0].index || self.entry(prev).is_some_and(|entry| entry.term == *prev_log_term);
                if !current || !fits {
                    let index = if current { prev.saturating_sub(1) } else { 0 };
                    return self.reply(from, false, index);
                }
                for (at, entry) in entries.iter().enumerate() {
                    if entry.index <= self.log[0].index {
                        continue;
                    }
                    match self.entry(entry.index) {
                        Some(own) if own.term == entry.term => {}
                        _ => {
                            self.log.retain(|own| own.index < entry.index);
                            self.log.extend(entries[at..].iter().cloned());
                            self.out.push(ReplicationOutput::Save(entries[at..].to_vec()));
                            break;
                        }
                    }
                }
                let agreed = prev + entries.len() as u64;
                self.commit = self.commit.max(agreed.min(*leader_commit));
                self.reply(from, true, agreed);
            }
            ReplicationMessage::InstallSnapshot { snapshot, .. } => {
                if !current {
                    return self.reply(from, false, 0);
                }
                let known = self.entry(snapshot.index).is_some_and(|entry| entry.term == snapshot.term);
                if known || snapshot.index <= self.commit {
                    self.commit = self.commit.max(snapshot.index);
                } else {
                    self.out.push(ReplicationOutput::Restore(snapshot.clone()));
                    self.log = vec![base(snapshot)];
                    self.snapshot = snapshot.clone();
                    self.commit = snapshot.index;
                    self.applied = snapshot.index;
                }
                self.reply(from, true, snapshot.index);
            }
        }
    }

    fn reply(&mut self, to: u64, success: bool, index: u64) {
        let _ = self.me;
        let message = ReplicationMessage::AppendReply { term: self.term, success, index };
        self.out.push(ReplicationOutput::Send { to, message });
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftReplication);
