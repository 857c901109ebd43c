//! The store behind Raft: every change is an entry of the log, and all members apply it to a store of their own.
//!
//! Upstream: `server/etcdserver/v3_server.go` (proposals, linearizable reads) and `apply.go`. Two things are simpler
//! here. A watch is part of the replicated state, while in etcd it belongs to one member and its clients begin it again
//! elsewhere. And a snapshot is the list of all commands, while etcd sends its database; so it is for scenarios and tests,
//! not for large stores. Network, disks and clocks are simulated.

use crate::agenda::Instant;
use crate::raft::group::{Done, Group, Machine, Options};
use crate::raft::{Id, Refusal};
use kit_contract::control_plane::{
    Op, RangeRequest, RangeResponse, Store, StoreError, TxnResponse, WatchCreated, WatchRequest, WatchResponse,
};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hasher};

/// How long a request may take before it counts as lost (`--election-timeout` of 1 s makes it 7 s in etcd).
const PATIENCE: i64 = 7_000_000_000;
/// How long a read waits before it is asked again.
const RETRY: i64 = 500_000_000;
/// How long a client waits before it asks another member.
const PAUSE: i64 = 20_000_000;

/// A request that got no answer in time. A change may have happened all the same, or still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("etcdserver: request timed out")
    }
}

impl std::error::Error for Unavailable {}

/// What is written to the log.
#[derive(Debug, Serialize, Deserialize)]
enum Command {
    Txn(Vec<Op>),
    Compact(i64),
    Watch(WatchRequest),
    Cancel(i64),
    Events,
}

/// One member's store.
pub struct Member<S> {
    store: std::cell::RefCell<S>,
    commands: Vec<String>,
    digest: u64,
}

impl<S: Store + Default> Default for Member<S> {
    fn default() -> Self {
        Member { store: std::cell::RefCell::default(), commands: Vec::new(), digest: 0 }
    }
}

impl<S: Store + Default> Machine for Member<S> {
    /// The answer in JSON.
    type Answer = String;

    fn apply(&mut self, command: &[u8]) -> String {
        let text = String::from_utf8_lossy(command).into_owned();
        let store = self.store.get_mut();
        let answer = match serde_json::from_str(&text) {
            Ok(Command::Txn(ops)) => serde_json::to_string(&store.txn(&ops)),
            Ok(Command::Compact(revision)) => serde_json::to_string(&store.compact(revision)),
            Ok(Command::Watch(request)) => serde_json::to_string(&store.watch(&request)),
            Ok(Command::Cancel(id)) => serde_json::to_string(&store.cancel(id)),
            Ok(Command::Events) => serde_json::to_string(&store.events()),
            Err(e) => Err(e),
        };
        let answer = answer.unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.digest);
        hasher.write(text.as_bytes());
        // Members whose stores differ answer differently sooner or later, and then their digests do.
        hasher.write(answer.as_bytes());
        self.digest = hasher.finish();
        self.commands.push(text);
        answer
    }

    fn snapshot(&self) -> Vec<u8> {
        serde_json::to_vec(&self.commands).unwrap_or_default()
    }

    fn restore(snapshot: &[u8]) -> Self {
        let mut member = Member::default();
        let commands: Vec<String> = serde_json::from_slice(snapshot).unwrap_or_default();
        commands.iter().for_each(|command| _ = member.apply(command.as_bytes()));
        member
    }

    fn digest(&self) -> u64 {
        self.digest
    }
}

/// A replicated store, with the client that asks it: it looks for the leader and waits, on the group's virtual clock.
pub struct Replicated<S: Store + Default> {
    /// The group, to lose members and links.
    pub group: Group<Member<S>>,
    target: Id,
    tickets: u64,
}

impl<S: Store + Default> Replicated<S> {
    /// A store of 1, 3 or 5 members, or of any other number.
    pub fn new(members: u64, seed: u64) -> Self {
        let mut options = Options::new(seed);
        options.snapshot_every = 200;
        Replicated { group: Group::new(members, options), target: 1, tickets: 0 }
    }

