//! How jobs stand.

use kit_api::batch::Job;
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use std::collections::BTreeMap;

/// One line for the counts of each job, one for its indexes, and one for each condition.
pub fn tabulate(snapshot: &Snapshot, table: &mut BTreeMap<String, String>) {
    for job in snapshot.list(Kind::Job).filter_map(|stored| stored.get::<Job>()) {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let status = job.status.clone().unwrap_or_default();
        let [active, succeeded, failed] = [status.active, status.succeeded, status.failed].map(|n| n.unwrap_or(0));
        table.insert(format!("job/{name}"), format!("{active} active, {succeeded} succeeded, {failed} failed"));
        for (what, indexes) in [("completed", status.completed_indexes), ("failed", status.failed_indexes)] {
            if let Some(indexes) = indexes.filter(|text| !text.is_empty()) {
                table.insert(format!("job/{name} {what} indexes"), indexes);
            }
        }
        for condition in status.conditions.into_iter().flatten() {
            let reason = condition.reason.unwrap_or_default();
            table.insert(format!("job/{name} {}", condition.type_), format!("{} ({reason})", condition.status));
        }
    }
}
