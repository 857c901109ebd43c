//! The verbs on whole objects.
//!
//! Source: `apiserver/pkg/endpoints/handlers/{get,create,update,patch,delete}.go`.

use super::query::Query;
use super::view::show_list;
use super::{Request, RequestInfo, Response, Target, body, list, success};
use crate::auth::User;
use crate::field::{At, Errors, quoted};
use crate::patch::{FOR_ALL, FOR_CUSTOM};
use crate::rules::strategy;
use crate::write::{WriteOptions, other_uid};
use crate::{DeleteOptions, Error, Patch, Propagation, Server, Stored, canonical, schema};
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};
use std::sync::Arc;

impl Target {
    pub(super) fn key(&self) -> Key {
        Key::new(self.kind, &self.namespace, self.name.as_deref().unwrap_or_default())
    }
}

/// Who writes, as `managedFields` name it.
pub(super) fn manager(request: &Request<'_>, query: &Query) -> String {
    let agent =
        || request.header("user-agent").and_then(|agent| agent.split('/').next()).filter(|name| !name.is_empty());
    match query.get("fieldManager") {
        "" => agent().unwrap_or("unknown").to_string(),
        name => name.to_string(),
    }
}

impl Server {
    pub(super) fn do_get(&self, target: &Target, request: &Request<'_>) -> Result<Response, Error> {
        // What is there is never older than what the server knows (`CacheDelegator.Get`).
        let asked = list::version(&Query::parse(request.query)?).map_err(Error::internal)?;
        let (asked, current) = (asked.map(|version| i64::try_from(version).unwrap_or(i64::MAX)), self.state.revision);
        if let Some(version) = asked.filter(|version| *version > current) {
            return Err(Error::too_large(version, current));
        }
        let stored = self.get(&target.key())?;
        self.show_stored(target, request, 200, stored)
    }

    pub(super) fn do_create(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let resource = target.kind.resource();
        self.refuse_while_ending(target.kind)?;
        let dry_run = query.dry_run("CreateOptions")?;
        let mut sent = body::object(request, resource, query)?;
        self.warnings.append(&mut sent.warnings);
        self.place(target, &mut sent.value)?;
        let user = request.user.cloned().unwrap_or_default();
        if let Some(answer) = self.review(target.kind, &sent.value, &user)? {
            return Ok(Response::json(201, &answer));
        }
        if target.kind.name() == "Binding" {
            let name = sent.value["metadata"]["name"].as_str().map(str::to_string);
            return self.binding(&Target { kind: Kind::Pod, name, ..target.clone() }, request, query);
        }
        if target.kind.name() == "CertificateSigningRequest" {
            user.sign_request(&mut sent.value);
        }
        let options = WriteOptions { dry_run, manager: Some(manager(request, query)), ..Default::default() };
        let made = self.create_value(target.kind, sent.value, &options);
        self.told(target, request, 201, made, Vec::new())
    }

    /// The answer to a write. What is doubtful in it is told of also if it is refused.
    fn told(
        &self,
        target: &Target,
        request: &Request<'_>,
        code: u16,
        stored: Result<Arc<Stored>, Error>,
        warnings: Vec<String>,
    ) -> Result<Response, Error> {
        let answer = match stored {
            Ok(stored) => self.written(target, request, code, &stored)?,
            Err(error) => Response::error(&error),
        };
        Ok(answer.warn(warnings))
    }

    /// Who changes an object names it (`checkName` of `endpoints/handlers/rest.go`).
    fn is_named(target: &Target, value: &Value) -> Result<(), Error> {
        match &target.name {
            Some(asked) if value["metadata"]["name"].as_str().unwrap_or_default().is_empty() => {
                Err(Error::bad_request(format!(
                    "the name of the object ({asked} based on URL) was undeterminable: name must be provided"
                )))
            }
            _ => Ok(()),
        }
    }

    /// Who changes an object of some kinds has to say which version of it (`AllowUnconditionalUpdate` of the strategies).
    fn is_conditional(key: &Key, value: &Value) -> Result<(), Error> {
        let resource = key.kind.resource();
        let said = !value["metadata"]["resourceVersion"].as_str().unwrap_or_default().is_empty();
        if said || !(resource.custom || strategy::ONLY_BY_VERSION.contains(&&*resource.kind)) {
            return Ok(());
        }
        let mut errors = Errors::default();
        let at = At { value: &Value::Null, path: "metadata.resourceVersion".into() };
        errors.invalid_as(&at, "0x0", "must be specified for an update");
        // The store knows the resource, and not the kind.
        Err(Error::invalid(&resource.group, &resource.plural, &key.name, errors.0))
    }

