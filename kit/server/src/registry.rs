//! What components write into objects in the same way: conditions of pods, and events.
//!
//! Sources: `pkg/api/v1/pod/util.go` for conditions, `client-go/tools/record/event.go` for events.

use kit_api::core::{Event, EventSource, ObjectReference, Pod, PodCondition};
use kit_api::jiff::Timestamp;
use kit_api::meta::ObjectMeta;
use kit_api::time;
use kit_apimachinery::object::{About, AsKind, Object};

/// Sets a condition of a pod; its transition time moves only if the status does.
pub fn set_condition(
    pod: &mut Pod,
    type_: &str,
    status: &str,
    reason: Option<&str>,
    message: Option<&str>,
    now: Timestamp,
) {
    let conditions = pod.status.get_or_insert_default().conditions.get_or_insert_default();
    let since =
        conditions.iter().find(|c| c.type_ == type_ && c.status == status).map(|c| c.last_transition_time.clone());
    let condition = PodCondition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.map(str::to_string),
        message: message.map(str::to_string),
        last_transition_time: since.unwrap_or(Some(time::seconds(now))),
        ..Default::default()
    };
    match conditions.iter_mut().find(|there| there.type_ == type_) {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}

/// An event about an object: type, reason and message. Events with the same `id` have the same name and are counted.
pub fn event(
    about: About<'_>,
    id: u64,
    (type_, reason, message): (&str, &str, &str),
    by: &str,
    now: Timestamp,
) -> Object {
    let namespace = if about.namespace().is_empty() { "default" } else { about.namespace() };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{id:016x}", about.name())),
            namespace: Some(namespace.into()),
            ..Default::default()
        },
        involved_object: ObjectReference {
            api_version: Some(about.kind.api_version().into()),
            kind: Some(about.kind.name().into()),
            name: Some(about.name().into()),
            namespace: Some(about.namespace().to_string()).filter(|namespace| !namespace.is_empty()),
            uid: Some(about.uid().into()),
            ..Default::default()
        },
        type_: Some(type_.into()),
        reason: Some(reason.into()),
        message: Some(message.into()),
        source: Some(EventSource { component: Some(by.into()), ..Default::default() }),
        reporting_component: Some(by.into()),
        count: Some(1),
        first_timestamp: Some(time::seconds(now)),
        last_timestamp: Some(time::seconds(now)),
        ..Default::default()
    }
    .into_object()
}
