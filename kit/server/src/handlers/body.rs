//! Bodies of requests: JSON or YAML, read as the type that the path asks for.
//!
//! Source: `apiserver/pkg/endpoints/handlers/{create,update,rest}.go`.

use super::Request;
use super::query::Query;
use crate::Error;
use crate::apiextensions::shape;
use crate::apply::is_reset;
use crate::patch::{Patch, Validation};
use crate::schema::{self, Type, decode, parse, syntax_error};
use kit_apimachinery::resource::Resource;
use serde_json::{Map, Value, json};

/// An object that was read, and what a client should be told about it.
pub struct Sent {
    /// The object, as Go would write it.
    pub value: Value,
    /// What is doubtful in it.
    pub warnings: Vec<String>,
}

/// Reads a body as JSON; the second part are fields that were there twice.
pub fn read(request: &Request<'_>, what: &str) -> Result<(Value, Vec<String>), Error> {
    let media = request.header("content-type").unwrap_or("application/json");
    let media = media.split(';').next().unwrap_or_default().trim();
    let text = std::str::from_utf8(request.body).map_err(|_| Error::bad_request("the body is not UTF-8"))?;
    let unrecognized = |why: String| {
        let shown = summary(request.body);
        Error::bad_request(format!("the object provided is unrecognized (must be of type {what}): {why} ({shown})"))
    };
    match media {
        "" | "application/json" | "*/*" => {
            let text = if text.is_empty() { "{}" } else { text };
            let wrong = || syntax_error(text.as_bytes()).unwrap_or_else(|| "unexpected end of JSON input".into());
            parse(text).map_err(|_| unrecognized(format!("couldn't get version/kind; json parse error: {}", wrong())))
        }
        "application/yaml" | "application/x-yaml" | "text/yaml" => yaml(text).map_err(unrecognized),
        _ => {
            let accepted = "application/json, application/yaml";
            Err(Error::unsupported_media_type(accepted))
        }
    }
}

/// The beginning of a body that can't be read (`summarizeData` of `endpoints/handlers/rest.go`).
fn summary(body: &[u8]) -> String {
    const MOST: usize = 30;
    let (begin, more) = (&body[..body.len().min(MOST)], if body.len() > MOST { " ..." } else { "" });
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(begin)),
        Some(_) => format!("{}{more}", begin.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// Why a value has no place for a kind (`Interpret` of `apimachinery/pkg/runtime/serializer/json/meta.go`).
fn without_kind(value: &Value) -> Option<String> {
    let shape = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
        Value::Object(_) => Some("object"),
    };
    if !value.is_object() {
        let shape = shape(value).unwrap_or("null");
        return Some(format!(
            "json: cannot unmarshal {shape} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}"
        ));
    }
    ["apiVersion", "kind"].iter().find_map(|field| {
        let shape = shape(&value[*field]).filter(|shape| *shape != "string")?;
        Some(format!("json: cannot unmarshal {shape} into Go struct field .{field} of type string"))
    })
}

/// Takes out owners that are there twice; what to say of it.
pub fn dedup_owners(value: &mut Value, when: &str) -> Option<String> {
    let owners = value.pointer_mut("/metadata/ownerReferences")?.as_array_mut()?;
    let (mut kept, mut twice): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for owner in owners.drain(..) {
        match kept.contains(&owner) {
            true => twice.push(owner["uid"].as_str().unwrap_or_default().to_string()),
            false => kept.push(owner),
        }
    }
    *owners = kept;
    (!twice.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and \
             may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        )
    })
}

/// When a patch has made them.
pub const AFTER_ADMISSION: &str = " after mutating admission happens";

/// YAML as the JSON that it stands for.
pub fn yaml(text: &str) -> Result<(Value, Vec<String>), String> {
    let value: serde_yaml::Value =
        serde_yaml::from_str(text).map_err(|e| format!("couldn't get version/kind; yaml parse error: {e}"))?;
    let value = if value.is_null() { serde_yaml::Value::Mapping(Default::default()) } else { value };
    serde_json::to_value(value).map(|value| (value, Vec::new())).map_err(|e| e.to_string())
}