    /// Checks that an object is meant for the path that it was sent to.
    fn place(&self, target: &Target, value: &mut Value) -> Result<(), Error> {
        let text = |value: &Value, field: &str| value["metadata"][field].as_str().unwrap_or_default().to_string();
        let (namespace, name) = (text(value, "namespace"), text(value, "name"));
        if target.kind.namespaced() {
            if !namespace.is_empty() && namespace != target.namespace {
                let why = "the namespace of the provided object does not match the namespace sent on the request";
                return Err(Error::bad_request(why));
            }
            value["metadata"]["namespace"] = target.namespace.as_str().into();
        } else {
            // What lives in no namespace may say what it likes (`EnsureObjectNamespaceMatchesRequestNamespace`).
            _ = value["metadata"].as_object_mut().map(|metadata| metadata.shift_remove("namespace"));
        }
        match &target.name {
            Some(asked) if !name.is_empty() && name != *asked => {
                let why = format!("the name of the object ({name}) does not match the name on the URL ({asked})");
                Err(Error::bad_request(why))
            }
            Some(asked) => {
                value["metadata"]["name"] = asked.as_str().into();
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn do_update(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let resource = target.kind.resource();
        let subresource = status_of(target);
        let dry_run = query.dry_run("UpdateOptions")?;
        let mut sent = body::object(request, resource, query)?;
        self.warnings.append(&mut sent.warnings);
        Self::is_named(target, &sent.value)?;
        self.place(target, &mut sent.value)?;
        let key = target.key();
        let options =
            WriteOptions { dry_run, subresource, manager: Some(manager(request, query)), ..Default::default() };
        if self.state.get(&key).is_none() {
            let made = self.create_by_update(&key, sent.value, request, options);
            return self.told(target, request, 201, made, Vec::new());
        }
        let changed =
            Self::is_conditional(&key, &sent.value).and_then(|()| self.update_value(&key, sent.value, &options));
        self.told(target, request, 200, changed, Vec::new())
    }

    /// An update of what isn't there, which makes it if its kind lets clients do so. Whoever names a uid means something that
    /// was there (`GuaranteedUpdate` looks at it first).
    fn create_by_update(
        &mut self,
        key: &Key,
        value: Value,
        request: &Request<'_>,
        options: WriteOptions,
    ) -> Result<Arc<Stored>, Error> {
        self.readable(key)?;
        if let Some(uid) = value["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            return Err(Error::conflict(key, &other_uid(key, uid, "")));
        }
        let resource = key.kind.resource();
        if options.subresource.is_some() || resource.custom || !strategy::CREATED_BY_UPDATE.contains(&&*resource.kind) {
            return Err(Error::not_found(key));
        }
        self.may_create(request)?;
        self.create_value(key.kind, value, &WriteOptions { by_update: true, ..options })
    }

    /// Whoever updates may not always create (`withAuthorization` of `endpoints/handlers/update.go`).
    fn may_create(&self, request: &Request<'_>) -> Result<(), Error> {
        let mut info = RequestInfo::of(request.method, request.path, request.query);
        info.verb = "create".into();
        let user = request.user.cloned().unwrap_or_else(User::admin);
        self.state.authorize(&user, &info).map(drop)
    }

    pub(super) fn do_patch(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let resource = target.kind.resource();
        let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if media == "application/apply-patch+yaml" {
            return self.do_apply(target, request, query);
        }
        if !known(media, resource.custom) {
            return Err(Error::unsupported_media_type(if resource.custom { FOR_CUSTOM } else { FOR_ALL }));
        }
        let dry_run = query.patch_options(false)?;
        let key = target.key();
        let there = self.get(&key)?.to_value();
        let (patch, doubts) = read_patch(media, request, resource.custom, query)?;
        let patched = patch.apply(&key, there)?;
        let mut sent = body::patched(&patch, patched, doubts, resource, query)?;
        self.warnings.append(&mut sent.warnings);
        Self::is_named(target, &sent.value)?;
        self.place(target, &mut sent.value)?;
        let options = WriteOptions {
            dry_run,
            subresource: status_of(target),
            manager: Some(manager(request, query)),
            patch: true,
            ..Default::default()
        };
        let changed =
            Self::is_conditional(&key, &sent.value).and_then(|()| self.update_value(&key, sent.value, &options));
        self.told(target, request, 200, changed, Vec::new())
    }

    fn do_apply(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let resource = target.kind.resource();
        let manager = query.get("fieldManager");
        let dry_run = query.patch_options(true)?;
        let (mut config, warnings) = body::configuration(request.body, query)?;
        let form = self.form;
        let api_version = form.map_or(&resource.api_version, |form| &form.0.api_version);
        for (field, expected) in [("apiVersion", api_version), ("kind", &resource.kind)] {
            let said = config[field].as_str().unwrap_or_default();
            if said.is_empty() {
                return Err(Error::bad_request(format!(
                    "error decoding YAML: Object '{field}' is missing in '{config}'"
                )));
            }
            if said != expected {
                let why = format!(
                    "Incorrect version specified in apply patch. Specified patch version: {said}, expected: {expected}"
                );
                return Err(Error::bad_request(why));
            }
        }
        if config["metadata"]["managedFields"].is_array() {
            return Err(Error::bad_request("metadata.managedFields must be nil"));
        }
        if !config["metadata"].is_object() {
            config["metadata"] = json!({});
        }
        let is_new = self.state.get(&target.key()).is_none();
        let created_in = is_new.then_some(target.namespace.as_str());
        self.is_typed(target.kind, created_in, &config)?;
        let called = self.called(target.kind, created_in, &config);
        self.place(target, &mut config)?;
        let key = target.key();
        self.readable(&key)?;
        let live = self.state.get(&key).map(|stored| stored.to_value());
        let live = live.map(|live| form.map_or_else(|| live.clone(), |form| form.show(live.clone())));
        let subresource = status_of(target);
        if live.is_none() && subresource.is_some() {
            return Err(Error::not_found(&key));
        }
        let object = self.applied(target.kind, live.as_ref(), &config, manager, query.flag("force"), subresource)?;
        if let Some(Err(why)) = schema::of_version(api_version, &resource.kind)
            .filter(|_| !resource.custom)
            .map(|of| schema::decode(object.clone(), of))
        {
            return Err(unconverted(&called, &why));
        }
        let object = form.map_or_else(|| object.clone(), |form| form.keep(object.clone()));
        let object = canonical(target.kind, object);
        let options = WriteOptions { dry_run, subresource, patch: true, ..Default::default() };
        if live.is_some() {
            let changed = self.update_value(&key, object, &options);
            return self.told(target, request, 200, changed, warnings);
        }
        if let Some(uid) = object["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty()) {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Error::conflict(&key, &why));
        }
        self.may_create(request)?;
        let made = self.create_value(target.kind, object, &WriteOptions { by_update: true, ..options });
        self.told(target, request, 201, made, warnings)
    }

    pub(super) fn do_delete(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let (options, warnings) = delete_options(target.kind, request, query)?;
        let key = target.key();
        let (stored, gone) = self.delete_object(&key, &options)?;
        let resource = target.kind.resource();
        if !gone || strategy::returns_deleted(&resource.kind) {
            return Ok(self.show_stored(target, request, 200, &stored)?.warn(warnings));
        }
        let mut details = json!({"name": *key.name, "kind": resource.plural, "uid": stored.object.uid()});
        if !resource.group.is_empty() {
            details["group"] = resource.group.as_str().into();
        }
        Ok(Response::json(200, &success(&details)).warn(warnings))
    }

    pub(super) fn do_delete_collection(
        &mut self,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let (options, warnings) = delete_options(target.kind, request, query)?;
        self.warnings.extend(warnings);
        query.list_options(false, false)?;
        let revision = self.snapshot().revision;
        let selection = list::Selection::of(target.kind, query)?;
        let found: Vec<_> = self.listed(target).filter(|stored| selection.selects(stored)).cloned().collect();
        for stored in &found {
            match self.delete_object(&stored.key, &options) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        show_list(target, request, json!({"resourceVersion": revision.to_string()}), found, self.time())
    }
}

/// What an apply has made can't be read as its type (`structuredmerge.go`); `called` is what was applied.
fn unconverted(called: &str, why: &str) -> Error {
    let of = called.split_once("; ").map_or(called, |(_, of)| of);
    // Bytes are read as JSON of their own (`runtime.DefaultUnstructuredConverter`).
    let how = if why.starts_with("illegal base64") { "error decoding from json: " } else { "" };
    Error::internal(format!(
        "failed to convert new object ({called}) to proper version: unable to convert unstructured object to {of}: {how}{why}"
    ))
}

/// The only subresource that is written as the whole object.
fn status_of(target: &Target) -> Option<&'static str> {
    target.subresource.as_deref().filter(|name| *name == "status").map(|_| "status")
}

/// What clients should know of a kind that they use.
pub(super) fn deprecation(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Endpoints => vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into()],
        _ => Vec::new(),
    }
}

fn known(media: &str, custom: bool) -> bool {
    let all = if custom { FOR_CUSTOM } else { FOR_ALL };
    all.split(", ").any(|known| known == media)
}

/// The patch of a request, and what is doubtful in it.
pub(super) fn read_patch(
    media: &str,
    request: &Request<'_>,
    custom: bool,
    query: &Query,
) -> Result<(Patch, Vec<String>), Error> {
    Patch::read(media, request.body, custom, query.validation())
}

fn delete_options(kind: Kind, request: &Request<'_>, query: &Query) -> Result<(DeleteOptions, Vec<String>), Error> {
    // Whoever sends options says nothing by the query (`DeleteResource` of `endpoints/handlers/delete.go`).
    let (sent, query) = match request.body {
        [] => (json!({}), query.clone()),
        _ => (body::delete_options(request)?, Query::default()),
    };
    let policy = match sent["propagationPolicy"].as_str() {
        Some(policy) => policy.to_string(),
        None => query.get("propagationPolicy").to_string(),
    };
    let orphan =
        sent["orphanDependents"].as_bool().or(query.has("orphanDependents").then(|| query.flag("orphanDependents")));
    let mut errors = Errors::default();
    let at = |name: &str| At { value: &Value::Null, path: name.into() };
    if !policy.is_empty() && orphan.is_some() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        errors.invalid_as(&at("propagationPolicy"), &quoted(&policy), why);
    }
    if !["", "Foreground", "Background", "Orphan"].contains(&policy.as_str()) {
        let known = ["Foreground", "Background", "Orphan", "nil"];
        errors.not_supported_as(&at("propagationPolicy"), &quoted(&policy), &known);
    }
    let of_body = sent["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let dry_run = errors.dry_run(of_body.chain(query.all("dryRun")));
    if !errors.0.is_empty() {
        return Err(Error::invalid("meta.k8s.io", "DeleteOptions", "", errors.0));
    }
    let mut warnings = Vec::new();
    let propagation = match (policy.as_str(), orphan) {
        ("Foreground", _) => Propagation::Foreground,
        ("Orphan", _) | ("", Some(true)) => Propagation::Orphan,
        // Jobs were there before garbage collection, and keep to what clients of then expect.
        ("", None) if kind == Kind::Job => {
            warnings.push(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove \
                 them or set propagationPolicy=Orphan to suppress this warning"
                    .into(),
            );
            Propagation::OrphanIfUnsaid
        }
        ("", None) if kind.name() == "ReplicationController" => Propagation::OrphanIfUnsaid,
        ("", None) => Propagation::Unsaid,
        _ => Propagation::Background,
    };
    let condition = |field: &str| sent["preconditions"][field].as_str().map(str::to_string);
    let grace_period_seconds = match sent["gracePeriodSeconds"].as_i64() {
        Some(seconds) => Some(seconds),
        None => query.int("gracePeriodSeconds")?,
    };
    let options = DeleteOptions {
        grace_period_seconds,
        uid: condition("uid"),
        resource_version: condition("resourceVersion"),
        dry_run,
        propagation,
    };
    Ok((options, warnings))
}

impl Server {
    /// The answer to a write.
    fn written(&self, target: &Target, request: &Request<'_>, code: u16, stored: &Stored) -> Result<Response, Error> {
        self.show_stored(target, request, code, stored)
    }
}
