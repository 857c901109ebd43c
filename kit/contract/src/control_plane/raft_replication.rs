//! One member of a Raft group, as far as it replicates a log and commits it.
//!
//! The sections are those of Ongaro and Ousterhout, *In Search of an Understandable Consensus Algorithm*: §5.3
//! (replication), §5.4.2 (what may be committed) and §7 (snapshots). etcd's is `raft.go` and `log.go` in etcd-io/raft.
//!
//! Elections are held around this module: it is told who leads. Rules that Raft leaves open, for all members of a group:
//!
//! - **Order.** Outputs take effect in the order of the list, and a member can lose power between any two of them. What
//!   was saved survives; everything else is forgotten. So whatever a message says must have been saved before it.
//! - **Terms** are kept around the module: it starts with the greatest term that ever reached it. Every message carries
//!   the term that its sender has when it sends it, and a greater term in a message ends the receiver's leadership.
//! - **Messages** can be lost, late, repeated, and overtake each other. None is ever changed. Nobody reports
//!   a loss: a leader sends again when its heartbeat timer rings.
//! - **A new leader** appends an entry of its own term at once, with an empty command.
//! - **Applying.** A member applies every committed entry, in order and once for each time that it was started, from the
//!   entry after its snapshot on. Entries with an empty command are applied too.
//! - **Snapshots** are taken around the module, at an index that it has applied.

use crate::{Show, flow};
use serde::{Deserialize, Serialize};

contract! {
    /// A member that replicates.
    pub trait RaftReplication {
        /// A member that starts, for the first time or again after a loss of power. It leads only when it is told to.
        fn new(config: &ReplicationConfig) -> Self;

        /// Something happens; the answer is what to do about it, in order.
        fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput>;
    }
}

/// What a member knows when it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicationConfig {
    /// Its name, from 1 on.
    pub id: u64,
    /// All members, itself included. There are at least two, and they never change.
    pub members: Vec<u64>,
    /// The greatest term that ever reached it; 0 at first.
    #[serde(default)]
    pub term: u64,
    /// Stands for the entries before the log; index 0 if there is none.
    #[serde(default)]
    pub snapshot: LogSnapshot,
    /// The entries that it saved, those after the snapshot.
    #[serde(default)]
    pub log: Vec<LogEntry>,
}

/// One entry of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Its place in the log, from 1 on.
    pub index: u64,
    /// What to do; empty for the entry with which a leader begins.
    #[serde(default)]
    pub command: String,
}

/// The state machine after an entry, in the place of all entries up to there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSnapshot {
    /// The term of the last entry that it covers.
    pub term: u64,
    /// That entry's index.
    pub index: u64,
    /// The state machine, which means nothing to this module.
    #[serde(default)]
    pub state: String,
}

/// What happens to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationEvent {
    /// It was elected, in a term greater than any that it had.
    Elected {
        /// The term.
        term: u64,
    },
    /// Somebody else stands for election: a new term begins, and it does not lead in it.
    NewTerm {
        /// The term, greater than any that it had.
        term: u64,
    },
    /// A client wants a command carried out. Whoever doesn't lead ignores it.
    Propose {
        /// The command, never empty.
        command: String,
    },
    /// The heartbeat timer rings. Only a leader has anything to do: it sends to everybody, with or without entries.
    HeartbeatDue,
    /// A snapshot of the member's own state was taken and is safe: the entries that it covers may be forgotten, and
    /// are no longer among what was saved.
    Compact(LogSnapshot),
    /// A message arrives.
    Message {
        /// Who sent it.
        from: u64,
        /// What it says.
        message: ReplicationMessage,
    },
}

/// What a member does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationOutput {
    /// Saves entries, without a gap: they take the place of everything that was saved from the first one's index on.
    Save(Vec<LogEntry>),
    /// Saves a leader's snapshot, in the place of the whole log, and sets the state machine to it. It never goes back behind
    /// what was applied.
    Restore(LogSnapshot),
    /// Sends a message.
    Send {
        /// To whom; never to itself.
        to: u64,
        /// What it says.
        message: ReplicationMessage,
    },
    /// Gives a committed entry to the state machine.
    Apply(LogEntry),
}

