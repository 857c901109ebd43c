//! What runs on a node: the kubelet, with containers whose behaviour is simulated.

pub mod database;
pub mod kubelet;
pub mod program;
