//! How long failed pods stay before they are replaced. A kubelet that refuses a pod would do so again at once.
//!
//! Source: `startDaemonSetController` of `cmd/kube-controller-manager/app/apps.go` for the times.

use kit_api::jiff::{SignedDuration, Timestamp};
use kit_client::back_off::{self, Limits};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

const LIMITS: Limits = Limits { first: Instant::seconds(1), most: Instant::seconds(15 * 60) };

/// The waits of one DaemonSet, by its observed generation and the node.
#[derive(Debug, Default)]
pub struct BackOff(BTreeMap<(i64, String), back_off::BackOff>);

fn instant(time: Timestamp) -> Instant {
    Instant { nanos: i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX) }
}

impl BackOff {
    /// The whole length of the wait that lasts; none if there is none.
    pub(super) fn waits(&self, generation: i64, node: &str, now: Timestamp) -> Option<SignedDuration> {
        let wait = self.0.get(&(generation, node.to_string()))?.waits(instant(now))?;
        Some(SignedDuration::from_nanos(wait.nanos))
    }

    /// Begins a wait, twice as long as the last one.
    pub(super) fn begin(&mut self, generation: i64, node: &str, now: Timestamp) {
        let now = instant(now);
        self.0.retain(|_, wait| !wait.is_over(now));
        let wait = self.0.entry((generation, node.to_string()));
        wait.or_insert(back_off::BackOff::new(LIMITS)).start(now, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_for_each_node_and_generation() {
        let mut backoff = BackOff::default();
        let mut begin = |node, at| {
            let now = Timestamp::from_second(at).expect("a time");
            backoff.begin(1, node, now);
            backoff.waits(1, node, now).map(|wait| wait.as_secs())
        };
        let waits = [begin("a", 0), begin("a", 1), begin("b", 1), begin("a", 5), begin("a", 5 + 1801)];
        assert_eq!(waits, [Some(1), Some(2), Some(1), Some(4), Some(1)]);
        assert_eq!(backoff.waits(2, "a", Timestamp::UNIX_EPOCH), None);
    }
}
