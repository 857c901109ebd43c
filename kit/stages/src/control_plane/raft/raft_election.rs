//! The lesson of `control_plane/raft_election`.

use super::stage::Stage;
use super::{Happening, Lesson, Setup, Standing, Step};
use kit_contract::Slot;
use kit_contract::control_plane::{
    Ballot, ElectionConfig, ElectionEvent, ElectionMessage, ElectionOutput, LogEnd, RaftElection,
};
use kit_raft::Id;
use kit_raft::network::MILLISECOND;
use std::collections::{BTreeMap, BTreeSet};

/// A leader that was not heard for so long doesn't count as one.
const FRESH: i64 = 120 * MILLISECOND;

pub(super) struct Election {
    members: BTreeMap<Id, Member>,
    leaders: BTreeMap<u64, Id>,
    votes: BTreeMap<(u64, Id), Id>,
}

struct Member {
    slot: Slot<dyn RaftElection>,
    module: Option<Box<dyn RaftElection>>,
    log: LogEnd,
    saved: Ballot,
    /// The greatest term that it heard of since it started.
    heard: u64,
    /// Who asked it for a vote in which term, and how that one's log ends.
    asked: BTreeMap<(u64, Id), LogEnd>,
    /// Whose votes of which term reached it.
    won: BTreeSet<(u64, Id)>,
    /// The term in which it asked for votes last, since it started.
    stood: Option<u64>,
    /// When it claimed to lead, and in which term.
    claimed: Option<(i64, u64)>,
    /// When it heard a leader, and whom in which term.
    follows: Option<(i64, u64, Id)>,
}

type Net = Stage<ElectionMessage>;

impl Election {
    pub fn new(setup: &Setup, yours: &Slot<dyn RaftElection>, reference: &Slot<dyn RaftElection>) -> Self {
        let member = |id| Member {
            slot: if setup.reference.contains(&id) { reference.clone() } else { yours.clone() },
            module: None,
            log: setup.logs.get(&id).copied().unwrap_or_default(),
            saved: Ballot::default(),
            heard: 0,
            asked: BTreeMap::new(),
            won: BTreeSet::new(),
            stood: None,
            claimed: None,
            follows: None,
        };
        let members = (1..=setup.members).map(|id| (id, member(id))).collect();
        Election { members, leaders: BTreeMap::new(), votes: BTreeMap::new() }
    }

    fn at(&mut self, id: Id) -> &mut Member {
        self.members.get_mut(&id).expect("a member of the group")
    }

    /// What must follow from an event, and doesn't.
    fn owes(&self, id: Id, event: &ElectionEvent, outputs: &[ElectionOutput]) -> Option<String> {
        let ElectionEvent::Message { from, message } = event else { return None };
        let member = &self.members[&id];
        let Member { saved, claimed, stood, .. } = member;
        let term = message.term();
        let says = |to: &Id, what: fn(&ElectionMessage) -> bool| {
            outputs.iter().any(
                |output| matches!(output, ElectionOutput::Send { to: other, message } if other == to && what(message)),
            )
        };
        let waits = !outputs.contains(&ElectionOutput::ResetElectionTimer);
        let leads = |message: &ElectionMessage| matches!(message, ElectionMessage::Heartbeat { .. });
        match message {
            ElectionMessage::RequestVote { .. } | ElectionMessage::Heartbeat { .. } if term < saved.term => {
                let what = "whoever asks or leads in an earlier term is answered";
                let why = format!("{from} speaks of term {term}, and {id} doesn't tell of term {}", saved.term);
                (!says(from, |_| true)).then(|| format!("{what}: {why}"))
            }
            ElectionMessage::Heartbeat { .. } => {
                let answers = says(from, |message| matches!(message, ElectionMessage::HeartbeatReply { .. }));
                let why = "and doesn't reset its timer";
                match answers {
                    false => Some(format!("a heartbeat is always answered: {id} says nothing to {from}")),
                    true => waits
                        .then(|| format!("a leader that is heard resets the election timer: {id} hears {from} {why}")),
                }
            }
            ElectionMessage::RequestVote { .. } => {
                let votes = outputs
                    .iter()
                    .any(|output| matches!(output, ElectionOutput::Save(ballot) if ballot.voted_for == Some(*from)));
                let grants = says(from, |message| matches!(message, ElectionMessage::Vote { granted: true, .. }));
                let why = format!("{id} votes for {from} in term {term} and doesn't reset its timer");
                (votes && grants && waits).then(|| format!("a vote that is granted resets the election timer: {why}"))
            }
            ElectionMessage::Vote { granted: true, .. } => {
                let is_candidate = *stood == Some(term) && saved.term == term && saved.voted_for == Some(id);
                let led = claimed.is_some_and(|(_, of)| of == term);
                let votes = member.won.iter().filter(|(of, voter)| *of == term && *voter != id).count() + 1;
                let unheard = self.members.keys().find(|other| **other != id && !says(other, leads));
                let wins = is_candidate && !led && votes > self.members.len() / 2;
                let why =
                    |other: &Id| format!("{id} has {votes} votes in term {term} and sends no heartbeat to {other}");
                unheard.filter(|_| wins).map(|other| format!("whoever wins says so at once: {}", why(other)))
            }
            _ => None,
        }
    }

