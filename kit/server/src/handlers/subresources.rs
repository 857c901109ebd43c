//! Parts of objects with paths of their own: status, scale, binding, eviction and the like.
//!
//! Sources: `pkg/registry/apps/deployment/storage/storage.go` (`ScaleREST`), `pkg/registry/core/pod/storage/storage.go`,
//! `pkg/registry/core/namespace/storage/storage.go`.

use super::query::Query;
use super::verbs::{manager, read_patch};
use super::{Request, Response, Target, body, connect, success};
use crate::apiextensions::scale;
use crate::field::{At, Errors};
use crate::patch::Patch;
use crate::rules::defaults;
use crate::rules::validate::{self, resize};
use crate::write::WriteOptions;
use crate::{Error, Server};
use kit_api::meta::LabelSelector;
use kit_api::selector::Selector;
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Value, json};

impl Server {
    pub(super) fn subresource(
        &mut self,
        target: &Target,
        name: &str,
        verb: &str,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        match (name, verb) {
            ("status", "get") => self.do_get(target, request),
            ("status", "update") => self.do_update(target, request, query),
            ("status", "patch") => self.do_patch(target, request, query),
            ("scale", _) => self.scale(target, verb, request, query),
            ("binding", _) => self.binding(target, request, query),
            ("eviction", _) => self.evict(target, request, query),
            ("finalize", _) => self.finalize(target, request, query),
            ("token", _) => {
                let (asked, _) = body::read(request, "TokenRequest")?;
                let answer = self.make_token(&target.key(), &asked)?;
                Ok(Response::json(201, &answer))
            }
            ("approval", "get") => self.do_get(target, request),
            ("approval", _) => self.approval(target, verb, request, query),
            ("ephemeralcontainers", "get") | ("resize", "get") => self.do_get(target, request),
            ("ephemeralcontainers", _) => self.part_of_pod(target, verb, request, query, "ephemeralcontainers"),
            ("resize", _) => self.part_of_pod(target, verb, request, query, "resize"),
            // Containers and their streams are the kubelets'.
            ("log", _) => self.connect(target, name, query),
            ("exec" | "attach" | "portforward", _) => {
                self.admit_part("CONNECT", &target.key(), name, connect::options(name, query), false)?;
                self.connect(target, name, query)
            }
            ("proxy", "get") => self.proxy(target, request.path),
            ("proxy", _) => Err(Error::method_not_allowed()),
            _ => Err(Error::no_resource()),
        }
    }

    fn scale(&mut self, target: &Target, verb: &str, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let key = target.key();
        let there = self.get(&key)?.to_value();
        let version = key.kind.resource().definition.as_ref();
        let media = request.header("content-type").unwrap_or_default();
        if verb == "patch" && media.split(';').next() == Some("application/apply-patch+yaml") {
            return self.apply_scale(target, &there, request, query);
        }
        let (scale, said) = match version {
            Some(version) => scale::of(version, &there)?,
            None => (of_workload(&there), true),
        };
        let wanted = match verb {
            "get" if !said => return Err(version.map_or_else(Error::no_resource, scale::missing)),
            "get" => return self.show(target, request, 200, &scale),
            "update" => body::read(request, "Scale")?.0,
            _ => {
                let media = media.split(';').next().unwrap_or_default();
                let (patch, _) = read_patch(media, request, version.is_some(), query)?;
                match patch {
                    // A Scale has no list that is merged item by item.
                    Patch::Strategic(patch) => Patch::Merge(patch),
                    patch => patch,
                }
                .apply(&key, scale.clone())?
            }
        };
        let dry_run = if verb == "update" { query.dry_run("UpdateOptions")? } else { query.patch_options(false)? };
        let at = At::root(&wanted).at("spec.replicas");
        let mut errors = Errors::default();
        errors.not_negative(&at);
        if !errors.0.is_empty() {
            return Err(Error::invalid("autoscaling", "Scale", &key.name, errors.0));
        }
        let mut value = there.clone();
        let replicas = at.int().unwrap_or_default();
        match version {
            Some(version) => scale::set(version, &mut value, replicas),
            None => value["spec"]["replicas"] = replicas.into(),
        }
        value["metadata"]["resourceVersion"] = wanted["metadata"]["resourceVersion"].clone();
        let options = WriteOptions {
            dry_run,
            manager: Some(manager(request, query)),
            through: Some("scale"),
            ..Default::default()
        };
        let stored = self.update_value(&key, value, &options)?;
        self.show_scale(target, request, &stored.to_value())
    }

