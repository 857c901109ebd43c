//! Workloads that go on: `deployment.go`, `replicaset.go`, `statefulset.go` and `daemonset.go`.

use super::{
    BY_UNIX, CREATED, DELETED, GENERATION, OBSERVED, Of, Row, SEQUENCE, Table, UNTIL_UNIX, alpha, list, owners, stable,
    statuses, text,
};
use kit_api::int_or_percent::{Round, scaled};
use kit_apimachinery::object::Kind;
use serde_json::Value;

pub static DEPLOYMENTS: Table = Table {
    kind: Kind::Deployment,
    labels: &[("namespace", "/metadata/namespace"), ("deployment", "/metadata/name")],
    metrics: &[
        stable("kube_deployment_created", BY_UNIX, CREATED),
        stable(
            "kube_deployment_status_replicas",
            "The number of replicas per deployment.",
            Of::Number("/status/replicas"),
        ),
        stable(
            "kube_deployment_status_replicas_ready",
            "The number of ready replicas per deployment.",
            Of::Number("/status/readyReplicas"),
        ),
        stable(
            "kube_deployment_status_replicas_available",
            "The number of available replicas per deployment.",
            Of::Number("/status/availableReplicas"),
        ),
        stable(
            "kube_deployment_status_replicas_unavailable",
            "The number of unavailable replicas per deployment.",
            Of::Number("/status/unavailableReplicas"),
        ),
        stable(
            "kube_deployment_status_replicas_updated",
            "The number of updated replicas per deployment.",
            Of::Number("/status/updatedReplicas"),
        ),
        stable(
            "kube_deployment_status_observed_generation",
            "The generation observed by the deployment controller.",
            OBSERVED,
        ),
        stable(
            "kube_deployment_status_condition",
            "The current status conditions of a deployment.",
            Of::Rows(deployment_conditions),
        ),
        stable(
            "kube_deployment_spec_replicas",
            "Number of desired pods for a deployment.",
            Of::Given("/spec/replicas"),
        ),
        stable(
            "kube_deployment_spec_paused",
            "Whether the deployment is paused and will not be processed by the deployment controller.",
            Of::Flag("/spec/paused"),
        ),
        stable(
            "kube_deployment_spec_strategy_rollingupdate_max_unavailable",
            "Maximum number of unavailable replicas during a rolling update of a deployment.",
            Of::Rows(|object| rolling(object, "maxUnavailable", Round::Down)),
        ),
        stable(
            "kube_deployment_spec_strategy_rollingupdate_max_surge",
            "Maximum number of replicas that can be scheduled above the desired number of replicas during a rolling update of a deployment.",
            Of::Rows(|object| rolling(object, "maxSurge", Round::Up)),
        ),
        stable("kube_deployment_metadata_generation", SEQUENCE, GENERATION),
        alpha("kube_deployment_deletion_timestamp", UNTIL_UNIX, DELETED),
    ],
};

/// What a condition of a Deployment may give as its reason; any other is `unknown`.
const REASONS: [&str; 11] = [
    "ReplicaSetUpdated",
    "ReplicaSetCreateError",
    "NewReplicaSetCreated",
    "FoundNewReplicaSet",
    "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded",
    "DeploymentPaused",
    "DeploymentResumed",
    "MinimumReplicasAvailable",
    "MinimumReplicasUnavailable",
    "",
];

fn deployment_conditions(object: &Value) -> Vec<Row> {
    let rows = |condition: &Value| {
        let reason = text(condition, "/reason");
        let reason = if REASONS.contains(&reason.as_str()) { &reason } else { "unknown" };
        statuses("status", condition, &[("reason", reason), ("condition", &text(condition, "/type"))])
    };
    list(object, "/status/conditions").flat_map(rows).collect()
}

fn rolling(object: &Value, field: &str, round: Round) -> Vec<Row> {
    let value = || {
        let value = object.pointer("/spec/strategy/rollingUpdate")?.get(field)?;
        let replicas = i32::try_from(object.pointer("/spec/replicas")?.as_i64()?).ok()?;
        scaled(&serde_json::from_value(value.clone()).ok()?, replicas, round).ok()
    };
    value().map(|value| (Vec::new(), f64::from(value))).into_iter().collect()
}

