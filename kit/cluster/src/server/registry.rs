//! What the API server knows of each kind: defaults, validation, and which parts of an object a request may change.
//!
//! Sources: `pkg/apis/*/v1/defaults.go` for defaults, `pkg/registry/*/*/strategy.go` for what requests may change,
//! `plugin/pkg/admission/defaulttolerationseconds/admission.go` for the 300 seconds.

use super::{DeleteOptions, Error, Propagation};
use crate::object::{AsKind, Kind, Object};
use kit_api::apps::{DeploymentStrategy, RollingUpdateDeployment};
use kit_api::core::{Event, EventSource, ObjectReference, Pod, PodCondition, PodSpec, PodStatus, Toleration};
use kit_api::jiff::Timestamp;
use kit_api::meta::{ObjectMeta, Time};
use kit_api::selector::Selector;
use kit_api::{name, pod, pod_resources};
use kit_contract::node::Qos;
use siphasher::sip::SipHasher13;
use std::hash::{Hash, Hasher};

/// How long a pod tolerates a node that is not ready or unreachable, if it doesn't say.
const TOLERATED_SECONDS: i64 = 300;
/// The grace period of a pod that names none.
const GRACE_SECONDS: i64 = 30;

/// Fills in what the object leaves out.
pub fn default(object: &mut Object) {
    match object {
        Object::Pod(pod) => {
            pod_resources::set_defaults(pod);
            let spec = pod.spec.get_or_insert_default();
            default_pod_spec(spec);
            tolerate(spec, "node.kubernetes.io/not-ready");
            tolerate(spec, "node.kubernetes.io/unreachable");
        }
        Object::ReplicaSet(set) => {
            let spec = set.spec.get_or_insert_default();
            spec.replicas.get_or_insert(1);
            spec.template.as_mut().and_then(|template| template.spec.as_mut()).map(default_pod_spec);
        }
        Object::Deployment(deployment) => {
            let spec = deployment.spec.get_or_insert_default();
            spec.replicas.get_or_insert(1);
            spec.revision_history_limit.get_or_insert(10);
            spec.progress_deadline_seconds.get_or_insert(600);
            spec.template.spec.as_mut().map(default_pod_spec);
            let strategy = spec.strategy.get_or_insert_with(DeploymentStrategy::default);
            let type_ = strategy.type_.get_or_insert_with(|| "RollingUpdate".into());
            if type_ == "RollingUpdate" {
                let quarter = || kit_api::int_or_percent::IntOrString::String("25%".into());
                let rolling = strategy.rolling_update.get_or_insert_with(RollingUpdateDeployment::default);
                rolling.max_surge.get_or_insert_with(quarter);
                rolling.max_unavailable.get_or_insert_with(quarter);
            }
        }
        Object::HorizontalPodAutoscaler(autoscaler) => {
            let spec = autoscaler.spec.get_or_insert_default();
            spec.min_replicas.get_or_insert(1);
        }
        Object::Service(service) => {
            let spec = service.spec.get_or_insert_default();
            spec.type_.get_or_insert_with(|| "ClusterIP".into());
            for port in spec.ports.iter_mut().flatten() {
                port.protocol.get_or_insert_with(|| "TCP".into());
            }
        }
        _ => {}
    }
}

fn default_pod_spec(spec: &mut PodSpec) {
    spec.restart_policy.get_or_insert_with(|| "Always".into());
    spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    spec.dns_policy.get_or_insert_with(|| "ClusterFirst".into());
    spec.scheduler_name.get_or_insert_with(|| "default-scheduler".into());
    spec.enable_service_links.get_or_insert(true);
}

fn tolerate(spec: &mut PodSpec, key: &str) {
    let tolerations = spec.tolerations.get_or_insert_default();
    // Admission looks at keys and effects alone: a toleration of every key covers both taints.
    let covers = |toleration: &Toleration| {
        let empty = |field: &Option<String>| field.as_deref().unwrap_or_default().is_empty();
        (empty(&toleration.key) || toleration.key.as_deref() == Some(key))
            && (empty(&toleration.effect) || toleration.effect.as_deref() == Some("NoExecute"))
    };
    if !tolerations.iter().any(covers) {
        tolerations.push(Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some("NoExecute".into()),
            toleration_seconds: Some(TOLERATED_SECONDS),
            ..Default::default()
        });
    }
}

