//! The onlooker of a group: holds what members do against what Raft promises (figure 3 of the paper).

use super::message::{Body, Entry, Id, Index, Message, Payload, Term};
use super::node::{Raft, Role};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub property: Property,
    /// Who did what.
    pub what: String,
}

/// What Raft promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// At most one leader in a term.
    ElectionSafety,
    /// At most one vote in a term, across restarts.
    OneVote,
    /// Two logs with an entry of the same index and term are equal up to there.
    LogMatching,
    /// What was committed is in the log of every later leader.
    LeaderCompleteness,
    /// No two members apply something else at the same index, and each applies all in order.
    StateMachineSafety,
    /// Every client sees one history, in the order of time.
    Linearizability,
    /// Once everything works again, there is a leader and writes succeed.
    Progress,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::ElectionSafety => "election safety",
            Property::OneVote => "one vote a term",
            Property::LogMatching => "log matching",
            Property::LeaderCompleteness => "leader completeness",
            Property::StateMachineSafety => "state machine safety",
            Property::Linearizability => "linearizability",
            Property::Progress => "progress",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

/// What was seen of a group so far.
#[derive(Debug, Default)]
pub struct Watch {
    leaders: BTreeMap<Term, Id>,
    votes: BTreeMap<(Term, Id), Id>,
    stored: HashMap<(Index, Term), (Term, Payload)>,
    applied: BTreeMap<Index, Applied>,
    at: BTreeMap<Id, Index>,
    /// The first promise that was broken.
    pub violation: Option<Violation>,
}

#[derive(Debug)]
struct Applied {
    term: Term,
    digest: u64,
    /// The term of the first member that applied it: leaders of later terms must have it.
    during: Term,
}

impl Watch {
    fn broken(&mut self, property: Property, what: String) {
        self.violation.get_or_insert(Violation { property, what });
    }

    /// A member after a step.
    pub fn sees(&mut self, raft: &Raft) {
        if raft.role() != Role::Leader || self.leaders.get(&raft.term()) == Some(&raft.id()) {
            return;
        }
        let (id, term) = (raft.id(), raft.term());
        if let Some(other) = self.leaders.insert(term, id) {
            self.broken(Property::ElectionSafety, format!("{other} and {id} both lead in term {term}"));
        }
        // By log matching, the last one stands for those before it.
        let last = self.applied.iter().rev().find(|(_, applied)| applied.during < term);
        if let Some((index, applied)) = last {
            let there = raft.log().term(*index);
            if there != Some(applied.term) && raft.log().snapshot.index < *index {
                let what = format!("{id} leads in term {term} without entry {index} of term {}", applied.term);
                self.broken(Property::LeaderCompleteness, what);
            }
        }
    }

    /// A message that leaves.
    pub fn sent(&mut self, message: &Message) {
        if let Body::VoteReply { pre: false, granted: true } = message.body {
            let Message { from, to, term, .. } = *message;
            let before = *self.votes.entry((term, from)).or_insert(to);
            if before != to {
                self.broken(Property::OneVote, format!("{from} voted for {before} and for {to} in term {term}"));
            }
        }
    }

    /// Entries that are on a member's disk.
    pub fn saved(&mut self, raft: &Raft, entries: &[Entry]) {
        for entry in entries {
            let before = raft.log().term(entry.index - 1).unwrap_or_default();
            let now = (before, entry.payload.clone());
            let first = self.stored.entry((entry.index, entry.term)).or_insert_with(|| now.clone());
            if *first != now {
                let what = format!("{} holds another entry {} of term {}", raft.id(), entry.index, entry.term);
                self.broken(Property::LogMatching, what);
            }
        }
    }

    /// A member starts, with the state machine at `index`.
    pub fn starts(&mut self, id: Id, index: Index) {
        self.at.insert(id, index);
    }

    /// A member's state machine is taken from a snapshot.
    pub fn restored(&mut self, raft: &Raft, index: Index, digest: u64) {
        let before = self.at.insert(raft.id(), index).unwrap_or_default();
        if index < before {
            let what = format!("{} went back from index {before} to {index}", raft.id());
            self.broken(Property::StateMachineSafety, what);
        }
        let term = raft.log().snapshot.term;
        self.agree(raft, index, term, digest);
    }

    /// A member applied an entry, and its state machine is as `digest` says.
    pub fn applied(&mut self, raft: &Raft, entry: &Entry, digest: u64) {
        let before = self.at.insert(raft.id(), entry.index).unwrap_or_default();
        if entry.index != before + 1 {
            let what = format!("{} applied index {} after {before}", raft.id(), entry.index);
            self.broken(Property::StateMachineSafety, what);
        }
        self.agree(raft, entry.index, entry.term, digest);
    }

    fn agree(&mut self, raft: &Raft, index: Index, term: Term, digest: u64) {
        let now = Applied { term, digest, during: raft.term() };
        let first = self.applied.entry(index).or_insert(now);
        if (first.term, first.digest) != (term, digest) {
            let what = format!("{} applied something else at index {index} than another member", raft.id());
            self.broken(Property::StateMachineSafety, what);
        }
    }

    /// How much some member has applied.
    pub fn last_applied(&self) -> Index {
        self.applied.last_key_value().map_or(0, |(index, _)| *index)
    }
}
