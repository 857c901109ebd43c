//! The lesson of `control_plane/raft_replication`. Elections are held here, by the rules of the other exercise.

use super::stage::Stage;
use super::{Happening, Lesson, Setup, Standing, Step, Who};
use kit_contract::Slot;
use kit_contract::control_plane::{
    LogEntry, LogSnapshot, RaftReplication, ReplicationConfig, ReplicationEvent, ReplicationMessage, ReplicationOutput,
};
use kit_raft::Id;
use kit_time::random::Purpose;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};

/// The most entries in one message.
const AT_ONCE: usize = 100;

pub(super) struct Replication {
    members: BTreeMap<Id, Member>,
    /// What each entry is, by term and index: its command and the term of the entry before it.
    entries: BTreeMap<(u64, u64), (String, u64)>,
    /// What was applied at each index, and the term of the member that did it first.
    applied: BTreeMap<u64, (LogEntry, u64)>,
    leaders: BTreeMap<u64, Id>,
    proposed: BTreeSet<String>,
}

struct Member {
    slot: Slot<dyn RaftReplication>,
    /// Whether it runs the reference.
    is_reference: bool,
    module: Option<Box<dyn RaftReplication>>,
    /// The greatest term that reached it.
    term: u64,
    snapshot: LogSnapshot,
    log: Vec<LogEntry>,
    applied: u64,
    state: u64,
}

type Net = Stage<ReplicationMessage>;

