//! What is measured of answers.

use crate::load::Micros;

/// How long answers took.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    all: Vec<u32>,
    sorted: bool,
}

impl Latencies {
    /// One answer more.
    pub fn add(&mut self, micros: f64) {
        self.all.push(micros.min(f64::from(u32::MAX)) as u32);
        self.sorted = false;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// What so many percent of them took at most, in milliseconds; none without any.
    pub fn percentile(&mut self, percent: f64) -> Option<f64> {
        if !self.sorted {
            self.all.sort_unstable();
            self.sorted = true;
        }
        let rank = (percent / 100.0 * self.all.len() as f64).ceil() as usize;
        self.all.get(rank.max(1) - 1).map(|micros| f64::from(*micros) / 1000.0)
    }
}

/// Since a moment answers take too long, until they don't: the longest such time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slowness {
    since: Option<Micros>,
    last: Micros,
    longest: Micros,
}

impl Slowness {
    /// One answer more, to a request of this time. A slow time ends when a second has passed without a slow answer.
    pub fn see(&mut self, at: Micros, is_slow: bool) {
        const GAP: Micros = 1_000_000;
        if is_slow {
            let since = match self.since {
                Some(since) if at.saturating_sub(self.last) <= GAP => since,
                _ => at,
            };
            (self.since, self.last) = (Some(since), at);
            self.longest = self.longest.max(at - since);
        }
    }

    /// The longest time, in seconds.
    pub fn longest(&self) -> f64 {
        self.longest as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_there_were() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50.0), None);
        (1..=100).rev().for_each(|ms| latencies.add(f64::from(ms) * 1000.0));
        assert_eq!([50.0, 95.0, 99.0, 100.0].map(|p| latencies.percentile(p)), [50.0, 95.0, 99.0, 100.0].map(Some));
    }

    #[test]
    fn slow_answers_in_a_row_are_one_slow_time() {
        let mut slowness = Slowness::default();
        for (at, is_slow) in [(0, true), (900_000, true), (1_500_000, false), (1_700_000, true), (9_000_000, true)] {
            slowness.see(at, is_slow);
        }
        assert_eq!(slowness.longest(), 1.7);
    }
}
