//! How long a Job waits before it tries again.
//!
//! Source: `pkg/controller/job/backoff_utils.go`.

use crate::duration::Duration;

/// After the first failure (`DefaultJobPodFailureBackOff`), and at most (`MaxJobPodFailureBackOff`).
const BACKOFF: (Duration, Duration) = (Duration::seconds(10), Duration::seconds(600));

/// From the last failure to the next pod, after so many failures in a row.
pub fn pod_backoff(failures: u32) -> Duration {
    let (first, most) = BACKOFF;
    match failures {
        0 => Duration::default(),
        // 2^6 times the first wait is more than the longest.
        _ => Duration { nanos: first.nanos << (failures - 1).min(6) }.min(most),
    }
}
