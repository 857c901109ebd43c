//! Deliberate mistakes, to show that the checkers of the simulation find them.
//!
//! Outside of this crate's tests no member can have one, and the compiler removes the questions.

/// One mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)]
pub(crate) enum Flaw {
    /// Grants a vote to every candidate of a term.
    VotesTwice,
    /// Doesn't save whom it voted for.
    ForgetsItsVote,
    /// Votes for candidates whose log is behind.
    NoLogCheck,
    /// Commits entries of older terms by counting copies (§5.4.2).
    NoCurrentTermRule,
    /// Commits what one other member has, whatever the size of the group.
    CommitsOnMinority,
    /// Counts its own entries before they are on its disk, and sends before it writes.
    SendsBeforeItSaves,
    /// Takes entries without looking at the one before them.
    NoConsistencyCheck,
    /// Takes a snapshot in, but remembers the wrong index.
    ForgetsTheSnapshotIndex,
    /// Answers a read without asking whether it still leads.
    ReadsWithoutQuorum,
    /// Answers a read at once, before it has committed an entry of its own term.
    ReadsBeforeItsOwnEntry,
    /// Keeps leading when it hears of a greater term.
    NeverStepsDown,
    /// Needs only the new voters while the membership is joint.
    IgnoresTheOldVoters,
}

#[cfg(test)]
impl Flaw {
    pub(crate) const ALL: [Flaw; 12] = [
        Flaw::VotesTwice,
        Flaw::ForgetsItsVote,
        Flaw::NoLogCheck,
        Flaw::NoCurrentTermRule,
        Flaw::CommitsOnMinority,
        Flaw::SendsBeforeItSaves,
        Flaw::NoConsistencyCheck,
        Flaw::ForgetsTheSnapshotIndex,
        Flaw::ReadsWithoutQuorum,
        Flaw::ReadsBeforeItsOwnEntry,
        Flaw::NeverStepsDown,
        Flaw::IgnoresTheOldVoters,
    ];
}
