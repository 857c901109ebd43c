//! Which modules a cluster asks, and which of its processes does.

/// The modules that a cluster asks, and the process that does.
pub const ASKED: [(&str, &str); 36] = [
    ("control_plane/admission", API_SERVER),
    ("control_plane/garbage_collector", CONTROLLERS),
    ("control_plane/store", API_SERVER),
    ("failure/database_operator", CONTROLLERS),
    ("failure/leader_election", ELECTIONS),
    ("failure/disruption", CONTROLLERS),
    ("failure/node_lifecycle", CONTROLLERS),
    ("network/endpoints", CONTROLLERS),
    ("network/kube_proxy", NODES),
    ("network/network_policy", NODES),
    ("network/dns", NODES),
    ("network/pod_network", NODES),
    ("network/load_balancer", CLOUD),
    ("node/eviction", NODES),
    ("node/probes", NODES),
    ("node/pod_lifecycle", NODES),
    ("node/qos", API_SERVER),
    ("observability/logs", NODES),
    ("scheduler/node_affinity", SCHEDULER),
    ("scheduler/pod_affinity", SCHEDULER),
    ("scheduler/preemption", SCHEDULER),
    ("scheduler/queue", SCHEDULER),
    ("scheduler/resources_fit", SCHEDULER),
    ("scheduler/score", SCHEDULER),
    ("scheduler/taints", SCHEDULER),
    ("scheduler/topology_spread", SCHEDULER),
    ("storage/claim_binding", CONTROLLERS),
    ("storage/volumes", NODES),
    ("workloads/daemon_set", CONTROLLERS),
    ("workloads/hpa", CONTROLLERS),
    ("workloads/job", CONTROLLERS),
    ("workloads/replica_set", CONTROLLERS),
    ("workloads/rollback", CONTROLLERS),
    ("workloads/rolling_update", CONTROLLERS),
    ("workloads/stateful_set", CONTROLLERS),
    ("workloads/vpa", VERTICAL),
];
/// The process that keeps the objects. It is one, and never begins anew.
pub const API_SERVER: &str = "kube-apiserver";
/// What each process of the control plane does before it acts. It is no process, and only where there are hosts it asks modules.
pub const ELECTIONS: &str = "leader election";
pub(super) const SCHEDULER: &str = "kube-scheduler";
pub(super) const CONTROLLERS: &str = "kube-controller-manager";
/// What runs on nodes. It is no process of the control plane, and never begins anew. Most modules of it are asked only where there is
/// a network, that of probes only where containers run programs, that of evictions when a node is short of something, that of logs only
/// where the add-on is, and that of pods everywhere.
pub const NODES: &str = "nodes";
/// Only where there is a cloud.
pub(super) const CLOUD: &str = "cloud-controller-manager";
/// Only where the add-on is.
pub(super) const VERTICAL: &str = "vertical-pod-autoscaler";
/// Only where the add-on is.
pub(super) const KEDA: &str = "keda-operator";
/// Only where the add-on is.
pub(super) const AUTOSCALER: &str = "cluster-autoscaler";
