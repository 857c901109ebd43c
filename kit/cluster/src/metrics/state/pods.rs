//! Pods and their containers: `pod.go`.

use super::{
    Of, Row, Table, alpha, counter, flag, list, number, one_of, owners, resources, seconds, stable, statuses, text,
};
use kit_apimachinery::object::Kind;
use serde_json::Value;

const CONTAINERS: &str = "/status/containerStatuses";
const INITS: &str = "/status/initContainerStatuses";

pub static PODS: Table = Table {
    kind: Kind::Pod,
    labels: &[("namespace", "/metadata/namespace"), ("pod", "/metadata/name"), ("uid", "/metadata/uid")],
    metrics: &[
        stable("kube_pod_completion_time", "Completion time in unix timestamp for a pod.", Of::Rows(completion)),
        stable(
            "kube_pod_container_info",
            "Information about a container in a pod.",
            Of::Rows(|pod| {
                let row = |status: &Value| {
                    let of = |field: &str| text(status, field);
                    let spec = list(pod, "/spec/containers").find(|spec| spec["name"] == status["name"]);
                    let labels = vec![
                        ("container", of("/name")),
                        ("image_spec", spec.map(|spec| text(spec, "/image")).unwrap_or_default()),
                        ("image", of("/image")),
                        ("image_id", of("/imageID")),
                        ("container_id", of("/containerID")),
                    ];
                    (labels, 1.0)
                };
                list(pod, CONTAINERS).map(row).collect()
            }),
        ),
        stable(
            "kube_pod_container_resource_limits",
            "The number of requested limit resource by a container. It is recommended to use the kube_pod_resource_limits metric exposed by kube-scheduler instead, as it is more precise.",
            Of::Rows(|pod| of_containers(pod, "/spec/containers", "/resources/limits")),
        ),
        stable(
            "kube_pod_container_resource_requests",
            "The number of requested request resource by a container. It is recommended to use the kube_pod_resource_requests metric exposed by kube-scheduler instead, as it is more precise.",
            Of::Rows(|pod| of_containers(pod, "/spec/containers", "/resources/requests")),
        ),
        stable(
            "kube_pod_container_state_started",
            "Start time in unix timestamp for a pod container.",
            Of::Rows(|pod| {
                each(pod, CONTAINERS, |status| {
                    let at = |state: &str| status.pointer(&format!("/state/{state}/startedAt"));
                    seconds(at("running").or(at("terminated")))
                })
            }),
        ),
        alpha(
            "kube_pod_container_status_last_terminated_reason",
            "Describes the last reason the container was in terminated state.",
            Of::Rows(|pod| reasons(pod, CONTAINERS, "/lastState/terminated")),
        ),
        alpha(
            "kube_pod_container_status_last_terminated_exitcode",
            "Describes the exit code for the last container in terminated state.",
            Of::Rows(|pod| each(pod, CONTAINERS, |status| number(status, "/lastState/terminated/exitCode"))),
        ),
        alpha(
            "kube_pod_container_status_last_terminated_timestamp",
            "Last terminated time for a pod container in unix timestamp.",
            Of::Rows(|pod| each(pod, CONTAINERS, |status| seconds(status.pointer("/lastState/terminated/finishedAt")))),
        ),
        stable(
            "kube_pod_container_status_ready",
            "Describes whether the containers readiness check succeeded.",
            Of::Rows(|pod| each(pod, CONTAINERS, |status| Some(flag(status["ready"] == true)))),
        ),
        counter(
            "kube_pod_container_status_restarts_total",
            "The number of container restarts per container.",
            Of::Rows(|pod| each(pod, CONTAINERS, |status| number(status, "/restartCount").or(Some(0.0)))),
        ),
        stable(
            "kube_pod_container_status_running",
            "Describes whether the container is currently in running state.",
            Of::Rows(|pod| states(pod, CONTAINERS, "/state/running")),
        ),
        stable(
            "kube_pod_container_status_terminated",
            "Describes whether the container is currently in terminated state.",
            Of::Rows(|pod| states(pod, CONTAINERS, "/state/terminated")),
        ),
        alpha(
            "kube_pod_container_status_terminated_reason",
            "Describes the reason the container is currently in terminated state.",
            Of::Rows(|pod| reasons(pod, CONTAINERS, "/state/terminated")),
        ),
        stable(
            "kube_pod_container_status_waiting",
            "Describes whether the container is currently in waiting state.",
            Of::Rows(|pod| states(pod, CONTAINERS, "/state/waiting")),
        ),
        stable(
            "kube_pod_container_status_waiting_reason",
            "Describes the reason the container is currently in waiting state.",
            Of::Rows(|pod| reasons(pod, CONTAINERS, "/state/waiting")),
        ),
        stable("kube_pod_created", "Unix creation timestamp", Of::Time("/metadata/creationTimestamp")),
        alpha("kube_pod_deletion_timestamp", "Unix deletion timestamp", Of::Time("/metadata/deletionTimestamp")),
        stable("kube_pod_info", "Information about pod.", Of::Rows(info)),
        alpha(
            "kube_pod_init_container_resource_limits",
            "The number of requested limit resource by an init container.",
            Of::Rows(|pod| of_containers(pod, "/spec/initContainers", "/resources/limits")),
        ),
        alpha(
            "kube_pod_init_container_resource_requests",
            "The number of requested request resource by an init container.",
            Of::Rows(|pod| of_containers(pod, "/spec/initContainers", "/resources/requests")),
        ),
        alpha(
            "kube_pod_init_container_status_last_terminated_reason",
            "Describes the last reason the init container was in terminated state.",
            Of::Rows(|pod| reasons(pod, INITS, "/lastState/terminated")),
        ),
        stable(
            "kube_pod_init_container_status_ready",
            "Describes whether the init containers readiness check succeeded.",
            Of::Rows(|pod| each(pod, INITS, |status| Some(flag(status["ready"] == true)))),
        ),
        counter(
            "kube_pod_init_container_status_restarts_total",
            "The number of restarts for the init container.",
            Of::Rows(|pod| each(pod, INITS, |status| number(status, "/restartCount").or(Some(0.0)))),
        ),
        stable(
            "kube_pod_init_container_status_running",
            "Describes whether the init container is currently in running state.",
            Of::Rows(|pod| states(pod, INITS, "/state/running")),
        ),
        stable(
            "kube_pod_init_container_status_terminated",
            "Describes whether the init container is currently in terminated state.",
            Of::Rows(|pod| states(pod, INITS, "/state/terminated")),
        ),
        stable(
            "kube_pod_init_container_status_waiting",
            "Describes whether the init container is currently in waiting state.",
            Of::Rows(|pod| states(pod, INITS, "/state/waiting")),
        ),
        alpha(
            "kube_pod_init_container_status_waiting_reason",
            "Describes the reason the init container is currently in waiting state.",
            Of::Rows(|pod| reasons(pod, INITS, "/state/waiting")),
        ),
        stable("kube_pod_owner", "Information about the Pod's owner.", Of::Rows(owners)),
        stable(
            "kube_pod_restart_policy",
            "Describes the restart policy in use by this pod.",
            Of::Info(&[("type", "/spec/restartPolicy")]),
        ),
        stable(
            "kube_pod_spec_volumes_persistentvolumeclaims_info",
            "Information about persistentvolumeclaim and ephemeral volumes in a pod.",
            Of::Rows(claims),
        ),
        stable("kube_pod_start_time", "Start time in unix timestamp for a pod.", Of::Time("/status/startTime")),
        stable(
            "kube_pod_status_phase",
            "The pods current phase.",
            Of::Phase("/status/phase", &["Pending", "Succeeded", "Failed", "Unknown", "Running"]),
        ),
        alpha(
            "kube_pod_status_qos_class",
            "The pods current qosClass.",
            Of::Rows(|pod| match text(pod, "/status/qosClass") {
                class if class.is_empty() => Vec::new(),
                class => one_of("qos_class", &class, &["BestEffort", "Burstable", "Guaranteed"]),
            }),
        ),
        stable(
            "kube_pod_status_ready",
            "Describes whether the pod is ready to serve requests.",
            Of::Rows(|pod| conditions(pod, "Ready").flat_map(|of| statuses("condition", of, &[])).collect()),
        ),
        alpha(
            "kube_pod_status_ready_time",
            "Readiness achieved time in unix timestamp for a pod.",
            Of::Rows(|pod| since(pod, "Ready", "True")),
        ),
        alpha("kube_pod_status_reason", "The pod status reasons", Of::Rows(why)),
        stable(
            "kube_pod_status_scheduled",
            "Describes the status of the scheduling process for the pod.",
            Of::Rows(|pod| conditions(pod, "PodScheduled").flat_map(|of| statuses("condition", of, &[])).collect()),
        ),
        stable(
            "kube_pod_status_scheduled_time",
            "Unix timestamp when pod moved into scheduled status",
            Of::Rows(|pod| since(pod, "PodScheduled", "True")),
        ),
        stable(
            "kube_pod_status_unschedulable",
            "Describes the unschedulable status for the pod.",
            Of::Rows(|pod| {
                let refused = conditions(pod, "PodScheduled").filter(|condition| condition["status"] == "False");
                refused.map(|_| (Vec::new(), 1.0)).collect()
            }),
        ),
        alpha(
            "kube_pod_service_account",
            "The service account for a pod.",
            Of::Info(&[("service_account", "/spec/serviceAccountName")]),
        ),
        alpha("kube_pod_scheduler", "The scheduler for a pod.", Of::Info(&[("name", "/spec/schedulerName")])),
    ],
};

