//! The reference for `scheduler/taints`.
//!
//! The names follow `pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go` and
//! `staging/src/k8s.io/api/core/v1/toleration.go`.

// ANCHOR: solution
use kit::scheduler::{Taint, Taints, Toleration, Verdict};

/// The filter of the TaintToleration plugin.
#[derive(Default)]
pub struct Exercise;

impl Taints for Exercise {
    // ANCHOR: filter
    fn filter(&self, tolerations: &[Toleration], taints: &[Taint]) -> Verdict {
        let untolerated = taints
            .iter()
            .filter(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute"))
            .find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)));
        match untolerated {
            Some(taint) => Verdict::Refused(taint.clone()),
            None => Verdict::Fits,
        }
    }
    // ANCHOR_END: filter
}

// ANCHOR: tolerates
/// Whether a toleration covers a taint: what it leaves empty stands for everything.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect {
        return false;
    }
    if !key.is_empty() && key != taint.key {
        return false;
    }
    match text(&toleration.operator).as_str() {
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        "Exists" => true,
        _ => false,
    }
}
// ANCHOR_END: tolerates
// ANCHOR_END: solution
