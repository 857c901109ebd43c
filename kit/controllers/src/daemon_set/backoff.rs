//! How long failed pods stay before they are replaced. A kubelet that refuses a pod would do so again at once.
//!
//! Source: `client-go/util/flowcontrol/backoff.go`, with the times of `startDaemonSetController`
//! (`cmd/kube-controller-manager/app/apps.go`).

use kit_api::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

const FIRST: SignedDuration = SignedDuration::from_secs(1);
const MOST: SignedDuration = SignedDuration::from_mins(15);

/// The waits of one DaemonSet, by its observed generation and the node.
#[derive(Debug, Default)]
pub struct BackOff(BTreeMap<(i64, String), Wait>);

#[derive(Debug)]
struct Wait {
    length: SignedDuration,
    since: Timestamp,
}

impl Wait {
    /// Whether nothing has happened for so long that it is as if nothing ever had (`hasExpired`).
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) > MOST * 2
    }
}

impl BackOff {
    /// The whole length of the wait that lasts; none if there is none.
    pub(super) fn waits(&self, generation: i64, node: &str, now: Timestamp) -> Option<SignedDuration> {
        let wait = self.0.get(&(generation, node.to_string())).filter(|wait| !wait.is_over(now))?;
        (now.duration_since(wait.since) < wait.length).then_some(wait.length)
    }

    /// Begins a wait, twice as long as the last one.
    pub(super) fn begin(&mut self, generation: i64, node: &str, now: Timestamp) {
        self.0.retain(|_, wait| !wait.is_over(now));
        let wait = self.0.entry((generation, node.to_string()));
        wait.and_modify(|wait| *wait = Wait { length: (wait.length * 2).min(MOST), since: now })
            .or_insert(Wait { length: FIRST, since: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_for_each_node_until_they_are_forgotten() {
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
