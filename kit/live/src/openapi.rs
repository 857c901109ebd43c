//! The OpenAPI documents of the API server: `/openapi/v3`, one document per group version, and `/openapi/v2`.
//!
//! The schemas are those of Kubernetes 1.33 (`openapi-1.33.json.gz`, made by `openapi.py`), and of custom resources
//! those of their definitions. Paths are made here from the resources that are served, as upstream's builders do
//! (`kube-openapi/pkg/builder3`, `apiserver/pkg/endpoints/installer.go`). Documents are text put together from text:
//! the first `kubectl apply` waits for them, and parsing all schemas would take most of that wait.

use flate2::read::GzDecoder;
use kit_apimachinery::resource::{Resource, Subresource};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

const DATA: &[u8] = include_bytes!("openapi-1.33.json.gz");
const REF: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const CONVENTIONS: &str = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

/// What the documents tell of the server (`info`, securityDefinitions in upstream's `config.go`).
const INFO: &str = r#""info":{"title":"Kubernetes","version":"v1.33.0"}"#;
const SECURITY: &str = r#"{"BearerToken":{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}}"#;

const MEDIA: [&str; 3] = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const WATCH_MEDIA: [&str; 5] = [
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
const DELETE: &[&str] = &[
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
];
const LIST: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
    "watch",
];
const DELETE_COLLECTION: &[&str] = &[
    "continue",
    "dryRun",
    "fieldSelector",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "labelSelector",
    "limit",
    "orphanDependents",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
];

/// The parameters that aren't text.
const INTEGERS: &[&str] =
    &["gracePeriodSeconds", "limit", "limitBytes", "ports", "sinceSeconds", "tailLines", "timeoutSeconds"];
const BOOLEANS: &[&str] = &[
    "allowWatchBookmarks",
    "follow",
    "force",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "insecureSkipTLSVerifyBackend",
    "orphanDependents",
    "previous",
    "sendInitialEvents",
    "stderr",
    "stdin",
    "stdout",
    "timestamps",
    "tty",
    "watch",
];

/// The kinds whose deletion is answered with the object; that of others with a status.
const DELETED: &[&str] = &[
    "CSIDriver",
    "CSINode",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PodTemplate",
    "ResourceQuota",
    "Service",
    "ServiceAccount",
    "StorageClass",
    "VolumeAttachment",
];

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
    kept("v2", hash("", served, definitions), || whole_v2(served, definitions))
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

/// Makes the paths of one group version.
struct Paths<'a> {
    /// `api/v1`, `apis/apps/v1`.
    base: &'a str,
    /// The schemas of custom resources.
    own: &'a BTreeMap<String, String>,
    paths: Map<String, Value>,
}

/// One operation, before its group version's names are added.
struct Operation<'a> {
    method: &'a str,
    action: &'a str,
    /// `read`, `ForAllNamespaces`, ...: what stands before and after the names of group, version and kind.
    id: (&'a str, String),
    description: String,
    parameters: &'a [&'a str],
    body: Value,
    media: &'a [&'a str],
    answer: Value,
    codes: &'a [&'a str],
}

