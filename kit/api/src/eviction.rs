//! When the kubelet is short of something: its thresholds, and whom it evicts first.
//!
//! Source: `pkg/kubelet/eviction/helpers.go`.

use crate::core::Pod;
use crate::duration::Duration;
use crate::pod_resources::kubelet_request;
use crate::quantity::{Format, Quantity};
use serde::Deserialize;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

/// What the kubelet watches.
pub const SIGNALS: [&str; 9] = [
    "memory.available",
    "allocatableMemory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
];

/// A level below which the kubelet evicts.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// One of [`SIGNALS`].
    pub signal: String,
    /// The level.
    pub value: Level,
    /// How long it must be below; nothing for a hard threshold.
    pub grace_period: Duration,
    /// How much an eviction must win back at least.
    pub min_reclaim: Option<Level>,
}

/// An amount, or a part of the capacity.
#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    /// An amount.
    Quantity(Quantity),
    /// A part of 1.
    Percentage(f32),
}

/// The thresholds of a kubelet's configuration, each field a map of signals to texts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThresholdConfig {
    /// Evict at once.
    pub eviction_hard: Option<BTreeMap<String, String>>,
    /// Evict when the grace period is over.
    pub eviction_soft: Option<BTreeMap<String, String>>,
    /// The grace periods of soft thresholds.
    pub eviction_soft_grace_period: Option<BTreeMap<String, String>>,
    /// How much to win back.
    pub eviction_minimum_reclaim: Option<BTreeMap<String, String>>,
}

impl ThresholdConfig {
    /// All thresholds, hard ones first, by signal (`ParseThresholdConfig`).
    ///
    /// # Errors
    ///
    /// The first statement that is wrong, in upstream's words.
    pub fn parse(&self) -> Result<Vec<Threshold>, String> {
        let mut thresholds = statements(&self.eviction_hard)?;
        let soft = statements(&self.eviction_soft)?;
        let mut grace_periods = BTreeMap::new();
        for (signal, text) in self.eviction_soft_grace_period.iter().flatten() {
            known(signal)?;
            let period: Duration = text.parse()?;
            if period.nanos < 0 {
                return Err(format!("invalid eviction grace period specified: {text}, must be a positive value"));
            }
            grace_periods.insert(signal, period);
        }
        let mut reclaims = BTreeMap::new();
        for (signal, text) in self.eviction_minimum_reclaim.iter().flatten() {
            reclaims.insert(signal.clone(), reclaim(signal, text)?);
        }
        for mut threshold in soft {
            let signal = &threshold.signal;
            threshold.grace_period = *grace_periods
                .get(signal)
                .ok_or_else(|| format!("grace period must be specified for the soft eviction threshold {signal}"))?;
            thresholds.push(threshold);
        }
        for threshold in &mut thresholds {
            threshold.min_reclaim = reclaims.get(&threshold.signal).cloned();
        }
        Ok(thresholds)
    }
}

fn known(signal: &str) -> Result<(), String> {
    if SIGNALS.contains(&signal) { Ok(()) } else { Err(format!("unsupported eviction signal {signal}")) }
}

fn percentage(text: &str) -> Result<f32, String> {
    let number = text.trim_end_matches('%');
    let parsed: f32 = number.parse().map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    Ok(parsed / 100.0)
}

fn statements(config: &Option<BTreeMap<String, String>>) -> Result<Vec<Threshold>, String> {
    let mut thresholds = Vec::new();
    for (signal, text) in config.iter().flatten() {
        known(signal)?;
        let value = if text.ends_with('%') {
            // Always and never are no thresholds.
            if text == "0%" || text == "100%" {
                continue;
            }
            let part = percentage(text)?;
            if part < 0.0 {
                return Err(format!("eviction percentage threshold {signal} must be >= 0%: {text}"));
            }
            if part > 1.0 {
                return Err(format!("eviction percentage threshold {signal} must be <= 100%: {text}"));
            }
            Level::Percentage(part)
        } else {
            let quantity: Quantity = text.parse().map_err(|e: crate::quantity::ParseError| e.to_string())?;
            if quantity.sign() <= 0 {
                return Err(format!("eviction threshold {signal} must be positive: {quantity}"));
            }
            Level::Quantity(quantity)
        };
        let (signal, grace_period) = (signal.clone(), Duration::default());
        thresholds.push(Threshold { signal, value, grace_period, min_reclaim: None });
    }
    Ok(thresholds)
}

