//! Whole groups under faults drawn from a seed, with clients whose history must be linearizable.

use super::flaw::Flaw;
use super::group::{Done, Group, Machine, Options};
use super::linearizable::{Operation, Register, RegisterAnswer, RegisterOp, is_linearizable};
use super::membership::{Change, Step};
use super::message::Id;
use super::network::{MILLISECOND, Weather};
use super::node::Refusal;
use super::watch::{Property, Violation};
use kit_time::agenda::Instant;
use kit_time::random::{Purpose, Random};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What one run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where chance comes from.
    pub seed: u64,
    /// How many members the group has.
    pub members: u64,
    /// How long there are faults, in nanoseconds.
    pub faults_for: i64,
    /// Whether members come and go.
    pub changes: bool,
    /// Whether leaders answer reads by their clock.
    pub lease_reads: bool,
    /// Whether members have what etcd adds to the paper: pre-vote and the check of the quorum.
    pub guarded: bool,
    /// The most entries in one message.
    pub max_entries: usize,
    /// The longest time between two faults, in milliseconds.
    pub pause: u64,
    pub(super) flaw: Option<Flaw>,
}

impl Plan {
    /// Everything that can go wrong, for four seconds; members and options are drawn from the seed.
    pub fn of(seed: u64) -> Self {
        let bits = Random::new(seed).bits(Purpose { component: "plan", object: "", reason: "", attempt: 0 });
        let guarded = bits & 3 > 0;
        Plan {
            seed,
            members: if bits & 4 > 0 { 3 } else { 5 },
            faults_for: 4000 * MILLISECOND,
            changes: bits & 24 == 0,
            lease_reads: guarded && bits & 32 > 0,
            guarded,
            max_entries: if bits & 64 > 0 { 1 } else { 16 },
            pause: if bits & 128 > 0 { 80 } else { 300 },
            flaw: None,
        }
    }
}

/// How much happened in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operations that were answered.
    pub answered: u64,
    /// Operations whose outcome nobody learned.
    pub unknown: u64,
    /// Terms that began.
    pub terms: u64,
    /// Faults.
    pub faults: u64,
}

/// Plays a plan to its end.
///
/// # Errors
///
/// The first promise that was broken.
pub fn play(plan: Plan) -> Result<Summary, Violation> {
    Run::new(plan).play()
}

const CLIENTS: u64 = 4;
const KEYS: u64 = 3;
const GIVE_UP: i64 = 400 * MILLISECOND;
const FAULT: u64 = u64::MAX;

type Called = Operation<RegisterOp, RegisterAnswer>;

struct Run {
    plan: Plan,
    random: Random,
    drawn: u64,
    group: Group<Registers>,
    clients: Vec<Client>,
    /// Of each key.
    history: Vec<Vec<Called>>,
    down: BTreeSet<Id>,
    calm: bool,
    next_id: Id,
    next_value: u64,
    summary: Summary,
}

#[derive(Default)]
struct Client {
    /// Counts its operations.
    number: u64,
    asked: Option<Asked>,
    target: Id,
}

