//! Events of `events.k8s.io/v1`, which are kept as those of the core group.
//!
//! Sources: `pkg/apis/events/v1/conversion.go`, and `ValidateEventCreate` and `ValidateEventUpdate` of
//! `pkg/apis/core/validation/events.go`.

use super::rename;
use crate::field::{At, Errors};
use serde_json::Value;

/// Fields by their names here and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

pub fn keep(event: &mut Value) {
    let event = event.as_object_mut().into_iter();
    event.for_each(|event| NAMES.iter().for_each(|(here, core)| rename(event, here, core)));
}

pub fn show(event: &mut Value) {
    let event = event.as_object_mut().into_iter();
    event.for_each(|event| NAMES.iter().for_each(|(here, core)| rename(event, core, here)));
}

/// `AddFieldLabelConversionsForEvent`.
pub fn field(name: &str) -> Option<String> {
    match name {
        "reason" | "type" | "metadata.name" | "metadata.namespace" => Some(name.into()),
        "reportingController" => Some("reportingComponent".into()),
        _ => name.strip_prefix("regarding.").map(|rest| format!("involvedObject.{rest}")),
    }
}

/// What this version asks for beyond what the older one does.
pub fn check(e: &mut Errors, event: &Value, old: Option<&Value>) {
    let root = At::root(event);
    let Some(old) = old else {
        series(e, &root);
        if !root.get("eventTime").is_set() {
            e.required(&root.get("eventTime"), "");
        }
        let type_ = root.get("type");
        if !["Normal", "Warning"].contains(&type_.text()) {
            e.invalid_as(&type_, "\"\"", &format!("has invalid value: {}", type_.text()));
        }
        let source = root.get("source");
        let unset = |at: &At<'_>| !at.is_set() || at.int() == Some(0);
        let named = !source.get("component").text().is_empty() || !source.get("host").text().is_empty();
        for (at, unset) in [
            (root.get("firstTimestamp"), unset(&root.get("firstTimestamp"))),
            (root.get("lastTimestamp"), unset(&root.get("lastTimestamp"))),
            (root.get("count"), unset(&root.get("count"))),
            (source, !named),
        ] {
            if !unset {
                e.invalid_as(&at, "\"\"", "needs to be unset");
            }
        }
        return;
    };
    if event["series"] != old["series"] {
        series(e, &root);
    }
    let fixed = [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "reason",
        "type",
        "eventTime",
        "action",
        "related",
        "reportingComponent",
        "reportingInstance",
    ];
    for name in fixed.iter().filter(|name| event[**name] != old[**name]) {
        // The internal type has another name for it.
        let told = if *name == "reportingComponent" { "reportingController" } else { name };
        e.invalid(&root.get(name).as_path(told.into()), "field is immutable");
    }
}

fn series(e: &mut Errors, event: &At<'_>) {
    let series = event.get("series");
    if !series.is_set() {
        return;
    }
    if series.get("count").int().unwrap_or_default() < 2 {
        e.invalid_as(&series.get("count"), "\"\"", "should be at least 2");
    }
    if !series.get("lastObservedTime").is_set() {
        e.required(&series.get("lastObservedTime"), "");
    }
}
