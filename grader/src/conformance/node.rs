//! Tables of what happens to nodes and on them, held against the reference modules and `kit-api`.

use super::Check;
use super::pure::{compare, field};
use kit_contract::failure::NodeLifecycle;
use kit_contract::failure::node_lifecycle::Config;
use serde_json::{Value, json};
use solutions::failure::node_lifecycle;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    match table {
        "node_zone_state" => Some(node_zone_state),
        _ => None,
    }
}

fn node_zone_state(case: &Value) -> Result<(), String> {
    let controller = node_lifecycle::Exercise::new(&Config::default());
    let (nodes, not_ready): (usize, usize) = (field(case, "nodes")?, field(case, "notReady")?);
    // The table has rates as whole numbers where they are 0.
    let rate = |rate: f64| if rate == 0.0 { json!(0) } else { json!(rate) };
    let state = controller.state(nodes - not_ready, not_ready);
    compare(
        case,
        json!({
            "zoneState": format!("{state:?}"),
            "notReadyCount": not_ready,
            "reducedEvictionQPS": rate(controller.reduced_rate(nodes)),
        }),
    )
}