    /// Lets time pass, in nanoseconds.
    pub fn run(&mut self, nanos: i64) {
        let until = self.group.now() + Instant { nanos };
        while self.group.next(until).is_some() {}
    }

    /// As [`Store::range`], linearizable: it shows at least everything that was answered before it was asked.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum; within, those of the store.
    pub fn range(&mut self, request: &RangeRequest) -> Result<Result<RangeResponse, StoreError>, Unavailable> {
        // A member may ask a leader that is gone, and nobody says so. A read can be asked again, unlike a change.
        for _ in 0..PATIENCE / RETRY {
            let read = self.ask(
                RETRY,
                |group, target, ticket| group.read(target, ticket),
                |group, done, ticket| match done {
                    Done::Readable { ticket: of, host } if of == ticket => {
                        group.machine(host).map(|member| member.store.borrow_mut().range(request))
                    }
                    _ => None,
                },
            );
            if read.is_ok() {
                return read;
            }
            self.target = self.target % self.group.ids().len() as Id + 1;
        }
        Err(Unavailable)
    }

    /// As [`Store::txn`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum. The transaction may have happened, or still happen.
    pub fn txn(&mut self, ops: &[Op]) -> Result<TxnResponse, Unavailable> {
        self.command(&Command::Txn(ops.to_vec()))
    }

    /// As [`Store::compact`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum; within, those of the store.
    pub fn compact(&mut self, revision: i64) -> Result<Result<(), StoreError>, Unavailable> {
        self.command(&Command::Compact(revision))
    }

    /// As [`Store::watch`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum.
    pub fn watch(&mut self, request: &WatchRequest) -> Result<WatchCreated, Unavailable> {
        self.command(&Command::Watch(request.clone()))
    }

    /// As [`Store::cancel`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum.
    pub fn cancel(&mut self, watch_id: i64) -> Result<bool, Unavailable> {
        self.command(&Command::Cancel(watch_id))
    }

    /// As [`Store::events`].
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum.
    pub fn events(&mut self) -> Result<Vec<WatchResponse>, Unavailable> {
        self.command(&Command::Events)
    }

    fn command<T: serde::de::DeserializeOwned>(&mut self, command: &Command) -> Result<T, Unavailable> {
        let text = serde_json::to_vec(command).map_err(|_| Unavailable)?;
        let answer = self.ask(
            PATIENCE,
            |group, target, ticket| group.propose(target, text.clone().into(), ticket),
            |_, done, ticket| match done {
                Done::Applied { ticket: of, answer } if of == ticket => Some(answer),
                _ => None,
            },
        )?;
        serde_json::from_str(&answer).map_err(|_| Unavailable)
    }

    /// Asks the leader, whoever that is, and waits for the answer. What a leader has taken is not asked again.
    fn ask<T>(
        &mut self,
        patience: i64,
        ask: impl Fn(&mut Group<Member<S>>, Id, u64) -> Result<(), Refusal>,
        answer: impl Fn(&Group<Member<S>>, Done<String>, u64) -> Option<T>,
    ) -> Result<T, Unavailable> {
        let deadline = self.group.now() + Instant { nanos: patience };
        self.tickets += 1;
        let ticket = self.tickets;
        while let Err(refusal) = ask(&mut self.group, self.target, ticket) {
            if self.group.now() >= deadline {
                return Err(Unavailable);
            }
            let next = self.target % self.group.ids().len() as Id + 1;
            self.target = if let Refusal::NotLeader(Some(leader)) = refusal { leader } else { next };
            self.run(PAUSE);
        }
        while let Some(done) = self.group.next(deadline) {
            if matches!(done, Done::Superseded { ticket: of } if of == ticket) {
                return Err(Unavailable);
            }
            if let Some(answer) = answer(&self.group, done, ticket) {
                return Ok(answer);
            }
        }
        Err(Unavailable)
    }
}
