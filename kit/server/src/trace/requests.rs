//! The spans of a request and of a write, named as upstream names them.
//!
//! Sources: `apiserver/pkg/endpoints/filters/traces.go` (the request), `endpoints/handlers/{create,update,patch,delete,get}.go` (what
//! is asked), `apiserver/pkg/storage/etcd3/store.go` (the write), `otelgrpc` around etcd's client and server (its call). Components of the
//! cluster call the server in the same process; their requests are told of as if they had come over HTTP.

use super::super::handlers::{Request, RequestInfo};
use super::super::{Error, Server};
use kit_apimachinery::object::{self, Key, Object};
use kit_apimachinery::resource::Resource;
use kit_contract::observability::traces::Kind;
use serde_json::Value;

const SERVER: &str = "kube-apiserver";
const TXN: &str = "etcdserverpb.KV/Txn";

/// What a write is called.
struct Wrote {
    method: &'static str,
    subresource: &'static str,
    /// Whether others act on it: it is new or ends, or something else is wanted of it.
    moves: bool,
}

impl RequestInfo {
    /// The name of the request's span (`getSpanNameFromRequestInfo`).
    pub fn span_name(&self, method: &str) -> String {
        if !self.is_resource {
            return method.into();
        }
        let root = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let namespace = if self.namespace.is_empty() { "" } else { "/namespaces/{:namespace}" };
        let name = if self.name.is_empty() { "" } else { "/{:name}" };
        let part = if self.subresource.is_empty() { String::new() } else { format!("/{}", self.subresource) };
        format!("{method} {root}{namespace}/{}{name}{part}", self.resource)
    }

