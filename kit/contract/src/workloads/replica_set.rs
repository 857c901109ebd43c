//! Placeholder.
contract! {
    /// Placeholder.
    pub trait ReplicaSetController {
        /// Placeholder.
        fn sync(&self, replicas: u32) -> u32;
    }
}