fn reclaim(signal: &str, text: &str) -> Result<Level, String> {
    known(signal)?;
    if text.ends_with('%') {
        let part = percentage(text)?;
        if part <= 0.0 {
            return Err(format!("eviction percentage minimum reclaim {signal} must be positive: {text}"));
        }
        return Ok(Level::Percentage(part));
    }
    let quantity: Quantity = text.parse().map_err(|e: crate::quantity::ParseError| e.to_string())?;
    if quantity.sign() < 0 {
        return Err(format!("negative eviction minimum reclaim specified for {signal}"));
    }
    Ok(Level::Quantity(quantity))
}

/// How much of what a signal watches is left.
#[derive(Debug, Clone)]
pub struct Observation {
    /// What is left.
    pub available: Quantity,
    /// How much there is in all.
    pub capacity: Quantity,
}

impl Level {
    /// The amount that is meant where there is so much in all (`GetThresholdQuantity`).
    pub fn of(&self, capacity: &Quantity) -> Quantity {
        match self {
            Level::Quantity(quantity) => quantity.clone(),
            Level::Percentage(part) => {
                Quantity::new((capacity.value() as f64 * f64::from(*part)) as i64, Format::BinarySI)
            }
        }
    }
}

/// The thresholds that are crossed; with `min_reclaim`, those that are not yet passed by as much as an eviction must win
/// back (`thresholdsMet`). A signal that nobody observed crosses none.
pub fn met<'a>(
    thresholds: &'a [Threshold],
    observations: &BTreeMap<String, Observation>,
    min_reclaim: bool,
) -> Vec<&'a Threshold> {
    let crossed = |threshold: &&Threshold| {
        let Some(observed) = observations.get(&threshold.signal) else { return false };
        let mut level = threshold.value.of(&observed.capacity);
        if let Some(reclaim) = threshold.min_reclaim.as_ref().filter(|_| min_reclaim) {
            level.add(&reclaim.of(&observed.capacity));
        }
        observed.available < level
    };
    thresholds.iter().filter(crossed).collect()
}

/// What the node is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Memory.
    Memory,
    /// Space on disk.
    Disk,
    /// Process ids.
    Pid,
}

/// What a pod uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The working set in bytes.
    pub memory: i64,
    /// Root file systems, logs and local volumes in bytes.
    pub disk: i64,
    /// Processes.
    pub processes: i64,
}

/// Sorts pods so that the first is evicted first. A pod whose usage nobody knows goes before all others; ties stay
/// in their order (`rankMemoryPressure`, `rankDiskPressureFunc`, `rankPIDPressure`).
pub fn rank(pods: &mut [&Pod], pressure: Pressure, usage: impl Fn(&Pod) -> Option<Usage>) {
    let priority = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
    // How much more a pod uses than it asked for.
    let over = |pod: &Pod, used: i64, resource: &str| {
        let mut over = Quantity::new(used, Format::BinarySI);
        over.sub(&kubelet_request(pod, resource));
        over
    };
    pods.sort_by(|a, b| {
        let (Some(of_a), Some(of_b)) = (usage(a), usage(b)) else {
            let unknown = usage(a).is_some().cmp(&usage(b).is_some());
            return match pressure {
                // Here priority comes before usage.
                Pressure::Pid => priority(a).cmp(&priority(b)).then(unknown),
                _ => unknown.then_with(|| priority(a).cmp(&priority(b))),
            };
        };
        let (used_a, used_b, resource) = match pressure {
            Pressure::Memory => (of_a.memory, of_b.memory, "memory"),
            Pressure::Disk => (of_a.disk, of_b.disk, "ephemeral-storage"),
            Pressure::Pid => return priority(a).cmp(&priority(b)).then(of_b.processes.cmp(&of_a.processes)),
        };
        let (over_a, over_b) = (over(a, used_a, resource), over(b, used_b, resource));
        let exceeds = Reverse(over_a.sign() > 0).cmp(&Reverse(over_b.sign() > 0));
        let by_usage: Ordering = over_b.cmp(&over_a);
        exceeds.then(priority(a).cmp(&priority(b))).then(by_usage)
    });
}
