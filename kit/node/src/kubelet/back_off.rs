//! How long a container that ends again and again has to wait, and an image that can't be pulled.
//!
//! Sources: `doBackOff` of `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `EnsureImageExists` of
//! `pkg/kubelet/images/image_manager.go`, and how `pkg/kubelet/kubelet.go` sets both up.

use kit_client::back_off::{BackOff, Limits};
use kit_contract::node::PodLifecycle;
use kit_contract::node::pod_lifecycle::{self, Attempt, Crash};
use kit_time::agenda::Instant;
use std::rc::Rc;

/// `backOffPeriod` and `MaxImageBackOff`.
const LIMITS: Limits = Limits { first: Instant::seconds(10), most: Instant::seconds(300) };

/// The back-off of one container's image.
pub const NEW: BackOff = BackOff::new(LIMITS);

/// The back-off of one container, as the module of `node/pod_lifecycle` has it.
#[derive(Clone)]
pub struct CrashLoop {
    module: Rc<dyn PodLifecycle>,
    before: Option<pod_lifecycle::BackOff>,
}

impl CrashLoop {
    /// It was never started again.
    pub fn new(module: Rc<dyn PodLifecycle>) -> Self {
        CrashLoop { module, before: None }
    }

    /// All is forgotten.
    pub fn forget(&mut self) {
        self.before = None;
    }

    fn ask(&self, ended: Instant, now: Instant) -> Attempt {
        let ms = |at: Instant| at.nanos.div_euclid(1_000_000);
        self.module.back_off(&Crash { before: self.before, ended_ms: ms(ended), now_ms: ms(now) })
    }

    /// How long it has to wait that ended then; nothing if it may start at once.
    pub fn delay(&self, ended: Instant) -> Option<Instant> {
        match self.ask(ended, ended) {
            Attempt::Wait(seconds) => Some(Instant::seconds(seconds.clamp(0, MOST))),
            Attempt::Start(_) => None,
        }
    }

    /// It is started after that end.
    pub fn start(&mut self, ended: Instant, now: Instant) {
        if let Attempt::Start(entry) = self.ask(ended, now) {
            self.before = Some(entry);
        }
    }
}

/// A module may answer anything; nobody waits for longer than a year.
const MOST: i64 = 365 * 24 * 3600;
