//! Kind: failed or timeout — it creates fifty thousand pods at each look, and wants to look again at once
//! Exercise: workloads/replica_set

use kit::workloads::ReplicaSetController;
use kit::workloads::replica_set::{Action, Status, SyncRequest, SyncResult};

#[derive(Default)]
struct Exercise;

impl ReplicaSetController for Exercise {
    fn sync(&self, _: &SyncRequest) -> SyncResult {
        let status = Status { replicas: i32::MAX, observed_generation: i64::MIN, ..Status::default() };
        SyncResult { actions: vec![Action::CreatePod; 50_000], status, requeue_after_seconds: Some(0) }
    }
}

kit::exercise!(Exercise: ReplicaSetController);
