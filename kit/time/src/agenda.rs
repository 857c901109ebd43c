//! What happens next: a total order of events on a virtual clock.

use kit_api::duration::Duration;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A point on the virtual clock: the time since the cluster began.
pub type Instant = Duration;

/// Events to come. What is due first comes first; what is due at the same time comes in the order in which it was
/// put down. Nothing else decides, so that the same events give the same history.
#[derive(Debug)]
pub struct Agenda<E> {
    now: Instant,
    next: u64,
    entries: BinaryHeap<Reverse<Entry<E>>>,
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    number: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl<E> Eq for Entry<E> {}
impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Agenda { now: Instant::default(), next: 0, entries: BinaryHeap::new() }
    }
}

impl<E> Agenda<E> {
    /// The time of the last event that was taken.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When the next event is due.
    pub fn due(&self) -> Option<Instant> {
        self.entries.peek().map(|Reverse(entry)| entry.at)
    }

    /// Puts an event down. One that should have happened already happens now: time never goes back.
    pub fn put(&mut self, at: Instant, event: E) {
        let (at, number) = (at.max(self.now), self.next);
        self.next += 1;
        self.entries.push(Reverse(Entry { at, number, event }));
    }

    /// Takes the next event that is due at or before `until`, and moves the clock to it. If there is none, the
    /// clock moves to `until`.
    pub fn take(&mut self, until: Instant) -> Option<E> {
        if self.due().is_none_or(|due| due > until) {
            self.now = self.now.max(until);
            return None;
        }
        let Reverse(entry) = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: i64) -> Instant {
        Instant { nanos }
    }

    #[test]
    fn time_never_goes_back() {
        let mut agenda = Agenda::default();
        agenda.put(at(5), "five");
        assert_eq!(agenda.take(at(9)), Some("five"));
        agenda.put(at(1), "late");
        assert_eq!((agenda.take(at(9)), agenda.now()), (Some("late"), at(5)));
        assert_eq!((agenda.take(at(9)), agenda.now()), (None, at(9)));
        assert_eq!((agenda.take(at(3)), agenda.now()), (None, at(9)));
    }

    proptest! {
        #[test]
        fn events_come_by_time_and_then_as_they_were_put_down(times in prop::collection::vec(0_i64..20, 0..60)) {
            let mut agenda = Agenda::default();
            for (number, time) in times.iter().enumerate() {
                agenda.put(at(*time), (*time, number));
            }
            let mut expected: Vec<_> = times.iter().copied().enumerate().map(|(number, time)| (time, number)).collect();
            expected.sort_unstable();
            let taken: Vec<_> = std::iter::from_fn(|| agenda.take(at(100))).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
