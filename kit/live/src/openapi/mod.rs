//! The OpenAPI documents of the API server: `/openapi/v3`, one document per group version, and `/openapi/v2`.
//!
//! The schemas are those of Kubernetes 1.33 (`openapi-1.33.json.gz`, made by `openapi.py`), and of custom resources
//! those of their definitions. Paths are made here from the resources that are served, as upstream's builders do
//! (`kube-openapi/pkg/builder3`, `apiserver/pkg/endpoints/installer.go`). Documents are text put together from text:
//! the first `kubectl apply` waits for them, and parsing all schemas would take most of that wait.

mod custom;
mod paths;
#[cfg(test)]
mod tests;
mod v2;
pub mod v2_paths;

use custom::custom;
use flate2::read::GzDecoder;
use kit_apimachinery::resource::Resource;
use paths::Paths;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

const DATA: &[u8] = include_bytes!("../openapi-1.33.json.gz");
const REF: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// What the documents tell of the server (`info`, securityDefinitions in upstream's `config.go`).
const INFO: &str = r#""info":{"title":"Kubernetes","version":"v1.33.0"}"#;
const SECURITY: &str = r#"{"BearerToken":{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}}"#;

/// All schemas as the file has them.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = String::new();
    GzDecoder::new(DATA).read_to_string(&mut text).expect("the schemas are in the program");
    text
});

/// The schemas by their names, and the names by `group/version/Kind`.
struct Schemas {
    by_name: HashMap<&'static str, &'static str>,
    by_kind: HashMap<&'static str, &'static str>,
}

static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| {
    let mut schemas = Schemas { by_name: HashMap::new(), by_kind: HashMap::new() };
    for line in TEXT.lines() {
        let mut columns = line.splitn(3, '\t');
        let (Some(name), Some(kinds), Some(schema)) = (columns.next(), columns.next(), columns.next()) else {
            continue;
        };
        schemas.by_name.insert(name, schema);
        for kind in kinds.split(',').filter(|kind| !kind.is_empty()) {
            schemas.by_kind.insert(kind, name);
        }
    }
    schemas
});

/// Documents that were asked for, each with the hash of what it was made from: one that no longer holds is made anew.
static MADE: Mutex<BTreeMap<String, Made>> = Mutex::new(BTreeMap::new());

/// A hash and the document with it.
type Made = (String, Arc<str>);

/// The answer to `/openapi/v3`: where the document of each group version is.
///
/// `definitions` are the CustomResourceDefinitions. The hash in each address lets clients keep a document for good
/// (`kube-openapi/pkg/handler3`), so it is made from all that the document is made from, not from the document, which
/// nobody may want.
pub fn index(served: &[&Resource], definitions: &[Value]) -> String {
    let entry = |path: String| {
        let url = format!("/openapi/v3/{path}?hash={}", hash(&path, served, definitions));
        (path, json!({ "serverRelativeURL": url }))
    };
    json!({ "paths": paths_of(served).into_iter().map(entry).collect::<Map<_, _>>() }).to_string()
}

/// The document of a group version, such as `api/v1` or `apis/apps/v1`; nothing if none of its resources is served.
pub fn document(path: &str, served: &[&Resource], definitions: &[Value]) -> Option<Arc<str>> {
    let resources = of(path, served);
    if resources.is_empty() {
        return None;
    }
    Some(kept(path, hash(path, served, definitions), || v3(path, &resources, definitions)))
}

/// The answer to `/openapi/v2` in JSON: everything in one document.
pub fn v2(served: &[&Resource], definitions: &[Value]) -> Arc<str> {
    kept("v2", hash("", served, definitions), || v2::whole(served, definitions))
}

/// What tells one state of a document from another, as its `ETag` and in its address; the path `""` is for all of v2.
pub fn hash(path: &str, served: &[&Resource], definitions: &[Value]) -> String {
    static OF_DATA: LazyLock<Vec<u8>> = LazyLock::new(|| Sha512::digest(DATA).to_vec());
    let resources = if path.is_empty() { served.to_vec() } else { of(path, served) };
    let mut digest = Sha512::new();
    digest.update(&*OF_DATA);
    for resource in &resources {
        digest.update(format!("{resource:?}"));
    }
    for definition in definitions {
        let group = definition["spec"]["group"].as_str().unwrap_or_default();
        if resources.iter().any(|resource| resource.group == group) {
            digest.update(definition["spec"].to_string());
        }
    }
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02X}");
        text
    })
}

fn kept(path: &str, hash: String, make: impl FnOnce() -> String) -> Arc<str> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, document)) = made.get(path).filter(|(of, _)| *of == hash) {
        return document.clone();
    }
    let document: Arc<str> = make().into();
    made.insert(path.into(), (hash, document.clone()));
    document
}

fn paths_of(served: &[&Resource]) -> BTreeSet<String> {
    served.iter().map(|resource| resource.root()).collect()
}

fn of<'a>(path: &str, served: &[&'a Resource]) -> Vec<&'a Resource> {
    served.iter().copied().filter(|resource| resource.root() == path).collect()
}

fn v3(path: &str, resources: &[&Resource], definitions: &[Value]) -> String {
    let (schemas, paths) = parts(path, resources, definitions);
    let mut text = String::from(r#"{"components":{"schemas":{"#);
    for (index, (name, schema)) in schemas.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        _ = write!(text, r#"{comma}"{name}":{schema}"#);
    }
    _ = write!(text, r#"}},"securitySchemes":{SECURITY}}},{INFO},"openapi":"3.0.0","paths":{paths}}}"#);
    text
}

/// The schemas of a document by their names, with all that they refer to, and its paths.
fn parts(path: &str, resources: &[&Resource], definitions: &[Value]) -> (BTreeMap<String, String>, String) {
    let mut own = BTreeMap::new();
    for resource in resources {
        own.extend(custom(resource, definitions));
    }
    let paths = Value::Object(Paths { base: path, own: &own, paths: Map::new() }.all(resources)).to_string();
    // Objects, lists and options are in the paths; kinds of which nothing but a subresource is served are too.
    let mut wanted: Vec<String> = refs(&paths).map(str::to_string).collect();
    let mut schemas = BTreeMap::new();
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let schema = own.get(&name).cloned().or_else(|| SCHEMAS.by_name.get(name.as_str()).map(ToString::to_string));
        if let Some(schema) = schema {
            wanted.extend(refs(&schema).filter(|name| !schemas.contains_key(*name)).map(str::to_string));
            schemas.insert(name, schema);
        }
    }
    (schemas, paths)
}

/// The names of the schemas to which a text refers.
fn refs(text: &str) -> impl Iterator<Item = &str> {
    text.split(r##""$ref":"#/components/schemas/"##).skip(1).filter_map(|rest| rest.split('"').next())
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{REF}{name}") })
}

/// `com.example.stable.v1.CronTab`: the name of a custom resource's schema (`kube-openapi/pkg/util/util.go`).
fn rest_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}
