//! What the status of a PodDisruptionBudget says about itself: the condition `DisruptionAllowed`.
//!
//! The API server's eviction and the controller both write it. Sources:
//! `staging/src/k8s.io/component-helpers/apps/poddisruptionbudget/helpers.go`, and `SetStatusCondition` of
//! `apimachinery/pkg/api/meta/conditions.go`.

use crate::jiff::Timestamp;
use crate::meta::Condition;
use crate::policy::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use crate::time;

/// The type of the condition.
pub const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// Why the condition is true or false.
fn verdict(status: &PodDisruptionBudgetStatus) -> (&'static str, &'static str) {
    if status.disruptions_allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") }
}

/// Writes the condition as the number of allowed disruptions asks for (`UpdateDisruptionAllowedCondition`).
pub fn update_condition(status: &mut PodDisruptionBudgetStatus, now: Timestamp) {
    let (state, reason) = verdict(status);
    set_condition(status, state, reason, "", now);
}

/// Writes the condition. Its time is that of the last other status.
pub fn set_condition(status: &mut PodDisruptionBudgetStatus, state: &str, reason: &str, message: &str, now: Timestamp) {
    let observed_generation = status.observed_generation.filter(|generation| *generation != 0);
    let conditions = status.conditions.get_or_insert_default();
    let before = conditions.iter_mut().find(|condition| condition.type_ == DISRUPTION_ALLOWED);
    let since = before.as_ref().filter(|before| before.status == state);
    let condition = Condition {
        last_transition_time: since.map_or_else(|| time::seconds(now), |before| before.last_transition_time.clone()),
        message: message.into(),
        observed_generation,
        reason: reason.into(),
        status: state.into(),
        type_: DISRUPTION_ALLOWED.into(),
    };
    match before {
        Some(before) => *before = condition,
        None => conditions.push(condition),
    }
}

/// Whether the condition says what the number of allowed disruptions asks for (`ConditionsAreUpToDate`).
pub fn condition_is_up_to_date(budget: &PodDisruptionBudget) -> bool {
    let Some(status) = &budget.status else { return false };
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == DISRUPTION_ALLOWED);
    status.observed_generation.unwrap_or_default() == budget.metadata.generation.unwrap_or_default()
        && condition.is_some_and(|condition| (condition.status.as_str(), condition.reason.as_str()) == verdict(status))
}
