//! The reference for `control_plane/raft_replication`.
//!
//! The sections are those of the Raft paper. The names follow it, and `raft.go` and `log.go` in etcd-io/raft.

// ANCHOR: solution
use kit::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};
use std::collections::BTreeMap;

/// The most entries in one message.
const AT_ONCE: usize = 100;

/// One member.
pub struct Exercise {
    id: u64,
    members: Vec<u64>,
    term: u64,
    /// Stands for everything before `log`.
    snapshot: LogSnapshot,
    log: Vec<LogEntry>,
    commit: u64,
    applied: u64,
    /// Of each other member, while this one leads.
    followers: Option<BTreeMap<u64, Follower>>,
    outputs: Vec<ReplicationOutput>,
}

/// A follower as its leader sees it.
#[derive(Clone, Copy)]
struct Follower {
    /// What to send next.
    next: u64,
    /// Up to here its log is known to agree.
    matched: u64,
}

impl RaftReplication for Exercise {
    fn new(config: &ReplicationConfig) -> Self {
        let ReplicationConfig { id, members, term, snapshot, log } = config.clone();
        // What a snapshot covers was committed and applied. What else is committed, a leader will say.
        let (commit, applied) = (snapshot.index, snapshot.index);
        Exercise { id, members, term, snapshot, log, commit, applied, followers: None, outputs: Vec::new() }
    }

    fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput> {
        match event {
            ReplicationEvent::Elected { term } => self.lead(*term),
            ReplicationEvent::NewTerm { term } => self.follow(*term),
            ReplicationEvent::Propose { command } if self.followers.is_some() => self.append_own(command.clone()),
            ReplicationEvent::HeartbeatDue if self.followers.is_some() => self.send_to_all(),
            ReplicationEvent::Propose { .. } | ReplicationEvent::HeartbeatDue => {}
            ReplicationEvent::Compact(snapshot) => self.compact(snapshot),
            ReplicationEvent::Message { from, message } => self.receive(*from, message),
        }
        self.apply();
        std::mem::take(&mut self.outputs)
    }
}

/// What a leader does.
impl Exercise {
    fn lead(&mut self, term: u64) {
        self.term = term;
        let unknown = Follower { next: self.last_index() + 1, matched: 0 };
        let others = self.members.iter().filter(|id| **id != self.id);
        self.followers = Some(others.map(|id| (*id, unknown)).collect());
        self.append_own(String::new());
    }

    fn append_own(&mut self, command: String) {
        let entry = LogEntry { term: self.term, index: self.last_index() + 1, command };
        self.log.push(entry.clone());
        self.outputs.push(ReplicationOutput::Save(vec![entry]));
        self.send_to_all();
    }

    fn send_to_all(&mut self) {
        for to in self.followers.iter().flat_map(BTreeMap::keys).copied().collect::<Vec<_>>() {
            self.send_entries(to);
        }
    }

    /// Sends what the follower needs next, or the snapshot if that is forgotten.
    fn send_entries(&mut self, to: u64) {
        let Some(Follower { next, .. }) = self.followers.as_ref().and_then(|all| all.get(&to)) else { return };
        let (term, prev_log_index) = (self.term, next - 1);
        let message = match self.term_at(prev_log_index) {
            None => ReplicationMessage::InstallSnapshot { term, snapshot: self.snapshot.clone() },
            Some(prev_log_term) => {
                let from = (prev_log_index - self.snapshot.index) as usize;
                let entries = self.log.iter().skip(from).take(AT_ONCE).cloned().collect();
                let leader_commit = self.commit;
                ReplicationMessage::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit }
            }
        };
        self.outputs.push(ReplicationOutput::Send { to, message });
    }

    fn answered(&mut self, from: u64, success: bool, index: u64) {
        let last = self.last_index();
        let Some(follower) = self.followers.as_mut().and_then(|all| all.get_mut(&from)) else { return };
        if success {
            follower.matched = follower.matched.max(index);
            follower.next = follower.next.max(index + 1);
            let behind = follower.next <= last;
            self.commit_by_majority();
            if behind {
                self.send_entries(from);
            }
        } else if index + 1 < follower.next {
            // An answer that was late may only lose time, never what is known to agree.
            follower.next = (index + 1).max(follower.matched + 1);
            self.send_entries(from);
        }
    }

    /// Commits what a majority has, if it is of this term; what came before is committed with it (§5.4.2).
    fn commit_by_majority(&mut self) {
        let others = self.followers.iter().flat_map(BTreeMap::values).map(|follower| follower.matched);
        let mut matched: Vec<u64> = others.chain([self.last_index()]).collect();
        matched.sort_unstable();
        let majority = matched[(self.members.len() - 1) / 2];
        if self.term_at(majority) == Some(self.term) {
            self.commit = self.commit.max(majority);
        }
    }
}

