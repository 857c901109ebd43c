//! Whether a history of reads and writes could have happened one operation at a time.
//!
//! The algorithm is Wing and Gong's with Lowe's memory of what was tried (*Testing for linearizability*, 2017). It
//! knows operations whose outcome nobody learned, which a network makes; existing testers for Rust don't, or pull a
//! model checker in.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// An object as one client alone would see it.
pub trait Model {
    /// Its state.
    type State: Clone + Eq + Hash + Debug;
    /// What can be asked of it.
    type Op: Debug;
    /// What it answers.
    type Answer: PartialEq + Debug;

    /// The state at the beginning.
    fn start(&self) -> Self::State;
    /// The state after an operation, and its answer.
    fn apply(&self, state: &Self::State, op: &Self::Op) -> (Self::State, Self::Answer);
}

/// One operation of a history.
#[derive(Debug, Clone)]
pub struct Operation<Op, Answer> {
    /// When it was asked; the unit doesn't matter.
    pub called: u64,
    /// What was asked.
    pub op: Op,
    /// When it was answered, and what; none if nobody knows, and it may happen at any time or never.
    pub answered: Option<(u64, Answer)>,
}

/// Whether there is an order of all answered operations, and any of the others, in which every answer is right and no
/// operation comes before one that was answered before it was asked.
pub fn is_linearizable<M: Model>(model: &M, history: &[Operation<M::Op, M::Answer>]) -> bool {
    let mut order: Vec<&Operation<M::Op, M::Answer>> = history.iter().collect();
    order.sort_by_key(|operation| operation.called);
    let mut done = vec![0_u64; order.len().div_ceil(64)];
    let open = order.iter().filter(|operation| operation.answered.is_some()).count();
    search(model, &order, &model.start(), &mut done, open, &mut HashSet::new())
}

fn search<M: Model>(
    model: &M,
    order: &[&Operation<M::Op, M::Answer>],
    state: &M::State,
    done: &mut Vec<u64>,
    open: usize,
    tried: &mut HashSet<(Vec<u64>, M::State)>,
) -> bool {
    if open == 0 {
        return true;
    }
    if !tried.insert((done.clone(), state.clone())) {
        return false;
    }
    let is_done = |done: &[u64], at: usize| done[at / 64] >> (at % 64) & 1 == 1;
    // Whatever comes next was asked before the first of the others was answered.
    let first_answer = order
        .iter()
        .enumerate()
        .filter(|(at, _)| !is_done(done, *at))
        .filter_map(|(_, operation)| operation.answered.as_ref().map(|(at, _)| *at))
        .min()
        .unwrap_or(u64::MAX);
    let candidates = order.iter().enumerate().take_while(|(_, operation)| operation.called <= first_answer);
    let mut candidates: Vec<_> = candidates.filter(|(at, _)| !is_done(done, *at)).collect();
    // Whatever nobody learned of is needed only where an answer can't be explained without it.
    candidates.sort_by_key(|(_, operation)| operation.answered.is_none());
    for (at, operation) in candidates {
        let (next, answer) = model.apply(state, &operation.op);
        let known = match &operation.answered {
            Some((_, expected)) if *expected != answer => continue,
            answered => answered.is_some(),
        };
        done[at / 64] |= 1 << (at % 64);
        if search(model, order, &next, done, open - usize::from(known), tried) {
            return true;
        }
        done[at / 64] &= !(1 << (at % 64));
    }
    false
}

/// A register: it is read, written, and written if it has a certain value.
#[derive(Debug, Clone, Copy)]
pub struct Register;

/// What is asked of a [`Register`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterOp {
    /// Reads it.
    Get,
    /// Writes it.
    Put(u64),
    /// Writes the second value if it has the first.
    Swap(u64, u64),
}

/// What a [`Register`] answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterAnswer {
    /// Its value; 0 at the beginning.
    Value(u64),
    /// It was written.
    Done,
    /// Whether it had the value.
    Swapped(bool),
}

impl Model for Register {
    type State = u64;
    type Op = RegisterOp;
    type Answer = RegisterAnswer;

    fn start(&self) -> u64 {
        0
    }

    fn apply(&self, state: &u64, op: &RegisterOp) -> (u64, RegisterAnswer) {
        match *op {
            RegisterOp::Get => (*state, RegisterAnswer::Value(*state)),
            RegisterOp::Put(value) => (value, RegisterAnswer::Done),
            RegisterOp::Swap(from, to) if *state == from => (to, RegisterAnswer::Swapped(true)),
            RegisterOp::Swap(..) => (*state, RegisterAnswer::Swapped(false)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RegisterAnswer::{Done, Swapped, Value};
    use super::RegisterOp::{Get, Put, Swap};
    use super::*;

    type History = Vec<Operation<RegisterOp, RegisterAnswer>>;

    fn op(called: u64, answered: u64, op: RegisterOp, answer: RegisterAnswer) -> Operation<RegisterOp, RegisterAnswer> {
        Operation { called, op, answered: Some((answered, answer)) }
    }

    fn lost(called: u64, op: RegisterOp) -> Operation<RegisterOp, RegisterAnswer> {
        Operation { called, op, answered: None }
    }

    #[test]
    fn histories_are_judged() {
        let cases: [(&str, bool, History); 8] = [
            ("one after the other", true, vec![op(0, 1, Put(1), Done), op(2, 3, Get, Value(1))]),
            ("a read of the past", false, vec![op(0, 1, Put(1), Done), op(2, 3, Get, Value(0))]),
            ("at the same time, both orders are right", true, vec![op(0, 9, Put(1), Done), op(2, 3, Get, Value(0))]),
            (
                "a value that comes and goes",
                false,
                vec![op(0, 9, Put(1), Done), op(2, 3, Get, Value(1)), op(4, 5, Get, Value(0))],
            ),
            ("a lost write may have happened", true, vec![lost(0, Put(1)), op(8, 9, Get, Value(1))]),
            ("or may not", true, vec![lost(0, Put(1)), op(8, 9, Get, Value(0))]),
            (
                "but not twice",
                false,
                vec![lost(0, Put(1)), op(4, 5, Put(2), Done), op(6, 7, Get, Value(1)), op(8, 9, Get, Value(2))],
            ),
            (
                "only one of two swaps succeeds",
                false,
                vec![op(0, 9, Swap(0, 1), Swapped(true)), op(0, 9, Swap(0, 2), Swapped(true))],
            ),
        ];
        for (name, expected, history) in cases {
            assert_eq!(is_linearizable(&Register, &history), expected, "{name}");
        }
    }

    #[test]
    fn many_lost_writes_are_no_trouble() {
        let mut history: History = (0..40).map(|n| lost(n, Put(n + 100))).collect();
        history.extend((0..40).map(|n| op(1000 + 2 * n, 1001 + 2 * n, Get, Value(100 + n))));
        assert!(is_linearizable(&Register, &history));
    }
}
