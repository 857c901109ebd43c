//! etcd's members, as far as they decide whether and when a write counts.
//!
//! Members are deterministic: what they agree on is the order of the writes, and one store in which these are carried out
//! stands for the stores of all. So the log holds the numbers of writes, and the caller carries out what was agreed.
//! Upstream: `server/etcdserver/v3_server.go`. Network, disks and clocks of the members are simulated, on a clock that
//! follows the cluster's; while nothing happens to the members it stands still.

use crate::Id;
use crate::client::{Client, PATIENCE, Unavailable};
use crate::group::{Machine, Options};
use kit_time::agenda::Instant;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};

/// So long after the last fault everything has been agreed on that can be.
const CALM_AFTER: Instant = Instant::seconds(15);

/// The order on which the members agreed.
#[derive(Default)]
struct Ledger {
    writes: Vec<u64>,
}

impl Machine for Ledger {
    type Answer = ();

    fn apply(&mut self, command: &[u8]) {
        let mut number = [0; 8];
        number.iter_mut().zip(command).for_each(|(to, from)| *to = *from);
        self.writes.push(u64::from_le_bytes(number));
    }

    fn snapshot(&self) -> Vec<u8> {
        self.writes.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn restore(snapshot: &[u8]) -> Self {
        let mut ledger = Ledger::default();
        snapshot.chunks(8).for_each(|number| ledger.apply(number));
        ledger
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.writes.last().into_iter().for_each(|number| hasher.write_u64(*number));
        hasher.write_usize(self.writes.len());
        hasher.finish()
    }
}

/// The members.
pub struct Quorum {
    client: Client<Ledger>,
    /// The cluster's time on the group's clock.
    clock: Instant,
    /// Until then there may be something left to agree on.
    busy: Instant,
    /// Until then nobody need ask again.
    stuck: Instant,
    /// The members that run, and those that the others hear.
    up: BTreeSet<Id>,
    heard: BTreeSet<Id>,
    next: u64,
    taken: usize,
}

impl Quorum {
    /// So many members, numbered from 1, all just started.
    pub fn new(members: u64, seed: u64) -> Self {
        let all: BTreeSet<Id> = (1..=members).collect();
        Quorum {
            client: Client::new(members, Options::new(seed)),
            clock: Instant::default(),
            busy: CALM_AFTER,
            stuck: Instant::default(),
            up: all.clone(),
            heard: all,
            next: 0,
            taken: 0,
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, elapsed: Instant) {
        if self.clock >= self.busy && self.clock >= self.client.group.now() {
            return;
        }
        let most = self.busy.max(self.client.group.now());
        self.clock = (self.clock + elapsed).min(most);
        self.client.run((self.clock - self.client.group.now()).nanos);
    }

    /// The member that leads, if it is one that has a majority.
    pub fn leader(&self) -> Option<Id> {
        let reached = &self.client.reachable;
        let majority = reached.len() * 2 > self.client.group.ids().len();
        self.client.group.leader().filter(|leader| majority && reached.contains(leader))
    }

    /// How many members run and are heard by the others, and how many there are.
    pub fn members(&self) -> (usize, usize) {
        (self.client.reachable.len(), self.client.group.ids().len())
    }

    /// Has the next write agreed on, and waits until it is: its number, and how that went.
    pub fn agree(&mut self) -> (u64, Result<(), Unavailable>) {
        self.next += 1;
        let number = self.next;
        // The answer would be the same again: the requests of one moment wait beside each other, not after.
        if self.clock < self.stuck {
            return (number, Err(Unavailable));
        }
        // The members may be behind the cluster's clock.
        let behind = (self.clock - self.client.group.now()).nanos.max(0);
        let agreed = self.client.propose(&number.to_le_bytes(), behind + PATIENCE);
        if agreed.is_err() {
            self.stuck = self.client.group.now();
        }
        (number, agreed)
    }

    /// The numbers of the writes that were agreed on since this was last asked, in their order.
    pub fn agreed(&mut self) -> Vec<u64> {
        let ledgers = self.client.group.ids().into_iter().filter_map(|id| self.client.group.machine(id));
        let longest = ledgers.max_by_key(|ledger| ledger.writes.len());
        let new = longest.and_then(|ledger| ledger.writes.get(self.taken..)).unwrap_or_default().to_vec();
        self.taken += new.len();
        new
    }

    /// A member loses power; what its disk has finished stays.
    pub fn crash(&mut self, id: Id) {
        self.client.group.crash(id, 0);
        self.up.remove(&id);
        self.disturbed();
    }

    /// A member comes back with what its disk holds.
    pub fn restart(&mut self, id: Id) {
        self.client.group.start(id);
        self.up.insert(id);
        self.disturbed();
    }

    /// A member and the others don't hear each other any more.
    pub fn part(&mut self, id: Id) {
        self.heard.remove(&id);
        self.relink();
    }

    /// They hear each other again.
    pub fn heal(&mut self, id: Id) {
        self.heard.insert(id);
        self.relink();
    }

    fn relink(&mut self) {
        let all = self.client.group.ids();
        self.client.group.links().heal();
        for id in all.difference(&self.heard) {
            let others = all.iter().filter(|other| *other != id).copied().collect();
            self.client.group.links().part(&BTreeSet::from([*id]), &others);
        }
        self.disturbed();
    }

    fn disturbed(&mut self) {
        self.client.reachable = self.up.intersection(&self.heard).copied().collect();
        self.stuck = Instant::default();
        self.clock = self.clock.max(self.client.group.now());
        self.busy = self.clock + CALM_AFTER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(members: u64) -> Quorum {
        let mut quorum = Quorum::new(members, 7);
        quorum.pass(Instant::seconds(60));
        quorum
    }

    #[test]
    fn writes_are_agreed_on_in_order_as_long_as_a_majority_is_there() {
        let mut quorum = settled(3);
        let lost = quorum.leader().expect("three members have elected one");
        assert_eq!((quorum.agree(), quorum.agree()), ((1, Ok(())), (2, Ok(()))));
        quorum.crash(lost);
        assert_eq!(quorum.leader(), None);
        assert_eq!(quorum.agree(), (3, Ok(())), "the two that are left elect another");
        let other = quorum.leader().expect("it leads");
        assert_ne!(other, lost);
        quorum.part(other);
        assert_eq!(quorum.agree(), (4, Err(Unavailable)));
        assert_eq!(quorum.agreed(), [1, 2, 3]);
        quorum.restart(lost);
        quorum.pass(Instant::seconds(60));
        assert_eq!(quorum.agree().1, Ok(()));
        let agreed = quorum.agreed();
        assert_eq!(agreed.last(), Some(&5), "{agreed:?}");
    }

    #[test]
    fn five_survive_two_and_not_three() {
        let mut quorum = settled(5);
        quorum.crash(1);
        quorum.crash(2);
        assert_eq!(quorum.agree().1, Ok(()));
        quorum.crash(3);
        assert_eq!(quorum.agree().1, Err(Unavailable));
        quorum.restart(1);
        quorum.pass(Instant::seconds(60));
        assert!(quorum.leader().is_some());
        assert_eq!(quorum.agree().1, Ok(()));
        assert_eq!(quorum.agreed().first(), Some(&1), "nothing was lost");
    }
}