/// What a follower does.
impl Exercise {
    fn follow(&mut self, term: u64) {
        self.term = term;
        self.followers = None;
    }

    fn receive(&mut self, from: u64, message: &ReplicationMessage) {
        if message.term() > self.term {
            self.follow(message.term());
        }
        let of_this_term = message.term() == self.term;
        let reply = match message {
            ReplicationMessage::AppendReply { success, index, .. } => {
                if of_this_term {
                    self.answered(from, *success, *index);
                }
                return;
            }
            _ if !of_this_term => Err(0),
            ReplicationMessage::AppendEntries { prev_log_index, prev_log_term, entries, leader_commit, .. } => {
                self.append(*prev_log_index, *prev_log_term, entries, *leader_commit)
            }
            ReplicationMessage::InstallSnapshot { snapshot, .. } => Ok(self.install(snapshot)),
        };
        let (success, Ok(index) | Err(index)) = (reply.is_ok(), reply);
        let message = ReplicationMessage::AppendReply { term: self.term, success, index };
        self.outputs.push(ReplicationOutput::Send { to: from, message });
    }

    /// Takes entries in (§5.3). Answers up to where the logs agree, or else where they may.
    fn append(&mut self, prev: u64, prev_term: u64, entries: &[LogEntry], leader_commit: u64) -> Result<u64, u64> {
        let agreed = prev + entries.len() as u64;
        // What the snapshot covers agrees with every leader.
        if prev >= self.snapshot.index && self.term_at(prev) != Some(prev_term) {
            return Err(self.before_conflict(prev));
        }
        let is_new =
            |entry: &&LogEntry| entry.index > self.snapshot.index && self.term_at(entry.index) != Some(entry.term);
        if let Some(first) = entries.iter().find(is_new) {
            let new = &entries[(first.index - prev - 1) as usize..];
            self.log.truncate((first.index - self.snapshot.index - 1) as usize);
            self.log.extend_from_slice(new);
            self.outputs.push(ReplicationOutput::Save(new.to_vec()));
        }
        // Entries beyond what this message speaks of may be of another history.
        self.commit = self.commit.max(leader_commit.min(agreed));
        Ok(agreed)
    }

    /// The last index before `prev` at which the logs may agree: before the whole term that is in conflict.
    fn before_conflict(&self, prev: u64) -> u64 {
        if prev > self.last_index() {
            return self.last_index();
        }
        let term = self.term_at(prev);
        (self.commit..prev).rev().find(|index| self.term_at(*index) != term).unwrap_or(self.commit)
    }

    /// Takes a snapshot in (§7), unless the log has all of it. Answers up to where the logs agree.
    fn install(&mut self, snapshot: &LogSnapshot) -> u64 {
        if snapshot.index > self.commit {
            if self.term_at(snapshot.index) == Some(snapshot.term) {
                self.commit = snapshot.index;
            } else {
                self.outputs.push(ReplicationOutput::Restore(snapshot.clone()));
                self.snapshot = snapshot.clone();
                self.log.clear();
                (self.commit, self.applied) = (snapshot.index, snapshot.index);
            }
        }
        snapshot.index
    }
}

/// The log.
impl Exercise {
    fn last_index(&self) -> u64 {
        self.snapshot.index + self.log.len() as u64
    }

    /// The term of an entry; none if it is forgotten or not there.
    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        let at = index.checked_sub(self.snapshot.index + 1)?;
        self.log.get(at as usize).map(|entry| entry.term)
    }

    fn apply(&mut self) {
        let (first, count) = (self.applied - self.snapshot.index, self.commit - self.applied);
        let entries = self.log.iter().skip(first as usize).take(count as usize);
        self.outputs.extend(entries.cloned().map(ReplicationOutput::Apply));
        self.applied = self.commit;
    }

    fn compact(&mut self, snapshot: &LogSnapshot) {
        let covered = snapshot.index - self.snapshot.index;
        self.log.drain(..covered as usize);
        self.snapshot = snapshot.clone();
    }
}
// ANCHOR_END: solution