impl Member {
    fn last(&self) -> (u64, u64) {
        let entry = self.log.last();
        entry.map_or((self.snapshot.term, self.snapshot.index), |entry| (entry.term, entry.index))
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot.index {
            return Some(self.snapshot.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// An entry; there are no gaps, since none may be saved.
    fn entry(&self, index: u64) -> Option<&LogEntry> {
        self.log.get(index.checked_sub(self.snapshot.index + 1)? as usize)
    }
}

fn with(state: u64, command: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(state);
    hasher.write(command.as_bytes());
    hasher.finish()
}

impl Replication {
    pub fn new(setup: &Setup, yours: &Slot<dyn RaftReplication>, reference: &Slot<dyn RaftReplication>) -> Self {
        let member = |id| Member {
            slot: if setup.reference.contains(&id) { reference.clone() } else { yours.clone() },
            is_reference: setup.reference.contains(&id),
            module: None,
            term: 0,
            snapshot: LogSnapshot::default(),
            log: Vec::new(),
            applied: 0,
            state: 0,
        };
        Replication {
            members: (1..=setup.members).map(|id| (id, member(id))).collect(),
            entries: BTreeMap::new(),
            applied: BTreeMap::new(),
            leaders: BTreeMap::new(),
            proposed: BTreeSet::new(),
        }
    }

    fn at(&mut self, id: Id) -> &mut Member {
        self.members.get_mut(&id).expect("a member of the group")
    }

    fn leads(&self, id: Id) -> bool {
        self.leaders.get(&self.members[&id].term) == Some(&id)
    }

    /// Who leads in the greatest term and runs.
    fn leader(&self, stage: &Net) -> Option<Id> {
        let (_, id) = self.leaders.last_key_value()?;
        (!stage.down.contains(id) && self.leads(*id)).then_some(*id)
    }

    /// Gives a member an event, and lets its outputs take effect.
    fn tell(&mut self, stage: &mut Net, id: Id, event: ReplicationEvent) {
        let Some(module) = self.at(id).module.as_mut() else { return };
        let mut outputs = module.step(&event);
        if event == ReplicationEvent::HeartbeatDue && self.members[&id].is_reference && self.leads(id) {
            outputs.extend(self.signs_of_life(id));
        }
        if event != ReplicationEvent::HeartbeatDue || !outputs.is_empty() {
            stage.note_step(id, &event, &outputs);
        }
        if let Some(owed) = self.owes(id, &event, &outputs) {
            return stage.broken(owed);
        }
        for (done, output) in (1..).zip(outputs) {
            let answers = matches!(
                &output,
                ReplicationOutput::Send { message: ReplicationMessage::AppendReply { success: true, .. }, .. }
            );
            let broken = match output {
                ReplicationOutput::Save(entries) => self.save(id, entries),
                ReplicationOutput::Restore(snapshot) => self.restore(id, snapshot),
                ReplicationOutput::Apply(entry) => self.apply(id, entry),
                ReplicationOutput::Send { to, .. } if to == id || !self.members.contains_key(&to) => {
                    Err(format!("messages go to the other members: {id} sent one to {to}"))
                }
                ReplicationOutput::Send { to, message } => self.check(id, &message).map(|()| {
                    stage.send(id, to, message.term(), message);
                }),
            };
            if let Err(broken) = broken {
                return stage.broken(broken);
            }
            if stage.dies(id, answers, done) {
                return;
            }
        }
    }

    /// Some leaders also send a message without entries that follows the end of their log, however far a follower is.
    fn signs_of_life(&self, id: Id) -> impl Iterator<Item = ReplicationOutput> {
        let Member { term, applied: leader_commit, .. } = self.members[&id];
        let (prev_log_term, prev_log_index) = self.members[&id].last();
        let entries = Vec::new();
        let message = ReplicationMessage::AppendEntries { term, prev_log_index, prev_log_term, entries, leader_commit };
        let others = self.members.keys().filter(move |to| **to != id);
        others.map(move |to| ReplicationOutput::Send { to: *to, message: message.clone() })
    }

    /// What must follow from an event, and doesn't.
    fn owes(&self, id: Id, event: &ReplicationEvent, outputs: &[ReplicationOutput]) -> Option<String> {
        let says = |to: Id, what: &dyn Fn(&ReplicationMessage) -> bool| {
            let is = |output: &ReplicationOutput| matches!(output, ReplicationOutput::Send { to: other, message } if *other == to && what(message));
            outputs.iter().any(is)
        };
        let ReplicationEvent::Message { from, message } = event else { return None };
        if matches!(message, ReplicationMessage::AppendReply { .. }) {
            return None;
        }
        let (term, own) = (message.term(), self.members[&id].term);
        let answers = |message: &ReplicationMessage| matches!(message, ReplicationMessage::AppendReply { .. });
        let refuses = |message: &ReplicationMessage| {
            matches!(message, ReplicationMessage::AppendReply { success: false, index: 0, .. })
        };
        if term < own {
            let why = format!("{from} leads in term {term}, and {id} doesn't tell of term {own}");
            return (!says(*from, &refuses))
                .then(|| format!("messages of an earlier term are refused with index 0: {why}"));
        }
        (!says(*from, &answers)).then(|| format!("a leader is always answered: {id} says nothing to {from}"))
    }

    fn save(&mut self, id: Id, entries: Vec<LogEntry>) -> Result<(), String> {
        let leads = self.leads(id);
        let member = &self.members[&id];
        let (_, last) = member.last();
        let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(()) };
        if first <= member.snapshot.index || first > last + 1 {
            return Err(format!("a log has no gaps: {id} saves from index {first}, and its log ends at {last}"));
        }
        if leads && first <= last {
            return Err(format!("a leader only appends: {id} overwrites index {first} of its own log"));
        }
        let mut before = member.term_at(first - 1).unwrap_or_default();
        for (index, entry) in (first..).zip(&entries) {
            if entry.index != index {
                return Err(format!("a log has no gaps: {id} saves index {} where {index} belongs", entry.index));
            }
            if !entry.command.is_empty() && !self.proposed.contains(&entry.command) {
                return Err(format!("nothing is invented: nobody proposed {:?}, which {id} saves", entry.command));
            }
            let key = (entry.term, entry.index);
            let (command, prev) = self.entries.entry(key).or_insert_with(|| (entry.command.clone(), before));
            if (&*command, *prev) != (&entry.command, before) {
                return Err(format!(
                    "logs match: index {index} of term {} is one thing on {id} and another elsewhere, or follows something else",
                    entry.term
                ));
            }
            before = entry.term;
        }
        let member = self.at(id);
        member.log.retain(|entry| entry.index < first);
        member.log.extend(entries);
        Ok(())
    }

    fn restore(&mut self, id: Id, snapshot: LogSnapshot) -> Result<(), String> {
        let LogSnapshot { index, term, .. } = snapshot;
        let member = self.at(id);
        if index < member.applied {
            return Err(format!("nothing is undone: {id} has applied {} and restores {index}", member.applied));
        }
        if member.term_at(index) == Some(term) {
            return Err(format!("a snapshot that the log covers is not needed: {id} throws away what it acknowledged"));
        }
        let Ok(state) = u64::from_str_radix(&snapshot.state, 16) else {
            return Err(format!("a snapshot is passed on as it was taken: {id} restores {:?}", snapshot.state));
        };
        (member.applied, member.state, member.snapshot) = (index, state, snapshot);
        member.log.clear();
        let expected = self.applied.range(..=index).fold(0, |state, (_, (entry, _))| with(state, &entry.command));
        if state != expected || self.applied.get(&index).is_none_or(|(entry, _)| entry.term != term) {
            return Err(format!("all members apply the same: {id} restores another state at index {index}"));
        }
        Ok(())
    }

    fn apply(&mut self, id: Id, entry: LogEntry) -> Result<(), String> {
        let majority = self.members.len() / 2 + 1;
        let member = &self.members[&id];
        if entry.index != member.applied + 1 {
            return Err(format!("in order and once: {id} applies index {} after {}", entry.index, member.applied));
        }
        if member.term_at(entry.index) != Some(entry.term) {
            return Err(format!("only what is saved is applied: {id} applies index {}", entry.index));
        }
        let has =
            |member: &&Member| member.term_at(entry.index) == Some(entry.term) || member.snapshot.index >= entry.index;
        let copies = self.members.values().filter(has).count();
        let during = member.term;
        match self.applied.get(&entry.index) {
            Some((first, _)) if *first != entry => {
                return Err(format!(
                    "all members apply the same: at index {} {id} applies {} of term {}, and another applied {} of term {}",
                    entry.index,
                    named(&entry),
                    entry.term,
                    named(first),
                    first.term
                ));
            }
            Some(_) => {}
            None if copies < majority => {
                let of = self.members.len();
                return Err(format!(
                    "committed is what a majority has: {id} applies index {}, which {copies} of {of} have",
                    entry.index
                ));
            }
            None => _ = self.applied.insert(entry.index, (entry.clone(), during)),
        }
        let member = self.at(id);
        member.applied = entry.index;
        member.state = with(member.state, &entry.command);
        Ok(())
    }

    /// What may be sent.
    fn check(&self, id: Id, message: &ReplicationMessage) -> Result<(), String> {
        let member = &self.members[&id];
        if message.term() != member.term {
            let (said, has) = (message.term(), member.term);
            return Err(format!("messages carry the sender's term: {id} speaks in term {said} and is in {has}"));
        }
        match message {
            ReplicationMessage::AppendReply { success: true, index, .. } if *index > member.last().1 => {
                let (_, last) = member.last();
                Err(format!(
                    "what a message says must be saved before: {id} agrees up to {index} and has saved up to {last}"
                ))
            }
            ReplicationMessage::AppendReply { .. } => Ok(()),
            _ if !self.leads(id) => {
                Err(format!("only a leader sends entries: {id} does not lead in term {}", member.term))
            }
            ReplicationMessage::AppendEntries { prev_log_index, prev_log_term, entries, .. } => {
                let saved = |entry: &LogEntry| member.entry(entry.index) == Some(entry);
                if entries.len() > AT_ONCE {
                    return Err(format!("at most {AT_ONCE} entries in a message: {id} sends {}", entries.len()));
                }
                let in_order = (prev_log_index + 1..).zip(entries).all(|(index, entry)| index == entry.index);
                if member.term_at(*prev_log_index) != Some(*prev_log_term) || !in_order || !entries.iter().all(saved) {
                    return Err(format!(
                        "a leader sends its own log: {id} sends something else after index {prev_log_index}"
                    ));
                }
                Ok(())
            }
            ReplicationMessage::InstallSnapshot { snapshot, .. } if *snapshot != member.snapshot => {
                Err(format!("a leader sends its own snapshot: {id} sends another one, of index {}", snapshot.index))
            }
            ReplicationMessage::InstallSnapshot { .. } => Ok(()),
        }
    }

    /// Holds an election (§5.2, §5.4.1): those that a candidate reaches vote for it unless their log is ahead.
    fn elect(&mut self, stage: &mut Net, id: Id) -> bool {
        if stage.down.contains(&id) {
            return false;
        }
        let candidate = self.members[&id].last();
        let term = self.members.values().map(|member| member.term).max().unwrap_or_default() + 1;
        let up = self
            .members
            .iter()
            .filter(|(other, _)| !stage.down.contains(other) && (**other == id || stage.connected(id, **other)));
        let voters: Vec<Id> = up.filter(|(_, member)| member.last() <= candidate).map(|(other, _)| *other).collect();
        if voters.len() <= self.members.len() / 2 {
            return false;
        }
        let ahead = self.applied.iter().rev().find(|(_, (_, during))| *during < term);
        if let Some((index, (entry, _))) = ahead
            && self.members[&id].snapshot.index < *index
            && self.members[&id].term_at(*index) != Some(entry.term)
        {
            stage.broken(format!(
                "what is committed is never lost: {id} is elected in term {term} without index {index}, where {} was applied",
                named(entry)
            ));
            return true;
        }
        self.leaders.insert(term, id);
        stage.greatest_term = term;
        for voter in voters {
            self.at(voter).term = term;
            let event =
                if voter == id { ReplicationEvent::Elected { term } } else { ReplicationEvent::NewTerm { term } };
            self.tell(stage, voter, event);
            if stage.down.contains(&voter) {
                self.stop(voter);
            }
        }
        true
    }

    fn propose(&mut self, stage: &mut Net, id: Id) {
        let command = format!("c{}", self.proposed.len() + 1);
        self.proposed.insert(command.clone());
        self.tell(stage, id, ReplicationEvent::Propose { command });
        if stage.down.contains(&id) {
            self.stop(id);
        }
    }

    fn snapshot(&mut self, stage: &mut Net, id: Id) {
        let member = self.at(id);
        let (index, state) = (member.applied, format!("{:016x}", member.state));
        if member.module.is_none() || index <= member.snapshot.index {
            return;
        }
        let term = member.term_at(index).unwrap_or_default();
        let snapshot = LogSnapshot { term, index, state };
        member.snapshot = snapshot.clone();
        member.log.retain(|entry| entry.index > index);
        self.tell(stage, id, ReplicationEvent::Compact(snapshot));
    }
}

fn named(entry: &LogEntry) -> String {
    if entry.command.is_empty() { "nothing".into() } else { entry.command.clone() }
}

impl Lesson for Replication {
    type Message = ReplicationMessage;

    fn start(&mut self, _: &mut Net, id: Id) {
        let members: Vec<Id> = self.members.keys().copied().collect();
        let member = self.at(id);
        member.applied = member.snapshot.index;
        member.state = u64::from_str_radix(&member.snapshot.state, 16).unwrap_or_default();
        let (term, snapshot, log) = (member.term, member.snapshot.clone(), member.log.clone());
        member.module = Some(member.slot.make(&ReplicationConfig { id, members, term, snapshot, log }));
    }

    fn stop(&mut self, id: Id) {
        self.at(id).module = None;
        // Who starts again leads only when it is elected again.
        self.leaders.retain(|_, leader| *leader != id);
    }

    fn happens(&mut self, stage: &mut Net, id: Id, what: Happening<ReplicationMessage>) {
        let event = match what {
            Happening::ElectionTimeout => return,
            Happening::HeartbeatDue => ReplicationEvent::HeartbeatDue,
            Happening::Arrives(from, message) => {
                let member = self.at(id);
                member.term = member.term.max(message.term());
                ReplicationEvent::Message { from, message }
            }
        };
        self.tell(stage, id, event);
    }

    fn act(&mut self, stage: &mut Net, step: &Step) -> Result<Vec<String>, String> {
        Ok(match step {
            Step::Elect(id) if self.elect(stage, *id) => vec!["elected".into()],
            Step::Elect(_) => vec!["not elected: no majority that it reaches votes for it".into()],
            Step::Propose(Who::Member(id), count) => {
                for _ in 0..*count {
                    self.propose(stage, *id);
                }
                Vec::new()
            }
            Step::Snapshot(id) => {
                self.snapshot(stage, *id);
                Vec::new()
            }
            _ => return Err("this lesson has no such step".into()),
        })
    }

    fn chore(&mut self, stage: &mut Net, number: u64) {
        let random = stage.random;
        let draw =
            |below, reason| random.below(below, Purpose { component: "chore", object: "", reason, attempt: number });
        let any = 1 + draw(self.members.len() as u64, "who");
        let reaches = |leader: Id| {
            let connected = |id: &&Id| stage.connected(leader, **id);
            stage.members.iter().filter(|id| **id == leader || (!stage.down.contains(id) && connected(id))).count()
        };
        let works = self.leader(stage).is_some_and(|leader| reaches(leader) > self.members.len() / 2);
        if !works || draw(12, "elect") == 0 {
            self.elect(stage, any);
        } else if draw(8, "snapshot") == 0 {
            self.snapshot(stage, any);
        } else if let Some(leader) = self.leader(stage) {
            self.propose(stage, leader);
        }
        // A leader of the past still has its clients.
        if draw(3, "past") == 0 && !stage.down.contains(&any) && self.leads(any) {
            self.propose(stage, any);
        }
    }

    /// Where a majority hears its leader, everybody who does has applied what that one wrote; elsewhere all have it.
    fn rests(&self, stage: &Net) -> bool {
        let Some(leader) = self.leader(stage) else { return true };
        let last = self.members[&leader].last();
        let up = |id: &Id| !stage.down.contains(id) && (*id == leader || stage.connected(leader, *id));
        let hears: Vec<_> = self.members.iter().filter(|(id, _)| up(id)).map(|(_, member)| member).collect();
        let works = hears.len() > self.members.len() / 2;
        hears.iter().all(|member| member.last() == last && (!works || member.applied == last.1))
    }

    fn standing(&self, stage: &Net) -> Standing {
        let leader = self.leader(stage);
        let committed = self.applied.len();
        let behind: Vec<String> = self
            .members
            .iter()
            .filter(|(id, member)| !stage.down.contains(id) && (member.applied as usize) < committed)
            .map(|(id, member)| format!("member {id} up to {}", member.applied))
            .collect();
        let commands = self.applied.values().filter(|(entry, _)| !entry.command.is_empty()).count();
        let mut lines = vec![format!("{commands} of {} commands are committed", self.proposed.len())];
        lines.push(match behind.is_empty() {
            true => "all that run have applied everything that is committed".into(),
            false => format!("applied only in part: {}", behind.join(", ")),
        });
        // In a storm proposals go on, so that the last ones are still on their way.
        let settled = leader.is_some() && self.members.values().all(|member| member.applied as usize + 6 >= committed);
        let moves = self.applied.last_key_value().is_some_and(|(_, (entry, _))| entry.term + 3 >= stage.greatest_term);
        Standing { leader, settled: settled && moves, lines }
    }
}
