//! Budgets and pods of the API as a module is asked about them, and a status as it is written.

use super::{Amount, Budget, Phase, Pod, Reason, Status, UnhealthyPodPolicy};
use kit_api::disruption_budget::{DISRUPTION_ALLOWED, set_condition};
use kit_api::int_or_percent::{IntOrString, Round, scaled};
use kit_api::jiff::Timestamp;
use kit_api::meta::Time;
use kit_api::policy::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kit_api::{core, owner, pod};
use std::collections::BTreeMap;

impl Amount {
    /// The same amount; a text that is no percentage is 0%.
    fn of(amount: &IntOrString) -> Amount {
        match amount {
            IntOrString::Int(pods) => Amount::Pods(i64::from(*pods)),
            // A share of a hundred is itself.
            share => Amount::Percent(i64::from(scaled(share, 100, Round::Up).unwrap_or_default())),
        }
    }
}

impl From<&PodDisruptionBudget> for Budget {
    fn from(budget: &PodDisruptionBudget) -> Self {
        let spec = budget.spec.clone().unwrap_or_default();
        Budget {
            name: budget.metadata.name.clone().unwrap_or_default(),
            generation: budget.metadata.generation.unwrap_or_default(),
            min_available: spec.min_available.as_ref().map(Amount::of),
            max_unavailable: spec.max_unavailable.as_ref().map(Amount::of),
            unhealthy_pods: match spec.unhealthy_pod_eviction_policy.as_deref() {
                Some("AlwaysAllow") => UnhealthyPodPolicy::AlwaysAllow,
                _ => UnhealthyPodPolicy::IfHealthyBudget,
            },
            status: budget.status.as_ref().map(Status::from).unwrap_or_default(),
        }
    }
}

impl From<&PodDisruptionBudgetStatus> for Status {
    fn from(status: &PodDisruptionBudgetStatus) -> Self {
        let mut conditions = status.conditions.iter().flatten();
        let condition = conditions.find(|condition| condition.type_ == DISRUPTION_ALLOWED);
        let disrupted = status.disrupted_pods.iter().flatten();
        Status {
            observed_generation: status.observed_generation.unwrap_or_default(),
            expected_pods: status.expected_pods.into(),
            desired_healthy: status.desired_healthy.into(),
            current_healthy: status.current_healthy.into(),
            disruptions_allowed: status.disruptions_allowed.into(),
            disrupted_pods: disrupted.map(|(pod, since)| (pod.clone(), since.0.as_second())).collect(),
            condition: condition.and_then(|condition| match condition.reason.as_str() {
                "SufficientPods" => Some(Reason::SufficientPods),
                "InsufficientPods" => Some(Reason::InsufficientPods),
                "SyncFailed" => Some(Reason::SyncFailed),
                _ => None,
            }),
        }
    }
}

impl Status {
    /// The status as it is written over the one that is there; its condition has this message.
    pub fn over(&self, before: &PodDisruptionBudgetStatus, message: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
        let number = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        let time = |since: i64| Time(Timestamp::from_second(since).unwrap_or_default());
        let disrupted = self.disrupted_pods.iter().map(|(pod, since)| (pod.clone(), time(*since)));
        let disrupted: BTreeMap<_, _> = disrupted.collect();
        let mut status = PodDisruptionBudgetStatus {
            conditions: before.conditions.clone(),
            current_healthy: number(self.current_healthy),
            desired_healthy: number(self.desired_healthy),
            disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
            disruptions_allowed: number(self.disruptions_allowed),
            expected_pods: number(self.expected_pods),
            observed_generation: Some(self.observed_generation),
        };
        if let Some(reason) = self.condition {
            let state = if reason == Reason::SufficientPods { "True" } else { "False" };
            set_condition(&mut status, state, &format!("{reason:?}"), message, now);
        }
        status
    }
}

impl From<&core::Pod> for Pod {
    fn from(pod: &core::Pod) -> Self {
        Pod {
            name: pod.metadata.name.clone().unwrap_or_default(),
            phase: match pod::phase(pod) {
                "Pending" => Phase::Pending,
                "Succeeded" => Phase::Succeeded,
                "Failed" => Phase::Failed,
                "Unknown" => Phase::Unknown,
                _ => Phase::Running,
            },
            ready: pod::is_ready(pod),
            deleting: pod::is_terminating(pod),
            controller: owner::controller_of(&pod.metadata).map(|owner| owner.uid.clone()),
        }
    }
}
