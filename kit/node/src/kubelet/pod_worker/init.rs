//! Init containers as they go in scenarios: one after the other takes a second, to end or, if it is a sidecar, to be ready, and none fails.

use kit_api::core::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use kit_api::jiff::{SignedDuration, Timestamp};
use kit_api::time;
use kit_client::network::Protocol;
use kit_time::agenda::Instant;

/// One init container: it begins and is done at fixed times.
pub(super) struct Init {
    pub(super) name: String,
    pub(super) image_name: String,
    pub(super) sidecar: bool,
    pub(super) begins: Instant,
    /// The same as calendar time.
    pub(super) at: Timestamp,
    pub(super) ports: Vec<(Protocol, u16)>,
    pub(super) restarts: i32,
}

/// How long each init container takes.
pub(super) const INIT: Instant = Instant::seconds(1);

impl Init {
    pub(super) fn runs(&self, now: Instant) -> bool {
        now >= self.begins && (self.sidecar || now < self.begins + INIT)
    }

    pub(super) fn status(&self, now: Instant) -> ContainerStatus {
        let running = ContainerState {
            running: Some(ContainerStateRunning { started_at: Some(time::seconds(self.at)) }),
            ..ContainerState::default()
        };
        let done = now >= self.begins + INIT;
        let state = if now < self.begins {
            let reason = Some("PodInitializing".to_string());
            ContainerState { waiting: Some(ContainerStateWaiting { reason, message: None }), ..Default::default() }
        } else if done && !self.sidecar {
            let ended = ContainerStateTerminated {
                exit_code: 0,
                reason: Some("Completed".into()),
                started_at: Some(time::seconds(self.at)),
                finished_at: Some(time::seconds(self.at + SignedDuration::from_secs(1))),
                ..ContainerStateTerminated::default()
            };
            ContainerState { terminated: Some(ended), ..ContainerState::default() }
        } else {
            running
        };
        ContainerStatus {
            name: self.name.clone(),
            image: self.image_name.clone(),
            ready: done,
            started: Some(done && self.sidecar),
            restart_count: self.restarts,
            state: Some(state),
            ..ContainerStatus::default()
        }
    }
}
