//! `label_replace` and `label_join` (`promql/functions.go`).

use super::Error;
use super::engine::{Sample, fail};
use crate::labels::{is_label_name, set, value, whole};

pub(super) fn apply(name: &str, mut samples: Vec<Sample>, texts: &[&str]) -> Result<Vec<Sample>, Error> {
    match (name, texts) {
        ("label_replace", [target, replacement, source, pattern]) => {
            let Ok(regex) = whole(pattern) else {
                return fail(format!("invalid regular expression in label_replace(): {pattern}"));
            };
            if !is_label_name(target) {
                return fail(format!("invalid destination label name in label_replace(): {target}"));
            }
            for sample in &mut samples {
                let Some(captures) = regex.captures(value(&sample.labels, source)) else { continue };
                let mut text = String::new();
                captures.expand(replacement, &mut text);
                set(&mut sample.labels, target, text);
            }
        }
        (_, [target, separator, sources @ ..]) => {
            if let Some(source) = sources.iter().find(|source| !is_label_name(source)) {
                return fail(format!("invalid source label name in label_join(): {source}"));
            }
            if !is_label_name(target) {
                return fail(format!("invalid destination label name in label_join(): {target}"));
            }
            for sample in &mut samples {
                let values: Vec<_> = sources.iter().map(|source| value(&sample.labels, source)).collect();
                let joined = values.join(separator);
                set(&mut sample.labels, target, joined);
            }
        }
        _ => {}
    }
    Ok(samples)
}
