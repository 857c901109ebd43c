//! How long a container that ends again and again has to wait.
//!
//! Sources: `doBackOff` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `client-go/util/flowcontrol/backoff.go`, and
//! how `pkg/kubelet/kubelet.go` sets it up.

use kit_time::agenda::Instant;

/// The first delay.
pub const FIRST: Instant = Instant::seconds(10);
/// The longest delay (`MaxCrashLoopBackOff`).
pub const MOST: Instant = Instant::seconds(300);
/// Who ended later than this after its last start begins anew. At just this age nothing is forgotten.
pub const FORGOTTEN: Instant = Instant::seconds(600);

/// What is remembered of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackOff {
    /// When it last was let through, and the delay that was set then.
    last: Option<(Instant, Instant)>,
}

impl BackOff {
    /// How long it waits after it has ended; nothing if it may start at once.
    pub fn delay(&self, ended: Instant) -> Option<Instant> {
        self.current(ended).map(|(_, delay)| delay)
    }

    /// It starts again, after it had ended at some time.
    pub fn start(&mut self, ended: Instant, now: Instant) {
        let delay = self.current(ended).map_or(FIRST, |(_, delay)| (delay + delay).min(MOST));
        self.last = Some((now, delay));
    }

    fn current(&self, ended: Instant) -> Option<(Instant, Instant)> {
        self.last.filter(|(started, _)| ended - *started <= FORGOTTEN)
    }
}
