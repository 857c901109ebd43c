//! What a job's own rules say of a pod that failed.
//!
//! Source: `pkg/controller/job/pod_failure_policy.go`.

use super::view::Spec;
use kit_api::batch::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use kit_api::core::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};
use kit_contract::workloads::job::{self, Condition, EndedContainer, FailedPod};

/// What the failure policy makes of a failed pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why the whole job fails.
    pub fails_job: Option<String>,
    /// Its index fails, whatever its limit.
    pub fails_index: bool,
    /// It counts towards the limits.
    pub counts: bool,
}

const COUNTS: Verdict = Verdict { fails_job: None, fails_index: false, counts: true };

/// What the module makes of a failed pod, and in words why the job fails (`matchPodFailurePolicy`).
pub fn of_failure(spec: &Spec<'_>, pod: &Pod) -> Verdict {
    let rules = spec.spec.pod_failure_policy.as_ref().map_or(&[][..], |policy| &policy.rules);
    if rules.is_empty() {
        return COUNTS;
    }
    match spec.module.failure(rules, &view(pod)) {
        job::Verdict::Count => COUNTS,
        job::Verdict::Ignore => Verdict { counts: false, ..COUNTS },
        job::Verdict::FailIndex => Verdict { fails_index: true, ..COUNTS },
        job::Verdict::FailJob(index) => {
            let rule = usize::try_from(index).ok().and_then(|index| rules.get(index));
            let why = rule.and_then(|rule| why(rule, pod)).unwrap_or_default();
            Verdict { fails_job: Some(format!("{why} matching FailJob rule at index {index}")), ..COUNTS }
        }
    }
}

/// A pod as the module sees it.
fn view(pod: &Pod) -> FailedPod {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.into_iter().chain(status.init_container_statuses).flatten();
    let exit_code = |container: &ContainerStatus| Some(container.state.as_ref()?.terminated.as_ref()?.exit_code);
    FailedPod {
        containers: containers.map(|one| EndedContainer { exit_code: exit_code(&one), name: one.name }).collect(),
        conditions: (status.conditions.into_iter().flatten())
            .map(|condition| Condition { type_: condition.type_, status: condition.status })
            .collect(),
    }
}

/// What about the pod a rule matches.
fn why(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let name = |field: &Option<String>| field.clone().unwrap_or_default();
    let pod_name = format!("{}/{}", name(&pod.metadata.namespace), name(&pod.metadata.name));
    match (&rule.on_exit_codes, &rule.on_pod_conditions) {
        (Some(codes), _) => exit_code(pod, codes).map(|(container, ended)| {
            format!("Container {} for pod {pod_name} failed with exit code {}", container.name, ended.exit_code)
        }),
        (None, Some(patterns)) => {
            pod_condition(pod, patterns).map(|condition| format!("Pod {pod_name} has condition {}", condition.type_))
        }
        (None, None) => None,
    }
}

/// The first container that ended with a code that is asked for; init containers come last.
fn exit_code<'a>(
    pod: &'a Pod,
    codes: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a ContainerStatus, &'a ContainerStateTerminated)> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let named = |name: &str| codes.container_name.as_deref().is_none_or(|wanted| wanted == name);
    containers
        .filter(|container| named(&container.name))
        .filter_map(|container| Some((container, container.state.as_ref()?.terminated.as_ref()?)))
        .find(|(_, ended)| match codes.operator.as_str() {
            _ if ended.exit_code == 0 => false,
            "In" => codes.values.contains(&ended.exit_code),
            "NotIn" => !codes.values.contains(&ended.exit_code),
            _ => false,
        })
}

fn pod_condition<'a>(pod: &'a Pod, patterns: &[PodFailurePolicyOnPodConditionsPattern]) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| {
        patterns.iter().any(|pattern| pattern.type_ == condition.type_ && pattern.status == condition.status)
    })
}
