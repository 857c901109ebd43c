//! # Raft: replicating the log
//!
//! The leader of a Raft group writes what clients propose to its log and brings everybody's log to agree with it. What a
//! majority has is committed, and all members apply it in the same order. You write one member, leader and follower; the
//! grader elects, runs several members, each in a process of its own, and lets things go wrong.
//!
//! About 45 minutes · builds on control_plane/raft_election · book: "Raft: replicating the log" · stuck? `cargo grade hint control_plane/raft_replication`

use kit::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};

/// What the member knows. Add what is missing: what is committed and applied, and what a leader knows of each follower.
#[allow(dead_code)]
struct Exercise {
    id: u64,
    members: Vec<u64>,
    term: u64,
    /// Stands for the entries before `log`; index 0 if there is none.
    snapshot: LogSnapshot,
    log: Vec<LogEntry>,
}

impl RaftReplication for Exercise {
    /// A member that starts, for the first time or again. It leads only when it is told to, and what is committed beyond
    /// the snapshot it hears from a leader.
    fn new(config: &ReplicationConfig) -> Self {
        let ReplicationConfig { id, members, term, snapshot, log } = config.clone();
        Exercise { id, members, term, snapshot, log }
    }

    /// Something happens; answer what to do about it, in order.
    ///
    /// - `Elected`: append an entry with an empty command in the new term, and send.
    /// - `NewTerm`, or a message with a greater term: take the term over; who led leads no more.
    /// - `Propose`: a leader appends, saves and sends; all others ignore it.
    /// - `HeartbeatDue`: a leader sends to each follower what comes next for it, or an empty message.
    /// - `AppendEntries` of the member's own term: refuse it if the entry before doesn't agree, and say where the logs may
    ///   agree. Otherwise take the entries in: only from the first one that differs on is anything replaced. Commit up to
    ///   `leader_commit`, but not beyond the last entry that the message speaks of.
    /// - `AppendReply`: success raises what the follower is known to have; a refusal lowers what is sent next.
    /// - A leader commits what a majority has, itself included, if that entry is of its own term.
    /// - `InstallSnapshot`, for who needs entries that the leader has forgotten: restore it unless the log has its last
    ///   entry, with the same term, or the member has applied as much already. Agree up to that entry in each case.
    /// - Messages of an earlier term are refused with `index` 0, answers of an earlier term ignored.
    ///
    /// Every committed entry is applied once, in order. A member can lose power between any two outputs: save before you
    /// acknowledge.
    fn step(&mut self, event: &ReplicationEvent) -> Vec<ReplicationOutput> {
        match event {
            ReplicationEvent::Elected { .. } => todo!("begin to lead"),
            ReplicationEvent::NewTerm { .. } => todo!("take the term over and follow"),
            ReplicationEvent::Propose { .. } => todo!("append and send, if you lead"),
            ReplicationEvent::HeartbeatDue => todo!("send to everybody, if you lead"),
            ReplicationEvent::Compact(snapshot) => {
                let _ = snapshot;
                todo!("forget the entries that the snapshot covers")
            }
            ReplicationEvent::Message { from, message } => {
                let _ = from;
                match message {
                    ReplicationMessage::AppendEntries { .. } => todo!("take the entries in, or refuse them"),
                    ReplicationMessage::AppendReply { .. } => todo!("note what the follower has, and commit"),
                    ReplicationMessage::InstallSnapshot { .. } => todo!("restore the snapshot if it is needed"),
                }
            }
        }
    }
}

kit::exercise!(Exercise: kit::control_plane::RaftReplication);