/// What members say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicationMessage {
    /// A leader's entries, or none as a sign of life.
    AppendEntries {
        /// The leader's term.
        term: u64,
        /// The index of the entry before them.
        prev_log_index: u64,
        /// That entry's term; 0 at index 0.
        prev_log_term: u64,
        /// The entries, without a gap, at most 100.
        entries: Vec<LogEntry>,
        /// How far the leader knows the log to be committed.
        leader_commit: u64,
    },
    /// The answer to both of a leader's messages.
    AppendReply {
        /// The follower's term.
        term: u64,
        /// Whether the follower's log agrees with the leader's up to `index`, on its disk.
        success: bool,
        /// Success: up to where both agree. Otherwise: the last index where they may agree, less than the
        /// `prev_log_index` that was refused; 0 if the leader's term was too old.
        index: u64,
    },
    /// A leader's snapshot, for a member that needs entries which the leader has forgotten.
    InstallSnapshot {
        /// The leader's term.
        term: u64,
        /// The snapshot.
        snapshot: LogSnapshot,
    },
}

impl ReplicationMessage {
    /// The term that the message carries.
    pub fn term(&self) -> u64 {
        match self {
            ReplicationMessage::AppendEntries { term, .. }
            | ReplicationMessage::AppendReply { term, .. }
            | ReplicationMessage::InstallSnapshot { term, .. } => *term,
        }
    }
}

/// Entries in few words: `3–5 of term 2`.
fn span(entries: &[LogEntry]) -> String {
    match entries {
        [] => "no entries".into(),
        [one] => format!("entry {} of term {}", one.index, one.term),
        [first, .., last] if first.term == last.term => {
            format!("entries {}–{} of term {}", first.index, last.index, first.term)
        }
        [first, .., last] => format!("entries {}–{} of terms {}–{}", first.index, last.index, first.term, last.term),
    }
}

impl Show for ReplicationMessage {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ReplicationMessage::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit } => {
                format!(
                    "append {} after {prev_log_index} of term {prev_log_term}, committed {leader_commit}, term {term}",
                    span(entries)
                )
            }
            ReplicationMessage::AppendReply { term, success: true, index } => {
                format!("agrees up to {index}, term {term}")
            }
            ReplicationMessage::AppendReply { term, success: false, index } => {
                format!("refuses, may agree at {index}, term {term}")
            }
            ReplicationMessage::InstallSnapshot { term, snapshot } => {
                format!("snapshot up to {} of term {}, term {term}", snapshot.index, snapshot.term)
            }
        }]
    }
}

impl Show for ReplicationEvent {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ReplicationEvent::Elected { term } => format!("elected in term {term}"),
            ReplicationEvent::NewTerm { term } => format!("term {term} begins"),
            ReplicationEvent::Propose { command } => format!("a client proposes {command}"),
            ReplicationEvent::HeartbeatDue => "heartbeat due".into(),
            ReplicationEvent::Compact(snapshot) => format!("a snapshot covers everything up to {}", snapshot.index),
            ReplicationEvent::Message { from, message } => format!("from {from}: {}", message.lines().join(", ")),
        }]
    }
}

impl Show for ReplicationOutput {
    fn lines(&self) -> Vec<String> {
        vec![match self {
            ReplicationOutput::Save(entries) => format!("save {}", span(entries)),
            ReplicationOutput::Restore(snapshot) => {
                format!("restore the snapshot up to {} of term {}", snapshot.index, snapshot.term)
            }
            ReplicationOutput::Send { to, message } => format!("to {to}: {}", message.lines().join(", ")),
            ReplicationOutput::Apply(entry) if entry.command.is_empty() => {
                format!("apply {} of term {}: nothing", entry.index, entry.term)
            }
            ReplicationOutput::Apply(entry) => {
                format!("apply {} of term {}: {}", entry.index, entry.term, entry.command)
            }
        }]
    }
}

impl Show for ReplicationConfig {
    fn lines(&self) -> Vec<String> {
        vec![flow(self)]
    }
}
