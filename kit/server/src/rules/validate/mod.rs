//! What is wrong with an object, field by field and in upstream's order.
//!
//! Sources: `pkg/apis/{core,apps,batch,autoscaling,networking,policy,storage,scheduling,rbac}/validation/validation.go`
//! and `apimachinery/pkg/api/validation`.

mod address;
mod admission;
mod batch;
mod certificates;
mod environment;
mod handlers;
mod job_status;
mod meta;
mod mounts;
mod network;
mod node;
mod pod;
mod pod_status;
mod policy;
mod ranges;
pub mod resize;
mod resources;
mod scheduling;
mod security;
mod service;
mod serving;
pub mod status;
mod storage;
mod volumes;
mod workloads;

pub use batch::job_spec;
pub use meta::label_selector;
pub use node::{SOURCES, status as node_status, taints_of as node_taints};
pub use ranges::ranges_changed;
pub use service::cluster_ips;

use super::flow_defaults;
use crate::apiextensions;
use crate::field::{At, Errors};
use kit_api::name;
use kit_apimachinery::resource::Resource;
use serde_json::Value;

/// A check of a text: what is wrong with it.
pub type Name = fn(&str) -> Vec<String>;

/// Says what is wrong with a new object of a kind.
pub fn validate(resource: &Resource, object: &Value) -> Errors {
    let mut errors = Errors::default();
    let root = At::root(object);
    metadata(&mut errors, resource, &root);
    errors.0.extend(rules(resource, object).0);
    // What all kinds have in common is looked at once the kind has nothing to say (`BeforeCreate` of `rest/create.go`).
    if errors.0.is_empty() {
        meta::object_meta(&mut errors, &root.get("metadata"), resource.namespaced, meta::path_segment);
    }
    errors
}

/// Says what is wrong with an object of a kind apart from its metadata.
pub fn rules(resource: &Resource, object: &Value) -> Errors {
    let (root, mut errors) = (At::root(object), Errors::default());
    let e = &mut errors;
    match resource.kind.as_str() {
        _ if resource.custom => {
            resource.definition.iter().for_each(|version| apiextensions::validate(e, version, object))
        }
        "Pod" => pod::pod(e, &root),
        "PodTemplate" => pod::template(e, &root.get("template")),
        "Deployment" => workloads::deployment(e, &root.get("spec")),
        "ReplicaSet" => workloads::replica_set(e, &root.get("spec")),
        "ReplicationController" => workloads::replication_controller(e, &root.get("spec")),
        "StatefulSet" => workloads::stateful_set(e, &root.get("spec")),
        "DaemonSet" => workloads::daemon_set(e, &root.get("spec")),
        "ControllerRevision" => {
            e.not_negative(&root.get("revision"));
            if !root.get("data").is_set() {
                e.required(&root.get("data"), "data is mandatory");
            }
        }
        "Job" => batch::job(e, &root),
        "CronJob" => batch::cron_job(e, &root),
        "HorizontalPodAutoscaler" => workloads::autoscaler(e, &root.get("spec")),
        "Service" => service::service(e, &root.get("spec")),
        "Endpoints" => network::endpoints(e, &root),
        "EndpointSlice" => network::endpoint_slice(e, &root),
        "NetworkPolicy" => network::network_policy(e, &root.get("spec")),
        "Ingress" => network::ingress(e, &root.get("spec")),
        "IngressClass" => network::ingress_class(e, &root.get("spec")),
        "PodDisruptionBudget" => policy::disruption_budget(e, &root.get("spec")),
        "PriorityClass" => policy::priority_class(e, &root),
        "ResourceQuota" => policy::resource_quota(e, &root.get("spec")),
        "LimitRange" => policy::limit_range(e, &root.get("spec")),
        "Role" | "ClusterRole" => policy::role(e, &root, resource.namespaced),
        "RoleBinding" | "ClusterRoleBinding" => policy::role_binding(e, &root, resource.namespaced),
        "ConfigMap" => policy::config_map(e, &root),
        "Secret" => policy::secret(e, &root),
        "Lease" => policy::lease(e, &root.get("spec")),
        "Event" => policy::event(e, &root),
        "Namespace" => meta::namespace_finalizers(e, &root.at("spec.finalizers")),
        "Node" => node::node(e, &root),
        "PersistentVolumeClaim" => node::claim(e, &root.get("spec")),
        "PersistentVolume" => node::volume(e, &root.get("spec")),
        "StorageClass" => storage::class(e, &root),
        "VolumeAttachment" => storage::attachment(e, &root),
        "CSINode" => storage::csi_node(e, &root.get("spec")),
        "CSIDriver" => storage::csi_driver(e, &root.get("spec")),
        "CustomResourceDefinition" => apiextensions::rules::check(e, &root),
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => admission::webhooks(e, &root),
        "ValidatingAdmissionPolicy" => admission::policy(e, &root),
        "ValidatingAdmissionPolicyBinding" => admission::binding(e, &root.get("spec")),
        "APIService" => serving::api_service(e, &root),
        "FlowSchema" => serving::flow_schema(e, &root),
        "PriorityLevelConfiguration" => serving::priority_level(e, &root),
        "CertificateSigningRequest" => certificates::request(e, &root),
        "ServiceCIDR" => ranges::ranges(e, &root.at("spec.cidrs")),
        "IPAddress" => ranges::address(e, &root.at("spec.parentRef")),
        "CSIStorageCapacity" => storage::capacity(e, &root),
        "RuntimeClass" => scheduling::runtime_class(e, &root),
        _ => {}
    }
    errors
}