    /// The name of the handler's span inside it.
    fn handler(&self) -> Option<&'static str> {
        match self.verb.as_str() {
            "create" => Some("Create"),
            "update" => Some("Update"),
            "patch" => Some("Patch"),
            "delete" | "deletecollection" => Some("Delete"),
            "get" => Some("Get"),
            "list" => Some("List"),
            "watch" => Some("WatchServer.HandleHTTP"),
            _ => None,
        }
    }

    /// What spans say of a request (`endpoints/handlers/trace_util.go`).
    fn fields(&self) -> Vec<(&'static str, String)> {
        let scope = match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => "cluster",
            (_, "") => "namespace",
            _ => "resource",
        };
        let fields = [
            ("api-group", self.group.clone()),
            ("api-version", self.version.clone()),
            ("name", self.name.clone()),
            ("subresource", self.subresource.clone()),
            ("namespace", self.namespace.clone()),
            ("resource", self.resource.clone()),
            ("scope", scope.into()),
            ("url", self.path.clone()),
            ("verb", self.verb.clone()),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

impl Server {
    /// A request begins: how many spans it opens.
    pub(crate) fn begin_request(&mut self, request: &Request<'_>) -> usize {
        let Some(tracer) = &self.tracer else { return 0 };
        let (front, service) = (!tracer.answers(), SERVER);
        let info = RequestInfo::of(request.method, request.path, request.query);
        if front {
            self.open_span(None, &info.span_name(request.method), Kind::Server, service);
            self.say(|| vec![("http.target", request.path.into()), ("http.method", request.method.into())]);
        }
        let handler = info.handler();
        if let Some(name) = handler {
            self.open_span(None, name, Kind::Internal, service);
            self.say(|| info.fields());
        }
        usize::from(front) + usize::from(handler.is_some())
    }

    /// The request is answered with this code.
    pub(crate) fn end_request(&mut self, opened: usize, code: u16) {
        for left in (0..opened).rev() {
            if left == 0 {
                self.say(|| vec![("http.status_code", code.to_string())]);
            }
            // A server's span fails only if the server does (`otelhttp`).
            self.close_span((code >= 500).then(|| format!("answered with {code}")));
        }
    }

    /// A write begins: how many spans it opens.
    pub(crate) fn begin_write(&mut self, key: &Key, object: Option<&Object>) -> usize {
        let Some(tracer) = &self.tracer else { return 0 };
        let inside = !tracer.open.is_empty();
        // Events are told beside the work, and heartbeats are in nobody's trace.
        if key.kind == object::Kind::Event || !inside && matches!(key.kind, object::Kind::Lease | object::Kind::Node) {
            return 0;
        }
        let before = tracer.open.len();
        let wrote = self.wrote(key, object);
        let direct = !tracer.answers();
        if direct {
            let parent = if inside || !wrote.moves { None } else { self.cause(key, object) };
            self.open_span(parent, &name_of(key, &wrote), Kind::Server, SERVER);
            let by = self.actor.to_string();
            self.say(|| vec![("user_agent.original", by)]);
            let handler = match wrote.method {
                "POST" => "Create",
                "DELETE" => "Delete",
                "PATCH" => "Patch",
                _ => "Update",
            };
            self.open_span(None, handler, Kind::Internal, SERVER);
        }
        let resource = key.kind.resource();
        let group = if resource.group.is_empty() { "core" } else { &resource.group };
        let about = |path: &str| {
            vec![
                ("key", path.to_string()),
                ("type", format!("*{}.{}", group.split('.').next().unwrap_or_default(), resource.kind)),
                ("group", resource.group.clone()),
                ("resource", resource.plural.clone()),
            ]
        };
        let store = match (object, self.state.get(key)) {
            (None, _) => None,
            (Some(_), None) => Some("Create etcd3"),
            (Some(_), Some(_)) => Some("GuaranteedUpdate etcd3"),
        };
        if let Some(name) = store {
            self.open_span(None, name, Kind::Internal, SERVER);
            let path = key.path();
            self.say(|| about(path.strip_prefix("/registry").unwrap_or(&path)));
        }
        self.open_span(None, TXN, Kind::Client, SERVER);
        self.say(rpc);
        self.open_span(None, TXN, Kind::Server, "etcd");
        self.say(rpc);
        if wrote.moves {
            self.moved(key, object);
        }
        self.tracer.as_ref().map_or(0, |tracer| tracer.open.len() - before)
    }

    /// The write is done, or failed.
    pub(crate) fn end_write(&mut self, opened: usize, done: &Result<(), Error>) {
        let error = done.as_ref().err().map(|error| error.message.clone());
        for left in (0..opened).rev() {
            self.close_span(error.clone().filter(|_| left + 2 >= opened));
        }
    }

    fn wrote(&self, key: &Key, object: Option<&Object>) -> Wrote {
        let Some(before) = self.state.get(key) else { return Wrote { method: "POST", subresource: "", moves: true } };
        let Some(object) = object else { return Wrote { method: "DELETE", subresource: "", moves: true } };
        let ends = |object: &Object| object.meta().deletion_timestamp.is_some();
        if ends(object) && !ends(&before.object) {
            return Wrote { method: "DELETE", subresource: "", moves: true };
        }
        let node = |object: &Object| match object {
            Object::Pod(pod) => pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            _ => None,
        };
        if node(object) != node(&before.object) {
            return Wrote { method: "POST", subresource: "binding", moves: true };
        }
        let (new, old) = (object.to_value(), before.object.to_value());
        let same = |field: &str| new[field] == old[field];
        match same("spec") && !same("status") {
            // The kubelet patches (`pkg/kubelet/status/status_manager.go`), controllers update.
            true if *self.actor == *"kubelet" => Wrote { method: "PATCH", subresource: "status", moves: false },
            true => Wrote { method: "PUT", subresource: "status", moves: false },
            false => Wrote { method: "PUT", subresource: "", moves: !same("spec") || new["spec"] == Value::Null },
        }
    }

    /// Why a component writes: because of the object's owner, or of the object itself.
    fn cause(&mut self, key: &Key, object: Option<&Object>) -> Option<super::Context> {
        let there = self.state.get(key).cloned();
        let meta = object.or(there.as_ref().map(|there| &there.object))?.meta();
        let owners = meta.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
        let uids: Vec<String> = owners.map(|owner| owner.uid.clone()).chain(meta.uid.clone()).collect();
        uids.iter().find_map(|uid| self.hear_of(uid))
    }

    /// Whoever acts on this write goes on under the request.
    fn moved(&mut self, key: &Key, object: Option<&Object>) {
        let there = self.state.get(key);
        let uid = object.or(there.map(|there| &there.object)).and_then(|object| object.meta().uid.clone());
        let now = self.microseconds();
        let Some((tracer, uid)) = self.tracer.as_mut().zip(uid) else { return };
        let request = |open: &&super::Open| open.going.span.kind == Kind::Server && open.going.span.service != "etcd";
        if let Some(context) = tracer.open.iter().rev().find(request).map(|open| open.going.context) {
            tracer.remember(&uid, context, now);
        }
    }
}

fn rpc() -> Vec<(&'static str, String)> {
    vec![("rpc.system", "grpc".into()), ("rpc.service", "etcdserverpb.KV".into()), ("rpc.method", "Txn".into())]
}

fn name_of(key: &Key, wrote: &Wrote) -> String {
    let Resource { group, version, plural, .. } = key.kind.resource();
    let whole = RequestInfo {
        is_resource: true,
        group: group.clone(),
        version: version.clone(),
        resource: plural.clone(),
        namespace: key.namespace.to_string(),
        name: if wrote.method == "POST" && wrote.subresource.is_empty() { String::new() } else { key.name.to_string() },
        subresource: wrote.subresource.into(),
        ..RequestInfo::default()
    };
    whole.span_name(wrote.method)
}
