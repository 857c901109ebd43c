//! Disruption budgets, as an observer sees them.

use kit_api::policy::PodDisruptionBudget;
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use std::collections::BTreeMap;

/// What each budget has counted, and the reason of its condition.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for budget in snapshot.list(Kind::PodDisruptionBudget).filter_map(|stored| stored.get::<PodDisruptionBudget>()) {
        let Some(status) = &budget.status else { continue };
        let Some(condition) = status.conditions.iter().flatten().next() else { continue };
        let mut said = format!(
            "{} healthy of {}, {} must be, {} allowed ({})",
            status.current_healthy,
            status.expected_pods,
            status.desired_healthy,
            status.disruptions_allowed,
            condition.reason
        );
        let disrupted = status.disrupted_pods.as_ref().map_or(0, BTreeMap::len);
        if disrupted > 0 {
            said += &format!(", {disrupted} about to go");
        }
        table.insert(format!("budget/{}", budget.metadata.name.as_deref().unwrap_or_default()), said);
    }
}
