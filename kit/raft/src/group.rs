//! A group of members with disks and state machines, on a simulated network.
//!
//! A host writes, waits for its disk, sends, applies, and only then looks at the next message; its clock goes on
//! meanwhile. It can lose power at any moment, with or without what the disk has not finished.

use super::flaw::Flaw;
use super::membership::{Change, Membership};
use super::message::{Id, Index, Message, Payload, Term};
use super::network::{Due, MILLISECOND, Network};
use super::node::{Config, Raft, Ready, Refusal, Role};
use super::read::ReadState;
use super::storage::{MemoryStorage, Saved, Storage, Write};
use super::watch::Watch;
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What is replicated.
pub trait Machine: Default {
    /// What it answers to a command.
    type Answer;
    /// Carries a command out. All members do so in the same order, so nothing else may decide what happens.
    fn apply(&mut self, command: &[u8]) -> Self::Answer;
    /// Its whole state.
    fn snapshot(&self) -> Vec<u8>;
    /// The machine with that state.
    fn restore(snapshot: &[u8]) -> Self;
    /// A number that is the same for the same state, and hardly for another.
    fn digest(&self) -> u64;
}

/// What came of a request.
#[derive(Debug)]
pub enum Done<A> {
    /// The command with this ticket was carried out.
    Applied {
        /// As it was given.
        ticket: u64,
        /// What the machine answered.
        answer: A,
    },
    /// The command with this ticket will never be carried out.
    Superseded {
        /// As it was given.
        ticket: u64,
    },
    /// The machine of this host may answer the read with this ticket, now.
    Readable {
        /// As it was given.
        ticket: u64,
        /// Where to read.
        host: Id,
    },
    /// A timer of the caller rings.
    Rings(u64),
}

#[derive(Debug)]
enum Timer {
    Tick(Id),
    Synced { host: Id, life: u64 },
    Caller(u64),
}

/// How a group behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where chance comes from.
    pub seed: u64,
    /// Applied entries after which a host takes a snapshot and forgets its log.
    pub snapshot_every: u64,
    /// Whether leaders answer reads by their clock.
    pub lease_reads: bool,
    /// Whether members have what etcd adds to the paper: pre-vote and the check of the quorum.
    pub guarded: bool,
    /// The most entries in one message.
    pub max_entries: usize,
    pub(super) flaw: Option<Flaw>,
}

impl Options {
    /// The usual behaviour.
    pub fn new(seed: u64) -> Self {
        Options { seed, snapshot_every: 10_000, lease_reads: false, guarded: true, max_entries: 64, flaw: None }
    }
}

struct Host<M> {
    raft: Option<Raft>,
    disk: MemoryStorage,
    machine: M,
    /// What the disk is busy with.
    writing: Option<Ready>,
    inbox: VecDeque<Message>,
    /// Counts its starts.
    life: u64,
    tick: i64,
    tickets: BTreeMap<Index, (Term, u64)>,
    readable: Vec<ReadState>,
}

/// The group.
pub struct Group<M: Machine> {
    net: Network<Message, Timer>,
    hosts: BTreeMap<Id, Host<M>>,
    /// The membership at the beginning of the log.
    founders: Membership,
    options: Options,
    random: Random,
    done: VecDeque<Done<M::Answer>>,
    syncs: u64,
    /// What was seen.
    pub watch: Watch,
}

/// A tick of a perfect clock, in nanoseconds.
pub const TICK: i64 = 10 * MILLISECOND;

impl<M: Machine> Group<M> {
    /// Members 1 to `members`, all just started.
    pub fn new(members: u64, options: Options) -> Self {
        let random = Random::new(options.seed);
        let mut group = Group {
            net: Network::new(random),
            hosts: BTreeMap::new(),
            founders: Membership::of(1..=members),
            options,
            random,
            done: VecDeque::new(),
            syncs: 0,
            watch: Watch::default(),
        };
        for id in 1..=members {
            group.add_host(id);
        }
        group
    }

    /// A host with an empty disk. It becomes a member only by a change of the membership.
    pub fn add_host(&mut self, id: Id) {
        let name = id.to_string();
        let draw = |reason| self.random.below(1000, Purpose { component: "clock", object: &name, reason, attempt: 0 });
        // Clocks differ by up to two in a hundred, and don't tick together.
        let tick = TICK * (980 + draw("speed") as i64 / 25) / 1000;
        let host = Host {
            raft: None,
            disk: MemoryStorage::new(Saved::new(self.founders.clone())),
            machine: M::default(),
            writing: None,
            inbox: VecDeque::new(),
            life: 0,
            tick,
            tickets: BTreeMap::new(),
            readable: Vec::new(),
        };
        let phase = tick * draw("phase") as i64 / 1000;
        self.hosts.insert(id, host);
        self.start(id);
        self.net.ring(phase, Timer::Tick(id));
    }

