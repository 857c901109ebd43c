//! The second version of the document in JSON: the third, rewritten.

use super::{INFO, REF, SECURITY, of, parts, paths_of};
use kit_apimachinery::resource::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub fn whole(served: &[&Resource], definitions: &[Value]) -> String {
    let (mut schemas, mut paths) = (BTreeMap::new(), Map::new());
    for path in paths_of(served) {
        let (more, of_group) = parts(&path, &of(&path, served), definitions);
        schemas.extend(more);
        if let Ok(Value::Object(items)) = serde_json::from_str(&of_group) {
            paths.extend(items.into_iter().map(|(path, item)| (path, item_v2(item))));
        }
    }
    let mut text = String::from(r#"{"definitions":{"#);
    for (index, (name, schema)) in schemas.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let mut schema = serde_json::from_str(schema).unwrap_or_default();
        schema_v2(&mut schema);
        _ = write!(text, r#"{comma}"{name}":{schema}"#);
    }
    let paths = Value::Object(paths);
    let all = r#""security":[{"BearerToken":[]}]"#;
    _ = write!(text, r#"}},{INFO},"paths":{paths},{all},"securityDefinitions":{SECURITY},"swagger":"2.0"}}"#);
    text
}

/// Rewrites a schema as version 2 has it, without what that version lacks
/// (`kube-openapi/pkg/openapiconv`, `apiextensions-apiserver/pkg/controller/openapi/v2/conversion.go`).
fn schema_v2(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Array(all)) = fields.shift_remove("allOf")
        && let Some(target) = all.first().and_then(|first| first.get("$ref"))
    {
        fields.insert("$ref".into(), target.clone());
    }
    if let Some(Value::String(target)) = fields.get_mut("$ref") {
        *target = target.replacen(REF, "#/definitions/", 1);
    }
    let either = fields.shift_remove("oneOf").is_some() | fields.shift_remove("anyOf").is_some();
    if either && !fields.contains_key("type") && fields.get("x-kubernetes-int-or-string").is_none() {
        fields.insert("type".into(), "string".into());
    }
    if fields.shift_remove("nullable") == Some(Value::Bool(true)) {
        // A client that checks against version 2 would refuse a null.
        for key in ["type", "items", "properties"] {
            fields.shift_remove(key);
        }
    }
    for key in ["default", "not"] {
        fields.shift_remove(key);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            schema_v2(inner);
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(schema_v2);
    }
}

fn item_v2(mut item: Value) -> Value {
    if let Some(fields) = item.as_object_mut() {
        for (key, value) in fields.iter_mut() {
            if key == "parameters" { parameters_v2(value) } else { operation_v2(value) }
        }
    }
    item
}

fn parameters_v2(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(Value::Object(schema)) = parameter.shift_remove("schema") {
            parameter.extend(schema);
        }
    }
}

fn operation_v2(operation: &mut Value) {
    let Some(fields) = operation.as_object_mut() else { return };
    let first = |content: &Value| content.as_object().and_then(|all| all.values().next().cloned());
    let mut parameters = fields.shift_remove("parameters").unwrap_or_else(|| json!([]));
    parameters_v2(&mut parameters);
    let mut consumes = json!(["*/*"]);
    if let Some(body) = fields.shift_remove("requestBody")
        && let Some(mut content) = first(&body["content"])
        && let Some(list) = parameters.as_array_mut()
    {
        consumes = body["content"].as_object().into_iter().flatten().map(|(media, _)| media.as_str()).collect();
        schema_v2(&mut content["schema"]);
        let mut parameter = json!({ "in": "body", "name": "body", "schema": content["schema"] });
        if body["required"] == true {
            parameter["required"] = true.into();
        }
        list.insert(0, parameter);
    }
    let mut produces = Value::Null;
    for response in fields.get_mut("responses").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        let Some(fields) = response.as_object_mut() else { continue };
        if let Some(content) = fields.shift_remove("content")
            && let Some(mut media) = first(&content)
        {
            produces = content.as_object().into_iter().flatten().map(|(media, _)| media.as_str()).collect();
            schema_v2(&mut media["schema"]);
            fields.insert("schema".into(), media["schema"].take());
        }
    }
    fields.insert("consumes".into(), consumes);
    fields.insert("produces".into(), produces);
    fields.insert("schemes".into(), json!(["https"]));
    if parameters.as_array().is_some_and(|list| !list.is_empty()) {
        fields.insert("parameters".into(), parameters);
    }
}
