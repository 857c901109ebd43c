//! Requests as HTTP has them: method, path, query, headers and body in, code, headers and body out.
//!
//! A request is routed here, read by [`body`] and [`query`], done by [`verbs`] or [`subresources`] in the same way as
//! that of a typed caller, and written in the form that the client accepts by [`view`]. Whoever listens on a socket
//! only has to pass it on. Sources: `apiserver/pkg/endpoints/{installer,request/requestinfo}.go` and
//! `apiserver/pkg/endpoints/handlers`.

mod body;
mod connect;
mod discovery;
mod eviction;
mod fields;
mod info;
mod list;
mod listing;
mod open;
mod other_version;
mod query;
mod read;
mod subresources;
mod table;
mod verbs;
mod view;
mod watch;

pub use connect::{Connection, Container, LogOptions, Metrics, Proxied, Streams};
pub use info::RequestInfo;
pub use listing::Listing;
pub use query::unescape;
pub(super) use subresources::scale_of;
pub(super) use table::age;
pub use table::{Containers, containers, targets};
pub use watch::Watch;

use self::query::Query;
use super::auth::User;
use super::versions::Form;
use super::{Error, Server};
use kit_apimachinery::object::Kind;
use kit_apimachinery::resource::Resource;
use serde_json::{Value, json};

/// A request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// `GET`, `POST`, `PUT`, `PATCH`, `DELETE`.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// What follows the `?`, with its escapes; empty if nothing does.
    pub query: &'a str,
    /// Headers; their names in any case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// Who asks, if whoever listens on the socket has found that out.
    pub user: Option<&'a User>,
}

impl<'a> Request<'a> {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(there, _)| there.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// The answer.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub code: u16,
    /// The form of the body.
    pub content_type: &'static str,
    /// What clients show their users (the header `Warning: 299 - "…"`).
    pub warnings: Vec<String>,
    /// The body.
    pub body: Body,
}

/// What an answer holds.
#[derive(Debug)]
pub enum Body {
    /// A text, most often JSON.
    Text(String),
    /// A list, which is yet to be written.
    List(Box<Listing>),
    /// Events, as they come: see [`Server::events`].
    Watch(Box<Watch>),
    /// What somebody else answers, who keeps the nodes.
    Connect(Box<Connection>),
}

const JSON: &str = "application/json";

impl Response {
    fn json(code: u16, value: &Value) -> Response {
        // Go's encoder ends each value with a new line.
        Response { code, content_type: JSON, warnings: Vec::new(), body: Body::Text(format!("{value}\n")) }
    }

    fn text(code: u16, text: &str) -> Response {
        let body = Body::Text(text.into());
        Response { code, content_type: "text/plain; charset=utf-8", warnings: Vec::new(), body }
    }

    fn error(error: &Error) -> Response {
        Response::json(u16::try_from(error.code).unwrap_or(500), &error.to_value())
    }

    fn warn(mut self, warnings: Vec<String>) -> Response {
        self.warnings.extend(warnings);
        self
    }

    /// The body, if it is a text.
    pub fn as_text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text,
            Body::List(_) | Body::Watch(_) | Body::Connect(_) => "",
        }
    }
}

/// How often a request is tried again that others came before.
const TRIES: usize = 10;

/// What a path of a resource names.
#[derive(Debug, Clone)]
struct Target {
    kind: Kind,
    namespace: String,
    name: Option<String>,
    subresource: Option<String>,
    /// The form of its objects, if it isn't the one in which they are kept.
    form: Option<Form>,
}

impl Target {
    /// What the end of a path names, after group and version.
    fn of(mut resources: impl Iterator<Item = &'static Resource>, api_version: &str, parts: &[&str]) -> Option<Target> {
        let (namespace, plural, name, subresource) = match *parts {
            ["namespaces"] => ("", "namespaces", None, None),
            ["namespaces", name] => ("", "namespaces", Some(name), None),
            ["namespaces", name, sub @ ("status" | "finalize")] => ("", "namespaces", Some(name), Some(sub)),
            ["namespaces", namespace, plural] => (namespace, plural, None, None),
            ["namespaces", namespace, plural, name] => (namespace, plural, Some(name), None),
            ["namespaces", namespace, plural, name, sub] => (namespace, plural, Some(name), Some(sub)),
            // What follows is the path behind the proxy.
            ["namespaces", namespace, plural, name, sub @ "proxy", ..] => (namespace, plural, Some(name), Some(sub)),
            [plural, name, sub @ "proxy", ..] => ("", plural, Some(name), Some(sub)),
            [plural] => ("", plural, None, None),
            [plural, name] => ("", plural, Some(name), None),
            [plural, name, sub] => ("", plural, Some(name), Some(sub)),
            _ => return None,
        };
        let resource = resources.find(|r| r.plural == plural && r.api_version == api_version)?;
        if resource.namespaced == namespace.is_empty() && name.is_some() {
            return None;
        }
        if subresource.is_some_and(|sub| resource.subresource(sub).is_none()) {
            return None;
        }
        Some(Target {
            kind: resource.as_kind(),
            namespace: namespace.into(),
            name: name.map(str::to_string),
            subresource: subresource.map(str::to_string),
            form: resource.kept_as.as_ref().map(|_| Form(resource)),
        })
    }
}

impl Server {
    /// Answers a request.
    pub fn request(&mut self, request: &Request<'_>) -> Response {
        let mut response = self.answer(request);
        if let Body::List(list) = &response.body {
            response.body = Body::Text(list.to_text());
        }
        response
    }

