//! Spans as they are sent: OTLP, in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>, `opentelemetry/proto/trace/v1/trace.proto`).
//!
//! Every collector takes both forms at the same address. JSON needs nothing but serde, which is there; protobuf would bring a code
//! generator into a build that learners wait for.

use super::{Attributes, Kind, Span, Status};
use serde::Serialize;
use std::collections::BTreeMap;

/// `ExportTraceServiceRequest`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: [ScopeSpans; 1],
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Told>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Scope {
    name: &'static str,
}

/// 64-bit numbers are texts in JSON, and enumerations numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
    links: Vec<Link>,
    status: Ended,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    time_unix_nano: String,
    name: String,
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Ended {
    code: u8,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct KeyValue {
    key: String,
    value: Text,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Text {
    string_value: String,
}

/// These spans as one request.
pub fn request(spans: &[Span]) -> Request {
    let mut by_resource: BTreeMap<(&str, &str), Vec<Told>> = BTreeMap::new();
    for span in spans {
        by_resource.entry((&span.service, &span.host)).or_default().push(told(span));
    }
    let of = |((service, host), spans): ((&str, &str), Vec<Told>)| {
        let host = (!host.is_empty()).then(|| text("host.name", host));
        let attributes = [text("service.name", service)].into_iter().chain(host).collect();
        let scope = Scope { name: env!("CARGO_PKG_NAME") };
        ResourceSpans { resource: Resource { attributes }, scope_spans: [ScopeSpans { scope, spans }] }
    };
    Request { resource_spans: by_resource.into_iter().map(of).collect() }
}

fn told(span: &Span) -> Told {
    let kind = match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    };
    let code = match span.status {
        Status::Unset => 0,
        Status::Ok => 1,
        Status::Error => 2,
    };
    let event = |event: &super::Event| Event {
        time_unix_nano: nanos(event.at_us),
        name: event.name.clone(),
        attributes: texts(&event.attributes),
    };
    let link = |link: &super::Link| Link { trace_id: link.trace_id.clone(), span_id: link.span_id.clone() };
    Told {
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        parent_span_id: span.parent_span_id.clone(),
        name: span.name.clone(),
        kind,
        start_time_unix_nano: nanos(span.start_us),
        end_time_unix_nano: nanos(span.end_us),
        attributes: texts(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        status: Ended { code },
    }
}

fn nanos(us: i64) -> String {
    (i128::from(us) * 1000).to_string()
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: Text { string_value: value.into() } }
}

fn texts(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| text(key, value)).collect()
}