impl Paths<'_> {
    fn all(mut self, resources: &[&Resource]) -> Map<String, Value> {
        let Some(first) = resources.first() else { return self.paths };
        let list = reference(&format!("{META}APIResourceList"));
        self.add(
            &format!("/{}/", self.base),
            &[],
            first,
            (&first.group, &first.version, ""),
            Operation {
                method: "get",
                action: "",
                id: ("get", "APIResources".into()),
                description: "get available resources".into(),
                parameters: &[],
                body: Value::Null,
                media: &MEDIA,
                answer: list,
                codes: &["200"],
            },
        );
        for resource in resources {
            self.resource(resource);
        }
        self.paths
    }

    fn schema(&self, group: &str, version: &str, kind: &str) -> Value {
        let custom = rest_name(group, version, kind);
        let known = SCHEMAS.by_kind.get(format!("{group}/{version}/{kind}").as_str());
        match known {
            _ if self.own.contains_key(&custom) => reference(&custom),
            Some(name) => reference(name),
            None => json!({ "type": "object" }),
        }
    }

    fn resource(&mut self, resource: &Resource) {
        let Resource { group, version, kind, plural, .. } = resource;
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let (inside, scoped): (String, &[&str]) = match resource.namespaced {
            true => (format!("/{}/namespaces/{{namespace}}/{plural}", self.base), &["namespace", "pretty"]),
            false => (format!("/{}/{plural}", self.base), &["pretty"]),
        };
        let one = format!("{inside}/{{name}}");
        let named: &[&str] = if resource.namespaced { &["name", "namespace", "pretty"] } else { &["name", "pretty"] };
        let object = self.schema(group, version, kind);
        let list = self.schema(group, version, &format!("{kind}List"));
        let status = reference(&format!("{META}Status"));
        let deleted = if DELETED.contains(&kind.as_str()) { object.clone() } else { status.clone() };
        let options = body(reference(&format!("{META}DeleteOptions")), &["*/*"], false);
        let patch = reference(&format!("{META}Patch"));
        let gvk = (group.as_str(), version.as_str(), kind.as_str());
        let tail = |rest: &str| format!("{scope}{kind}{rest}");
        for verb in &resource.verbs {
            let (path, shared, operation) = match verb.as_str() {
                "list" => (&inside, scoped, listing("list", format!("list or watch objects of kind {kind}"), &list)),
                "create" => (
                    &inside,
                    scoped,
                    Operation {
                        description: format!("create {}{kind}", article(kind)),
                        parameters: WRITE,
                        body: body(object.clone(), &["*/*"], true),
                        codes: &["200", "201", "202"],
                        ..plain("post", "post", "create", &object)
                    },
                ),
                "deletecollection" => (
                    &inside,
                    scoped,
                    Operation {
                        id: ("delete", format!("Collection{scope}{kind}")),
                        description: format!("delete collection of {kind}"),
                        parameters: DELETE_COLLECTION,
                        body: options.clone(),
                        ..plain("delete", "deletecollection", "delete", &status)
                    },
                ),
                "get" => (
                    &one,
                    named,
                    Operation {
                        description: format!("read the specified {kind}"),
                        ..plain("get", "get", "read", &object)
                    },
                ),
                "update" => (
                    &one,
                    named,
                    Operation {
                        description: format!("replace the specified {kind}"),
                        parameters: WRITE,
                        body: body(object.clone(), &["*/*"], true),
                        codes: &["200", "201"],
                        ..plain("put", "put", "replace", &object)
                    },
                ),
                "patch" => (
                    &one,
                    named,
                    Operation {
                        description: format!("partially update the specified {kind}"),
                        parameters: PATCH,
                        body: body(patch.clone(), &PATCHES, true),
                        codes: &["200", "201"],
                        ..plain("patch", "patch", "patch", &object)
                    },
                ),
                "delete" => (
                    &one,
                    named,
                    Operation {
                        description: format!("delete {}{kind}", article(kind)),
                        parameters: DELETE,
                        body: options.clone(),
                        codes: &["200", "202"],
                        ..plain("delete", "delete", "delete", &deleted)
                    },
                ),
                _ => continue,
            };
            let id = if operation.id.1.is_empty() { tail("") } else { operation.id.1.clone() };
            self.add(path, shared, resource, gvk, Operation { id: (operation.id.0, id), ..operation });
        }
        let everywhere = format!("/{}/{plural}", self.base);
        let has = |verb: &str| resource.verbs.iter().any(|has| has == verb);
        if resource.namespaced && has("list") {
            let operation = listing("list", format!("list or watch objects of kind {kind}"), &list);
            let id = ("list", format!("{kind}ForAllNamespaces"));
            self.add(&everywhere, &["pretty"], resource, gvk, Operation { id, ..operation });
        }
        if has("watch") {
            self.watch(resource, gvk, &one);
        }
        for part in &resource.subresources {
            self.part(resource, part, &format!("{one}/{}", part.name), named, &patch);
        }
    }

    /// The old paths of watches, one for a list and one for an object.
    fn watch(&mut self, resource: &Resource, gvk: (&str, &str, &str), one: &str) {
        let Resource { kind, plural, .. } = resource;
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let start = format!("/{}/", self.base);
        let old = |path: &str| path.replacen(&start, &format!("{start}watch/"), 1);
        let inside = one.trim_end_matches("/{name}");
        let event = reference(&format!("{META}WatchEvent"));
        let instead = "deprecated: use the 'watch' parameter with a list operation instead";
        let of_list = format!("watch individual changes to a list of {kind}. {instead}.");
        let filtered = "filtered to a single item with the 'fieldSelector' parameter";
        let of_one = format!("watch changes to an object of kind {kind}. {instead}, {filtered}.");
        let namespace: &[&str] = if resource.namespaced { &["namespace", "pretty"] } else { &["pretty"] };
        let named: &[&str] = if resource.namespaced { &["name", "namespace", "pretty"] } else { &["name", "pretty"] };
        let mut watches = vec![
            (old(inside), namespace, "watchlist", format!("{scope}{kind}List"), of_list.clone()),
            (old(one), named, "watch", format!("{scope}{kind}"), of_one),
        ];
        if resource.namespaced {
            let everywhere = old(&format!("/{}/{plural}", self.base));
            watches.push((everywhere, &["pretty"], "watchlist", format!("{kind}ListForAllNamespaces"), of_list));
        }
        for (path, shared, action, id, description) in watches {
            let operation = Operation { id: ("watch", id), ..listing(action, description, &event) };
            self.add(&path, shared, resource, gvk, operation);
        }
    }

    fn part(&mut self, resource: &Resource, part: &Subresource, path: &str, named: &[&str], patch: &Value) {
        let kind = &resource.kind;
        let scope = if resource.namespaced { "Namespaced" } else { "" };
        let tail = format!("{scope}{kind}{}", title(&part.name));
        let (group, version) = resource.group_version_of(part);
        let gvk = (group, version, part.kind.as_str());
        let text = json!({ "type": "string" });
        let own: &[&str] = match part.name.as_str() {
            "attach" => &["container", "stderr", "stdin", "stdout", "tty"],
            "exec" => &["command", "container", "stderr", "stdin", "stdout", "tty"],
            "log" => &[
                "container",
                "follow",
                "insecureSkipTLSVerifyBackend",
                "limitBytes",
                "previous",
                "sinceSeconds",
                "stream",
                "tailLines",
                "timestamps",
            ],
            "portforward" => &["ports"],
            "proxy" => &["path"],
            _ => &[],
        };
        let shared: Vec<&str> = own.iter().chain(named).copied().collect();
        if matches!(part.name.as_str(), "attach" | "exec" | "portforward" | "proxy") {
            // Streams and whatever stands behind a proxy: no schema says what comes.
            let shared: Vec<&str> = shared.into_iter().filter(|name| *name != "pretty").collect();
            let all: &[&str] = match part.name.as_str() {
                "proxy" => &["delete", "get", "head", "options", "patch", "post", "put"],
                _ => &["get", "post"],
            };
            for method in all {
                let operation = |id: String| Operation {
                    id: ("connect", id),
                    description: format!("connect {} requests to {} of {kind}", method.to_uppercase(), part.name),
                    media: &["*/*"],
                    ..plain(method, "connect", "connect", &text)
                };
                let id = format!("{}{tail}", title(method));
                self.add(path, &shared, resource, gvk, operation(id.clone()));
                if part.name == "proxy" {
                    let (inner, id) = (format!("{path}/{{path}}"), format!("{id}WithPath"));
                    self.add(&inner, &shared, resource, gvk, operation(id));
                }
            }
            return;
        }
        let object = if part.name == "log" { text } else { self.schema(group, version, &part.kind) };
        for verb in &part.verbs {
            let operation = match verb.as_str() {
                "get" => Operation {
                    description: format!("read {} of the specified {kind}", part.name),
                    ..plain("get", "get", "read", &object)
                },
                "update" => Operation {
                    description: format!("replace {} of the specified {kind}", part.name),
                    parameters: WRITE,
                    body: body(object.clone(), &["*/*"], true),
                    codes: &["200", "201"],
                    ..plain("put", "put", "replace", &object)
                },
                "patch" => Operation {
                    description: format!("partially update {} of the specified {kind}", part.name),
                    parameters: PATCH,
                    body: body(patch.clone(), &PATCHES, true),
                    codes: &["200", "201"],
                    ..plain("patch", "patch", "patch", &object)
                },
                "create" => Operation {
                    description: format!("create {} of {}{kind}", part.name, article(kind)),
                    parameters: WRITE,
                    body: body(object.clone(), &["*/*"], true),
                    codes: &["200", "201", "202"],
                    ..plain("post", "post", "create", &object)
                },
                _ => continue,
            };
            self.add(path, &shared, resource, gvk, Operation { id: (operation.id.0, tail.clone()), ..operation });
        }
    }

    fn add(&mut self, path: &str, shared: &[&str], of: &Resource, gvk: (&str, &str, &str), operation: Operation<'_>) {
        let group = camel(&of.group);
        let id = format!("{}{}{}{}", operation.id.0, title(&group), title(&of.version), operation.id.1);
        let mut fields = Map::new();
        fields.insert("description".into(), operation.description.into());
        fields.insert("operationId".into(), id.into());
        if !operation.parameters.is_empty() {
            fields.insert("parameters".into(), operation.parameters.iter().map(|name| parameter(name, path)).collect());
        }
        if !operation.body.is_null() {
            fields.insert("requestBody".into(), operation.body);
        }
        let content: Map<_, _> =
            operation.media.iter().map(|media| (media.to_string(), json!({ "schema": operation.answer }))).collect();
        let mut responses = Map::new();
        for code in operation.codes {
            let says = match *code {
                "201" => "Created",
                "202" => "Accepted",
                _ => "OK",
            };
            responses.insert((*code).into(), json!({ "content": content, "description": says }));
        }
        responses.insert("401".into(), json!({ "description": "Unauthorized" }));
        fields.insert("responses".into(), responses.into());
        fields.insert("tags".into(), json!([format!("{group}_{}", of.version)]));
        if !operation.action.is_empty() {
            fields.insert("x-kubernetes-action".into(), operation.action.into());
            let gvk = json!({ "group": gvk.0, "kind": gvk.2, "version": gvk.1 });
            fields.insert("x-kubernetes-group-version-kind".into(), gvk);
        }
        let item = self.paths.entry(path).or_insert_with(|| match shared.is_empty() {
            true => json!({}),
            false => {
                let mut all: Vec<Value> = shared.iter().map(|name| parameter(name, path)).collect();
                if path.ends_with("/proxy/{path}") {
                    let inside = json!({
                        "in": "path", "name": "path", "required": true,
                        "schema": { "type": "string", "uniqueItems": true },
                    });
                    all.push(inside);
                }
                json!({ "parameters": all })
            }
        });
        item[operation.method] = fields.into();
    }
}

