//! Histograms that forget: a sample is worth half as much as one that is a day younger.
//!
//! Instead of making old samples lighter, new ones are made heavier: a weight is multiplied by two to the power of the days
//! since a reference time. When that becomes too much, the reference time moves on, and all weights become less.
//!
//! Sources: `histogram.go`, `histogram_options.go` and `decaying_histogram.go` of `pkg/recommender/util`.

use kit_api::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Each bucket is so much wider than the one before it.
const GROWTH: f64 = 1.05;
/// A bucket with less weight is empty.
const EPSILON: f64 = 0.001 * 0.1;
const HALF_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// The most half-lives from the reference time to a sample.
const MOST_EXPONENT: i32 = 100;
/// The weight of the heaviest bucket in a checkpoint.
const MOST_WEIGHT: f64 = 10_000.0;

/// How values are put into buckets: the first one begins at 0, and each is wider than the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// How wide the first bucket is.
    pub first: f64,
    /// A value that the last bucket begins above, or at.
    pub most: f64,
}

impl Scale {
    fn buckets(self) -> usize {
        log(self.most * (GROWTH - 1.0) / self.first + 1.0).ceil() as usize + 1
    }

    fn bucket(self, value: f64) -> usize {
        if value < self.first {
            return 0;
        }
        let bucket = log(value * (GROWTH - 1.0) / self.first + 1.0) as usize;
        bucket.min(self.buckets() - 1)
    }

    fn start(self, bucket: usize) -> f64 {
        self.first * (power(GROWTH, bucket) - 1.0) / (GROWTH - 1.0)
    }
}

/// By squaring, as Go's `math.Pow` does it: amounts are cut to whole numbers, so that the last digit matters.
fn power(mut base: f64, mut exponent: usize) -> f64 {
    let mut result = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= base;
        }
        base *= base;
        exponent /= 2;
    }
    result
}

fn log(x: f64) -> f64 {
    x.ln() / GROWTH.ln()
}

/// A histogram whose samples lose half of their weight each day.
#[derive(Debug, Clone)]
pub struct Histogram {
    scale: Scale,
    weights: Vec<f64>,
    total: f64,
    /// A whole number of half-lives; none before the first sample.
    reference: Option<Timestamp>,
}

/// A histogram as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The weights of buckets, of which the largest is 10000; those that round to 0 are left out.
    pub weights: BTreeMap<usize, u32>,
    /// The weight of all samples together.
    pub total: f64,
    /// When samples weigh what they weigh.
    pub reference: Option<Timestamp>,
}

impl Histogram {
    /// An empty one.
    pub fn new(scale: Scale) -> Histogram {
        Histogram { scale, weights: vec![0.0; scale.buckets()], total: 0.0, reference: None }
    }

    /// Adds a sample.
    pub fn add(&mut self, value: f64, weight: f64, at: Timestamp) {
        let weight = weight * self.factor(at);
        self.weights[self.scale.bucket(value)] += weight;
        self.total += weight;
    }

    /// Takes a sample back that was added.
    pub fn subtract(&mut self, value: f64, weight: f64, at: Timestamp) {
        let weight = weight * self.factor(at);
        let bucket = &mut self.weights[self.scale.bucket(value)];
        // What little would be left is a matter of rounding.
        let weight = if weight > *bucket - EPSILON { *bucket } else { weight };
        *bucket -= weight;
        self.total -= weight;
    }

    /// How much heavier a sample of this time is.
    fn factor(&mut self, at: Timestamp) -> f64 {
        let reference = self.reference.filter(|reference| at.duration_since(*reference) <= HALF_LIFE * MOST_EXPONENT);
        let reference = reference.unwrap_or_else(|| self.move_reference(at));
        (at.duration_since(reference).as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2()
    }

    fn move_reference(&mut self, at: Timestamp) -> Timestamp {
        let length = HALF_LIFE.as_secs();
        let seconds = (at.as_second() + length / 2).div_euclid(length) * length;
        let new = Timestamp::from_second(seconds).unwrap_or(at);
        if let Some(old) = self.reference {
            let exponent = old.duration_since(new).as_secs_f64() / HALF_LIFE.as_secs_f64();
            let factor = exponent.round().exp2();
            self.weights.iter_mut().for_each(|weight| *weight *= factor);
            self.total *= factor;
        }
        self.reference = Some(new);
        new
    }

    /// Buckets that aren't empty, from the first to the last.
    fn filled(&self) -> Option<(usize, usize)> {
        let is_filled = |weight: &f64| *weight >= EPSILON;
        Some((self.weights.iter().position(is_filled)?, self.weights.iter().rposition(is_filled)?))
    }

    /// The end of the bucket that this part of all weight lies in, or below it; 0 of an empty histogram.
    pub fn percentile(&self, part: f64) -> f64 {
        let Some((first, last)) = self.filled() else { return 0.0 };
        let threshold = part * self.total;
        let mut sum = 0.0;
        let bucket = (first..last).find(|bucket| {
            sum += self.weights[*bucket];
            sum >= threshold
        });
        // The last one has no end.
        self.scale.start((bucket.unwrap_or(last) + 1).min(self.weights.len() - 1))
    }

    /// The histogram as it is stored.
    pub fn checkpoint(&self) -> Checkpoint {
        let most = self.weights.iter().copied().fold(0.0, f64::max);
        let (first, last) = self.filled().unwrap_or((1, 0));
        let weights =
            (first..=last).map(|bucket| (bucket, (self.weights[bucket] * (MOST_WEIGHT / most)).round() as u32));
        let weights = weights.filter(|(_, weight)| *weight > 0).collect();
        Checkpoint { weights, total: self.total, reference: self.reference }
    }

    /// Takes a stored one over.
    ///
    /// # Errors
    ///
    /// A bucket that this histogram doesn't have.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        if let Some(bucket) = checkpoint.weights.keys().find(|bucket| **bucket >= self.weights.len()) {
            let all = self.weights.len();
            return Err(format!("checkpoint has bucket {bucket} that is exceeding histogram buckets {all}"));
        }
        let sum: u64 = checkpoint.weights.values().map(|weight| u64::from(*weight)).sum();
        if sum > 0 {
            for (bucket, weight) in &checkpoint.weights {
                self.weights[*bucket] += f64::from(*weight) * (checkpoint.total / sum as f64);
            }
            self.total += checkpoint.total;
        }
        self.reference = checkpoint.reference;
        Ok(())
    }
}
