//! Taints and the tolerations that let pods through.

use crate::core::{Taint, Toleration};
use crate::withheld;

/// Whether `toleration` covers `taint`.
///
/// An empty effect or key of the toleration stands for all; the operator is `Equal` unless it says otherwise, and
/// any other operator than `Equal` and `Exists` covers nothing. API validation demands `Exists` where the key is
/// empty; this function does not, as upstream doesn't.
///
/// Source: `ToleratesTaint` in `staging/src/k8s.io/api/core/v1/toleration.go`.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    withheld::from("scheduler::taints", "toleration");
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !effect.is_empty() && effect != taint.effect || !key.is_empty() && key != taint.key {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => text(&toleration.value) == text(&taint.value),
        "Exists" => true,
        _ => false,
    }
}
