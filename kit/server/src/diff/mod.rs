//! What changed in a struct, as messages show it: upstream's `pod updates may not change …` has it from `google/go-cmp`.
//!
//! [`compare`] makes a tree of what is equal and what isn't, in which [`edits`] finds the items of lists that stayed;
//! [`report`] tells a tree with its surroundings, whose single values [`show`] writes; [`text`] lays it out in lines.

mod compare;
mod edits;
mod report;
mod show;
mod text;

use super::schema::Type;
use compare::{Of, compare};
use report::Options;
use serde_json::Value;

/// The difference between two values of a type.
pub fn diff(old: &Value, new: &Value, of: Type) -> String {
    let root = compare(&Of::Type(of), Some(old.clone()), Some(new.clone()));
    Options::default().tell(&root).map(|text| text.render()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::schema::named;
    use super::*;
    use serde_json::json;

    /// The lines of a difference with common blanks.
    fn lines(old: Value, new: Value, of: &str) -> Vec<String> {
        let text = diff(&old, &new, named(of).expect("a type"));
        text.replace('\u{a0}', " ").lines().map(str::to_string).collect()
    }

    /// Recorded from the real API server.
    #[test]
    fn items_that_came_are_told_among_those_that_stayed() {
        let modes = |modes: &[&str]| json!({"accessModes": modes, "resources": {"requests": {"storage": "1Gi"}}});
        let shown = lines(
            modes(&["ReadWriteOnce"]),
            modes(&["ReadWriteOnce", "ReadWriteOnce"]),
            "core.PersistentVolumeClaimSpec",
        );
        let head = [
            "  core.PersistentVolumeClaimSpec{",
            "  \tAccessModes: []core.PersistentVolumeAccessMode{",
            "+ \t\t\"ReadWriteOnce\",",
            "  \t\t\"ReadWriteOnce\",",
            "  \t},",
            "  \tSelector:  nil,",
            "  \tResources: {Requests: {s\"storage\": {i: {...}, s: \"1Gi\", Format: \"BinarySI\"}}},",
            "  \t... // 6 identical fields",
            "  }",
        ];
        assert_eq!(shown, head);
    }

    #[test]
    fn selectors_are_shown_as_they_write_themselves() {
        let shown = lines(json!({}), json!({"selector": {}}), "core.PersistentVolumeClaimSpec");
        let line = "+ \tSelector:    s\"&LabelSelector{MatchLabels:map[string]string{},\
                    MatchExpressions:[]LabelSelectorRequirement{},}\",";
        assert!(shown.iter().any(|shown| shown == line), "{shown:#?}");
    }
}
