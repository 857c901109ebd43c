//! Placeholder.
/// P
#[derive(Default)] pub struct Exercise;
impl kit::workloads::ReplicaSetController for Exercise { fn sync(&self, r: u32) -> u32 { r } }
