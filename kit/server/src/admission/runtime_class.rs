//! RuntimeClass: what a class of runtimes adds to a pod.
//!
//! Sources: `plugin/pkg/admission/runtimeclass/admission.go`, `pkg/util/tolerations/tolerations.go`.

use super::super::{Error, Server};
use crate::rules::map_in;
use kit_apimachinery::managed::equal;
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};

impl Server {
    /// The class that a pod names; null if it names none.
    fn runtime_class(&self, key: &Key, pod: &Value) -> Result<Value, Error> {
        let Some(name) = pod["spec"]["runtimeClassName"].as_str() else { return Ok(Value::Null) };
        let class = Kind::named("RuntimeClass").and_then(|kind| self.state.get(&Key::new(kind, "", name)));
        let missing = || Error::forbidden(key, &format!("pod rejected: RuntimeClass {name:?} not found"));
        class.map(|stored| stored.to_value()).ok_or_else(missing)
    }

    /// Takes over what the class says.
    pub(super) fn apply_runtime_class(&self, key: &Key, pod: &mut Value) -> Result<(), Error> {
        let class = self.runtime_class(key, pod)?;
        let refused = |why: &str| Err(Error::forbidden(key, why));
        if class["overhead"].is_object() {
            let own = &pod["spec"]["overhead"];
            if !own.is_null() && !same_amounts(own, &class["overhead"]["podFixed"]) {
                return refused("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
            }
            let fixed = class["overhead"]["podFixed"].clone();
            map_in(pod, "spec").insert("overhead".into(), if fixed.is_null() { json!({}) } else { fixed });
        }
        let scheduling = &class["scheduling"];
        if !scheduling.is_object() {
            return Ok(());
        }
        let spec = map_in(pod, "spec");
        for (label, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
            let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
            let own = selector[label].as_str().map(str::to_string);
            let wanted = value.as_str().unwrap_or_default();
            if let Some(own) = own.filter(|own| own != wanted) {
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{label}] = {wanted}; pod.spec.nodeSelector[{label}] = \
                     {own}"
                );
                return refused(&why);
            }
            selector[label] = value.clone();
        }
        let own = spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
        let all = merged(own, scheduling["tolerations"].as_array().cloned().unwrap_or_default());
        if !all.is_empty() {
            spec.insert("tolerations".into(), all.into());
        }
        Ok(())
    }

    /// Refuses an overhead that the class doesn't say.
    pub(super) fn check_overhead(&self, key: &Key, pod: &Value) -> Result<(), Error> {
        let own = &pod["spec"]["overhead"];
        if own.is_null() && pod["spec"]["runtimeClassName"].is_null() {
            return Ok(());
        }
        let fixed = self.runtime_class(key, pod)?["overhead"].clone();
        match (fixed.is_object(), own.is_null()) {
            (true, _) if !same_amounts(own, &fixed["podFixed"]) => {
                let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
                Err(Error::forbidden(key, why))
            }
            (false, false) => {
                let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(Error::forbidden(key, why))
            }
            _ => Ok(()),
        }
    }
}

/// Whether two lists of amounts are equal as amounts.
fn same_amounts(one: &Value, other: &Value) -> bool {
    super::view::amounts(one) == super::view::amounts(other)
}

/// Both lists without what another toleration covers (`MergeTolerations`).
fn merged(first: Vec<Value>, second: Vec<Value>) -> Vec<Value> {
    let all: Vec<Value> = first.into_iter().chain(second).collect();
    let mut kept: Vec<Value> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let covered = kept.iter().any(|other| covers(other, toleration))
            || all[index + 1..].iter().any(|other| !equal(other, toleration) && covers(other, toleration));
        if !covered {
            kept.push(toleration.clone());
        }
    }
    kept
}

/// Whether all that `lesser` tolerates is tolerated by `greater` (`isSuperset`).
fn covers(greater: &Value, lesser: &Value) -> bool {
    let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_string();
    let same = |field: &str| text(greater, field) == text(lesser, field);
    if equal(greater, lesser) {
        return true;
    }
    let every_key = text(greater, "key").is_empty() && text(greater, "operator") == "Exists";
    let effect = text(greater, "effect");
    if (!same("key") && !every_key) || (!same("effect") && !effect.is_empty()) {
        return false;
    }
    if ["", "NoExecute"].contains(&effect.as_str()) {
        let seconds = |of: &Value| of["tolerationSeconds"].as_i64();
        match (seconds(greater), seconds(lesser)) {
            (Some(long), Some(short)) if long >= short => {}
            (Some(_), _) => return false,
            (None, _) => {}
        }
    }
    match (text(lesser, "operator").as_str(), text(greater, "operator").as_str()) {
        ("" | "Equal", "" | "Equal") => same("value"),
        ("" | "Equal", "Exists") | ("Exists", "Exists") => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `TestMergeTolerations`.
    #[test]
    fn tolerations_are_merged() {
        let all = json!({"operator": "Exists"});
        let slow = json!({"key": "storage", "operator": "Equal", "value": "slow", "effect": "NoSchedule"});
        let fast = json!({"key": "storage", "operator": "Equal", "value": "fast", "effect": "NoSchedule"});
        let any = json!({"key": "storage", "operator": "Exists", "effect": "NoSchedule"});
        let merge = |one: &[&Value], other: &[&Value]| {
            let list = |items: &[&Value]| items.iter().map(|item| (*item).clone()).collect();
            merged(list(one), list(other))
        };
        assert_eq!(merge(&[&slow], &[&fast]), [slow.clone(), fast.clone()]);
        assert_eq!(merge(&[&slow], &[&slow]), std::slice::from_ref(&slow));
        assert_eq!(merge(&[&slow], &[&any]), std::slice::from_ref(&any));
        assert_eq!(merge(&[&all], &[&slow, &fast]), [all]);
    }
}
