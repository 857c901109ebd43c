//! Patches: parts of an object to be changed.
//!
//! Source: `apiserver/pkg/endpoints/handlers/patch.go`.

pub mod json;
mod strategic;

use super::Error;
use super::field::{At, Errors, quoted};
use super::schema::{self, syntax_error};
use kit_apimachinery::go::plain;
use kit_apimachinery::object::Key;
use serde_json::{Map, Value};

/// A change of parts of an object.
#[derive(Debug, Clone)]
pub enum Patch {
    /// RFC 7386: fields replace fields, `null` takes them away, lists are replaced whole.
    Merge(Value),
    /// RFC 6902, nearly: a list of operations.
    Json(json::Operations),
    /// Kubernetes' own: as `Merge`, but lists with a merge key are merged item by item.
    Strategic(Value),
}

/// How strictly a patch is looked at (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// What isn't known is left out.
    Ignore,
    /// And told of.
    Warn,
    /// It is refused.
    Strict,
}

impl Patch {
    /// Reads a patch; the second part is what is doubtful in it.
    ///
    /// # Errors
    ///
    /// If it is no patch of this kind.
    pub fn read(media: &str, body: &[u8], custom: bool, validation: Validation) -> Result<(Patch, Vec<String>), Error> {
        let strict = validation != Validation::Ignore;
        let known = match media {
            "application/json-patch+json" | "application/merge-patch+json" => true,
            "application/strategic-merge-patch+json" => !custom,
            _ => false,
        };
        if !known {
            return Err(Error::unsupported_media_type(if custom { FOR_CUSTOM } else { FOR_ALL }));
        }
        let strategic = media == "application/strategic-merge-patch+json";
        let undecodable = |why: String| match strict && !strategic {
            true => Error::bad_request(format!("error decoding patch: {why}")),
            false if media == "application/merge-patch+json" => Error::bad_request(BAD_PATCH),
            false => Error::bad_request(why),
        };
        let parsed = std::str::from_utf8(body).ok().and_then(|text| schema::parse(text).ok());
        let Some((value, duplicates)) = parsed else {
            return Err(undecodable(syntax_error(body).unwrap_or_else(|| "unexpected end of JSON input".into())));
        };
        let mut doubts: Vec<String> = duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
        if media == "application/json-patch+json" {
            let operations = json::Operations::read(&value, strict).map_err(undecodable)?;
            if let Some(why) = operations.too_many() {
                return Err(Error::patch_too_large(&why));
            }
            doubts.extend(operations.unknown().iter().map(|path| format!("unknown field {path:?}")));
            doubts.iter_mut().for_each(|doubt| *doubt = format!("json patch {doubt}"));
            return Ok((Patch::Json(operations), doubts));
        }
        match &value {
            Value::Object(_) => {}
            // Nothing to merge, which one library takes and the other doesn't.
            Value::Null if strategic => return Ok((Patch::Strategic(Value::Object(Map::new())), doubts)),
            Value::Null => return Err(Error::bad_request(BAD_PATCH)),
            other => {
                let shape = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    _ => "array",
                };
                let why = format!("json: cannot unmarshal {shape} into Go value of type map[string]interface {{}}");
                return Err(undecodable(why));
            }
        }
        Ok((if strategic { Patch::Strategic(value) } else { Patch::Merge(value) }, doubts))
    }

    /// The object with the changes made.
    ///
    /// # Errors
    ///
    /// If an operation doesn't fit the object, or the kind has no strategies to merge by.
    pub fn apply(&self, key: &Key, mut value: Value) -> Result<Value, Error> {
        match self {
            Patch::Merge(patch) => json_patch::merge(&mut value, patch),
            Patch::Json(operations) => operations.apply(&mut value).ok_or_else(Error::rejected)?,
            Patch::Strategic(patch) => {
                let resource = key.kind.resource();
                let of = if resource.custom { None } else { schema::of(&resource.group, &resource.kind) };
                let of = of.ok_or_else(|| Error::unsupported_media_type(FOR_CUSTOM))?;
                strategic::merge(&mut value, patch, of).map_err(strategic::Problem::into_error)?;
            }
        }
        Ok(value)
    }

    /// The error of a patch that makes something of an object that can't be read any more: `patched` is what came of it, and
    /// `why` what is wrong with it.
    pub fn unreadable(&self, patched: &Value, why: &str) -> Error {
        let shown = match self {
            // The patch alone is shown, as Go prints maps.
            Patch::Strategic(patch) => plain(patch),
            Patch::Merge(patch) => {
                let mut shown = patched.clone();
                sort_along(&mut shown, patch);
                shown.to_string()
            }
            Patch::Json(operations) => {
                let mut shown = patched.clone();
                sort(&mut shown);
                for path in operations.touched() {
                    let mut at = Some(&mut shown);
                    for part in path {
                        at = at.and_then(|at| match at {
                            Value::Object(fields) => fields.get_mut(&part),
                            Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
                            _ => None,
                        });
                        at.iter_mut().for_each(|at| sort(at));
                    }
                }
                shown.to_string()
            }
        };
        let mut errors = Errors::default();
        errors.invalid_as(&At { value: &Value::Null, path: "patch".into() }, &quoted(shown), why);
        Error::invalid("", "", "", errors.0)
    }
}

/// Whatever the library reads as a map, it writes in the order of its keys.
fn sort(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.sort_keys();
    }
}

fn sort_along(value: &mut Value, patch: &Value) {
    sort(value);
    let (Value::Object(fields), Value::Object(patch)) = (value, patch) else { return };
    for (name, value) in fields.iter_mut() {
        if let Some(patch @ Value::Object(_)) = patch.get(name) {
            sort_along(value, patch);
        }
    }
}

/// What merge patches are that are none (`jsonpatch.ErrBadJSONPatch`).
const BAD_PATCH: &str = "Invalid JSON Patch";
/// What custom resources can be patched with.
pub const FOR_CUSTOM: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
/// What built-in resources can be patched with.
pub const FOR_ALL: &str = "application/json-patch+json, application/merge-patch+json, \
                           application/strategic-merge-patch+json, application/apply-patch+yaml";
