//! The end of a pod's containers.
//!
//! Source: `pkg/kubelet/kuberuntime/kuberuntime_container.go`.

use kit_api::core::{Container, Pod, Probe};

/// SIGTERM always has this many seconds (`minimumGracePeriodInSeconds`).
pub const LEAST: i64 = 2;

/// Why a container is stopped before its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its liveness probe failed.
    LivenessProbe,
    /// Its startup probe failed.
    StartupProbe,
}

/// How many seconds a container has to end, before a `preStop` hook is counted (`setTerminationGracePeriod`).
pub fn grace(pod: &Pod, container: &Container, reason: Option<Reason>) -> i64 {
    if let Some(deletion) = pod.metadata.deletion_grace_period_seconds {
        return deletion;
    }
    let Some(own) = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds) else { return LEAST };
    let probe = match reason {
        Some(Reason::LivenessProbe) => container.liveness_probe.as_ref(),
        Some(Reason::StartupProbe) => container.startup_probe.as_ref(),
        None => None,
    };
    probe.and_then(|probe: &Probe| probe.termination_grace_period_seconds).unwrap_or(own)
}
