//! CustomResourceDefinitions themselves: defaults, and the status that says whether they are served.
//!
//! Sources: `apiextensions-apiserver/pkg/apis/apiextensions/v1/defaults.go`,
//! `pkg/registry/customresourcedefinition/strategy.go`, `pkg/controller/status/naming_controller.go`.

use crate::rules::{default_to, map_in};
use crate::status::aggregate;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `SetDefaults_CustomResourceDefinitionSpec`.
pub fn default(object: &mut Value) {
    let spec = map_in(object, "spec");
    default_to(spec, "conversion", json!({"strategy": "None"}));
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else { return };
    let kind = names.get("kind").and_then(Value::as_str).unwrap_or_default().to_string();
    default_to(names, "singular", kind.to_lowercase());
    if !kind.is_empty() {
        default_to(names, "listKind", format!("{kind}List"));
    }
}

/// What the server knows of a new or changed definition: in which versions objects may be stored.
pub fn remember_storage(object: &mut Value) {
    let storage = object["spec"]["versions"].as_array().into_iter().flatten().find(|v| v["storage"] == true);
    let Some(name) = storage.map(|version| version["name"].clone()) else { return };
    let status = map_in(object, "status");
    default_to(status, "conditions", json!([]));
    default_to(status, "acceptedNames", json!({"plural": "", "kind": ""}));
    let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
    match stored.as_array_mut() {
        Some(stored) if stored.contains(&name) => {}
        Some(stored) => stored.push(name),
        None => *stored = json!([name]),
    }
}

/// Whether a condition holds.
pub fn is_true(definition: &Value, condition: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|there| there["type"] == condition && there["status"] == "True")
}

/// Says how things are, and since when.
pub fn set_condition(status: &mut Value, now: &str, (type_, is, reason, message): (&str, &str, &str, &str)) {
    let mut condition = json!({
        "type": type_, "status": is, "lastTransitionTime": now, "reason": reason, "message": message,
    });
    let conditions = map_in_list(status, "conditions");
    match conditions.iter_mut().find(|there| there["type"] == type_) {
        Some(there) => {
            if there["status"] == is {
                condition["lastTransitionTime"] = there["lastTransitionTime"].clone();
            }
            *there = condition;
        }
        None => conditions.push(condition),
    }
}

fn map_in_list<'a>(status: &'a mut Value, name: &str) -> &'a mut Vec<Value> {
    if !status[name].is_array() {
        status[name] = json!([]);
    }
    status[name].as_array_mut().expect("it was made one")
}

/// Accepts the names that nobody else in the group has, and says so (`calculateNamesAndConditions`).
pub fn accept_names(status: &mut Value, definition: &Value, all: impl Iterator<Item = Value>, now: &str) {
    let names = &definition["spec"]["names"];
    let own = definition["metadata"]["name"].clone();
    let (mut resources, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    let others = all.filter(|there| there["spec"]["group"] == definition["spec"]["group"]);
    for there in others.filter(|there| there["metadata"]["name"] != own) {
        let accepted = &there["status"]["acceptedNames"];
        let text = |field: &str| accepted[field].as_str().map(str::to_string);
        resources.extend(["plural", "singular"].into_iter().filter_map(text));
        let short = accepted["shortNames"].as_array().into_iter().flatten();
        resources.extend(short.filter_map(|name| name.as_str().map(str::to_string)));
        kinds.extend(["kind", "listKind"].into_iter().filter_map(text));
    }
    let mut accepted = status["acceptedNames"].clone();
    let mut refused: Option<(String, String)> = None;
    let in_use =
        |name: &str, used: &BTreeSet<String>| used.contains(name).then(|| format!("{name:?} is already in use"));
    for (field, used, reason) in [
        ("plural", &resources, "PluralConflict"),
        ("singular", &resources, "SingularConflict"),
        ("shortNames", &resources, "ShortNamesConflict"),
        ("kind", &kinds, "KindConflict"),
        ("listKind", &kinds, "ListKindConflict"),
    ] {
        let wanted = names[field].clone();
        if wanted == accepted[field] || wanted.is_null() {
            continue;
        }
        let problems: Vec<String> = match &wanted {
            Value::Array(list) => list.iter().filter_map(|name| in_use(name.as_str()?, used)).collect(),
            name => in_use(name.as_str().unwrap_or_default(), used).into_iter().collect(),
        };
        match problems.is_empty() {
            true => accepted[field] = wanted,
            false => refused = Some((reason.into(), aggregate(problems))),
        }
    }
    if !names["categories"].is_null() {
        accepted["categories"] = names["categories"].clone();
    }
    status["acceptedNames"] = accepted;
    let established = is_true(definition, "Established");
    match &refused {
        Some((reason, why)) => {
            set_condition(status, now, ("NamesAccepted", "False", reason, why));
            if !established {
                set_condition(status, now, ("Established", "False", "NotAccepted", "not all names are accepted"));
            }
        }
        None => {
            set_condition(status, now, ("NamesAccepted", "True", "NoConflicts", "no conflicts found"));
            if !established {
                let why = "the initial names have been accepted";
                set_condition(status, now, ("Established", "True", "InitialNamesAccepted", why));
            }
        }
    }
}
