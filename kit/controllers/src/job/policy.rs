//! What a job's own rules say: of a pod that failed, and of indexes that succeeded.
//!
//! Sources: `pkg/controller/job/pod_failure_policy.go` and `success_policy.go`.

use super::indexes::Indexes;
use kit_api::batch::{JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern};
use kit_api::core::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition};

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

/// The first rule that matches decides; if none does, the failure counts (`matchPodFailurePolicy`).
pub fn of_failure(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules);
    let name = |field: &Option<String>| field.clone().unwrap_or_default();
    let pod_name = format!("{}/{}", name(&pod.metadata.namespace), name(&pod.metadata.name));
    for (index, rule) in rules.enumerate() {
        let why = match (&rule.on_exit_codes, &rule.on_pod_conditions) {
            (Some(codes), _) => exit_code(pod, codes).map(|(container, ended)| {
                format!("Container {} for pod {pod_name} failed with exit code {}", container.name, ended.exit_code)
            }),
            (None, Some(patterns)) => pod_condition(pod, patterns)
                .map(|condition| format!("Pod {pod_name} has condition {}", condition.type_)),
            (None, None) => None,
        };
        let Some(why) = why else { continue };
        match rule.action.as_str() {
            "Ignore" => return Verdict { counts: false, ..COUNTS },
            "FailIndex" => return Verdict { fails_index: true, ..COUNTS },
            "Count" => return COUNTS,
            "FailJob" => {
                let message = format!("{why} matching FailJob rule at index {index}");
                return Verdict { fails_job: Some(message), ..COUNTS };
            }
            _ => {}
        }
    }
    COUNTS
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

/// Which rule of the success policy is met, in words (`matchSuccessPolicy`).
pub fn of_success(spec: &JobSpec, succeeded: &Indexes) -> Option<String> {
    let policy = spec.success_policy.as_ref().filter(|_| !succeeded.is_empty())?;
    let completions = spec.completions.unwrap_or(0).into();
    let met = policy.rules.iter().position(|rule| {
        let count = rule.succeeded_count.map(i64::from);
        match &rule.succeeded_indexes {
            Some(text) => {
                let wanted = Indexes::parse(text, completions);
                let there = wanted.overlap(succeeded);
                !wanted.is_empty() && (there == wanted.total() || count.is_some_and(|count| there >= count))
            }
            None => count.is_some_and(|count| succeeded.total() >= count),
        }
    });
    met.map(|index| format!("Matched rules at index {index}"))
}
