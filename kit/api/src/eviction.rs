//! When the kubelet is short of something: its thresholds. What follows from them is an exercise (`node/eviction`).
//!
//! Source: `pkg/kubelet/eviction/helpers.go`.

use crate::duration::Duration;
use crate::quantity::{Format, Quantity};
use serde::Deserialize;
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
