//! The reference modules: one file for each exercise, under the exercise's own name.

pub mod control_plane {
    //! What stands between a request and the controllers that act on it.
    pub mod admission;
    pub mod concurrency;
    pub mod garbage_collector;
    pub mod informer;
    pub mod raft_election;
    pub mod raft_replication;
    pub mod store;
    pub mod work_queue;
}
pub mod design {
    //! What runs where, and what it costs.
    pub mod serverless;
}
pub mod failure {
    //! What happens when something breaks.
    pub mod database_operator;
    pub mod disruption;
    pub mod leader_election;
    pub mod node_lifecycle;
}
pub mod network {
    //! How requests find their pods: addresses, names, services, policies and packets.
    pub mod blue_green;
    pub mod dns;
    pub mod endpoints;
    pub mod kube_proxy;
    pub mod load_balancer;
    pub mod network_policy;
    pub mod pod_network;
}
pub mod node {
    //! What a node does for its pods.
    pub mod eviction;
    pub mod limits;
    pub mod pod_lifecycle;
    pub mod probes;
    pub mod qos;
}
pub mod objects {
    //! What objects are made of.
    pub mod quantity;
    pub mod selector;
}
pub mod observability {
    //! What tells people how their cluster is.
    pub mod alerts;
    pub mod logs;
    pub mod metrics;
    pub mod traces;
}
pub mod scheduler {
    //! The scheduler's plugins.
    pub mod node_affinity;
    pub mod pod_affinity;
    pub mod preemption;
    pub mod queue;
    pub mod resources_fit;
    pub mod score;
    pub mod taints;
    pub mod topology_spread;
}
pub mod storage {
    //! Who gets which disk, and how it gets into a pod.
    pub mod claim_binding;
    pub mod volumes;
}
pub mod workloads {
    //! The controllers that run workloads.
    pub mod daemon_set;
    pub mod hpa;
    pub mod job;
    pub mod replica_set;
    pub mod rollback;
    pub mod rolling_update;
    pub mod stateful_set;
    pub mod vpa;
}

use kit::{Modules, Slot};

/// The reference in every slot.
pub fn modules() -> Modules {
    Modules {
        store: Slot::of::<control_plane::store::Exercise>(),
        concurrency: Slot::of::<control_plane::concurrency::Exercise>(),
        informer: Slot::of::<control_plane::informer::Exercise>(),
        work_queue: Slot::of::<control_plane::work_queue::Exercise>(),
        serverless: Slot::of::<design::serverless::Exercise>(),
        leader_election: Slot::of::<failure::leader_election::Exercise>(),
        disruption: Slot::of::<failure::disruption::Exercise>(),
        node_lifecycle: Slot::of::<failure::node_lifecycle::Exercise>(),
        database_operator: Slot::of::<failure::database_operator::Exercise>(),
        endpoints: Slot::of::<network::endpoints::Exercise>(),
        network_policy: Slot::of::<network::network_policy::Exercise>(),
        dns: Slot::of::<network::dns::Exercise>(),
        load_balancer: Slot::of::<network::load_balancer::Exercise>(),
        blue_green: Slot::of::<network::blue_green::Exercise>(),
        eviction: Slot::of::<node::eviction::Exercise>(),
        limits: Slot::of::<node::limits::Exercise>(),
        probes: Slot::of::<node::probes::Exercise>(),
        pod_lifecycle: Slot::of::<node::pod_lifecycle::Exercise>(),
        qos: Slot::of::<node::qos::Exercise>(),
        quantity: Slot::of::<objects::quantity::Exercise>(),
        selector: Slot::of::<objects::selector::Exercise>(),
        alerts: Slot::of::<observability::alerts::Exercise>(),
        logs: Slot::of::<observability::logs::Exercise>(),
        metrics: Slot::of::<observability::metrics::Exercise>(),
        node_affinity: Slot::of::<scheduler::node_affinity::Exercise>(),
        score: Slot::of::<scheduler::score::Exercise>(),
        topology_spread: Slot::of::<scheduler::topology_spread::Exercise>(),
        pod_affinity: Slot::of::<scheduler::pod_affinity::Exercise>(),
        queue: Slot::of::<scheduler::queue::Exercise>(),
        preemption: Slot::of::<scheduler::preemption::Exercise>(),
        taints: Slot::of::<scheduler::taints::Exercise>(),
        job: Slot::of::<workloads::job::Exercise>(),
        claim_binding: Slot::of::<storage::claim_binding::Exercise>(),
        volumes: Slot::of::<storage::volumes::Exercise>(),
        replica_set: Slot::of::<workloads::replica_set::Exercise>(),
        daemon_set: Slot::of::<workloads::daemon_set::Exercise>(),
        hpa: Slot::of::<workloads::hpa::Exercise>(),
        pod_network: Slot::of::<network::pod_network::Exercise>(),
        resources_fit: Slot::of::<scheduler::resources_fit::Exercise>(),
        rollback: Slot::of::<workloads::rollback::Exercise>(),
        rolling_update: Slot::of::<workloads::rolling_update::Exercise>(),
        stateful_set: Slot::of::<workloads::stateful_set::Exercise>(),
        raft_election: Slot::of::<control_plane::raft_election::Exercise>(),
        raft_replication: Slot::of::<control_plane::raft_replication::Exercise>(),
        garbage_collector: Slot::of::<control_plane::garbage_collector::Exercise>(),
        admission: Slot::of::<control_plane::admission::Exercise>(),
        kube_proxy: Slot::of::<network::kube_proxy::Exercise>(),
        vpa: Slot::of::<workloads::vpa::Exercise>(),
        traces: Slot::of::<observability::traces::Exercise>(),
    }
}