/// Says what is wrong with a new object.
pub fn validate(object: &Object) -> Result<(), Error> {
    let key = object.key();
    let invalid = |why: String| Err(Error::invalid(&key, &why));
    let problems = match object.kind() {
        Kind::Namespace => name::dns1123_label(&key.name),
        Kind::Service => name::dns1035_label(&key.name),
        _ => name::dns1123_subdomain(&key.name),
    };
    if let Some(problem) = problems.first() {
        return invalid(format!("metadata.name: Invalid value: {:?}: {problem}", key.name));
    }
    let (selector, labels) = match object {
        Object::ReplicaSet(set) => match &set.spec {
            Some(spec) => (Some(&spec.selector), spec.template.as_ref().and_then(|t| t.metadata.as_ref())),
            None => return invalid("spec: Required value".into()),
        },
        Object::Deployment(deployment) => match &deployment.spec {
            Some(spec) => (Some(&spec.selector), spec.template.metadata.as_ref()),
            None => return invalid("spec: Required value".into()),
        },
        Object::Pod(pod) if pod.spec.as_ref().is_none_or(|spec| spec.containers.is_empty()) => {
            return invalid("spec.containers: Required value".into());
        }
        _ => (None, None),
    };
    if let Some(selector) = selector {
        let labels = labels.and_then(|meta| meta.labels.clone()).unwrap_or_default();
        match Selector::try_from(Some(selector)) {
            Err(error) => return invalid(format!("spec.selector: Invalid value: {error}")),
            Ok(parsed) if !parsed.matches(&labels) => {
                let text = serde_json::to_string(&labels).unwrap_or_default();
                let why = "`selector` does not match template `labels`";
                return invalid(format!("spec.template.metadata.labels: Invalid value: {text}: {why}"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Says which change of an object is not allowed.
pub fn validate_update(new: &Object, old: &Object) -> Result<(), Error> {
    let immutable = |field: &str| Err(Error::invalid(&new.key(), &format!("{field}: field is immutable")));
    match (new, old) {
        (Object::ReplicaSet(new), Object::ReplicaSet(old))
            if new.spec.as_ref().map(|s| &s.selector) != old.spec.as_ref().map(|s| &s.selector) =>
        {
            immutable("spec.selector")
        }
        (Object::Deployment(new), Object::Deployment(old))
            if new.spec.as_ref().map(|s| &s.selector) != old.spec.as_ref().map(|s| &s.selector) =>
        {
            immutable("spec.selector")
        }
        _ => validate(new),
    }
}

/// A new object starts at generation 1 and with the status of its kind's beginning.
pub fn prepare_for_create(object: &mut Object, qos: &dyn Qos) {
    if has_generation(object.kind()) {
        object.meta_mut().generation = Some(1);
    }
    match object {
        Object::Pod(pod) => {
            let class = qos.class(pod);
            let phase = Some("Pending".to_string());
            pod.status = Some(PodStatus { phase, qos_class: Some(class.to_string()), ..Default::default() });
        }
        Object::ReplicaSet(set) => set.status = None,
        Object::Deployment(deployment) => deployment.status = None,
        Object::HorizontalPodAutoscaler(autoscaler) => autoscaler.status = None,
        _ => {}
    }
}

/// An update changes no status, and moves the generation if it changes the specification.
pub fn prepare_for_update(new: &mut Object, old: &Object) {
    default(new);
    keep_system_metadata(new.meta_mut(), old.meta());
    match (&mut *new, old) {
        (Object::Pod(new), Object::Pod(old)) => new.status = old.status.clone(),
        (Object::Node(new), Object::Node(old)) => new.status = old.status.clone(),
        (Object::Service(new), Object::Service(old)) => new.status = old.status.clone(),
        (Object::ReplicaSet(new), Object::ReplicaSet(old)) => new.status = old.status.clone(),
        (Object::Deployment(new), Object::Deployment(old)) => new.status = old.status.clone(),
        (Object::HorizontalPodAutoscaler(new), Object::HorizontalPodAutoscaler(old)) => new.status = old.status.clone(),
        _ => {}
    }
    let respecified = match (&*new, old) {
        (Object::ReplicaSet(new), Object::ReplicaSet(old)) => new.spec != old.spec,
        (Object::Deployment(new), Object::Deployment(old)) => {
            // `pkg/registry/apps/deployment/strategy.go`: annotations move the generation too.
            new.spec != old.spec || new.metadata.annotations != old.metadata.annotations
        }
        _ => false,
    };
    let began_to_end = new.meta().deletion_timestamp.is_some() && old.meta().deletion_timestamp.is_none();
    let generation = old.meta().generation;
    new.meta_mut().generation = generation.map(|at| at + i64::from(respecified || began_to_end));
}

/// An update of the status changes nothing else.
pub fn prepare_for_status_update(new: &mut Object, old: &Object) {
    let status = std::mem::replace(new, old.clone());
    match (new, status) {
        (Object::Pod(new), Object::Pod(from)) => new.status = from.status,
        (Object::Node(new), Object::Node(from)) => new.status = from.status,
        (Object::Service(new), Object::Service(from)) => new.status = from.status,
        (Object::ReplicaSet(new), Object::ReplicaSet(from)) => new.status = from.status,
        (Object::Deployment(new), Object::Deployment(from)) => {
            // `deploymentStatusStrategy`: the controller writes the revision together with the status.
            new.metadata.annotations = from.metadata.annotations;
            new.status = from.status;
        }
        (Object::HorizontalPodAutoscaler(new), Object::HorizontalPodAutoscaler(from)) => new.status = from.status,
        _ => {}
    }
}

fn has_generation(kind: Kind) -> bool {
    matches!(kind, Kind::ReplicaSet | Kind::Deployment)
}

/// What clients can't change (`rest.BeforeUpdate`).
fn keep_system_metadata(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.uid.clone_from(&old.uid);
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.generation = old.generation;
    new.generate_name.clone_from(&old.generate_name);
}

/// The object as it waits for its end, or none if nothing holds it (`rest.BeforeDelete`, `markAsDeleting`).
pub fn begin_deletion(object: &Object, options: &DeleteOptions, now: Timestamp) -> Option<Object> {
    let mut object = object.clone();
    let finalizer = match options.propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some("foregroundDeletion"),
        Propagation::Orphan => Some("orphan"),
    };
    if let Some(finalizer) = finalizer {
        let finalizers = object.meta_mut().finalizers.get_or_insert_default();
        if !finalizers.iter().any(|there| there == finalizer) {
            finalizers.push(finalizer.into());
        }
    }
    let grace = match &object {
        Object::Pod(pod) => grace_period(pod, options.grace_period_seconds),
        _ => 0,
    };
    let meta = object.meta_mut();
    let held = meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty());
    if grace == 0 && !held {
        return None;
    }
    // A second delete can shorten the grace period, never lengthen it.
    if meta.deletion_timestamp.is_none() || meta.deletion_grace_period_seconds.is_some_and(|there| grace < there) {
        let at = Timestamp::from_second(now.as_second() + grace).unwrap_or(now);
        if meta.deletion_timestamp.is_none() {
            meta.generation = meta.generation.map(|at| at + 1);
        }
        meta.deletion_timestamp = Some(Time(at));
        meta.deletion_grace_period_seconds = Some(grace);
    }
    Some(object)
}

/// `podStrategy.CheckGracefulDelete` of `pkg/registry/core/pod/strategy.go`.
fn grace_period(pod: &Pod, asked: Option<i64>) -> i64 {
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE_SECONDS);
    match asked.unwrap_or(own) {
        // Nobody would confirm the end of a pod that never ran, or that is over.
        _ if pod::node_name(pod).is_none() || pod::is_finished(pod) => 0,
        seconds => seconds.max(0),
    }
}

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
        last_transition_time: since.unwrap_or(Some(Time(now))),
        ..Default::default()
    };
    match conditions.iter_mut().find(|there| there.type_ == type_) {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}

/// An event about an object; the same event about the same object has the same name, so that it is counted.
pub fn event(about: &Object, type_: &str, reason: &str, message: &str, by: &str, now: Timestamp) -> Object {
    let mut hasher = SipHasher13::new();
    (about.kind(), about.uid(), type_, reason, message, by).hash(&mut hasher);
    let namespace = if about.namespace().is_empty() { "default" } else { about.namespace() };
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:016x}", about.name(), hasher.finish())),
            namespace: Some(namespace.into()),
            ..Default::default()
        },
        involved_object: ObjectReference {
            api_version: Some(about.kind().api_version().into()),
            kind: Some(about.kind().name().into()),
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
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        ..Default::default()
    }
    .into_object()
}
