//! Which fields of a kind a field selector can name.
//!
//! Sources: `pkg/apis/core/v1/conversion.go` (`AddFieldLabelConversionFuncs`), `pkg/apis/batch/v1/conversion.go`,
//! `ToSelectableFields` of the strategies, and for custom kinds `apiextensions-apiserver/pkg/apiserver/conversion/converter.go`.

use crate::Error;
use crate::Stored;
use kit_api::selector::FieldSelector;
use kit_apimachinery::object::{Kind, Object};
use serde_json::Value;
use std::collections::BTreeMap;

const OF_ALL: [&str; 2] = ["metadata.name", "metadata.namespace"];

/// The fields of a kind, without those that all kinds have.
fn own(kind: Kind) -> Option<&'static [&'static str]> {
    Some(match kind {
        Kind::Pod => &[
            "spec.host",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Namespace => &["status.phase"],
        Kind::Secret => &["type"],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Kind::Job => &["status.successful"],
        Kind::Other(resource) if resource.kind == "CertificateSigningRequest" => &["spec.signerName"],
        Kind::Other(resource) if resource.kind == "ReplicationController" => &["status.replicas"],
        _ => return None,
    })
}

/// Refuses a selector that names fields which the kind doesn't offer.
pub fn check(kind: Kind, selector: &FieldSelector) -> Result<(), Error> {
    for term in &selector.terms {
        let field = term.field.as_str();
        let resource = kind.resource();
        // The default takes the namespace of all kinds, and those with fields of their own only where there is one.
        let common = match (own(kind), resource.custom) {
            (None, false) => &OF_ALL[..],
            _ => &OF_ALL[..1 + usize::from(resource.namespaced)],
        };
        let message = match own(kind) {
            _ if common.contains(&field) => continue,
            _ if resource.custom => {
                let selectable = resource.definition.iter().flat_map(|version| &version.selectable);
                match selectable.into_iter().any(|known| known == field) {
                    true => continue,
                    false => format!("field label not supported: {field}"),
                }
            }
            Some(own) if own.contains(&field) => continue,
            Some(_) if kind == Kind::Job => format!("field label {field:?} not supported for Job"),
            Some(_) => format!("field label not supported: {field}"),
            None => format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
        };
        return Err(Error::bad_request(message));
    }
    Ok(())
}

/// What an object has in the fields that a selector names.
pub fn of(kind: Kind, stored: &Stored, selector: &FieldSelector) -> BTreeMap<String, String> {
    let known = |field: &str| at_hand(&stored.object, field).map(str::to_string);
    let known = selector.terms.iter().map(|term| Some((term.field.clone(), known(&term.field)?)));
    known.collect::<Option<_>>().unwrap_or_else(|| in_json(kind, &stored.object.to_value(), selector))
}

/// The fields that are asked for most, which need no look into the object's JSON.
fn at_hand<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    let field = match (object, field) {
        (_, "metadata.name") => &object.meta().name,
        (_, "metadata.namespace") => &object.meta().namespace,
        (Object::Pod(pod), "spec.nodeName") => &pod.spec.as_ref()?.node_name,
        (Object::Pod(pod), "spec.schedulerName") => &pod.spec.as_ref()?.scheduler_name,
        (Object::Pod(pod), "status.phase") => &pod.status.as_ref()?.phase,
        (Object::Event(event), "involvedObject.kind") => &event.involved_object.kind,
        (Object::Event(event), "involvedObject.namespace") => &event.involved_object.namespace,
        (Object::Event(event), "involvedObject.name") => &event.involved_object.name,
        (Object::Event(event), "involvedObject.uid") => &event.involved_object.uid,
        _ => return None,
    };
    Some(field.as_deref().unwrap_or_default())
}

fn in_json(kind: Kind, object: &Value, selector: &FieldSelector) -> BTreeMap<String, String> {
    let value = |field: &str| {
        let path = match (kind, field) {
            (Kind::Pod, "spec.host") => "/spec/nodeName".to_string(),
            (Kind::Event, "source") => "/source/component".to_string(),
            (Kind::Job, "status.successful") => "/status/succeeded".to_string(),
            _ => format!("/{}", field.replace('.', "/")),
        };
        match object.pointer(&path) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) => {
                let addresses = items.iter().filter_map(|item| item["ip"].as_str());
                addresses.collect::<Vec<_>>().join(",")
            }
            Some(Value::Null) | None if ["spec.unschedulable", "spec.hostNetwork"].contains(&field) => "false".into(),
            Some(Value::Null) | None if field.starts_with("status.") && is_count(field) => "0".into(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        }
    };
    selector.terms.iter().map(|term| (term.field.clone(), value(&term.field))).collect()
}

fn is_count(field: &str) -> bool {
    ["status.replicas", "status.successful"].contains(&field)
}
