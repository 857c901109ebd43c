//! Days of traffic, as data and as requests.

use kit_time::random::{Purpose, Random};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A time in microseconds since midnight.
pub type Micros = u64;

/// One second.
pub const SECOND: Micros = 1_000_000;
const MINUTES: usize = 24 * 60;
const PROFILES: &str = include_str!("../data/profiles.yaml");

/// How the traffic of a day is spread over it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Whose traffic it is.
    pub about: String,
    hours: Vec<f64>,
    #[serde(default)]
    spikes: Vec<Spike>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spike {
    at: f64,
    minutes: f64,
    height: f64,
}

/// What comes, and what each request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Requests in a second in each minute of the day.
    pub rates: Vec<f64>,
    /// CPU time of a request, in milliseconds on one core: from half of it to one and a half.
    pub cpu_ms: f64,
    /// How long a request waits for others, such as a database, in milliseconds; spread likewise.
    pub wait_ms: f64,
    /// What a process of it needs, in MB.
    pub memory_mb: u32,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// When it comes.
    pub at: Micros,
    /// CPU time, in microseconds.
    pub cpu: f64,
    /// What it waits for others, in microseconds.
    pub wait: f64,
}

/// All profiles by name.
///
/// # Panics
///
/// If the file of profiles, which is part of the program, is no such file.
pub fn profiles() -> BTreeMap<String, Profile> {
    serde_yaml::from_str(PROFILES).expect("the file of profiles is part of the program")
}

impl Profile {
    /// The requests in a second, minute by minute, of a day with so many in a second on average.
    pub fn rates(&self, average: f64) -> Vec<f64> {
        let weight = |minute: usize| {
            let hour = minute as f64 / 60.0;
            let in_hour = self.hours.get(minute / 60).copied().unwrap_or(0.0);
            let spikes = self.spikes.iter().filter(|spike| hour >= spike.at && hour < spike.at + spike.minutes / 60.0);
            in_hour + spikes.map(|spike| spike.height).sum::<f64>()
        };
        let weights: Vec<f64> = (0..MINUTES).map(weight).collect();
        let mean = weights.iter().sum::<f64>() / MINUTES as f64;
        weights.iter().map(|weight| if mean > 0.0 { weight / mean * average } else { 0.0 }).collect()
    }
}

impl Load {
    /// The average of requests in a second.
    pub fn average(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len().max(1) as f64
    }

    /// All requests of the day, as they come: each independent of the others (a Poisson process).
    pub fn requests(&self, seed: u64) -> impl Iterator<Item = Request> + '_ {
        let mut chance = Chance { random: Random::new(seed), draws: 0 };
        let (mut minute, mut second) = (0, 0.0);
        std::iter::from_fn(move || {
            // What is left of the distance to the next request, in expected requests.
            let mut left = chance.exponential();
            loop {
                let rate = *self.rates.get(minute)?;
                let here = rate * (60.0 - second);
                if left < here {
                    second += left / rate;
                    break;
                }
                left -= here;
                (minute, second) = (minute + 1, 0.0);
            }
            let at = ((minute as f64 * 60.0 + second) * SECOND as f64) as Micros;
            let mut spread = |mean: f64| mean * 1000.0 * (0.5 + chance.fraction());
            Some(Request { at, cpu: spread(self.cpu_ms), wait: spread(self.wait_ms) })
        })
    }
}

/// Chance that is the same on every machine: additions and comparisons, no logarithms.
struct Chance {
    random: Random,
    draws: u64,
}

impl Chance {
    fn fraction(&mut self) -> f64 {
        self.draws += 1;
        self.random.fraction(Purpose { component: "load", object: "request", reason: "draw", attempt: self.draws })
    }

    /// A distance between independent events, 1 on average (J. von Neumann, "Various techniques used in connection with random
    /// digits", 1951): the first draw of a run that falls an odd number of times, after as many whole runs as failed.
    fn exponential(&mut self) -> f64 {
        let mut whole = 0.0;
        loop {
            let first = self.fraction();
            let (mut last, mut falls) = (first, 1);
            loop {
                let next = self.fraction();
                if next >= last {
                    break;
                }
                (last, falls) = (next, falls + 1);
            }
            if falls % 2 == 1 {
                return whole + first;
            }
            whole += 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_requests_as_it_should() {
        for (name, profile) in profiles() {
            let rates = profile.rates(2.0);
            let load = Load { rates, cpu_ms: 10.0, wait_ms: 20.0, memory_mb: 128 };
            assert!((load.average() - 2.0).abs() < 1e-9, "{name}");
            let all: Vec<Request> = load.requests(7).collect();
            let expected = 2.0 * 86_400.0;
            assert!((all.len() as f64 - expected).abs() < 0.02 * expected, "{name}: {}", all.len());
            assert!(all.is_sorted_by_key(|request| request.at), "{name}");
            let cpu = all.iter().map(|request| request.cpu).sum::<f64>() / all.len() as f64;
            assert!((9_900.0..10_100.0).contains(&cpu), "{name}: {cpu}");
        }
    }

    #[test]
    fn distances_are_those_of_independent_events() {
        let mut chance = Chance { random: Random::new(1), draws: 0 };
        let all: Vec<f64> = (0..50_000).map(|_| chance.exponential()).collect();
        let over = |limit: f64| all.iter().filter(|gap| **gap > limit).count() as f64 / all.len() as f64;
        for (limit, share) in [(1.0, 0.3679), (2.0, 0.1353), (3.0, 0.0498)] {
            assert!((over(limit) - share).abs() < 0.01, "{limit}: {}", over(limit));
        }
    }
}