/// Reads a configuration that is applied, and what is doubtful in it: keys that are there twice, of which the last counts
/// (`applyPatchToCurrentObject` of `patch.go`; `sigs.k8s.io/yaml`).
pub fn configuration(body: &[u8], query: &Query) -> Result<(Value, Vec<String>), Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::bad_request("the body is not UTF-8"))?;
    let bad = |e: String| Error::bad_request(format!("error decoding YAML: {e}"));
    let (value, twice) = match parse(text) {
        Ok(parsed) => parsed,
        Err(_) => yaml(text).map_err(bad)?,
    };
    if !value.is_object() {
        let shape = if value.is_array() { "array" } else { "string" };
        let why = format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {shape} into Go value of type"
        );
        return Err(bad(format!("{why} map[string]interface {{}}")));
    }
    let lines: Vec<String> = twice
        .iter()
        .map(|path| {
            let key = path.rsplit('.').next().unwrap_or_default();
            format!("\n  line 1: key {key:?} already set in map")
        })
        .collect();
    let problem = format!("error converting YAML to JSON: yaml: unmarshal errors:{}", lines.concat());
    match query.validation() {
        Validation::Strict if !twice.is_empty() => {
            Err(Error::bad_request(format!("error strict decoding YAML: {problem}")))
        }
        Validation::Warn if !twice.is_empty() => Ok((value, vec![problem])),
        _ => Ok((value, Vec::new())),
    }
}

/// Reads what a deletion is to be like. What can't be read is nobody's fault, as upstream has it.
pub fn delete_options(request: &Request<'_>) -> Result<Value, Error> {
    let (sent, _) = read(request, "DeleteOptions")?;
    let of = schema::named("meta.DeleteOptions").unwrap_or(Type::Raw);
    decode(sent, of).map(|decoded| decoded.value).map_err(Error::internal)
}

/// Reads a body as an object of the resource.
pub fn object(request: &Request<'_>, resource: &Resource, query: &Query) -> Result<Sent, Error> {
    let (value, duplicates) = read(request, &resource.kind)?;
    typed(value, duplicates, resource, query, request.body)
}

/// A value as an object of the resource, as strictly as the client asks for.
fn typed(
    mut value: Value,
    duplicates: Vec<String>,
    resource: &Resource,
    query: &Query,
    body: &[u8],
) -> Result<Sent, Error> {
    if let Some(why) = without_kind(&value) {
        let (what, shown) = (&resource.kind, summary(body));
        return Err(Error::bad_request(format!(
            "the object provided is unrecognized (must be of type {what}): couldn't get version/kind; json parse error: \
             {why} ({shown})"
        )));
    }
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_string();
    let (mut kind, mut api_version) = (text(&value, "kind"), text(&value, "apiVersion"));
    if kind.is_empty() {
        kind.clone_from(&resource.kind);
    }
    if api_version.is_empty() {
        api_version.clone_from(&resource.api_version);
    }
    let version = api_version.rsplit('/').next().unwrap_or_default().to_string();
    let unfit = |why: String| {
        Error::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {why}", resource.kind))
    };
    if kind != resource.kind || api_version != resource.api_version {
        let item = kind.strip_suffix("List").unwrap_or(&kind);
        let known = (kind == "List" && api_version == "v1")
            || Resource::served().iter().any(|r| (r.kind == kind || r.kind == item) && r.api_version == api_version);
        if !known {
            return Err(unfit(format!(
                "no kind {kind:?} is registered for version {api_version:?} in scheme \
                 \"pkg/api/legacyscheme/scheme.go:30\""
            )));
        }
        if kind == resource.kind {
            return Err(Error::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({})",
                resource.api_version
            )));
        }
        let package = resource.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core");
        return Err(unfit(format!(
            "converting ({version}.{kind}) to ({package}.{}): unknown conversion",
            resource.kind
        )));
    }
    value["kind"] = kind.as_str().into();
    value["apiVersion"] = api_version.as_str().into();
    let (value, unknown) = decoded(value, resource).map_err(&unfit)?;
    let mut strict: Vec<String> = duplicates.iter().map(|path| format!("duplicate field {path:?}")).collect();
    strict.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    let warnings = match query.validation() {
        Validation::Strict if !strict.is_empty() => {
            return Err(unfit(format!("strict decoding error: {}", strict.join(", "))));
        }
        Validation::Warn => strict,
        _ => Vec::new(),
    };
    let mut sent = Sent { value, warnings };
    let doubt = dedup_owners(&mut sent.value, "");
    sent.warnings.extend(doubt);
    Ok(sent)
}