pub static REPLICA_SETS: Table = Table {
    kind: Kind::ReplicaSet,
    labels: &[("namespace", "/metadata/namespace"), ("replicaset", "/metadata/name")],
    metrics: &[
        stable("kube_replicaset_created", BY_UNIX, CREATED),
        stable(
            "kube_replicaset_status_replicas",
            "The number of replicas per ReplicaSet.",
            Of::Number("/status/replicas"),
        ),
        stable(
            "kube_replicaset_status_fully_labeled_replicas",
            "The number of fully labeled replicas per ReplicaSet.",
            Of::Number("/status/fullyLabeledReplicas"),
        ),
        stable(
            "kube_replicaset_status_ready_replicas",
            "The number of ready replicas per ReplicaSet.",
            Of::Number("/status/readyReplicas"),
        ),
        stable(
            "kube_replicaset_status_observed_generation",
            "The generation observed by the ReplicaSet controller.",
            OBSERVED,
        ),
        stable(
            "kube_replicaset_spec_replicas",
            "Number of desired pods for a ReplicaSet.",
            Of::Given("/spec/replicas"),
        ),
        stable("kube_replicaset_metadata_generation", SEQUENCE, GENERATION),
        stable("kube_replicaset_owner", "Information about the ReplicaSet's owner.", Of::Rows(owners)),
    ],
};

pub static STATEFUL_SETS: Table = Table {
    kind: Kind::StatefulSet,
    labels: &[("namespace", "/metadata/namespace"), ("statefulset", "/metadata/name")],
    metrics: &[
        stable("kube_statefulset_created", BY_UNIX, CREATED),
        stable(
            "kube_statefulset_status_replicas",
            "The number of replicas per StatefulSet.",
            Of::Number("/status/replicas"),
        ),
        stable(
            "kube_statefulset_status_replicas_available",
            "The number of available replicas per StatefulSet.",
            Of::Number("/status/availableReplicas"),
        ),
        stable(
            "kube_statefulset_status_replicas_current",
            "The number of current replicas per StatefulSet.",
            Of::Number("/status/currentReplicas"),
        ),
        stable(
            "kube_statefulset_status_replicas_ready",
            "The number of ready replicas per StatefulSet.",
            Of::Number("/status/readyReplicas"),
        ),
        stable(
            "kube_statefulset_status_replicas_updated",
            "The number of updated replicas per StatefulSet.",
            Of::Number("/status/updatedReplicas"),
        ),
        stable(
            "kube_statefulset_status_observed_generation",
            "The generation observed by the StatefulSet controller.",
            OBSERVED,
        ),
        stable("kube_statefulset_replicas", "Number of desired pods for a StatefulSet.", Of::Given("/spec/replicas")),
        stable(
            "kube_statefulset_ordinals_start",
            "Start ordinal of the StatefulSet.",
            Of::Given("/spec/ordinals/start"),
        ),
        stable(
            "kube_statefulset_metadata_generation",
            "Sequence number representing a specific generation of the desired state for the StatefulSet.",
            GENERATION,
        ),
        stable(
            "kube_statefulset_status_current_revision",
            "Indicates the version of the StatefulSet used to generate Pods in the sequence [0,currentReplicas).",
            Of::Info(&[("revision", "/status/currentRevision")]),
        ),
        stable(
            "kube_statefulset_status_update_revision",
            "Indicates the version of the StatefulSet used to generate Pods in the sequence [replicas-updatedReplicas,replicas)",
            Of::Info(&[("revision", "/status/updateRevision")]),
        ),
        stable("kube_statefulset_deletion_timestamp", UNTIL_UNIX, DELETED),
    ],
};

pub static DAEMON_SETS: Table = Table {
    kind: Kind::DaemonSet,
    labels: &[("namespace", "/metadata/namespace"), ("daemonset", "/metadata/name")],
    metrics: &[
        stable("kube_daemonset_created", BY_UNIX, CREATED),
        stable(
            "kube_daemonset_status_current_number_scheduled",
            "The number of nodes running at least one daemon pod and are supposed to.",
            Of::Number("/status/currentNumberScheduled"),
        ),
        stable(
            "kube_daemonset_status_desired_number_scheduled",
            "The number of nodes that should be running the daemon pod.",
            Of::Number("/status/desiredNumberScheduled"),
        ),
        stable(
            "kube_daemonset_status_number_available",
            "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available",
            Of::Number("/status/numberAvailable"),
        ),
        stable(
            "kube_daemonset_status_number_misscheduled",
            "The number of nodes running a daemon pod but are not supposed to.",
            Of::Number("/status/numberMisscheduled"),
        ),
        stable(
            "kube_daemonset_status_number_ready",
            "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and ready.",
            Of::Number("/status/numberReady"),
        ),
        stable(
            "kube_daemonset_status_number_unavailable",
            "The number of nodes that should be running the daemon pod and have none of the daemon pod running and available",
            Of::Number("/status/numberUnavailable"),
        ),
        stable(
            "kube_daemonset_status_observed_generation",
            "The most recent generation observed by the daemon set controller.",
            OBSERVED,
        ),
        stable(
            "kube_daemonset_status_updated_number_scheduled",
            "The total number of nodes that are running updated daemon pod",
            Of::Number("/status/updatedNumberScheduled"),
        ),
        stable("kube_daemonset_metadata_generation", SEQUENCE, GENERATION),
        alpha("kube_daemonset_deletion_timestamp", UNTIL_UNIX, DELETED),
    ],
};
