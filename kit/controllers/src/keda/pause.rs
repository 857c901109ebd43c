//! Annotations by which people stop the autoscaling of a target.
//!
//! Sources: `NeedToBePausedByAnnotation` of `apis/keda/v1alpha1/scaledobject_types.go`, `GetPausedReplicaCount` of
//! `pkg/scaling/executor/scale_scaledobjects.go`, `controllers/keda/util/predicate.go`.

use super::spec::Wrong;
use serde_json::Value;

/// Stops it where it is.
const PAUSED: &str = "autoscaling.keda.sh/paused";
/// Scales to so many first.
const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

/// What the two annotations say. The operator looks anew if that changes, though the generation doesn't.
pub(super) fn annotations(object: &Value) -> [Option<&str>; 2] {
    [PAUSED, PAUSED_REPLICAS].map(|name| annotation(object, name))
}

/// Whether scaling stops now. With a number of replicas only after they were asked for; else by anything that isn't one of Go's
/// words for false.
pub(super) fn is_due(object: &Value) -> bool {
    match annotations(object) {
        [_, Some(_)] => !object["status"]["pausedReplicaCount"].is_null(),
        [Some(word), None] => !matches!(word, "0" | "f" | "F" | "false" | "FALSE" | "False"),
        [None, None] => false,
    }
}

/// How many replicas there are to be meanwhile.
pub(super) fn replicas(object: &Value) -> Result<Option<i64>, Wrong> {
    let Some(text) = annotation(object, PAUSED_REPLICAS) else { return Ok(None) };
    let number = text.parse::<i32>().map_err(|error| {
        let what = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        let message = "failed to ensure HPA is correctly created for ScaledObject";
        Wrong { message, why: format!("strconv.ParseInt: parsing {text:?}: {what}") }
    });
    number.map(|number| Some(number.into()))
}
