//! Requests about objects in another version than the one in which they are kept: see [`crate::versions`].

use super::query::Query;
use super::verbs::read_patch;
use super::{Body, Request, Response, Target, body};
use crate::field::Errors;
use crate::rules::validate;
use crate::versions::Form;
use crate::{Error, Server};
use kit_apimachinery::object::Key;
use serde_json::{Value, json};

impl Server {
    /// Tells a request in the kept version, and its answer in the version of the path.
    pub(super) fn in_other_version(
        &mut self,
        form: Form,
        target: &Target,
        request: &Request<'_>,
        query: &Query,
    ) -> Result<Response, Error> {
        let kept = Target { form: None, ..target.clone() };
        let query = &query.with_fields(|name| form.field(name))?;
        let media = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let mut told = *request;
        let (mut text, mut headers, mut warnings) = (String::new(), Vec::new(), Vec::new());
        match request.method {
            "PATCH" if media == "application/apply-patch+yaml" => {
                let config;
                (config, warnings) = body::configuration(request.body, query)?;
                // It is merged into what is shown in its version.
                text = config.to_string();
            }
            "POST" | "PUT" | "PATCH" => {
                let sent = match request.method {
                    "PATCH" => {
                        let there = form.show(self.get(&kept.key())?.to_value());
                        let (patch, doubts) = read_patch(media, request, false, query)?;
                        let patched = patch.apply(&kept.key(), there)?;
                        told.method = "PUT";
                        body::patched(&patch, patched, doubts, form.0, query)?
                    }
                    _ => body::object(request, form.0, query)?,
                };
                warnings = sent.warnings;
                let object = form.keep(sent.value);
                self.check_form(form, &kept, &object)?;
                text = object.to_string();
                headers.push(("content-type", super::JSON));
            }
            _ => {}
        }
        if !text.is_empty() {
            let replaced = !headers.is_empty();
            let own = |(name, _): &&(&str, &str)| !(replaced && name.eq_ignore_ascii_case("content-type"));
            headers.extend(request.headers.iter().filter(own));
            (told.body, told.headers) = (text.as_bytes(), &headers);
        }
        self.form = Some(form);
        let answer = self.dispatch(&kept, &told, query);
        self.form = None;
        Ok(answer?.warn(warnings).in_form(form))
    }

    /// What the version of the path asks for beyond what all do.
    fn check_form(&self, form: Form, target: &Target, object: &Value) -> Result<(), Error> {
        let (meta, old) = (&object["metadata"], self.get(&target.key()).ok().map(|stored| stored.to_value()));
        let name = target.name.as_deref().or(meta["name"].as_str()).unwrap_or_default();
        let mut errors = Errors::default();
        let mut placed = object.clone();
        placed["metadata"]["namespace"] = target.namespace.as_str().into();
        form.check(&mut errors, &placed, old.as_ref().filter(|_| target.name.is_some()));
        if errors.0.is_empty() {
            return Ok(());
        }
        // What is wrong in all versions is told first.
        let mut all = validate::validate(target.kind.resource(), &placed);
        all.0.append(&mut errors.0);
        Err(Error::invalid_object(&Key::new(target.kind, &target.namespace, name), all.0))
    }
}

impl Response {
    /// The same answer with its objects in another version.
    fn in_form(mut self, form: Form) -> Response {
        if let Body::Watch(watch) = &mut self.body {
            watch.tell_in(form);
            return self;
        }
        let text = match &self.body {
            Body::List(list) => list.to_text(),
            Body::Text(text) => text.clone(),
            Body::Watch(_) | Body::Connect(_) => return self,
        };
        let yaml = self.content_type == "application/yaml";
        let value = match yaml {
            true => body::yaml(&text).ok().map(|(value, _)| value),
            false => serde_json::from_str(&text).ok(),
        };
        let told = form.answer(value.unwrap_or_else(|| json!({})));
        self.body = Body::Text(match yaml {
            true => serde_yaml::to_string(&told).unwrap_or_default(),
            false => format!("{told}\n"),
        });
        self
    }
}
