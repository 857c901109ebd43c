//! In which order an update is checked, by kind. What is checked twice is told twice in the details of the answer.
//!
//! Sources: `BeforeUpdate` of `apiserver/pkg/registry/rest/update.go`, which looks at all metadata first; `ValidateUpdate` of
//! `pkg/registry/*/*/strategy.go` and the `Validate*Update` that they call.

use kit_apimachinery::resource::Resource;

/// One part of the check of an update.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Metadata as `ValidateObjectMetaUpdate` looks at it.
    Metadata,
    /// The object as a new one would be looked at.
    Whole,
    /// The same but for its metadata.
    Again,
    /// What may not change.
    Change,
}

/// The parts of the check of a kind.
pub fn parts(resource: &Resource) -> &'static [Part] {
    use Part::{Again, Change, Metadata, Whole};
    match resource.kind.as_str() {
        _ if resource.custom => &[Metadata, Change],
        "PriorityClass" | "ServiceCIDR" => &[Metadata, Change],
        "ConfigMap" | "IngressClass" | "Secret" | "Service" => &[Metadata, Change, Whole],
        "ControllerRevision" | "Pod" => &[Metadata, Whole, Change],
        "APIService" | "Endpoints" | "Ingress" | "ServiceAccount" => &[Metadata, Whole],
        "CSIDriver"
        | "CronJob"
        | "CustomResourceDefinition"
        | "Deployment"
        | "HorizontalPodAutoscaler"
        | "Lease"
        | "PodTemplate"
        | "ResourceQuota"
        | "StatefulSet" => &[Metadata, Again, Change],
        "CSIStorageCapacity" | "IPAddress" | "Namespace" | "Node" | "RuntimeClass" | "StorageClass" => {
            &[Whole, Metadata, Change]
        }
        "DaemonSet" | "Job" | "NetworkPolicy" | "ReplicaSet" | "ReplicationController" => {
            &[Whole, Metadata, Again, Change]
        }
        "PersistentVolumeClaim" => &[Whole, Metadata, Whole, Change],
        "CSINode" | "PersistentVolume" | "VolumeAttachment" => &[Whole, Whole, Change],
        "ClusterRole" | "ClusterRoleBinding" | "Role" | "RoleBinding" => &[Whole, Whole, Metadata, Change],
        "CertificateSigningRequest" => &[Whole, Change, Metadata],
        _ => &[Whole, Change],
    }
}
