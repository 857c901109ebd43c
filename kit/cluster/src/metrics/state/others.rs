//! Nodes, namespaces, volumes and claims: `node.go`, `namespace.go`, `persistentvolume.go` and `persistentvolumeclaim.go`.

use super::{BY_UNIX, CREATED, Of, Row, Table, UNTIL_UNIX, alpha, conditions, flag, list, resources, stable, text};
use kit_apimachinery::object::Kind;
use serde_json::Value;

pub static NAMESPACES: Table = Table {
    kind: Kind::Namespace,
    labels: &[("namespace", "/metadata/name")],
    metrics: &[
        stable("kube_namespace_created", BY_UNIX, CREATED),
        stable(
            "kube_namespace_status_phase",
            "kubernetes namespace status phase.",
            Of::Phase("/status/phase", &["Active", "Terminating"]),
        ),
        alpha("kube_namespace_status_condition", "The condition of a namespace.", Of::Rows(conditions)),
    ],
};

pub static NODES: Table = Table {
    kind: Kind::Node,
    labels: &[("node", "/metadata/name")],
    metrics: &[
        stable("kube_node_created", BY_UNIX, CREATED),
        alpha("kube_node_deletion_timestamp", UNTIL_UNIX, Of::Time("/metadata/deletionTimestamp")),
        stable("kube_node_info", "Information about a cluster node.", Of::Rows(info)),
        alpha("kube_node_role", "The role of a cluster node.", Of::Rows(roles)),
        stable("kube_node_spec_taint", "The taint of a cluster node.", Of::Rows(taints)),
        stable(
            "kube_node_spec_unschedulable",
            "Whether a node can schedule new pods.",
            Of::Flag("/spec/unschedulable"),
        ),
        stable(
            "kube_node_status_allocatable",
            "The allocatable for different resources of a node that are available for scheduling.",
            Of::Rows(|node| resources(node.pointer("/status/allocatable").unwrap_or(&Value::Null), &[])),
        ),
        stable(
            "kube_node_status_capacity",
            "The capacity for different resources of a node.",
            Of::Rows(|node| resources(node.pointer("/status/capacity").unwrap_or(&Value::Null), &[])),
        ),
        stable("kube_node_status_condition", "The condition of a cluster node.", Of::Rows(conditions)),
        alpha(
            "kube_node_status_addresses",
            "Node address information.",
            Of::Rows(|node| {
                let row = |at: &Value| (vec![("type", text(at, "/type")), ("address", text(at, "/address"))], 1.0);
                list(node, "/status/addresses").map(row).collect()
            }),
        ),
    ],
};

fn info(node: &Value) -> Vec<Row> {
    let of = |field: &str| text(node, &format!("/status/nodeInfo/{field}"));
    let internal = list(node, "/status/addresses").find(|address| address["type"] == "InternalIP");
    let labels = vec![
        ("kernel_version", of("kernelVersion")),
        ("os_image", of("osImage")),
        ("container_runtime_version", of("containerRuntimeVersion")),
        ("kubelet_version", of("kubeletVersion")),
        ("kubeproxy_version", "deprecated".into()),
        ("provider_id", text(node, "/spec/providerID")),
        ("pod_cidr", text(node, "/spec/podCIDR")),
        ("system_uuid", of("systemUUID")),
        ("internal_ip", internal.map(|address| text(address, "/address")).unwrap_or_default()),
    ];
    vec![(labels, 1.0)]
}

fn roles(node: &Value) -> Vec<Row> {
    let labels = node.pointer("/metadata/labels").and_then(Value::as_object);
    let roles = labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    roles.map(|role| (vec![("role", role.to_string())], 1.0)).collect()
}

fn taints(node: &Value) -> Vec<Row> {
    let row = |taint: &Value| {
        let of = |field: &str| text(taint, field);
        (vec![("key", of("/key")), ("value", of("/value")), ("effect", of("/effect"))], 1.0)
    };
    list(node, "/spec/taints").map(row).collect()
}

pub static VOLUMES: Table = Table {
    kind: Kind::PersistentVolume,
    labels: &[("persistentvolume", "/metadata/name")],
    metrics: &[
        stable(
            "kube_persistentvolume_claim_ref",
            "Information about the Persistent Volume Claim Reference.",
            Of::Rows(|volume| {
                let Some(claim) = volume.pointer("/spec/claimRef") else { return Vec::new() };
                vec![(vec![("name", text(claim, "/name")), ("claim_namespace", text(claim, "/namespace"))], 1.0)]
            }),
        ),
        stable(
            "kube_persistentvolume_status_phase",
            "The phase indicates if a volume is available, bound to a claim, or released by a claim.",
            Of::Phase("/status/phase", &["Pending", "Available", "Bound", "Released", "Failed"]),
        ),
        stable(
            "kube_persistentvolume_info",
            "Information about persistentvolume.",
            Of::Info(&[
                ("storageclass", "/spec/storageClassName"),
                ("csi_driver", "/spec/csi/driver"),
                ("csi_volume_handle", "/spec/csi/volumeHandle"),
                ("local_path", "/spec/local/path"),
                ("local_fs", "/spec/local/fsType"),
                ("host_path", "/spec/hostPath/path"),
                ("host_path_type", "/spec/hostPath/type"),
                ("nfs_server", "/spec/nfs/server"),
                ("nfs_path", "/spec/nfs/path"),
                ("reclaim_policy", "/spec/persistentVolumeReclaimPolicy"),
            ]),
        ),
        stable(
            "kube_persistentvolume_capacity_bytes",
            "Persistentvolume capacity in bytes.",
            Of::Amount("/spec/capacity/storage"),
        ),
        alpha("kube_persistentvolume_created", BY_UNIX, CREATED),
    ],
};

pub static CLAIMS: Table = Table {
    kind: Kind::PersistentVolumeClaim,
    labels: &[("namespace", "/metadata/namespace"), ("persistentvolumeclaim", "/metadata/name")],
    metrics: &[
        stable(
            "kube_persistentvolumeclaim_info",
            "Information about persistent volume claim.",
            Of::Info(&[
                ("storageclass", "/spec/storageClassName"),
                ("volumename", "/spec/volumeName"),
                ("volumemode", "/spec/volumeMode"),
            ]),
        ),
        stable(
            "kube_persistentvolumeclaim_status_phase",
            "The phase the persistent volume claim is currently in.",
            Of::Phase("/status/phase", &["Lost", "Bound", "Pending"]),
        ),
        stable(
            "kube_persistentvolumeclaim_resource_requests_storage_bytes",
            "The capacity of storage requested by the persistent volume claim.",
            Of::Amount("/spec/resources/requests/storage"),
        ),
        stable(
            "kube_persistentvolumeclaim_access_mode",
            "The access mode(s) specified by the persistent volume claim.",
            Of::Rows(|claim| {
                let mode = |mode: &Value| (vec![("access_mode", text(mode, ""))], flag(true));
                list(claim, "/spec/accessModes").map(mode).collect()
            }),
        ),
        alpha(
            "kube_persistentvolumeclaim_status_condition",
            "Information about status of different conditions of persistent volume claim.",
            Of::Rows(conditions),
        ),
        alpha("kube_persistentvolumeclaim_created", BY_UNIX, CREATED),
    ],
};