struct Asked {
    key: u64,
    called: u64,
    op: RegisterOp,
    /// Whether a member may carry it out.
    sent: bool,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let Plan { seed, members, lease_reads, guarded, max_entries, flaw, .. } = plan;
        let options = Options { snapshot_every: 12, lease_reads, guarded, max_entries, flaw, ..Options::new(seed) };
        let mut run = Run {
            plan,
            random: Random::new(seed),
            drawn: 0,
            group: Group::new(members, options),
            clients: Vec::new(),
            history: (0..KEYS).map(|_| Vec::new()).collect(),
            down: BTreeSet::new(),
            calm: false,
            next_id: members + 1,
            next_value: 1,
            summary: Summary::default(),
        };
        for number in 0..CLIENTS {
            run.clients.push(Client { target: 1, ..Client::default() });
            run.group.ring(number as i64 * 7 * MILLISECOND, number);
        }
        run.group.ring(150 * MILLISECOND, FAULT);
        run
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.drawn += 1;
        let purpose = Purpose { component: "simulation", object: "", reason: "", attempt: self.drawn };
        self.random.below(below, purpose)
    }

    fn play(mut self) -> Result<Summary, Violation> {
        self.run(self.plan.faults_for)?;
        self.repair();
        self.run(2500 * MILLISECOND)?;
        self.settled()?;
        self.summary.terms = self.group.leader().and_then(|id| self.group.raft(id)).map_or(0, |raft| raft.term());
        for (key, history) in self.history.iter().enumerate() {
            if !is_linearizable(&Register, history) {
                let what = format!("no order of what clients saw of key {key} explains it");
                return Err(Violation { property: Property::Linearizability, what });
            }
        }
        Ok(self.summary)
    }

    fn run(&mut self, nanos: i64) -> Result<(), Violation> {
        let until = self.group.now() + Instant { nanos };
        while let Some(done) = self.group.next(until) {
            match done {
                Done::Rings(FAULT) if !self.calm => self.fault(),
                Done::Rings(FAULT) => {}
                Done::Rings(token) => self.client_rings(token),
                Done::Applied { ticket, answer } => self.answered(ticket, answer),
                Done::Superseded { ticket } => self.ended(ticket, None),
                Done::Readable { ticket, host } => {
                    let (client, number) = (ticket % CLIENTS, ticket / CLIENTS);
                    let waits = self.clients[client as usize].asked.as_ref().map(|asked| asked.key);
                    if let Some(key) = waits.filter(|_| self.clients[client as usize].number == number) {
                        let value = self.group.machine(host).map_or(0, |machine| machine.get(key));
                        self.answered(ticket, RegisterAnswer::Value(value));
                    }
                }
            }
        }
        self.group.watch.violation.clone().map_or(Ok(()), Err)
    }

    /// A client begins an operation, asks again, or gives up: the token says which of its operations it is about.
    fn client_rings(&mut self, token: u64) {
        let (client, about) = ((token % CLIENTS) as usize, token / CLIENTS);
        let Client { number, asked, .. } = &self.clients[client];
        // The low bit tells giving up from asking.
        let (about, gives_up) = (about / 2, about % 2 == 1);
        if about != *number {
            return;
        }
        if gives_up {
            let ticket = number * CLIENTS + client as u64;
            return self.ended(ticket, None);
        }
        if asked.is_none() {
            let key = self.draw(KEYS);
            let value = self.next_value;
            self.next_value += 1;
            let op = match self.draw(10) {
                0..4 => RegisterOp::Get,
                4..8 => RegisterOp::Put(value),
                _ => RegisterOp::Swap(self.group.machine(1).map_or(0, |machine| machine.get(key)), value),
            };
            let called = self.group.now().nanos as u64;
            self.clients[client].asked = Some(Asked { key, called, op, sent: false });
            let give_up = self.token(client, true);
            self.group.ring(GIVE_UP, give_up);
        }
        self.ask(client);
    }

    fn token(&self, client: usize, gives_up: bool) -> u64 {
        (self.clients[client].number * 2 + u64::from(gives_up)) * CLIENTS + client as u64
    }

    fn ask(&mut self, client: usize) {
        let Client { number, asked: Some(asked), target } = &self.clients[client] else { return };
        let (ticket, target) = (number * CLIENTS + client as u64, *target);
        let answer = match asked.op {
            RegisterOp::Get => self.group.read(target, ticket),
            op => self.group.propose(target, encode(asked.key, op).into(), ticket),
        };
        match answer {
            Ok(()) => {
                if let Some(asked) = &mut self.clients[client].asked {
                    asked.sent = true;
                }
            }
            Err(refusal) => {
                let known = if let Refusal::NotLeader(leader) = refusal { leader } else { None };
                let other = 1 + self.draw(self.next_id - 1);
                self.clients[client].target = known.unwrap_or(other);
                let again = self.token(client, false);
                self.group.ring(9 * MILLISECOND, again);
            }
        }
    }

    fn answered(&mut self, ticket: u64, answer: RegisterAnswer) {
        self.ended(ticket, Some(answer));
    }

    /// An operation ends: with an answer, without one, or certainly without effect.
    fn ended(&mut self, ticket: u64, answer: Option<RegisterAnswer>) {
        let (client, number) = ((ticket % CLIENTS) as usize, ticket / CLIENTS);
        if self.clients[client].number != number {
            return;
        }
        let Some(Asked { key, called, op, sent }) = self.clients[client].asked.take() else { return };
        let now = self.group.now().nanos as u64;
        let answered = answer.map(|answer| (now, answer));
        if answered.is_some() {
            self.summary.answered += 1;
        }
        // A read that nobody answered tells nothing.
        if answered.is_some() || (sent && op != RegisterOp::Get) {
            self.summary.unknown += u64::from(answered.is_none());
            self.history[key as usize].push(Operation { called, op, answered });
        }
        self.clients[client].number += 1;
        let pause = self.draw(30) as i64 * MILLISECOND;
        let next = self.token(client, false);
        self.group.ring(pause, next);
    }

    /// Something goes wrong, or becomes right again.
    fn fault(&mut self) {
        self.summary.faults += 1;
        let ids: Vec<Id> = self.group.ids().into_iter().collect();
        let one = ids[self.draw(ids.len() as u64) as usize];
        let other = ids[self.draw(ids.len() as u64) as usize];
        // Leaders are where it hurts.
        let victim = if self.draw(2) == 0 { self.group.leader().unwrap_or(one) } else { one };
        match self.draw(12) {
            0..3 => {
                let kept = self.draw(self.group.unsynced(victim) as u64 + 1) as usize;
                self.group.crash(victim, kept);
                self.down.insert(victim);
            }
            3..5 => {
                if let Some(id) = self.down.pop_first() {
                    self.group.start(id);
                }
            }
            5 => {
                let all: BTreeSet<Id> = ids.iter().copied().collect();
                let mut side = BTreeSet::from([victim]);
                side.extend(ids.iter().copied().filter(|id| (self.plan.seed >> (id % 60)) & 1 == 1).take(1));
                self.group.links().part(&side, &all);
            }
            6 => {
                for id in ids.iter().filter(|id| **id != victim) {
                    if one < other {
                        self.group.links().cut(victim, *id);
                    } else {
                        self.group.links().cut(*id, victim);
                    }
                }
            }
            7 => self.group.links().cut(one, other),
            8 => self.group.links().heal(),
            9 => {
                let (lost, most) = (self.draw(200), (1 + self.draw(60) as i64) * MILLISECOND);
                self.group.links().weather(Weather { least: MILLISECOND / 2, most, lost, repeated: lost });
            }
            10 => _ = self.group.leader().map(|leader| self.group.transfer_leader(leader, other)),
            _ if self.plan.changes => self.change(one, other),
            _ => self.group.links().heal(),
        }
        let pause = (10 + self.draw(self.plan.pause)) as i64 * MILLISECOND;
        self.group.ring(pause, FAULT);
    }

    /// Another membership.
    fn change(&mut self, one: Id, other: Id) {
        let Some(leader) = self.group.leader() else { return };
        let Some(members) = self.group.raft(leader).map(|raft| raft.members().clone()) else { return };
        if members.is_joint() {
            _ = self.group.propose_change(leader, Change::Leave);
            return;
        }
        let new = self.next_id;
        let change = match self.draw(4) {
            0 if new < 9 => Change::Simple(Step::AddVoter(new)),
            1 if members.voters.len() > 2 => Change::Simple(Step::Remove(one)),
            2 if new < 9 && members.voters.len() > 2 => {
                let steps = vec![Step::Remove(one), Step::AddVoter(new), Step::AddLearner(other)];
                Change::Joint { steps, auto_leave: self.draw(2) == 0 }
            }
            _ => Change::Simple(Step::AddVoter(other)),
        };
        let adds = matches!(&change, Change::Simple(Step::AddVoter(id)) if *id == new)
            || matches!(&change, Change::Joint { .. });
        if self.group.propose_change(leader, change).is_ok() && adds {
            self.group.add_host(new);
            self.next_id += 1;
        }
    }

    /// Ends all faults.
    fn repair(&mut self) {
        self.calm = true;
        self.group.links().heal();
        self.group.links().weather(Weather::CALM);
        for id in self.group.ids() {
            self.group.start(id);
        }
    }

    /// Everything works again, so there must be a leader whom the voters follow and who has committed in its term.
    fn settled(&self) -> Result<(), Violation> {
        if self.plan.changes && !self.plan.guarded {
            // Members that were removed and don't know it disturb a leader for ever: what pre-vote is for (§4.2.3 of
            // the thesis).
            return Ok(());
        }
        let broken = |what: String| Err(Violation { property: Property::Progress, what });
        let Some(leader) = self.group.leader() else { return broken("nobody leads".into()) };
        let Some(raft) = self.group.raft(leader) else { return broken("nobody leads".into()) };
        let applied = raft.log().applied;
        if raft.log().term(applied) != Some(raft.term()) && raft.log().snapshot.term != raft.term() {
            return broken(format!("{leader} leads and commits nothing"));
        }
        let voters = raft.members().voters.iter().filter_map(|id| self.group.raft(*id));
        for member in voters {
            if member.leader() != Some(leader) || member.log().applied + 50 < applied {
                return broken(format!("{} does not follow {leader}", member.id()));
            }
        }
        Ok(())
    }
}

