//! Who votes, and how that changes.
//!
//! A change of one voter is safe at once, since any two majorities before and after it share a member. Larger changes
//! go through *joint consensus*: for a while both the old and the new voters must agree, each by a majority of its own.
//! As in etcd, a change counts from the moment when it is applied, and a leader starts only one at a time.
//! Upstream: `confchange/confchange.go` and `quorum/{majority,joint}.go` in etcd-io/raft.

use super::message::{Id, Index};
use std::collections::BTreeSet;

/// Who votes and who only listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// The voters; in a joint membership, the new ones.
    pub voters: BTreeSet<Id>,
    /// The old voters of a joint membership, otherwise empty.
    pub outgoing: BTreeSet<Id>,
    /// Members that get the log and have no vote.
    pub learners: BTreeSet<Id>,
    /// Members that become learners when the joint membership ends, because they are still voters in the old one.
    pub learners_next: BTreeSet<Id>,
    /// Whether the leader ends the joint membership as soon as it is applied.
    pub auto_leave: bool,
}

/// One step of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Makes a member a voter.
    AddVoter(Id),
    /// Makes a member a learner.
    AddLearner(Id),
    /// Takes a member out.
    Remove(Id),
}

/// A change of the membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One step, without joint consensus.
    Simple(Step),
    /// Any number of steps through joint consensus.
    Joint {
        /// The steps.
        steps: Vec<Step>,
        /// Whether the leader ends the joint membership by itself.
        auto_leave: bool,
    },
    /// The end of a joint membership.
    Leave,
}

/// Why a change can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeError {
    /// A joint membership must end first.
    AlreadyJoint,
    /// There is no joint membership to end.
    NotJoint,
    /// Nobody would be left to vote.
    NoVoters,
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ChangeError::AlreadyJoint => "the membership is joint: leave it before the next change",
            ChangeError::NotJoint => "the membership is not joint, so there is nothing to leave",
            ChangeError::NoVoters => "the change would leave no voter",
        })
    }
}

impl std::error::Error for ChangeError {}

/// How an election stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A majority said yes.
    Won,
    /// A majority can't be reached any more.
    Lost,
    /// Votes are missing.
    Open,
}

