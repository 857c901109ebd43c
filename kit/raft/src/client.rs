//! A client of a group: it looks for the leader, asks, and waits on the group's virtual clock.

use super::group::{Done, Group, Machine, Options};
use super::{Id, Refusal};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;

/// How long a request may take before it counts as lost, in nanoseconds (`--election-timeout` of 1 s makes it 7 s in etcd).
pub const PATIENCE: i64 = 7_000_000_000;
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

/// A group and the member that is asked first.
pub struct Client<M: Machine> {
    /// The group, to lose members and links.
    pub group: Group<M>,
    /// The members that the client hears.
    pub reachable: BTreeSet<Id>,
    target: Id,
    tickets: u64,
}

impl<M: Machine> Client<M> {
    /// A group of 1, 3 or 5 members, or of any other number, that have just started.
    pub fn new(members: u64, options: Options) -> Self {
        Client { group: Group::new(members, options), reachable: (1..=members).collect(), target: 1, tickets: 0 }
    }

    /// Lets time pass, in nanoseconds.
    pub fn run(&mut self, nanos: i64) {
        let until = self.group.now() + Instant { nanos };
        while self.group.next(until).is_some() {}
    }

    /// Reads, linearizable: from a member that knows at least everything that was answered before. Answers which one it is.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum.
    pub fn read(&mut self) -> Result<(Id, &M), Unavailable> {
        // A member may ask a leader that is gone, and nobody says so. A read can be asked again, unlike a change.
        for _ in 0..PATIENCE / RETRY {
            let host = self.ask(
                RETRY,
                |group, target, ticket| group.read(target, ticket),
                |done, ticket| match done {
                    Done::Readable { ticket: of, host } if of == ticket => Some(host),
                    _ => None,
                },
            );
            if let Ok(host) = host {
                return self.group.machine(host).map(|machine| (host, machine)).ok_or(Unavailable);
            }
            self.ask_the_next();
        }
        Err(Unavailable)
    }

    /// Has a command carried out, and waits for its answer so many nanoseconds.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] without a quorum. The command may have been carried out, or still be.
    pub fn propose(&mut self, command: &[u8], patience: i64) -> Result<M::Answer, Unavailable> {
        self.ask(
            patience,
            |group, target, ticket| group.propose(target, command.into(), ticket),
            |done, ticket| match done {
                Done::Applied { ticket: of, answer } if of == ticket => Some(answer),
                _ => None,
            },
        )
    }

    fn ask_the_next(&mut self) {
        let after = self.reachable.range(self.target + 1..).next().or(self.reachable.first());
        self.target = after.copied().unwrap_or(self.target);
    }

    /// Asks the leader, whoever that is, and waits for the answer. What a leader has taken is not asked again.
    fn ask<T>(
        &mut self,
        patience: i64,
        ask: impl Fn(&mut Group<M>, Id, u64) -> Result<(), Refusal>,
        answer: impl Fn(Done<M::Answer>, u64) -> Option<T>,
    ) -> Result<T, Unavailable> {
        let deadline = self.group.now() + Instant { nanos: patience };
        self.tickets += 1;
        let ticket = self.tickets;
        loop {
            if !self.reachable.contains(&self.target) {
                self.ask_the_next();
            }
            match ask(&mut self.group, self.target, ticket) {
                Ok(()) => break,
                Err(Refusal::NotLeader(Some(leader))) if self.reachable.contains(&leader) => self.target = leader,
                Err(_) => self.ask_the_next(),
            }
            let left = (deadline - self.group.now()).nanos;
            self.run(left.min(PAUSE));
            if left <= PAUSE {
                return Err(Unavailable);
            }
        }
        while let Some(done) = self.group.next(deadline) {
            if matches!(done, Done::Superseded { ticket: of } if of == ticket) {
                return Err(Unavailable);
            }
            if let Some(answer) = answer(done, ticket) {
                return Ok(answer);
            }
        }
        Err(Unavailable)
    }
}