/// A value of each container that has one.
fn each(pod: &Value, statuses: &str, value: impl Fn(&Value) -> Option<f64>) -> Vec<Row> {
    let row = |status: &Value| Some((vec![("container", text(status, "/name"))], value(status)?));
    list(pod, statuses).filter_map(row).collect()
}

fn states(pod: &Value, statuses: &str, state: &str) -> Vec<Row> {
    each(pod, statuses, |status| Some(flag(status.pointer(state).is_some_and(|state| !state.is_null()))))
}

/// The reason of each container that is, or was, in a state.
fn reasons(pod: &Value, statuses: &str, state: &str) -> Vec<Row> {
    let row = |status: &Value| {
        let state = status.pointer(state).filter(|state| !state.is_null())?;
        Some((vec![("container", text(status, "/name")), ("reason", text(state, "/reason"))], 1.0))
    };
    list(pod, statuses).filter_map(row).collect()
}

fn of_containers(pod: &Value, containers: &str, amounts: &str) -> Vec<Row> {
    let node = text(pod, "/spec/nodeName");
    let rows = |container: &Value| {
        let amounts = container.pointer(amounts).unwrap_or(&Value::Null);
        resources(amounts, &[("container", &text(container, "/name")), ("node", &node)])
    };
    list(pod, containers).flat_map(rows).collect()
}

