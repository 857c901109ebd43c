//! Chance, from a seed and what it is for.

use kit_time::random::{Purpose, Random};

/// A row of drawn numbers that is the same for the same seed.
pub struct Dice {
    random: Random,
    what: String,
    thrown: u64,
}

impl Dice {
    /// Chance for a question.
    pub fn of(exercise: &str, seed: &str, number: u64) -> Dice {
        Dice { random: Random::new(number), what: format!("{exercise}/{seed}"), thrown: 0 }
    }

    /// From 0 on and below `count`; 0 if `count` is.
    pub fn below(&mut self, count: usize) -> usize {
        self.thrown += 1;
        let purpose = Purpose { component: "practice", object: &self.what, reason: "dice", attempt: self.thrown };
        self.random.below(count as u64, purpose) as usize
    }

    /// From `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) as usize + 1) as u64
    }

    /// So many times of so many.
    pub fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    /// One of them.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }

    /// The same in another order.
    pub fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        for at in (1..all.len()).rev() {
            let other = self.below(at + 1);
            all.swap(at, other);
        }
        all
    }
}
