//! How long somebody waits who fails again and again: twice as long each time, up to a limit, until it went well for long enough.
//!
//! Source: `client-go/util/flowcontrol/backoff.go`.

use kit_time::agenda::Instant;

/// How long waits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The first one.
    pub first: Instant,
    /// The longest one. After twice as long without a failure all is forgotten.
    pub most: Instant,
}

/// What is remembered of one that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    limits: Limits,
    /// When it was let through last, and the wait that was set then.
    last: Option<(Instant, Instant)>,
}

impl BackOff {
    /// Nothing has failed yet.
    pub const fn new(limits: Limits) -> Self {
        BackOff { limits, last: None }
    }

    /// How long it waits after a failure; nothing if it may go on at once (`IsInBackOffSince`).
    pub fn delay(&self, failed: Instant) -> Option<Instant> {
        self.last.filter(|_| !self.is_over(failed)).map(|(_, delay)| delay)
    }

    /// It goes on, after a failure at some time; the next wait is longer (`Next`).
    pub fn start(&mut self, failed: Instant, now: Instant) {
        let next = |delay: Instant| (delay + delay).min(self.limits.most);
        self.last = Some((now, self.delay(failed).map_or(self.limits.first, next)));
    }

    /// The whole wait that was set last, while it lasts (`IsInBackOffSinceUpdate`).
    pub fn waits(&self, now: Instant) -> Option<Instant> {
        self.last.filter(|(since, delay)| now - *since < *delay && !self.is_over(now)).map(|(_, delay)| delay)
    }

    /// Whether nothing has failed for so long that it is as if nothing ever had (`hasExpired`).
    pub fn is_over(&self, now: Instant) -> bool {
        self.last.is_none_or(|(since, _)| now - since > self.limits.most + self.limits.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_forgotten_after_twice_the_limit() {
        let limits = Limits { first: Instant::seconds(1), most: Instant::seconds(4) };
        let mut back_off = BackOff::new(limits);
        let mut fails = |at: i64| {
            let at = Instant::seconds(at);
            let before = back_off.delay(at);
            back_off.start(at, at);
            (before.map(|delay| delay.nanos / 1_000_000_000), back_off.waits(at).map(|wait| wait.nanos / 1_000_000_000))
        };
        let seen = [fails(0), fails(1), fails(3), fails(7), fails(15), fails(24)];
        let expected = [
            (None, Some(1)),
            (Some(1), Some(2)),
            (Some(2), Some(4)),
            (Some(4), Some(4)),
            (Some(4), Some(4)),
            (None, Some(1)),
        ];
        assert_eq!(seen, expected);
        assert_eq!(back_off.waits(Instant::seconds(25)), None);
    }
}
