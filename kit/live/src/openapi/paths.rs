//! The paths of a group version: each resource's operations, as upstream's installer registers them.

use super::{META, SCHEMAS, reference, rest_name};
use kit_apimachinery::resource::{Resource, Subresource};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const MEDIA: [&str; 3] = ["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"];
const WATCH_MEDIA: [&str; 5] = [
    "application/json",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/yaml",
];
pub(super) const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
pub(super) const PATCH: &[&str] = &["dryRun", "fieldManager", "fieldValidation", "force"];
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

/// Makes the paths of one group version.
pub(super) struct Paths<'a> {
    /// `api/v1`, `apis/apps/v1`.
    pub base: &'a str,
    /// The schemas of custom resources.
    pub own: &'a BTreeMap<String, String>,
    pub paths: Map<String, Value>,
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
    pub fn all(mut self, resources: &[&Resource]) -> Map<String, Value> {
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
        let gvk = (group.as_str(), version.as_str(), kind.as_str());
        let tail = |rest: &str| format!("{scope}{kind}{rest}");
        for verb in &resource.verbs {
            let (path, shared, operation) = match verb.as_str() {
                "list" => (&inside, scoped, listing("list", format!("list or watch objects of kind {kind}"), &list)),
                "create" => {
                    let description = format!("create {}{kind}", article(kind));
                    (&inside, scoped, writing("create", description, &object))
                }
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
                "update" => (&one, named, writing("update", format!("replace the specified {kind}"), &object)),
                "patch" => (&one, named, writing("patch", format!("partially update the specified {kind}"), &object)),
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
            self.part(resource, part, &format!("{one}/{}", part.name), named);
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

    fn part(&mut self, resource: &Resource, part: &Subresource, path: &str, named: &[&str]) {
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
                "update" => writing("update", format!("replace {} of the specified {kind}", part.name), &object),
                "patch" => writing("patch", format!("partially update {} of the specified {kind}", part.name), &object),
                "create" => writing("create", format!("create {} of {}{kind}", part.name, article(kind)), &object),
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

/// An operation that takes an object, or a patch of one, and answers with the object.
fn writing<'a>(verb: &str, description: String, object: &Value) -> Operation<'a> {
    let whole = || body(object.clone(), &["*/*"], true);
    let patch = || body(reference(&format!("{META}Patch")), &PATCHES, true);
    let (method, id, parameters, body, codes): (_, _, _, _, &[&str]) = match verb {
        "create" => ("post", "create", WRITE, whole(), &["200", "201", "202"]),
        "update" => ("put", "replace", WRITE, whole(), &["200", "201"]),
        _ => ("patch", "patch", PATCH, patch(), &["200", "201"]),
    };
    Operation { description, parameters, body, codes, ..plain(method, method, id, object) }
}

fn listing<'a>(action: &'a str, description: String, answer: &Value) -> Operation<'a> {
    Operation { description, parameters: LIST, media: &WATCH_MEDIA, ..plain("get", action, "list", answer) }
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
