//! The status of a ScaledObject (`apis/keda/v1alpha1/condition_types.go`).

use super::spec::Spec;
use kit_api::jiff::Timestamp;
use serde_json::{Value, json};

/// The status of a ScaledObject, as it becomes.
pub(super) struct Status {
    pub(super) value: Value,
}

impl Status {
    /// The status as it is. At first nobody knows anything (`GetInitializedConditions`).
    pub(super) fn of(object: &Value) -> Status {
        let there = &object["status"];
        let mut status = Status { value: if there.is_object() { there.clone() } else { json!({}) } };
        for type_ in ["Ready", "Active", "Fallback", "Paused"] {
            if !status.conditions().any(|there| there["type"] == type_) {
                let unknown = json!({"type": type_, "status": "Unknown"});
                match status.value["conditions"].as_array_mut() {
                    Some(all) => all.push(unknown),
                    None => status.value["conditions"] = json!([unknown]),
                }
            }
        }
        status
    }

    fn conditions(&self) -> impl Iterator<Item = &Value> {
        self.value["conditions"].as_array().into_iter().flatten()
    }

    /// Whether a condition stands so.
    pub(super) fn is(&self, type_: &str, status: &str) -> bool {
        self.conditions().any(|there| there["type"] == type_ && there["status"] == status)
    }

    /// Whether a condition has this reason.
    pub(super) fn has(&self, reason: &str) -> bool {
        self.conditions().any(|there| there["reason"] == reason)
    }

    /// Sets a condition.
    pub(super) fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let condition = json!({"type": type_, "status": status, "reason": reason, "message": message});
        let Some(all) = self.value["conditions"].as_array_mut() else { return };
        match all.iter_mut().find(|there| there["type"] == type_) {
            Some(there) => *there = condition,
            None => all.push(condition),
        }
    }

    /// Says that no trigger falls back.
    pub(super) fn no_fallback(&mut self) {
        self.set("Fallback", "False", "NoFallbackFound", "No fallbacks are active on this scaled object");
    }

    /// Remembers when a trigger was active last.
    pub(super) fn active_at(&mut self, now: Timestamp) {
        self.value["lastActiveTime"] = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }

    /// Whether it has been idle for long enough. What was never active waits for the initial period only.
    pub(super) fn has_cooled_down(&self, created: Option<Timestamp>, spec: &Spec, now: Timestamp) -> bool {
        let last = self.value["lastActiveTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let (since, seconds) = match last {
            Some(last) => (last, spec.cooldown_seconds),
            None => (created.unwrap_or(now), spec.initial_cooldown_seconds),
        };
        now.duration_since(since).as_secs() > seconds
    }
}
