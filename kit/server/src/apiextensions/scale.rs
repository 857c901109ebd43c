//! The scale of custom resources: three paths of the definition say where its numbers stand.
//!
//! Sources: `ValidateScaleSpec` and `ValidateScaleStatus` of `pkg/registry/customresource/validator.go`,
//! `scaleFromCustomResource` of `etcd.go`.

use crate::Error;
use crate::field::{At, Errors, quoted};
use kit_apimachinery::go;
use kit_apimachinery::resource::Version;
use serde_json::{Value, json};

fn pointer(path: &str) -> String {
    format!("/{}", path.trim_start_matches('.').replace('.', "/"))
}

/// The number at a path; an error says that something else stands there.
fn number(object: &Value, path: &str) -> Result<Option<i64>, String> {
    match object.pointer(&pointer(path)) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong(path, value, "int64")),
    }
}

fn wrong(path: &str, value: &Value, expected: &str) -> String {
    let shown = value.as_str().map_or_else(|| go::dump(value), str::to_string);
    format!("{path} accessor error: {shown} is of the type {}, expected {expected}", go::type_of(value))
}

/// Says what is wrong with the numbers.
pub fn check(e: &mut Errors, version: &Version, object: &Value, spec: bool) {
    let path = |name: &str| version.scale[name].as_str().filter(|path| !path.is_empty());
    let replicas = [path("specReplicasPath").filter(|_| spec), path("statusReplicasPath")];
    for path in replicas.into_iter().flatten() {
        let at = At { value: &Value::Null, path: path.to_string() };
        match number(object, path) {
            Err(why) => e.invalid_as(&at, "0", &why),
            Ok(Some(number)) if number < 0 => {
                e.invalid_as(&at, &number.to_string(), "should be a non-negative integer");
            }
            Ok(Some(number)) if number > i64::from(i32::MAX) => {
                let why = format!("should be less than or equal to {}", i32::MAX);
                e.invalid_as(&at, &number.to_string(), &why);
            }
            Ok(_) => {}
        }
    }
    if let Some(path) = path("labelSelectorPath")
        && let Some(value) = object.pointer(&pointer(path)).filter(|value| !value.is_string())
    {
        let at = At { value: &Value::Null, path: path.to_string() };
        e.invalid_as(&at, &quoted(""), &wrong(path, value, "string"));
    }
}

/// The scale of an object, and whether it says a number itself.
pub fn of(version: &Version, object: &Value) -> Result<(Value, bool), Error> {
    let path = |name: &str| version.scale[name].as_str().unwrap_or_default();
    let count = |name: &str| number(object, path(name)).map_err(Error::internal);
    let (wanted, there) = (count("specReplicasPath")?, count("statusReplicasPath")?);
    let meta = &object["metadata"];
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = meta[field].clone();
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {},
        "status": {"replicas": there.unwrap_or_default()},
    });
    if let Some(wanted) = wanted.filter(|wanted| *wanted != 0) {
        scale["spec"]["replicas"] = wanted.into();
    }
    let selector = object.pointer(&pointer(path("labelSelectorPath"))).and_then(Value::as_str);
    if let Some(selector) = selector.filter(|_| !path("labelSelectorPath").is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    Ok((scale, wanted.is_some()))
}

/// The error of an object that says no number.
pub fn missing(version: &Version) -> Error {
    let path = version.scale["specReplicasPath"].as_str().unwrap_or_default();
    Error::internal(format!("the spec replicas field {path:?} does not exist"))
}

/// Sets the number that is wanted.
pub fn set(version: &Version, object: &mut Value, replicas: i64) {
    let path = version.scale["specReplicasPath"].as_str().unwrap_or_default();
    let mut at = object;
    for name in path.trim_start_matches('.').split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name];
    }
    *at = replicas.into();
}