    /// The same, and lists are left to be written by whoever asks. Where others write to the store, too, a request is answered
    /// by what is there when it comes, and anew if somebody writes while it is (`GuaranteedUpdate` of
    /// `apiserver/pkg/storage/etcd3/store.go` tries again as well).
    pub fn answer(&mut self, request: &Request<'_>) -> Response {
        if !self.is_shared() || !request.path.starts_with("/api") {
            return self.answer_once(request);
        }
        if let Err(error) = self.catch_up() {
            return Response::error(&error);
        }
        let mut tries = 0;
        loop {
            self.raced = false;
            let answer = self.answer_once(request);
            tries += 1;
            if !self.raced || tries == TRIES {
                return answer;
            }
        }
    }

    fn answer_once(&mut self, request: &Request<'_>) -> Response {
        let traced = self.begin_request(request);
        let response = self.answer_now(request);
        self.end_request(traced, response.code);
        response
    }

    fn answer_now(&mut self, request: &Request<'_>) -> Response {
        let info = RequestInfo::of(request.method, request.path, request.query);
        let user = match self.authenticate(request) {
            Ok(user) => user,
            Err(error) => return Response::error(&error),
        };
        if let Err(error) = self.state.authorize(&user, &info) {
            return Response::error(&error);
        }
        let request = &Request { user: Some(&user), ..*request };
        let path = request.path.trim_end_matches('/');
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let missing = || Response::text(404, "404 page not found\n");
        if let Some(answer) = self.open_path(&parts, request) {
            return answer;
        }
        if let ["api"] | ["apis"] | ["api", _] | ["apis", _] | ["apis", _, _] = parts[..] {
            return match self.discover(&parts, request.header("accept").unwrap_or_default()) {
                Some(answer) if request.method == "GET" => answer,
                Some(_) => Response::error(&Error::method_not_allowed()),
                None => missing(),
            };
        }
        let (api_version, rest) = match parts[..] {
            ["api", version, ref rest @ ..] => (version.to_string(), rest),
            ["apis", group, version, ref rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return missing(),
        };
        if !self.serves(&api_version) {
            return missing();
        }
        self.warnings.clear();
        self.annotations.clear();
        self.caller = request.user.cloned();
        let answer = match self.target(&api_version, rest) {
            None => Err(Error::no_resource()),
            Some(target) => Query::parse(request.query).and_then(|query| self.dispatch(&target, request, &query)),
        };
        self.caller = None;
        let mut answer = answer.unwrap_or_else(|error| Response::error(&error));
        // That a kind is deprecated is known before anything else (`handlers.addWarningIfDeprecated`).
        answer.warnings.splice(0..0, std::mem::take(&mut self.deprecated));
        answer.warn(std::mem::take(&mut self.warnings))
    }

    /// All resources, built in and custom.
    pub fn resources(&self) -> impl Iterator<Item = &'static Resource> {
        Resource::served().iter().chain(self.custom.values().copied()).chain(self.aggregated.iter().copied())
    }

    /// The kind of this name, whether it is built in or a definition made it.
    pub fn kind_of(&self, api_version: &str, kind: &str) -> Option<Kind> {
        let is = |resource: &&Resource| resource.api_version == api_version && resource.kind == kind;
        self.resources().find(is).map(Resource::as_kind)
    }

    fn serves(&self, api_version: &str) -> bool {
        self.resources().any(|resource| resource.api_version == api_version)
    }

    fn target(&self, api_version: &str, parts: &[&str]) -> Option<Target> {
        Target::of(self.resources(), api_version, parts)
    }

    fn dispatch(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        if let Some(form) = target.form {
            return self.in_other_version(form, target, request, query);
        }
        self.keep_standing(target.kind);
        let resource = target.kind.resource();
        let known = |verb: &str| resource.verbs.iter().any(|known| known == verb);
        let verb = match (request.method, target.name.is_some()) {
            ("GET", false) if query.flag("watch") => "watch",
            ("GET", false) => "list",
            ("GET", true) => "get",
            ("POST", false) if target.namespace.is_empty() == resource.namespaced => {
                return Err(Error::method_not_allowed());
            }
            ("POST", false) => "create",
            ("POST", true) if target.subresource.is_some() => "create",
            ("PUT", true) => "update",
            ("PATCH", true) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) if !target.namespace.is_empty() || !resource.namespaced => "deletecollection",
            _ => return Err(Error::method_not_allowed()),
        };
        if let Some(name) = &target.subresource {
            let sub = resource.subresource(name).ok_or_else(Error::no_resource)?;
            if !sub.verbs.iter().any(|known| known == verb) {
                return Err(Error::method_not_allowed());
            }
            return self.subresource(target, name, verb, request, query);
        }
        if !known(verb) {
            return Err(Error::method_not_allowed());
        }
        // Watches tell it themselves.
        if verb != "watch" {
            self.deprecated = verbs::deprecation(target.kind);
        }
        if let Some(answer) = self.metrics(target, query) {
            return Ok(answer);
        }
        match verb {
            "get" => self.do_get(target, request),
            "list" => self.do_list(target, request, query),
            "watch" => self.do_watch(target, request, query),
            "create" => self.do_create(target, request, query),
            "update" => self.do_update(target, request, query),
            "patch" => self.do_patch(target, request, query),
            "delete" => self.do_delete(target, request, query),
            _ => self.do_delete_collection(target, request, query),
        }
    }
}

/// The answer to what left nothing to show.
fn success(details: &Value) -> Value {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    if !details.is_null() {
        status["details"] = details.clone();
    }
    status
}
