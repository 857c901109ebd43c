use super::paths::{PATCH, PATCHES};
use super::*;
use kit_apimachinery::resource::Subresource;

fn crontab() -> (&'static Resource, Value) {
    let part = |name: &str, group: &str, kind: &str| Subresource {
        name: name.into(),
        kind: kind.into(),
        group_version: Some((group.into(), "v1".into())),
        verbs: ["get", "patch", "update"].map(String::from).to_vec(),
    };
    let served = Resource {
        group: "stable.example.com".into(),
        version: "v1".into(),
        api_version: "stable.example.com/v1".into(),
        kind: "CronTab".into(),
        plural: "crontabs".into(),
        singular: "crontab".into(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        custom: true,
        definition: None,
        kept_as: None,
        verbs: ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
            .map(String::from)
            .to_vec(),
        subresources: vec![part("scale", "autoscaling", "Scale"), part("status", "stable.example.com", "CronTab")],
    };
    let definition = json!({ "spec": {
        "group": "stable.example.com",
        "names": { "kind": "CronTab", "plural": "crontabs", "listKind": "CronTabList" },
        "versions": [{ "name": "v1", "schema": { "openAPIV3Schema": {
            "type": "object",
            "description": "A CronTab runs at times.",
            "properties": { "spec": {
                "type": "object",
                "required": ["cronSpec"],
                "properties": {
                    "cronSpec": { "type": "string", "description": "When it runs." },
                    "replicas": { "type": "integer", "default": 1, "nullable": true },
                    "port": { "anyOf": [{ "type": "integer" }, { "type": "string" }],
                              "x-kubernetes-int-or-string": true },
                    "template": { "type": "object", "x-kubernetes-embedded-resource": true },
                },
            } },
        } } }],
    } });
    (Box::leak(Box::new(served)), definition)
}

fn all_and_custom() -> (Vec<&'static Resource>, Vec<Value>) {
    let (served, definition) = crontab();
    (Resource::served().iter().chain([served]).collect(), vec![definition])
}

fn documents() -> Vec<(String, Value)> {
    let (served, definitions) = all_and_custom();
    let parse = |path: String| {
        let text = document(&path, &served, &definitions).expect("it is served");
        (path, serde_json::from_str(&text).expect("it is JSON"))
    };
    paths_of(&served).into_iter().map(parse).collect()
}

fn each<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|inner| each(inner, visit));
        }
        Value::Array(items) => items.iter().for_each(|inner| each(inner, visit)),
        _ => {}
    }
}

fn unresolved(document: &Value, prefix: &str, schemas: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    each(document, &mut |fields| {
        if let Some(Value::String(target)) = fields.get("$ref") {
            let name = target.strip_prefix(prefix);
            if name.is_none_or(|name| schemas.get(name).is_none()) {
                missing.push(target.clone());
            }
        }
    });
    missing
}

#[test]
fn every_reference_resolves() {
    for (path, document) in documents() {
        assert_eq!(unresolved(&document, REF, &document["components"]["schemas"]), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn every_kind_has_a_schema_of_its_own() {
    let (served, _) = all_and_custom();
    let documents: BTreeMap<_, _> = documents().into_iter().collect();
    for resource in &served {
        let gvk = json!({ "group": resource.group, "kind": resource.kind, "version": resource.version });
        let schemas = documents[&resource.root()]["components"]["schemas"].as_object().expect("schemas");
        let with = |schema: &&Value| schema["x-kubernetes-group-version-kind"] == json!([gvk]);
        assert!(schemas.values().any(|schema| with(&schema)), "{gvk}");
    }
}

#[test]
fn patches_take_field_validation() {
    let mut patches = 0;
    for (path, document) in documents() {
        for (at, item) in document["paths"].as_object().expect("paths") {
            let Some(patch) = item.get("patch").filter(|patch| patch["x-kubernetes-action"] == "patch") else {
                continue;
            };
            patches += 1;
            let named: Vec<&str> = patch["parameters"]
                .as_array()
                .expect("parameters")
                .iter()
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(named, PATCH, "{path} {at}");
            assert!(patch["x-kubernetes-group-version-kind"]["kind"].is_string());
        }
    }
    assert!(patches > 60, "{patches}");
}

#[test]
fn operations_are_named_once() {
    for (path, document) in documents() {
        let mut seen = BTreeSet::new();
        each(&document["paths"], &mut |fields| {
            if let Some(Value::String(id)) = fields.get("operationId") {
                assert!(seen.insert(id), "{path} {id}");
            }
        });
    }
}

#[test]
fn the_index_names_every_document() {
    let (served, definitions) = all_and_custom();
    let index: Value = serde_json::from_str(&index(&served, &definitions)).expect("it is JSON");
    let paths = index["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), documents().len());
    assert!(paths.contains_key("api/v1") && paths.contains_key("apis/stable.example.com/v1"));
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().expect("an address");
        let (before, hash) = url.split_once("?hash=").expect("a hash");
        assert_eq!(before, format!("/openapi/v3/{path}"));
        assert_eq!(hash.len(), 128);
        assert!(document(path, &served, &definitions).is_some());
    }
    assert_eq!(document("apis/none/v1", &served, &definitions), None);
}

#[test]
fn a_changed_definition_changes_its_document_alone() {
    let (served, mut definitions) = all_and_custom();
    let hashes = |definitions: &[Value]| {
        ["apis/stable.example.com/v1", "apis/apps/v1"].map(|path| hash(path, &served, definitions))
    };
    let before = hashes(&definitions);
    definitions[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Another.".into();
    let after = hashes(&definitions);
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
    let path = "apis/stable.example.com/v1";
    assert!(document(path, &served, &definitions).expect("it is served").contains("Another."));
}

#[test]
fn custom_resources_are_told_as_upstream_tells_them() {
    let (served, definition) = crontab();
    let made: BTreeMap<_, _> = custom(served, &[definition]).into_iter().collect();
    let schema: Value = serde_json::from_str(&made["com.example.stable.v1.CronTab"]).expect("it is JSON");
    let meta = json!([{ "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" }]);
    assert_eq!(schema["properties"]["metadata"]["allOf"], meta);
    assert_eq!(schema["properties"]["spec"]["properties"]["template"]["properties"]["metadata"]["allOf"], meta);
    assert!(made["com.example.stable.v1.CronTabList"].contains("CronTabList is a list of CronTab"));
}

#[test]
fn enums_are_told() {
    let toleration = SCHEMAS.by_name["io.k8s.api.core.v1.Toleration"];
    assert!(toleration.contains(r#""enum":["NoExecute","NoSchedule","PreferNoSchedule"]"#));
    assert!(toleration.contains("Possible enum values:"));
}

#[test]
fn version_2_is_whole() {
    let (served, definitions) = all_and_custom();
    let document: Value = serde_json::from_str(&v2(&served, &definitions)).expect("it is JSON");
    assert_eq!(unresolved(&document, "#/definitions/", &document["definitions"]), Vec::<String>::new());
    let metadata = &document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["metadata"];
    assert_eq!(metadata["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let quantity = &document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"];
    assert_eq!(quantity["type"], "string");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert!(patch["consumes"].as_array().is_some_and(|all| all.contains(&json!(PATCHES[3]))));
    assert_eq!(patch["parameters"][0]["in"], "body");
    each(&document, &mut |fields| assert!(!fields.contains_key("requestBody")));
}
