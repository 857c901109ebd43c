//! The forms of an answer: the object, its metadata, or a table.
//!
//! Source: `apiserver/pkg/endpoints/handlers/response.go`, `apiserver/pkg/endpoints/handlers/negotiation`.

use super::{Request, Response, Target};
use crate::{Error, Server};
use kit_apimachinery::object::Kind;
use serde_json::{Value, json};

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
        Ok(match View::of(request)? {
            View::Plain => Response::json(code, value),
            View::Yaml => yaml(code, value),
            view => {
                let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                Response::json(code, &self.as_view(view, target.kind, &metadata, vec![value.clone()], true))
            }
        })
    }

    /// A list, in the form that is asked for.
    pub(super) fn show_list(
        &self,
        target: &Target,
        request: &Request<'_>,
        metadata: &Value,
        items: Vec<Value>,
    ) -> Result<Response, Error> {
        let (kind, api_version) = (format!("{}List", target.kind.name()), target.kind.api_version());
        Ok(match View::of(request)? {
            view @ (View::Plain | View::Yaml) => {
                let list = json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items});
                if view == View::Yaml { yaml(200, &list) } else { Response::json(200, &list) }
            }
            view => Response::json(200, &self.as_view(view, target.kind, metadata, items, false)),
        })
    }

    /// Objects as a table or as metadata.
    pub(super) fn as_view(&self, view: View, kind: Kind, metadata: &Value, mut items: Vec<Value>, one: bool) -> Value {
        let partial = |item: &Value| {
            json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"],
            })
        };
        match view {
            View::Metadata if one => items.pop().map(|item| partial(&item)).unwrap_or_default(),
            View::Metadata => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": items.iter().map(partial).collect::<Vec<_>>(),
            }),
            View::Table(include) => {
                let now = self.time();
                let rows = items.into_iter().map(|item| {
                    let mut row = json!({"cells": super::table::cells(kind, &item, now)});
                    match include {
                        Include::None => row["object"] = Value::Null,
                        Include::Metadata => row["object"] = partial(&item),
                        Include::Object => {
                            row["object"] = item;
                            row["object"]["kind"] = kind.name().into();
                            row["object"]["apiVersion"] = kind.api_version().into();
                        }
                    }
                    row
                });
                json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                    "columnDefinitions": super::table::columns(kind), "rows": rows.collect::<Vec<_>>(),
                })
            }
            View::Plain | View::Yaml => items.pop().unwrap_or_default(),
        }
    }
}

fn yaml(code: u16, value: &Value) -> Response {
    let mut response = Response::text(code, &serde_yaml::to_string(value).unwrap_or_default());
    response.content_type = "application/yaml";
    response
}