    /// What may be saved.
    fn save(&mut self, stage: &mut Net, id: Id, ballot: Ballot) {
        let member = self.at(id);
        let before = std::mem::replace(&mut member.saved, ballot);
        if ballot.term < before.term {
            stage.broken(format!("terms never go back: {id} saved term {} after {}", ballot.term, before.term));
        } else if ballot.term == before.term && before.voted_for.is_some() && ballot.voted_for != before.voted_for {
            stage.broken(format!("one vote a term: {id} forgets its vote in term {}", ballot.term));
        }
    }

    /// What may be sent.
    fn send(&mut self, stage: &mut Net, from: Id, to: Id, message: &ElectionMessage) {
        let majority = self.members.len() / 2 + 1;
        let term = message.term();
        let member = self.at(from);
        let Member { saved, heard, .. } = *member;
        if term != saved.term {
            let why = format!("{from} speaks of term {term} while term {} is saved", saved.term);
            return stage.broken(format!("what a message says must be saved before: {why}"));
        }
        if term < heard {
            return stage.broken(format!("terms only grow: {from} speaks in term {term} and has heard of {heard}"));
        }
        match *message {
            ElectionMessage::RequestVote { log, .. } => {
                self.at(from).stood = Some(term);
                if log != self.at(from).log {
                    let why = format!("{from} says that its log ends at index {} of term {}", log.index, log.term);
                    stage.broken(format!("a candidate tells how its own log ends: {why}"));
                }
            }
            ElectionMessage::Vote { granted: true, .. } => {
                let own = member.log;
                let Some(log) = member.asked.get(&(term, to)).copied() else {
                    return stage.broken(format!("a vote answers a request: {to} didn't ask {from} in term {term}"));
                };
                if saved.voted_for != Some(to) {
                    let why = format!("{from} votes for {to} in term {term} and has not saved that");
                    return stage.broken(format!("what a message says must be saved before: {why}"));
                }
                if (log.term, log.index) < (own.term, own.index) {
                    return stage.broken(format!(
                        "a vote only for a log that is at least as up to date: {from}'s ends at index {} of term {}, {to}'s \
                         at index {} of term {}",
                        own.index, own.term, log.index, log.term
                    ));
                }
                let first = *self.votes.entry((term, from)).or_insert(to);
                if first != to {
                    stage.broken(format!("one vote a term: {from} voted for {first} and for {to} in term {term}"));
                }
            }
            ElectionMessage::Heartbeat { .. } => {
                let own = usize::from(saved.voted_for == Some(from));
                let votes = member.won.iter().filter(|(of, voter)| *of == term && *voter != from).count() + own;
                member.claimed = Some((stage.net.now().nanos, term));
                let first = *self.leaders.entry(term).or_insert(from);
                if first != from {
                    stage.broken(format!("one leader a term: {first} and {from} both lead in term {term}"));
                } else if votes < majority {
                    let of = self.members.len();
                    stage.broken(format!(
                        "a leader has a majority: {from} leads in term {term} with {votes} of {of} votes"
                    ));
                }
            }
            ElectionMessage::Vote { granted: false, .. } | ElectionMessage::HeartbeatReply { .. } => {}
        }
    }
}

impl Lesson for Election {
    type Message = ElectionMessage;