    fn show_scale(&self, target: &Target, request: &Request<'_>, object: &Value) -> Result<Response, Error> {
        let scale = match &target.kind.resource().definition {
            Some(version) => scale::of(version, object)?.0,
            None => of_workload(object),
        };
        self.show(target, request, 200, &scale)
    }

    /// Applies a Scale: whoever does so owns the number in the object itself, by its subresource
    /// (`apimachinery/pkg/util/managedfields/scalehandler.go`).
    fn apply_scale(
        &mut self,
        target: &Target,
        there: &Value,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let dry_run = query.patch_options(true)?;
        let (scale, _) = body::configuration(request.body, query)?;
        let (key, kind) = (target.key(), target.kind);
        let mut config = json!({
            "apiVersion": kind.api_version(), "kind": kind.name(),
            "metadata": {"name": &*key.name, "namespace": &*key.namespace},
        });
        if let Some(replicas) = scale["spec"]["replicas"].as_i64() {
            match &kind.resource().definition {
                Some(version) => scale::set(version, &mut config, replicas),
                None => config["spec"]["replicas"] = replicas.into(),
            }
        }
        let (manager, force) = (query.get("fieldManager"), query.flag("force"));
        let object = self.applied(kind, Some(there), &config, manager, force, Some("scale"))?;
        let object = crate::canonical(kind, object);
        let options = WriteOptions { dry_run, through: Some("scale"), ..Default::default() };
        let stored = self.update_value(&key, object, &options)?;
        self.show_scale(target, request, &stored.to_value())
    }

    /// Assigns a pod to a node; the older path of bindings comes here too.
    pub(super) fn binding(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let (binding, _) = body::read(request, "Binding")?;
        let name = target.name.clone().unwrap_or_default();
        let said = binding["metadata"]["name"].as_str().unwrap_or_default();
        if !said.is_empty() && said != name {
            return Err(Error::bad_request("name in URL does not match name in Binding object"));
        }
        let at = At::root(&binding);
        let mut errors = Errors::default();
        if !["", "Node"].contains(&at.at("target.kind").text()) {
            errors.not_supported(&at.at("target.kind"), &["Node", "<empty>"]);
        }
        if at.at("target.name").text().is_empty() {
            errors.required(&at.at("target.name"), "");
        }
        if !errors.0.is_empty() {
            return Err(Error::invalid("", "Binding", &name, errors.0));
        }
        let node = at.at("target.name").text();
        let dry_run = query.dry_run("CreateOptions")?;
        if dry_run {
            self.admit_binding(&Key::new(Kind::Pod, &target.namespace, &name), node, true)?;
        } else {
            self.bind(&target.namespace, &name, node)?;
        }
        let mut status = success(&Value::Null);
        status["code"] = 201.into();
        Ok(Response::json(201, &status))
    }

    /// Lets a namespace go, or keeps it: the namespace controller's last word.
    fn finalize(&mut self, target: &Target, request: &Request<'_>, query: &Query) -> Result<Response, Error> {
        let key = target.key();
        let sent = body::object(request, target.kind.resource(), query)?.value;
        let stored = self.finalize_namespace(&key, &sent["spec"]["finalizers"])?;
        self.show_stored(target, request, 200, &stored)
    }

    /// Grants a request for a certificate, or refuses it (`csrApprovalStrategy`).
    fn approval(
        &mut self,
        target: &Target,
        verb: &str,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let key = target.key();
        let there = self.get(&key)?.to_value();
        let sent = match verb {
            "update" => body::object(request, target.kind.resource(), query)?.value,
            _ => {
                let media = request.header("content-type").unwrap_or_default();
                let media = media.split(';').next().unwrap_or_default();
                let (patch, doubts) = read_patch(media, request, false, query)?;
                let patched = patch.apply(&key, there.clone())?;
                body::patched(&patch, patched, doubts, target.kind.resource(), query)?.value
            }
        };
        let mut value = there.clone();
        let now = self.stamp();
        let mut conditions = sent["status"]["conditions"].as_array().cloned().unwrap_or_default();
        for condition in &mut conditions {
            for time in ["lastUpdateTime", "lastTransitionTime"] {
                if condition[time].is_null() {
                    condition[time] = now.as_str().into();
                }
            }
        }
        value["status"]["conditions"] = conditions.into();
        let errors = validate::validate(target.kind.resource(), &value);
        if !errors.0.is_empty() {
            return Err(Error::invalid_object(&key, errors.0));
        }
        value["metadata"]["resourceVersion"] = sent["metadata"]["resourceVersion"].clone();
        let options = WriteOptions {
            dry_run: query.dry_run("UpdateOptions")?,
            subresource: Some("approval"),
            manager: Some(manager(request, query)),
            ..Default::default()
        };
        let stored = self.update_value(&key, value, &options)?;
        self.show_stored(target, request, 200, &stored)
    }

