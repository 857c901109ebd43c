//! What a trigger is worth while its source doesn't answer.
//!
//! The metrics server counts the failures of each metric in the status, at each question of the HPA. Source:
//! `pkg/fallback/fallback.go`.

use super::status::Status;
use serde_json::{Value, json};

/// `spec.fallback`.
#[derive(Debug, PartialEq)]
pub(super) struct Fallback {
    failure_threshold: i64,
    /// So many are wanted, with the behavior `static`.
    pub(super) replicas: i64,
    behavior: String,
}

impl Fallback {
    /// None if there is none, or if it can't be (`HasValidFallback`).
    pub(super) fn read(spec: &Value) -> Option<Fallback> {
        let there = &spec["fallback"];
        let (failure_threshold, replicas) = (there["failureThreshold"].as_i64()?, there["replicas"].as_i64()?);
        let behavior = there["behavior"].as_str().unwrap_or("static").to_string();
        (failure_threshold >= 0 && replicas >= 0).then_some(Fallback { failure_threshold, replicas, behavior })
    }

    /// How many replicas are wanted while there are so many (`doFallback`).
    fn wanted(&self, current: i64) -> i64 {
        match self.behavior.as_str() {
            "currentReplicas" => current,
            "currentReplicasIfHigher" => self.replicas.max(current),
            "currentReplicasIfLower" => self.replicas.min(current),
            _ => self.replicas,
        }
    }

    /// What the HPA is told instead, in thousandths: as much as so many replicas have to do. Upstream cuts the target to a
    /// whole number for that.
    pub(super) fn value_milli(&self, target_milli: i64, current: i64) -> i64 {
        (target_milli / 1000 * 1000).saturating_mul(self.wanted(current))
    }

    /// Counts an answer, or that there was none, and says whether the metric has failed too often (`GetMetricsWithFallback`).
    /// The condition is about what was counted before, so that it comes one question later.
    pub(super) fn count(&self, metric: &str, answers: bool, status: &mut Status) -> bool {
        let failures = |health: &Value| health["numberOfFailures"].as_i64().unwrap_or(0);
        let is_beyond = |health: &Value| health["status"] == "Failing" && failures(health) > self.failure_threshold;
        let health = &status.value["health"];
        let now = if answers { 0 } else { failures(&health[metric]).saturating_add(1) };
        match health.as_object().is_some_and(|all| all.values().any(is_beyond)) {
            true => {
                let why = "At least one trigger is falling back on this scaled object";
                status.set("Fallback", "True", "FallbackExists", why);
            }
            false => status.no_fallback(),
        }
        let health = json!({"numberOfFailures": now, "status": if answers { "Happy" } else { "Failing" }});
        status.value["health"][metric] = health;
        now > self.failure_threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallback(replicas: i64, behavior: Option<&str>) -> Option<Fallback> {
        Fallback::read(&json!({"fallback": {"failureThreshold": 2, "replicas": replicas, "behavior": behavior}}))
    }

    #[test]
    fn so_many_replicas_are_wanted() {
        for (behavior, of_2, of_9) in [
            (None, 5, 5),
            (Some("static"), 5, 5),
            (Some("currentReplicas"), 2, 9),
            (Some("currentReplicasIfHigher"), 5, 9),
            (Some("currentReplicasIfLower"), 2, 5),
        ] {
            let fallback = fallback(5, behavior).expect("a good one");
            let told = [2, 9].map(|current| fallback.value_milli(10_000, current));
            assert_eq!(told, [of_2 * 10_000, of_9 * 10_000], "{behavior:?}");
        }
        assert_eq!(fallback(4, None).map(|fallback| fallback.value_milli(2_900, 1)), Some(8_000));
        assert_eq!(fallback(-1, None), None);
    }

    #[test]
    fn failures_are_counted_until_there_is_an_answer() {
        let fallback = fallback(5, None).expect("a good one");
        let mut status = Status::of(&Value::Null);
        let beyond =
            [false, false, false, false, true, false].map(|answers| fallback.count("s0-q", answers, &mut status));
        assert_eq!(beyond, [false, false, true, true, false, false]);
        assert_eq!(status.value["health"]["s0-q"], json!({"numberOfFailures": 1, "status": "Failing"}));
        // The condition is one question late.
        let mut status = Status::of(&Value::Null);
        let shown = [false, false, false, false, true, true].map(|answers| {
            fallback.count("s0-q", answers, &mut status);
            status.is("Fallback", "True")
        });
        assert_eq!(shown, [false, false, false, true, true, false]);
    }
}