fn completion(pod: &Value) -> Vec<Row> {
    let ended = list(pod, CONTAINERS).filter_map(|status| seconds(status.pointer("/state/terminated/finishedAt")));
    ended.reduce(f64::max).map(|last| (Vec::new(), last)).into_iter().collect()
}

fn info(pod: &Value) -> Vec<Row> {
    let of = |at: &str| text(pod, at);
    let by = list(pod, "/metadata/ownerReferences").find(|owner| owner["controller"] == true);
    let by = |field: &str| by.map(|owner| text(owner, field)).unwrap_or_default();
    let labels = vec![
        ("host_ip", of("/status/hostIP")),
        ("pod_ip", of("/status/podIP")),
        ("node", of("/spec/nodeName")),
        ("created_by_kind", by("/kind")),
        ("created_by_name", by("/name")),
        ("priority_class", of("/spec/priorityClassName")),
        ("host_network", (pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true))).to_string()),
    ];
    vec![(labels, 1.0)]
}

fn conditions<'a>(pod: &'a Value, type_: &'a str) -> impl Iterator<Item = &'a Value> {
    list(pod, "/status/conditions").filter(move |condition| condition["type"] == type_)
}

fn since(pod: &Value, type_: &str, status: &str) -> Vec<Row> {
    let holds = conditions(pod, type_).filter(|condition| condition["status"] == status);
    let times = holds.filter_map(|condition| seconds(condition.get("lastTransitionTime")));
    times.map(|time| (Vec::new(), time)).collect()
}

/// Only what holds is a series, since v2.16; what is no reason of this list is `Other`.
fn why(pod: &Value) -> Vec<Row> {
    const KNOWN: [&str; 8] = [
        "Evicted",
        "NodeAffinity",
        "NodeLost",
        "PreemptionByScheduler",
        "SchedulingGated",
        "Shutdown",
        "TerminationByKubelet",
        "UnexpectedAdmissionError",
    ];
    let reason = text(pod, "/status/reason");
    let has = |wanted: &&str| {
        reason == *wanted
            || list(pod, "/status/conditions").any(|condition| condition["reason"] == **wanted)
            || list(pod, CONTAINERS).any(|status| text(status, "/state/terminated/reason") == *wanted)
    };
    let other = (!reason.is_empty() && !KNOWN.contains(&reason.as_str())).then_some("Other");
    KNOWN.into_iter().filter(has).chain(other).map(|reason| (vec![("reason", reason.to_string())], 1.0)).collect()
}

fn claims(pod: &Value) -> Vec<Row> {
    let name = text(pod, "/metadata/name");
    let row = |volume: &Value| {
        let of = text(volume, "/name");
        let (claim, ephemeral) = match volume.pointer("/persistentVolumeClaim/claimName") {
            Some(claim) => (text(claim, ""), "false"),
            None => (volume.get("ephemeral").map(|_| format!("{name}-{of}"))?, "true"),
        };
        Some((vec![("volume", of), ("persistentvolumeclaim", claim), ("ephemeral", ephemeral.into())], 1.0))
    };
    list(pod, "/spec/volumes").filter_map(row).collect()
}
