//! The forms of an answer: the object, its metadata, or a table.
//!
//! Source: `apiserver/pkg/endpoints/handlers/response.go`, `apiserver/pkg/endpoints/handlers/negotiation`.

use super::listing::Listing;
use super::{Body, Request, Response, Target};
use crate::{Error, Server, Stored};
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::Kind;
use serde_json::{Value, json};
use std::sync::Arc;

/// The form that a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// The object itself.
    Plain,
    /// The same in YAML.
    Yaml,
    /// A table, as kubectl prints it. How much of each object comes along: nothing, its metadata, or all of it.
    Table(Include),
    /// Metadata alone.
    Metadata,
}

/// What rows of a table carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// The metadata of the object.
    Metadata,
    /// The object.
    Object,
}

impl View {
    /// The first form of `Accept` that the server knows.
    pub fn of(request: &Request<'_>) -> Result<View, Error> {
        let accept = request.header("accept").filter(|accept| !accept.is_empty()).unwrap_or("*/*");
        let include = match super::Query::parse(request.query)?.get("includeObject") {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let parameters: Vec<&str> = parts.collect();
            let form = parameters.iter().find_map(|parameter| parameter.strip_prefix("as="));
            let view = match (media, form) {
                ("application/json" | "application/*" | "*/*", None) => View::Plain,
                ("application/yaml", None) => View::Yaml,
                ("application/json", Some("Table")) => View::Table(include),
                ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => View::Metadata,
                _ => continue,
            };
            return Ok(view);
        }
        Err(Error::not_acceptable())
    }
}

impl Server {
    /// One object, in the form that is asked for.
    pub(super) fn show(
        &self,
        target: &Target,
        request: &Request<'_>,
        code: u16,
        value: &Value,
    ) -> Result<Response, Error> {
        show(target, request, code, value, self.time())
    }

    /// One object of the store, in the form that is asked for.
    pub(super) fn show_stored(
        &self,
        target: &Target,
        request: &Request<'_>,
        code: u16,
        stored: &Stored,
    ) -> Result<Response, Error> {
        show_stored(target, request, code, stored, self.time())
    }
}

/// One object, in the form that is asked for.
fn show(target: &Target, request: &Request<'_>, code: u16, value: &Value, now: Timestamp) -> Result<Response, Error> {
    Ok(match View::of(request)? {
        View::Plain => Response::json(code, value),
        View::Yaml => yaml(code, value),
        view => Response::json(code, &as_view(view, target.kind, value.clone(), now)),
    })
}

/// One object of the store, in the form that is asked for.
pub(super) fn show_stored(
    target: &Target,
    request: &Request<'_>,
    code: u16,
    stored: &Stored,
    now: Timestamp,
) -> Result<Response, Error> {
    match View::of(request)? {
        View::Plain => {
            let body = Body::Text(format!("{}\n", stored.json()));
            Ok(Response { code, content_type: super::JSON, warnings: Vec::new(), body })
        }
        _ => show(target, request, code, &stored.to_value(), now),
    }
}

/// A list, in the form that is asked for.
pub(super) fn show_list(
    target: &Target,
    request: &Request<'_>,
    metadata: Value,
    items: Vec<Arc<Stored>>,
    now: Timestamp,
) -> Result<Response, Error> {
    let view = View::of(request)?;
    let content_type = if view == View::Yaml { "application/yaml" } else { super::JSON };
    let list = Listing { view, kind: target.kind, metadata, items, now };
    Ok(Response { code: 200, content_type, warnings: Vec::new(), body: Body::List(Box::new(list)) })
}

/// One object as a table or as metadata; what ages are counted to is `now`.
pub(super) fn as_view(view: View, kind: Kind, mut item: Value, now: Timestamp) -> Value {
    let partial = |item: &Value| {
        json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"],
        })
    };
    match view {
        View::Metadata => partial(&item),
        View::Table(include) => {
            let mut row = json!({"cells": super::table::cells(kind, &item, now)});
            let metadata = json!({"resourceVersion": item["metadata"]["resourceVersion"]});
            row["object"] = match include {
                Include::None => Value::Null,
                Include::Metadata => partial(&item),
                Include::Object => {
                    item["kind"] = kind.name().into();
                    item["apiVersion"] = kind.api_version().into();
                    item
                }
            };
            json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": super::table::columns(kind), "rows": [row],
            })
        }
        View::Plain | View::Yaml => item,
    }
}

fn yaml(code: u16, value: &Value) -> Response {
    let mut response = Response::text(code, &serde_yaml::to_string(value).unwrap_or_default());
    response.content_type = "application/yaml";
    response
}