fn plain<'a>(method: &'a str, action: &'a str, id: &'a str, answer: &Value) -> Operation<'a> {
    Operation {
        method,
        action,
        id: (id, String::new()),
        description: String::new(),
        parameters: &[],
        body: Value::Null,
        media: &MEDIA,
        answer: answer.clone(),
        codes: &["200"],
    }
}

fn listing<'a>(action: &'a str, description: String, answer: &Value) -> Operation<'a> {
    Operation { description, parameters: LIST, media: &WATCH_MEDIA, ..plain("get", action, "list", answer) }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{REF}{name}") })
}

fn body(schema: Value, media: &[&str], required: bool) -> Value {
    let content: Map<_, _> = media.iter().map(|media| (media.to_string(), json!({ "schema": schema }))).collect();
    if required { json!({ "content": content, "required": true }) } else { json!({ "content": content }) }
}

fn parameter(name: &str, path: &str) -> Value {
    let kind = match name {
        _ if INTEGERS.contains(&name) => "integer",
        _ if BOOLEANS.contains(&name) => "boolean",
        _ => "string",
    };
    let schema = json!({ "type": kind, "uniqueItems": true });
    // `path` is of a proxy's path and of its query.
    if name != "path" && path.contains(&format!("{{{name}}}")) {
        json!({ "in": "path", "name": name, "required": true, "schema": schema })
    } else {
        json!({ "in": "query", "name": name, "schema": schema })
    }
}

fn title(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn article(kind: &str) -> &'static str {
    if kind == "Endpoints" {
        return "";
    }
    if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an " } else { "a " }
}

/// `rbacAuthorization` for `rbac.authorization.k8s.io` (`apiserver/pkg/endpoints/openapi/openapi.go`).
fn camel(group: &str) -> String {
    let group = if group.is_empty() { "core" } else { group.trim_end_matches(".k8s.io") };
    let mut parts = group.split(['.', '-']);
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |name, part| name + &title(part))
}

/// `com.example.stable.v1.CronTab`: the name of a custom resource's schema (`kube-openapi/pkg/util/util.go`).
fn rest_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

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

fn whole_v2(served: &[&Resource], definitions: &[Value]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        (Resource::all().iter().chain([served]).collect(), vec![definition])
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
}