    fn start(&mut self, _: &mut Net, id: Id) {
        let members: Vec<Id> = self.members.keys().copied().collect();
        let member = self.at(id);
        let config = ElectionConfig { id, members, ballot: member.saved, log: member.log };
        member.heard = member.saved.term;
        member.module = Some(member.slot.make(&config));
    }

    fn stop(&mut self, id: Id) {
        let member = self.at(id);
        member.module = None;
        member.claimed = None;
        member.follows = None;
        member.asked.clear();
        member.won.clear();
        member.stood = None;
    }

    fn happens(&mut self, stage: &mut Net, id: Id, what: Happening<ElectionMessage>) {
        let now = stage.net.now().nanos;
        let member = self.at(id);
        let event = match what {
            Happening::ElectionTimeout => ElectionEvent::ElectionTimeout,
            Happening::HeartbeatDue => ElectionEvent::HeartbeatDue,
            Happening::Arrives(from, message) => {
                member.heard = member.heard.max(message.term());
                match message {
                    ElectionMessage::RequestVote { term, log } => _ = member.asked.insert((term, from), log),
                    ElectionMessage::Vote { term, granted: true } => _ = member.won.insert((term, from)),
                    ElectionMessage::Heartbeat { term } if term >= member.heard => {
                        member.follows = Some((now, term, from))
                    }
                    _ => {}
                }
                ElectionEvent::Message { from, message }
            }
        };
        let Some(module) = &mut member.module else { return };
        let outputs = module.step(&event);
        // The heartbeat timer rings all the time; that nothing came of it tells nothing.
        if event != ElectionEvent::HeartbeatDue || !outputs.is_empty() {
            stage.note_step(id, &event, &outputs);
        }
        if let Some(owed) = self.owes(id, &event, &outputs) {
            return stage.broken(owed);
        }
        for (done, output) in (1..).zip(outputs) {
            let answers =
                matches!(&output, ElectionOutput::Send { message: ElectionMessage::Vote { granted: true, .. }, .. });
            match output {
                ElectionOutput::Save(ballot) => self.save(stage, id, ballot),
                ElectionOutput::ResetElectionTimer => stage.wind(id),
                ElectionOutput::Send { to, .. } if to == id || !self.members.contains_key(&to) => {
                    stage.broken(format!("messages go to the other members: {id} sent one to {to}"));
                }
                ElectionOutput::Send { to, message } => {
                    self.send(stage, id, to, &message);
                    stage.send(id, to, message.term(), message);
                }
            }
            if stage.is_broken() || stage.dies(id, answers, done) {
                return;
            }
        }
    }

    fn act(&mut self, _: &mut Net, _: &Step) -> Result<Vec<String>, String> {
        Err("elections are held by the modules, and nothing is proposed: use `run`".into())
    }

    fn chore(&mut self, _: &mut Net, _: u64) {}

    fn standing(&self, stage: &Net) -> Standing {
        let now = stage.net.now().nanos;
        let up = self.members.iter().filter(|(id, _)| !stage.down.contains(id));
        let leader = up
            .clone()
            .filter_map(|(id, member)| member.claimed.map(|(at, term)| (term, at, *id)))
            .filter(|(_, at, _)| now - at < FRESH)
            .max();
        let Some((term, _, leader)) = leader else {
            return Standing { leader: None, lines: vec!["nobody leads".into()], settled: false };
        };
        let follows = |member: &Member| matches!(member.follows, Some((at, of, who)) if (of, who) == (term, leader) && now - at < FRESH);
        let reached = up.clone().filter(|(id, _)| **id != leader && stage.net.connects(leader, **id));
        let lost = reached.clone().filter(|(_, member)| !follows(member)).count();
        let rivals =
            up.filter(|(id, member)| **id != leader && matches!(member.claimed, Some((at, _)) if now - at < FRESH));
        let lines = vec![match lost {
            0 => "one leads, and all that it reaches follow it".to_string(),
            _ => format!("one leads, and {lost} of those that it reaches don't follow it"),
        }];
        // Raft lets a leader that is cut off believe what it likes, so that this isn't told, but it must end.
        let rivals = rivals.count();
        Standing { leader: Some(leader), settled: lost == 0 && rivals == 0, lines }
    }
}
