//! What a kubelet says of a pod: its phase, its conditions, its containers.
//!
//! Sources: `pkg/kubelet/kubelet_pods.go` (phases, and the order of statuses), `pkg/kubelet/status/generate.go` (conditions); [`phase`] says
//! both.

use super::{PodWorker, Run};
use crate::runtime::phase::{self, Said, Summary};
use kit_api::core::{ContainerStatus, Pod, PodCondition, PodIP, PodSpec, PodStatus};
use kit_api::jiff::Timestamp;
use kit_api::time;
use kit_time::agenda::Instant;

impl PodWorker {
    /// The phase of the pod, and what goes with it. It isn't final while a container is about to begin again.
    fn summary(&self, spec: &PodSpec, statuses: &[ContainerStatus], stopped: bool) -> Summary {
        let begins = !stopped && self.containers.iter().any(Run::begins);
        let policy = if begins { "Always" } else { &self.policy };
        phase::summary(spec, policy, statuses, stopped, &*self.lifecycle)
    }

    /// Whether the pod has come to its end.
    pub(super) fn is_final(&self) -> bool {
        let Some(spec) = self.live.as_ref().and_then(|pod| pod.spec.as_ref()) else { return false };
        // What is always started again never has; that is most pods, and this is asked often.
        if self.policy == "Always" {
            return false;
        }
        let statuses = |runs: &[Run], init| runs.iter().map(|run| run.status(self.of(init))).collect::<Vec<_>>();
        let all = [statuses(&self.setup, true), statuses(&self.containers, false)].concat();
        matches!(self.summary(spec, &all, false).phase, "Succeeded" | "Failed")
    }

    /// The status to be posted over the one that is there.
    pub fn status(&self, pod: &Pod, host_ip: &str, now: Instant, time: Timestamp) -> PodStatus {
        let before = pod.status.clone().unwrap_or_default();
        let there = before.conditions.unwrap_or_default();
        let nothing = PodSpec::default();
        let spec = pod.spec.as_ref().unwrap_or(&nothing);
        // Before there is a sandbox nothing of it has begun.
        let begun = if self.held.is_some() { Instant { nanos: i64::MIN } } else { now };
        let inits: Vec<ContainerStatus> = match self.live {
            Some(_) => self.setup.iter().map(|run| run.status(self.of(true))).collect(),
            None => self.inits.iter().map(|init| init.status(begun)).collect(),
        };
        let containers: Vec<ContainerStatus> = self.containers.iter().map(|run| run.status(self.of(false))).collect();
        let guests: Vec<ContainerStatus> = self.guests.iter().map(|run| run.status(self.of(false))).collect();
        let all = [&inits[..], &containers].concat();
        let stopped = self.stops_at.is_some_and(|at| at <= now);
        let Summary { phase, initialized, containers_ready } = self.summary(spec, &all, stopped);
        let ready = phase::ready(spec, &there, &containers_ready);
        let sandbox = !stopped && self.held.is_none() && !matches!(phase, "Succeeded" | "Failed");
        let ip = Some(self.ip.clone()).filter(|ip| !ip.is_empty());
        let mine = [
            ("PodReadyToStartContainers", Said { holds: sandbox, ..Said::YES }),
            ("Initialized", initialized),
            ("Ready", ready),
            ("ContainersReady", containers_ready),
            ("PodScheduled", Said::YES),
        ];
        let mut conditions: Vec<PodCondition> = Vec::new();
        for (type_, said) in mine.into_iter().chain(self.said_of_resize()) {
            let status = said.status();
            let same = there.iter().find(|c| c.type_ == type_ && c.status == status);
            conditions.push(PodCondition {
                type_: type_.into(),
                status: status.into(),
                reason: said.reason.map(str::to_string),
                message: said.message,
                last_transition_time: same.map_or(Some(time::seconds(time)), |same| same.last_transition_time.clone()),
                ..Default::default()
            });
        }
        // What others said of the pod stays.
        conditions.extend(there.into_iter().filter(|c| !mine_has(&c.type_)));
        PodStatus {
            phase: Some(phase.into()),
            conditions: Some(conditions),
            init_container_statuses: Some(inits).filter(|inits| !inits.is_empty()),
            container_statuses: Some(by_name(containers)),
            ephemeral_container_statuses: Some(by_name(guests)).filter(|guests| !guests.is_empty()),
            host_ip: Some(host_ip.into()),
            pod_ips: ip.clone().map(|ip| vec![PodIP { ip }]),
            pod_ip: ip,
            start_time: Some(time::seconds(self.started)),
            reason: None,
            message: None,
            ..before
        }
    }
}

/// Statuses of containers are told by their names; those of init containers as the spec has them (`convertToAPIContainerStatuses`).
fn by_name(mut statuses: Vec<ContainerStatus>) -> Vec<ContainerStatus> {
    statuses.sort_by(|one, other| one.name.cmp(&other.name));
    statuses
}

fn mine_has(type_: &str) -> bool {
    let always = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    always.contains(&type_) || ["PodResizePending", "PodResizeInProgress"].contains(&type_)
}
