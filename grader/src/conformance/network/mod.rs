//! Tables about the network.

mod ipam;

use super::Check;

pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "host_local" => ipam::host_local,
        "node_cidrs" => ipam::node_cidrs,
        _ => return None,
    })
}