/// What a patch has made of an object; `doubts` is what was doubtful in the patch. Whatever is wrong is the patch's fault
/// (`applyPatchToCurrentObject` of `patch.go`).
pub fn patched(
    patch: &Patch,
    value: Value,
    mut doubts: Vec<String>,
    resource: &Resource,
    query: &Query,
) -> Result<Sent, Error> {
    for (field, expected) in [("kind", &resource.kind), ("apiVersion", &resource.api_version)] {
        if value[field].as_str() != Some(expected.as_str()) {
            let (kind, version) = (&value["kind"], &value["apiVersion"]);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            let why = match (text(kind), text(version)) {
                (kind, _) if kind.is_empty() => format!("Object 'Kind' is missing in '{value}'"),
                (_, version) if version.is_empty() => format!("Object 'apiVersion' is missing in '{value}'"),
                (kind, version) => format!(
                    "no kind {kind:?} is registered for version {version:?} in scheme \
                     \"pkg/api/legacyscheme/scheme.go:30\""
                ),
            };
            return Err(patch.unreadable(&value, &why));
        }
    }
    let why = match patch {
        Patch::Strategic(_) => {
            schema::of_version(&resource.api_version, &resource.kind).and_then(|of| unconvertible(&value, of))
        }
        _ => None,
    };
    if let Some(why) = why {
        return Err(patch.unreadable(&value, &why));
    }
    let (decoded, unknown) = decoded(value.clone(), resource).map_err(|why| patch.unreadable(&value, &why))?;
    doubts.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    let warnings = match query.validation() {
        Validation::Strict if !doubts.is_empty() => {
            return Err(patch.unreadable(&value, &format!("strict decoding error: {}", doubts.join(", "))));
        }
        Validation::Warn => doubts,
        _ => Vec::new(),
    };
    let mut sent = Sent { value: decoded, warnings };
    let doubt = dedup_owners(&mut sent.value, AFTER_ADMISSION);
    sent.warnings.extend(doubt);
    Ok(sent)
}

/// A value as an object of the resource, and the fields that the resource doesn't have.
fn decoded(mut value: Value, resource: &Resource) -> Result<(Value, Vec<String>), String> {
    let reset = is_reset(&value);
    let of = if resource.custom { None } else { schema::of_version(&resource.api_version, &resource.kind) };
    let decoded = match of {
        Some(of) => decode(value, of)?,
        None => {
            // Only the metadata of a custom resource has a type that is known here.
            let metadata = if value["metadata"].is_null() { json!({}) } else { value["metadata"].take() };
            let of = schema::named("meta.ObjectMeta").unwrap_or(Type::Raw);
            let mut decoded = decode(metadata, of)?;
            decoded.unknown.iter_mut().for_each(|path| *path = format!("metadata.{path}"));
            let metadata = std::mem::replace(&mut decoded.value, value);
            decoded.value["metadata"] = metadata;
            if let Some(version) = &resource.definition {
                let unknown = shape(&mut decoded.value, &version.schema)?;
                decoded.unknown.extend(unknown);
            }
            decoded
        }
    };
    let mut value = decoded.value;
    if value["metadata"].is_null() {
        value["metadata"] = Value::Object(Map::new());
    }
    if reset {
        // Go tells an empty list from none.
        value["metadata"]["managedFields"] = json!([]);
    }
    Ok((value, decoded.unknown))
}

/// The first value that can't be one of its type, in the words of upstream's converter of maps
/// (`apimachinery/pkg/runtime/converter.go`, `fromUnstructured`).
fn unconvertible(value: &Value, of: Type) -> Option<String> {
    let is = match value {
        Value::Null => return None,
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    };
    // Only what Go could convert is said to be of the wrong type.
    let plain = || {
        let could = match of.plain() {
            Type::String => is == "int64",
            Type::Int32 | Type::Int64 => is == "float64",
            _ => false,
        };
        Some(match could {
            true => format!("cannot convert {is} to {}", go_name(of)),
            false => format!("unrecognized type: {}", of.plain().go()),
        })
    };
    match (of.plain(), value) {
        (Type::Struct(_), Value::Object(fields)) => {
            let of = of.structure()?;
            of.fields.iter().find_map(|field| unconvertible(fields.get(field.json)?, field.of))
        }
        (Type::Struct(_), _) => Some(format!("cannot restore struct from: {is}")),
        (Type::List(of), Value::Array(items)) => items.iter().find_map(|item| unconvertible(item, *of)),
        (Type::List(_), _) => Some(format!("cannot restore slice from {is}")),
        (Type::Map(of), Value::Object(fields)) => fields.values().find_map(|value| unconvertible(value, *of)),
        (Type::Map(_), _) => Some(format!("cannot restore map from {is}")),
        (Type::String, Value::String(_)) | (Type::Bool, Value::Bool(_)) => None,
        (Type::Int32 | Type::Int64 | Type::Float64, Value::Number(_)) => None,
        (Type::String | Type::Bool | Type::Int32 | Type::Int64 | Type::Float64, _) => plain(),
        (Type::Bytes, Value::String(_)) => {
            decode(value.clone(), of).err().map(|why| format!("error decoding from json: {why}"))
        }
        _ => None,
    }
}

/// The name of a plain type in Go.
fn go_name(of: Type) -> String {
    match of {
        Type::Pointer(of) => go_name(*of),
        Type::Alias(name, _) => format!("v1.{}", name.rsplit('.').next().unwrap_or_default()),
        of => of.go(),
    }
}
