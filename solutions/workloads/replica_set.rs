//! Placeholder.
use kit::workloads::{SyncRequest, SyncResult};
/// P
#[derive(Default)] pub struct Exercise;
impl kit::workloads::ReplicaSetController for Exercise { fn sync(&self, _: &SyncRequest) -> SyncResult { todo!() } }
