//! Requests on the pods of a service.
//!
//! Each request goes to any ready pod, as kube-proxy sends connections. A pod has one thread that works and any number that
//! wait: requests share its CPU in the order in which they come. Who waits for more than 30 s gives up.

use crate::cluster::Capacity;
use crate::load::{Load, Micros, SECOND};
use crate::measure::{Latencies, Slowness};
use kit_time::random::{Purpose, Random};
use std::collections::BTreeMap;

/// How long a client waits.
const PATIENCE: f64 = 30.0 * SECOND as f64;

/// What a day was like.
#[derive(Debug, Clone, Default)]
pub struct Day {
    /// How long answers took.
    pub latencies: Latencies,
    /// Requests without an answer.
    pub failed: usize,
    /// The seconds of CPU that pods worked.
    pub busy: f64,
    /// Times in which answers took long.
    pub slowness: Slowness,
}

/// Plays a day on pods that come and go. `cores` is what a pod has; `slow` says from how many microseconds on an answer is slow.
pub fn play(load: &Load, capacity: &[Capacity], cores: f64, seed: u64, slow: f64) -> Day {
    let random = Random::new(seed);
    let mut day = Day::default();
    // When each pod is free.
    let mut free: BTreeMap<u32, f64> = BTreeMap::new();
    let mut now = capacity.iter().peekable();
    let mut pods: &[u32] = &[];
    for (number, request) in load.requests(seed).enumerate() {
        while let Some(next) = now.next_if(|next| next.at <= request.at) {
            pods = &next.pods;
            free.retain(|pod, _| pods.contains(pod));
        }
        let purpose = Purpose { component: "service", object: "", reason: "pod", attempt: number as u64 };
        let Some(pod) = pods.get(random.below(pods.len() as u64, purpose) as usize) else {
            day.failed += 1;
            day.slowness.see(request.at, true);
            continue;
        };
        let at = request.at as f64;
        let begins = free.get(pod).copied().unwrap_or(0.0).max(at);
        let works = request.cpu / cores;
        let takes = begins - at + works + request.wait;
        day.slowness.see(request.at, takes > slow);
        if takes > PATIENCE {
            day.failed += 1;
            continue;
        }
        free.insert(*pod, begins + works);
        day.busy += request.cpu / 1e6;
        day.latencies.add(takes);
    }
    day
}

/// The CPU seconds that a day's pods had.
pub fn had(capacity: &[Capacity], cores: f64, end: Micros) -> f64 {
    let ends = capacity.iter().skip(1).map(|next| next.at).chain([end]);
    let spans = capacity.iter().zip(ends);
    spans.map(|(now, until)| now.pods.len() as f64 * cores * until.saturating_sub(now.at) as f64 / 1e6).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(per_second: f64) -> Load {
        Load { rates: vec![per_second; 10], cpu_ms: 10.0, wait_ms: 20.0, memory_mb: 128 }
    }

    fn pods(at: Micros, pods: &[u32]) -> Capacity {
        Capacity { at, pods: pods.to_vec(), machines: 1 }
    }

    #[test]
    fn a_pod_with_too_much_to_do_is_slow() {
        let slow = 1e6;
        let play = |rate| play(&load(rate), &[pods(0, &[1])], 1.0, 1, slow);
        let (mut calm, mut full) = (play(20.0), play(150.0));
        assert!(calm.latencies.percentile(99.0).expect("some") < 100.0);
        assert!(full.latencies.percentile(50.0).expect("some") > 5000.0, "one core is for 100 a second");
        assert!(full.failed > 1000 && calm.failed == 0);
    }

    #[test]
    fn without_pods_everything_fails() {
        let ten_minutes = 600 * SECOND;
        let capacity = [pods(0, &[]), pods(300 * SECOND, &[1, 2])];
        let day = play(&load(20.0), &capacity, 1.0, 1, 1e6);
        let all = day.failed + day.latencies.count();
        assert!((day.failed as f64 / all as f64 - 0.5).abs() < 0.05, "{} of {all}", day.failed);
        assert_eq!(had(&capacity, 0.5, ten_minutes), 300.0);
        assert!((299.0..301.0).contains(&day.slowness.longest()), "{}", day.slowness.longest());
    }
}