/// Registers by number.
#[derive(Debug, Clone, Default, Hash)]
struct Registers(BTreeMap<u64, u64>);

impl Registers {
    fn get(&self, key: u64) -> u64 {
        self.0.get(&key).copied().unwrap_or_default()
    }
}

fn encode(key: u64, op: RegisterOp) -> Vec<u8> {
    let (kind, a, b) = match op {
        RegisterOp::Get => (0, 0, 0),
        RegisterOp::Put(value) => (1, value, 0),
        RegisterOp::Swap(from, to) => (2, from, to),
    };
    [kind, key, a, b].into_iter().flat_map(u64::to_le_bytes).collect()
}

fn numbers(bytes: &[u8]) -> Vec<u64> {
    let (chunks, _) = bytes.as_chunks::<8>();
    chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
}

impl Machine for Registers {
    type Answer = RegisterAnswer;

    fn apply(&mut self, command: &[u8]) -> RegisterAnswer {
        let [kind, key, a, b] = numbers(command)[..] else { return RegisterAnswer::Done };
        let op = if kind == 1 { RegisterOp::Put(a) } else { RegisterOp::Swap(a, b) };
        let (value, answer) = super::linearizable::Model::apply(&Register, &self.get(key), &op);
        self.0.insert(key, value);
        answer
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(key, value)| [*key, *value]).flat_map(u64::to_le_bytes).collect()
    }

    fn restore(snapshot: &[u8]) -> Self {
        let all = numbers(snapshot);
        Registers(all.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)).collect())
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests;