impl Membership {
    /// A plain group of voters.
    pub fn of(voters: impl IntoIterator<Item = Id>) -> Self {
        Membership { voters: voters.into_iter().collect(), ..Membership::default() }
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether a member has a vote.
    pub fn votes(&self, id: Id) -> bool {
        self.voters.contains(&id) || self.outgoing.contains(&id)
    }

    /// Everybody who gets the log.
    pub fn all(&self) -> BTreeSet<Id> {
        [&self.voters, &self.outgoing, &self.learners, &self.learners_next].into_iter().flatten().copied().collect()
    }

    /// The greatest value that a majority (of a joint membership: both) has reached.
    pub fn reached(&self, value: impl Fn(Id) -> Index) -> Index {
        let of = |voters: &BTreeSet<Id>| {
            let mut values: Vec<Index> = voters.iter().map(|id| value(*id)).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values.get(voters.len() / 2).copied()
        };
        match (of(&self.voters), of(&self.outgoing)) {
            (Some(new), Some(old)) => new.min(old),
            (one, other) => one.or(other).unwrap_or_default(),
        }
    }

    /// How an election stands; `vote` is none where there is no answer yet.
    pub fn outcome(&self, vote: impl Fn(Id) -> Option<bool>) -> Outcome {
        let of = |voters: &BTreeSet<Id>| {
            let majority = voters.len() / 2 + 1;
            let count = |wanted| voters.iter().filter(|id| vote(**id) == wanted).count();
            let (yes, missing) = (count(Some(true)), count(None));
            match () {
                () if voters.is_empty() || yes >= majority => Outcome::Won,
                () if yes + missing < majority => Outcome::Lost,
                () => Outcome::Open,
            }
        };
        match (of(&self.voters), of(&self.outgoing)) {
            (Outcome::Lost, _) | (_, Outcome::Lost) => Outcome::Lost,
            (Outcome::Won, Outcome::Won) => Outcome::Won,
            _ => Outcome::Open,
        }
    }

    /// The membership after a change.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`]; the membership stays as it was.
    pub fn changed(&self, change: &Change) -> Result<Membership, ChangeError> {
        let mut next = self.clone();
        match change {
            Change::Leave => {
                if !self.is_joint() {
                    return Err(ChangeError::NotJoint);
                }
                next.outgoing.clear();
                next.auto_leave = false;
                let demoted = std::mem::take(&mut next.learners_next);
                next.learners.extend(demoted);
                return Ok(next);
            }
            _ if self.is_joint() => return Err(ChangeError::AlreadyJoint),
            Change::Simple(step) => next.take(*step),
            Change::Joint { steps, auto_leave } => {
                next.outgoing = self.voters.clone();
                next.auto_leave = *auto_leave;
                steps.iter().for_each(|step| next.take(*step));
            }
        }
        if next.voters.is_empty() { Err(ChangeError::NoVoters) } else { Ok(next) }
    }

    fn take(&mut self, step: Step) {
        let (Step::AddVoter(id) | Step::AddLearner(id) | Step::Remove(id)) = step;
        self.voters.remove(&id);
        self.learners.remove(&id);
        self.learners_next.remove(&id);
        match step {
            Step::AddVoter(_) => self.voters.insert(id),
            // Nobody is a voter and a learner at once: it waits until the old voters are dismissed.
            Step::AddLearner(_) if self.outgoing.contains(&id) => self.learners_next.insert(id),
            Step::AddLearner(_) => self.learners.insert(id),
            Step::Remove(_) => true,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half() {
        // (members, failures survived): (N − 1) / 2, rounded down.
        for (members, survives) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (6, 2), (7, 3)] {
            let group = Membership::of(1..=members);
            let with_failed = |failed: u64| group.outcome(|id| Some(id > failed));
            assert_eq!(with_failed(survives), Outcome::Won, "{members} members, {survives} failed");
            assert_eq!(with_failed(survives + 1), Outcome::Lost, "{members} members, {} failed", survives + 1);
            assert_eq!(group.reached(|id| if id > survives { 7 } else { 0 }), 7);
            assert_eq!(group.reached(|id| if id > survives + 1 { 7 } else { 0 }), 0);
        }
    }

    #[test]
    fn a_joint_membership_needs_both_majorities() {
        let steps = vec![Step::Remove(1), Step::Remove(2), Step::AddVoter(4), Step::AddVoter(5)];
        let joint = Membership::of([1, 2, 3]).changed(&Change::Joint { steps, auto_leave: true }).expect("a change");
        let yes = |of: &'static [Id]| joint.outcome(move |id| Some(of.contains(&id)));
        assert_eq!(yes(&[3, 4, 5]), Outcome::Lost, "the old voters have only 3");
        assert_eq!(yes(&[1, 2, 3]), Outcome::Lost, "the new voters have only 3");
        assert_eq!(yes(&[2, 3, 4]), Outcome::Won);
        assert_eq!(joint.reached(|id| if id >= 3 { 9 } else { 4 }), 4);
        assert_eq!(joint.changed(&Change::Simple(Step::AddVoter(9))), Err(ChangeError::AlreadyJoint));
        let left = joint.changed(&Change::Leave).expect("a joint membership");
        assert_eq!(left, Membership::of([3, 4, 5]));
    }

    #[test]
    fn a_voter_becomes_a_learner_only_after_the_joint_membership() {
        let change = Change::Joint { steps: vec![Step::AddLearner(3), Step::AddVoter(4)], auto_leave: false };
        let joint = Membership::of([1, 2, 3]).changed(&change).expect("a change");
        assert!(joint.votes(3) && joint.learners.is_empty() && joint.learners_next.contains(&3));
        let left = joint.changed(&Change::Leave).expect("a joint membership");
        assert!(!left.votes(3) && left.learners.contains(&3) && left.all().len() == 4);
    }

    #[test]
    fn impossible_changes_are_refused() {
        let one = Membership::of([1]);
        assert_eq!(one.changed(&Change::Simple(Step::Remove(1))), Err(ChangeError::NoVoters));
        assert_eq!(one.changed(&Change::Leave), Err(ChangeError::NotJoint));
    }
}