    /// Starts a host from its disk; nothing happens if it runs.
    pub fn start(&mut self, id: Id) {
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.raft.is_none()) else { return };
        let saved = host.disk.safe().clone();
        host.machine = if saved.snapshot.data.is_empty() { M::default() } else { M::restore(&saved.snapshot.data) };
        self.watch.starts(id, saved.snapshot.index);
        let Options { lease_reads, guarded, max_entries, .. } = self.options;
        let usual = Config::new(id, self.random);
        let config = Config { lease_reads, max_entries, pre_vote: guarded, check_quorum: guarded, ..usual };
        let raft = Raft::new(config, saved);
        #[cfg(test)]
        let raft = raft.with_flaw(self.options.flaw);
        host.raft = Some(raft);
    }

    /// A host loses power. Of what its disk was busy with, the first `kept` writes get through.
    pub fn crash(&mut self, id: Id, kept: usize) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.raft = None;
        host.writing = None;
        host.inbox.clear();
        host.tickets.clear();
        host.readable.clear();
        host.life += 1;
        host.disk.lose_power(kept);
    }

    /// How many writes a host's disk is busy with.
    pub fn unsynced(&self, id: Id) -> usize {
        self.hosts.get(&id).map_or(0, |host| host.disk.unsynced())
    }

    /// The network, to be cut and healed.
    pub fn links(&mut self) -> Links<'_> {
        Links { net: &mut self.net }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.net.now()
    }

    /// Sets a timer of the caller's, so many nanoseconds from now.
    pub fn ring(&mut self, after: i64, token: u64) {
        self.net.ring(after, Timer::Caller(token));
    }

    /// All hosts.
    pub fn ids(&self) -> BTreeSet<Id> {
        self.hosts.keys().copied().collect()
    }

    /// A member, if its host runs.
    pub fn raft(&self, id: Id) -> Option<&Raft> {
        self.hosts.get(&id)?.raft.as_ref()
    }

    /// A host's state machine.
    pub fn machine(&self, id: Id) -> Option<&M> {
        self.hosts.get(&id).map(|host| &host.machine)
    }

    /// Who leads in the greatest term, as far as the members know.
    pub fn leader(&self) -> Option<Id> {
        let rafts = self.hosts.values().filter_map(|host| host.raft.as_ref());
        rafts.filter(|raft| raft.role() == Role::Leader).max_by_key(|raft| raft.term()).map(Raft::id)
    }

    /// Gives a host a command. What comes of it comes later, under the ticket, or never.
    ///
    /// # Errors
    ///
    /// [`Refusal`], also from a host that doesn't run: the command is then certainly not carried out.
    pub fn propose(&mut self, id: Id, command: Arc<[u8]>, ticket: u64) -> Result<(), Refusal> {
        self.ask(
            id,
            |raft| raft.propose(command),
            |host, (term, index)| {
                host.tickets.insert(index, (term, ticket));
            },
        )
    }

    /// Gives a host a change of the membership.
    ///
    /// # Errors
    ///
    /// As [`Group::propose`].
    pub fn propose_change(&mut self, id: Id, change: Change) -> Result<(), Refusal> {
        self.ask(id, |raft| raft.propose_change(change), |_, _| {})
    }

    /// Asks a host to hand its leadership over.
    ///
    /// # Errors
    ///
    /// As [`Group::propose`].
    pub fn transfer_leader(&mut self, id: Id, to: Id) -> Result<(), Refusal> {
        self.ask(id, |raft| raft.transfer_leader(to), |_, ()| {})
    }

    /// Asks a host for a linearizable read. The ticket must be unique in the group.
    ///
    /// # Errors
    ///
    /// As [`Group::propose`].
    pub fn read(&mut self, id: Id, ticket: u64) -> Result<(), Refusal> {
        self.ask(id, |raft| raft.read_index(ticket), |_, ()| {})
    }

    fn ask<T>(
        &mut self,
        id: Id,
        ask: impl FnOnce(&mut Raft) -> Result<T, Refusal>,
        then: impl FnOnce(&mut Host<M>, T),
    ) -> Result<(), Refusal> {
        let host = self.hosts.get_mut(&id).ok_or(Refusal::NotLeader(None))?;
        let answer = ask(host.raft.as_mut().ok_or(Refusal::NotLeader(None))?)?;
        then(host, answer);
        self.work(id);
        Ok(())
    }

    /// The next thing that the caller should know, at or before `until`; none if nothing happens until then or if a
    /// promise was broken.
    pub fn next(&mut self, until: Instant) -> Option<Done<M::Answer>> {
        loop {
            if let Some(done) = self.done.pop_front() {
                return Some(done);
            }
            if self.watch.violation.is_some() {
                return None;
            }
            match self.net.next(until)? {
                Due::Arrives { to, message, .. } => {
                    if let Some(host) = self.hosts.get_mut(&to).filter(|host| host.raft.is_some()) {
                        host.inbox.push_back(message);
                    }
                    self.work(to);
                }
                Due::Rings(Timer::Tick(id)) => {
                    if let Some(host) = self.hosts.get_mut(&id) {
                        let tick = host.tick;
                        if let Some(raft) = &mut host.raft {
                            raft.tick();
                        }
                        self.net.ring(tick, Timer::Tick(id));
                        self.work(id);
                    }
                }
                Due::Rings(Timer::Synced { host: id, life }) => {
                    let host = self.hosts.get_mut(&id).filter(|host| host.life == life);
                    if let Some(ready) = host.and_then(|host| host.writing.take()) {
                        self.finish(id, ready);
                        self.work(id);
                    }
                }
                Due::Rings(Timer::Caller(token)) => return Some(Done::Rings(token)),
            }
        }
    }

    /// Lets a host do what there is to do, until its disk is busy.
    fn work(&mut self, id: Id) {
        loop {
            let Some(host) = self.hosts.get_mut(&id) else { return };
            let Some(raft) = host.raft.as_mut().filter(|_| host.writing.is_none()) else { return };
            if !raft.has_ready() {
                let Some(message) = host.inbox.pop_front() else { return };
                raft.step(message);
                self.watch.sees(raft);
                continue;
            }
            self.watch.sees(raft);
            let mut ready = raft.ready();
            if ready.write.is_empty() {
                self.finish(id, ready);
                continue;
            }
            if self.options.flaw == Some(Flaw::SendsBeforeItSaves) {
                let messages = std::mem::take(&mut ready.messages);
                messages.into_iter().for_each(|message| _ = self.net.send(message.from, message.to, message));
            }
            host.disk.write(&ready.write).expect("memory doesn't fail");
            host.writing = Some(ready);
            let life = host.life;
            let purpose = Purpose { component: "disk", object: "", reason: "latency", attempt: self.syncs };
            self.syncs += 1;
            let latency = self.random.below(4 * MILLISECOND as u64, purpose) as i64;
            self.net.ring(latency, Timer::Synced { host: id, life });
            return;
        }
    }

    /// What was to be written is safe: send and apply.
    fn finish(&mut self, id: Id, mut ready: Ready) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Host { raft: Some(raft), disk, machine, .. } = host else { return };
        disk.sync().expect("memory doesn't fail");
        self.watch.saved(raft, &ready.write.entries);
        for message in ready.messages.drain(..) {
            self.watch.sent(&message);
            self.net.send(message.from, message.to, message);
        }
        if let Some(snapshot) = &ready.write.snapshot {
            *machine = M::restore(&snapshot.data);
            host.tickets.clear();
            self.watch.restored(raft, snapshot.index, machine.digest());
        }
        for entry in &ready.committed {
            let answer = match &entry.payload {
                Payload::Empty => None,
                Payload::Command(command) => Some(machine.apply(command)),
                // A change that doesn't fit any more is refused by all members alike.
                Payload::Change(change) => raft.apply_change(change).err().and(None),
            };
            self.watch.applied(raft, entry, machine.digest());
            if let Some((term, ticket)) = host.tickets.remove(&entry.index) {
                self.done.push_back(match answer {
                    Some(answer) if term == entry.term => Done::Applied { ticket, answer },
                    _ => Done::Superseded { ticket },
                });
            }
        }
        raft.advance(&ready);
        let applied = raft.log().applied;
        host.readable.extend(ready.reads);
        let (now, later): (Vec<_>, Vec<_>) = host.readable.drain(..).partition(|read| read.index <= applied);
        host.readable = later;
        self.done.extend(now.into_iter().map(|read| Done::Readable { ticket: read.context, host: id }));
        if applied - raft.log().snapshot.index >= self.options.snapshot_every {
            let (members, data) = (raft.members().clone(), machine.snapshot());
            if let Some(snapshot) = raft.compact(applied, members, data.into()) {
                let write = Write { snapshot: Some(snapshot), ..Write::default() };
                disk.write(&write).expect("memory doesn't fail");
            }
        }
        self.watch.sees(raft);
    }
}

/// The links of a group.
pub struct Links<'a> {
    net: &'a mut Network<Message, Timer>,
}

impl Links<'_> {
    /// Changes how messages travel.
    pub fn weather(&mut self, weather: super::network::Weather) {
        self.net.weather = weather;
    }

    /// Cuts one direction between two members.
    pub fn cut(&mut self, from: Id, to: Id) {
        self.net.cut(from, to);
    }

    /// Cuts some members off from all others.
    pub fn part(&mut self, one: &BTreeSet<Id>, others: &BTreeSet<Id>) {
        self.net.part(one, others);
    }

    /// Restores everything.
    pub fn heal(&mut self) {
        self.net.heal();
    }
}