    /// Ephemeral containers are added, and resources changed, by these paths alone.
    fn part_of_pod(
        &mut self,
        target: &Target,
        verb: &str,
        request: &Request<'_>,
        query: &Query,
        part: &'static str,
    ) -> Result<Response, Error> {
        let key = target.key();
        let there = self.get(&key)?.to_value();
        let sent = match verb {
            "update" => body::object(request, target.kind.resource(), query)?.value,
            _ => {
                let media = request.header("content-type").unwrap_or_default();
                let (patch, doubts) = read_patch(media.split(';').next().unwrap_or_default(), request, false, query)?;
                let patched = patch.apply(&key, there.clone())?;
                body::patched(&patch, patched, doubts, target.kind.resource(), query)?.value
            }
        };
        let (mut value, mut sent) = (there.clone(), sent);
        defaults::default("Pod", &mut sent);
        let at = |field: &str| sent["spec"][field].clone();
        if part == "ephemeralcontainers" {
            value["spec"]["ephemeralContainers"] = at("ephemeralContainers");
            let mut errors = Errors::default();
            let kept = there["spec"]["ephemeralContainers"].as_array().into_iter().flatten();
            let now = value["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
            if kept.into_iter().any(|old| !now.contains(old)) {
                let at = At { value: &Value::Null, path: "spec.ephemeralContainers".into() };
                errors.forbidden(&at, "existing ephemeral containers may not be removed or changed");
                return Err(Error::invalid_object(&key, errors.0));
            }
        } else {
            resize::prepare(&mut value, &sent);
        }
        value["metadata"]["resourceVersion"] = sent["metadata"]["resourceVersion"].clone();
        if value["spec"] != there["spec"] {
            let generation = there["metadata"]["generation"].as_i64().unwrap_or_default();
            value["metadata"]["generation"] = (generation + 1).into();
        }
        let options = WriteOptions {
            dry_run: query.dry_run("UpdateOptions")?,
            subresource: Some(part),
            manager: Some(manager(request, query)),
            ..Default::default()
        };
        let stored = self.update_value(&key, value, &options)?;
        self.show_stored(target, request, 200, &stored)
    }

    /// Sets a namespace's own finalizers; without any, a deleted namespace is gone.
    pub fn finalize_namespace(
        &mut self,
        key: &Key,
        finalizers: &Value,
    ) -> Result<std::sync::Arc<crate::Stored>, Error> {
        let mut value = self.get(key)?.to_value();
        let finalizers = finalizers.as_array().cloned().unwrap_or_default();
        match finalizers.is_empty() {
            true => _ = value["spec"].as_object_mut().map(|spec| spec.shift_remove("finalizers")),
            false => value["spec"]["finalizers"] = finalizers.into(),
        }
        self.update_value(key, value, &WriteOptions { subresource: Some("finalize"), ..Default::default() })
    }
}

/// The part of an object that says how many; what can't tell has none.
pub(crate) fn scale_of(kind: Kind, object: &Value) -> Value {
    match &kind.resource().definition {
        Some(version) => scale::of(version, object).map(|(scale, _)| scale).unwrap_or_default(),
        None => of_workload(object),
    }
}

/// The part of a workload that says how many (`scaleFromDeployment`).
fn of_workload(object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut metadata = json!({"creationTimestamp": meta["creationTimestamp"]});
    for field in ["name", "namespace", "uid", "resourceVersion"] {
        metadata[field] = meta[field].clone();
    }
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": {},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or_default()},
    });
    match object["spec"]["replicas"].as_i64() {
        Some(0) | None => {}
        Some(replicas) => scale["spec"]["replicas"] = replicas.into(),
    }
    let selector = &object["spec"]["selector"];
    let text = match object["kind"] == "ReplicationController" {
        true => selector.as_object().map(|labels| {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
            labels.join(",")
        }),
        false => serde_json::from_value::<LabelSelector>(selector.clone())
            .ok()
            .and_then(|selector| Selector::try_from(Some(&selector)).ok())
            .map(|selector| selector.to_string()),
    };
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        scale["status"]["selector"] = text.into();
    }
    scale
}
