//! Random numbers by identity.
//!
//! A stream of random numbers would make everything depend on everything: one more draw by a learner's module, and
//! every later name is another. So a number is drawn from what it is for. The same seed and the same purpose give
//! the same number, on every machine, whatever else happened.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The source of all chance in one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    seed: u64,
}

/// What a number is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// Who asks: `scheduler`, `kubelet/node-1` …
    pub component: &'a str,
    /// Of what: an object's kind, namespace and name.
    pub object: &'a str,
    /// Why: `name-suffix`, `start-up` …
    pub reason: &'a str,
    /// Which time, from 0 on.
    pub attempt: u64,
}

impl Random {
    /// Chance as this seed has it.
    pub fn new(seed: u64) -> Self {
        Random { seed }
    }

    /// 64 bits.
    pub fn bits(self, purpose: Purpose<'_>) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        for part in [purpose.component, purpose.object, purpose.reason] {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            hasher.write_u64((part.len() as u64).to_le());
            hasher.write(part.as_bytes());
        }
        hasher.write_u64(purpose.attempt.to_le());
        hasher.finish()
    }

    /// A number from 0 on and below 1.
    pub fn fraction(self, purpose: Purpose<'_>) -> f64 {
        // The 53 bits that a float holds exactly.
        (self.bits(purpose) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number from 0 on and below `count`; 0 if `count` is.
    pub fn below(self, count: u64, purpose: Purpose<'_>) -> u64 {
        ((u128::from(self.bits(purpose)) * u128::from(count)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NAME: Purpose<'_> =
        Purpose { component: "replicaset-controller", object: "default/web", reason: "name-suffix", attempt: 0 };

    #[test]
    fn every_machine_draws_the_same() {
        assert_eq!(Random::new(7).bits(NAME), 15_424_115_304_738_736_599);
    }

    #[test]
    fn every_part_of_the_purpose_counts() {
        let random = Random::new(7);
        let others = [
            NAME,
            Purpose { component: "replicaset-controlle", object: "rdefault/web", ..NAME },
            Purpose { object: "default/api", ..NAME },
            Purpose { reason: "start-up", ..NAME },
            Purpose { attempt: 1, ..NAME },
        ];
        let drawn: BTreeSet<u64> =
            others.into_iter().map(|p| random.bits(p)).chain([Random::new(8).bits(NAME)]).collect();
        assert_eq!(drawn.len(), 6);
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let random = Random::new(1);
        let mut counts = [0; 10];
        for attempt in 0..10_000 {
            let purpose = Purpose { attempt, ..NAME };
            counts[random.below(10, purpose) as usize] += 1;
            assert!((0.0..1.0).contains(&random.fraction(purpose)));
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!(random.below(0, NAME), 0);
    }
}