/// Kinds whose finalizers may have any qualified name: they are validated by `apimachinery/pkg/api/validation` alone.
const LOOSE_FINALIZERS: [&str; 9] = [
    "APIService",
    "CustomResourceDefinition",
    "Lease",
    "MutatingWebhookConfiguration",
    "PodDisruptionBudget",
    "RuntimeClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// Says what is wrong with an object's metadata.
pub fn metadata(e: &mut Errors, resource: &Resource, root: &At<'_>) {
    // Events are looked at as they were before there were rules of metadata (`legacyValidateEvent`), and of budgets the spec.
    if ["Event", "PodDisruptionBudget"].contains(&&*resource.kind) && !resource.custom {
        return;
    }
    let meta = root.get("metadata");
    meta::object_meta(e, &meta, resource.namespaced, name_of(&resource.kind));
    if !resource.custom && !LOOSE_FINALIZERS.contains(&&*resource.kind) {
        meta::finalizer_names(e, &meta.get("finalizers"));
    }
}

/// Says what is wrong with the metadata of a changed object of any kind (`validateCommonFields`).
pub fn common_metadata(e: &mut Errors, resource: &Resource, new: &At<'_>, old: &At<'_>) {
    meta::object_meta(e, &new.get("metadata"), resource.namespaced, meta::path_segment);
    meta::changed(e, &new.get("metadata"), &old.get("metadata"));
}

/// Says what is wrong with changed metadata of a kind (`ValidateObjectMetaUpdate`).
pub fn changed_metadata(e: &mut Errors, resource: &Resource, new: &At<'_>, old: &At<'_>) {
    meta::changed(e, &new.get("metadata"), &old.get("metadata"));
    if !resource.custom && !LOOSE_FINALIZERS.contains(&&*resource.kind) {
        meta::finalizer_names(e, &new.at("metadata.finalizers"));
    }
}

/// Says what is wrong with the metadata of an object in an object, whose name can be anything that fits into a path.
pub fn embedded_meta(e: &mut Errors, meta: &At<'_>) {
    let namespaced = !meta.get("namespace").text().is_empty();
    meta::object_meta(e, meta, namespaced, meta::path_segment);
}

/// What the name of an object of a kind must look like.
fn name_of(kind: &str) -> Name {
    match kind {
        // Pods are named after their set, and their names are their hosts' (`ValidateStatefulSetName`).
        "Namespace" | "StatefulSet" => name::dns1123_label,
        "Service" => name::dns1035_label,
        "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding" | "APIService" => meta::path_segment,
        "CertificateSigningRequest" => |_| Vec::new(),
        "IPAddress" => ranges::canonical,
        _ => name::dns1123_subdomain,
    }
}
