//! How many pods an update of a DaemonSet may touch.
//!
//! Source: `pkg/controller/daemon/util/daemonset_util.go`.

use crate::int_or_percent::{IntOrString, Round, scaled};

/// `maxUnavailable` for so many nodes, rounded up (`UnavailableCount`).
///
/// # Errors
///
/// That of [`scaled`].
pub fn unavailable_count(max_unavailable: &IntOrString, nodes: i32) -> Result<i32, String> {
    scaled(max_unavailable, nodes, Round::Up)
}

/// `maxSurge` for so many nodes, rounded up (`SurgeCount`).
///
/// # Errors
///
/// That of [`scaled`].
pub fn surge_count(max_surge: &IntOrString, nodes: i32) -> Result<i32, String> {
    scaled(max_surge, nodes, Round::Up)
}
