//! The flags (`config/flags/flags.go`), by their names and with their defaults.

use crate::expander::Expander;
use kit_time::agenda::Instant;
use serde::{Deserialize, Deserializer};

/// What can be configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How one of several groups is picked, one after the other until one is left.
    pub expander: Vec<Expander>,
    /// From one look at the cluster to the next.
    #[serde(deserialize_with = "span")]
    pub scan_interval: Instant,
    /// How long no node is removed after one was added.
    #[serde(deserialize_with = "span")]
    pub scale_down_delay_after_add: Instant,
    /// How long none is removed after a removal failed.
    #[serde(deserialize_with = "span")]
    pub scale_down_delay_after_failure: Instant,
    /// How long a node must be unneeded until it is removed.
    #[serde(deserialize_with = "span")]
    pub scale_down_unneeded_time: Instant,
    /// The share of CPU or memory that is asked for, up to which a node may be unneeded.
    pub scale_down_utilization_threshold: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            expander: vec![Expander::LeastWaste],
            scan_interval: Instant::seconds(10),
            scale_down_delay_after_add: Instant::seconds(600),
            scale_down_delay_after_failure: Instant::seconds(180),
            scale_down_unneeded_time: Instant::seconds(600),
            scale_down_utilization_threshold: 0.5,
        }
    }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instant, D::Error> {
    let text = String::deserialize(deserializer)?;
    let span = text.parse::<Instant>().ok().filter(|span| *span >= Instant::seconds(1));
    span.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no span of a second or more, such as `10m`")))
}
