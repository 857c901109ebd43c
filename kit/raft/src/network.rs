//! A network and a clock for groups of members, with faults.
//!
//! One agenda holds messages on their way, timers and faults to come. What happens to a message is drawn from the seed,
//! the link and the message's number on that link, so that one more message elsewhere changes nothing here.

use super::message::Id;
use kit_time::agenda::{Agenda, Instant};
use kit_time::random::{Purpose, Random};
use std::collections::{BTreeMap, BTreeSet};

/// One thousandth of a second.
pub const MILLISECOND: i64 = 1_000_000;

/// How messages travel.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// The least time that a message takes, in nanoseconds.
    pub least: i64,
    /// The most, in nanoseconds; unequal times reorder messages.
    pub most: i64,
    /// Of a thousand messages, how many are lost.
    pub lost: u64,
    /// Of a thousand messages, how many arrive twice.
    pub repeated: u64,
}

impl Weather {
    /// One to three milliseconds, and nothing is lost.
    pub const CALM: Weather = Weather { least: MILLISECOND, most: 3 * MILLISECOND, lost: 0, repeated: 0 };
}

/// What is due.
#[derive(Debug)]
pub enum Due<M, T> {
    /// A message arrives.
    Arrives {
        /// Who sent it.
        from: Id,
        /// For whom it is.
        to: Id,
        /// What it says.
        message: M,
    },
    /// A timer rings.
    Rings(T),
}

/// A network between members. `M` is a message, `T` a timer.
#[derive(Debug)]
pub struct Network<M, T> {
    agenda: Agenda<Due<M, T>>,
    random: Random,
    /// How messages travel now.
    pub weather: Weather,
    cut: BTreeSet<(Id, Id)>,
    sent: BTreeMap<(Id, Id), u64>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Sent,
    /// It is lost.
    Lost,
    /// It is on its way twice.
    Repeated,
}

impl<M: Clone, T> Network<M, T> {
    /// A calm network in which everybody hears everybody.
    pub fn new(random: Random) -> Self {
        Network {
            agenda: Agenda::default(),
            random,
            weather: Weather::CALM,
            cut: BTreeSet::new(),
            sent: BTreeMap::new(),
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.agenda.now()
    }

    /// Sends a message.
    pub fn send(&mut self, from: Id, to: Id, message: M) -> Fate {
        let number = self.sent.entry((from, to)).or_default();
        *number += 1;
        let link = format!("{from}-{to}");
        let number = *number;
        let below = |count: u64, reason: &str| {
            self.random.below(count, Purpose { component: "network", object: &link, reason, attempt: number })
        };
        let Weather { least, most, lost, repeated } = self.weather;
        if self.cut.contains(&(from, to)) || below(1000, "lost") < lost {
            return Fate::Lost;
        }
        let after = |reason: &str| Instant { nanos: least + below((most - least).max(0) as u64 + 1, reason) as i64 };
        let again = (below(1000, "repeated") < repeated).then(|| after("again"));
        let first = after("delay");
        let now = self.now();
        if let Some(again) = again {
            self.agenda.put(now + again, Due::Arrives { from, to, message: message.clone() });
        }
        self.agenda.put(now + first, Due::Arrives { from, to, message });
        if again.is_some() { Fate::Repeated } else { Fate::Sent }
    }

    /// Sets a timer, so many nanoseconds from now.
    pub fn ring(&mut self, after: i64, timer: T) {
        self.agenda.put(self.now() + Instant { nanos: after }, Due::Rings(timer));
    }

    /// The next thing that is due at or before `until`. What arrives over a link that was cut meanwhile is lost.
    pub fn next(&mut self, until: Instant) -> Option<Due<M, T>> {
        loop {
            match self.agenda.take(until)? {
                Due::Arrives { from, to, .. } if self.cut.contains(&(from, to)) => {}
                due => return Some(due),
            }
        }
    }

    /// Cuts one direction of a link.
    pub fn cut(&mut self, from: Id, to: Id) {
        self.cut.insert((from, to));
    }

    /// Cuts all links between members of one set and others.
    pub fn part(&mut self, one: &BTreeSet<Id>, others: &BTreeSet<Id>) {
        for a in one {
            for b in others.difference(one) {
                self.cut.insert((*a, *b));
                self.cut.insert((*b, *a));
            }
        }
    }

    /// Restores all links.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Whether messages of one get to the other.
    pub fn connects(&self, from: Id, to: Id) -> bool {
        !self.cut.contains(&(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(net: &mut Network<u32, ()>) -> Vec<u32> {
        let until = net.now() + Instant { nanos: 1000 * MILLISECOND };
        let all = std::iter::from_fn(|| net.next(until));
        all.map(|due| if let Due::Arrives { message, .. } = due { message } else { 0 }).collect()
    }

    #[test]
    fn weather_is_what_it_says() {
        let mut net: Network<u32, ()> = Network::new(Random::new(3));
        net.weather = Weather { least: 0, most: 50 * MILLISECOND, lost: 200, repeated: 100 };
        let fates: Vec<_> = (0..1000).map(|n| net.send(1, 2, n)).collect();
        let count = |fate| fates.iter().filter(|f| **f == fate).count();
        assert!((150..250).contains(&count(Fate::Lost)), "{}", count(Fate::Lost));
        assert!((50..130).contains(&count(Fate::Repeated)), "{}", count(Fate::Repeated));
        let arrived = arrivals(&mut net);
        assert_eq!(arrived.len(), 1000 - count(Fate::Lost) + count(Fate::Repeated));
        assert!(!arrived.is_sorted(), "messages overtake each other");
    }

    #[test]
    fn a_cut_has_a_direction_and_also_takes_what_is_under_way() {
        let mut net: Network<u32, ()> = Network::new(Random::new(3));
        net.send(1, 2, 1);
        net.cut(1, 2);
        net.send(1, 2, 2);
        net.send(2, 1, 3);
        assert_eq!(arrivals(&mut net), [3]);
        net.heal();
        net.send(1, 2, 4);
        assert_eq!(arrivals(&mut net), [4]);
    }
}
