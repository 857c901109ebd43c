//! The schemas of custom resources, from their definitions.

use super::{META, reference, rest_name};
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};

const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// The schemas of a custom resource and of its list; none for others
/// (`apiextensions-apiserver/pkg/controller/openapi/builder/builder.go`).
pub fn custom(resource: &Resource, definitions: &[Value]) -> Vec<(String, String)> {
    let Resource { group, version, kind, plural, .. } = resource;
    let is = |spec: &&Value| spec["group"] == **group && spec["names"]["kind"] == **kind;
    let Some(spec) = definitions.iter().map(|definition| &definition["spec"]).find(is) else { return Vec::new() };
    let versions = spec["versions"].as_array().into_iter().flatten();
    let Some(of_version) = versions.into_iter().find(|it| it["name"] == **version) else { return Vec::new() };
    let mut schema = of_version["schema"]["openAPIV3Schema"].clone();
    if !schema.is_object() {
        schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    }
    embedded(&mut schema);
    add_meta(&mut schema, "ObjectMeta");
    schema["x-kubernetes-group-version-kind"] = json!([{ "group": group, "kind": kind, "version": version }]);
    let name = rest_name(group, version, kind);
    let list_kind = spec["names"]["listKind"].as_str().map_or_else(|| format!("{kind}List"), str::to_string);
    let mut list = json!({
        "description": format!("{list_kind} is a list of {kind}"),
        "type": "object",
        "required": ["items"],
        "properties": { "items": {
            "description": format!("List of {plural}. More info: {CONVENTIONS}"),
            "type": "array",
            "items": reference(&name),
        } },
        "x-kubernetes-group-version-kind": [{ "group": group, "kind": list_kind, "version": version }],
    });
    add_meta(&mut list, "ListMeta");
    // Paths name the list by the kind; a list kind of another name is the same schema.
    vec![(name, schema.to_string()), (rest_name(group, version, &format!("{kind}List")), list.to_string())]
}

/// Objects within objects have a kind and metadata too.
fn embedded(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            embedded(inner);
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(embedded);
    }
    if fields.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        add_meta(schema, "ObjectMeta");
    }
}

fn add_meta(schema: &mut Value, meta: &str) {
    let (standard, of_list) = ("Standard object's metadata.", "Standard list metadata.");
    let (says, section) = if meta == "ObjectMeta" { (standard, "metadata") } else { (of_list, "types-kinds") };
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    properties["apiVersion"] = json!({ "type": "string", "description": format!(
        "APIVersion defines the versioned schema of this representation of an object. Servers should convert \
         recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
         {CONVENTIONS}#resources") });
    properties["kind"] = json!({ "type": "string", "description": format!(
        "Kind is a string value representing the REST resource this object represents. Servers may infer this from \
         the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
         {CONVENTIONS}#types-kinds") });
    properties["metadata"] = json!({
        "allOf": [reference(&format!("{META}{meta}"))],
        "description": format!("{says} More info: {CONVENTIONS}#{section}"),
    });
}
