//! Why the right answer is right: sentences with the names and numbers of the question.
//!
//! One file a chapter, or an exercise with many rules. Each function follows the rules of its contract over the question as it was asked, and says
//! nothing where it would come to another answer than the reference.

mod control_plane;
mod database;
mod design;
mod disruption;
mod election;
mod eviction;
mod failure;
mod job;
mod limits;
mod network;
mod node;
mod objects;
mod observability;
mod packets;
mod pod_lifecycle;
mod probes;
mod release;
mod rollback;
mod scheduler;
mod sets;
mod storage;
mod traces;
mod volumes;
mod vpa;
mod workloads;

use super::reference::{Script, quietly};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a sentence is made of: the call that is asked about and its arguments, what was asked before, and the answers.
pub struct Asked<'a> {
    /// The call.
    pub call: &'a str,
    /// Its arguments.
    pub args: &'a Value,
    /// Everything that was asked, that call included.
    pub script: &'a Script,
    /// What the reference answered to all of it.
    pub answers: &'a [Value],
    /// Its last answer.
    pub answer: &'a Value,
}

impl Asked<'_> {
    /// An argument as its contract has it.
    fn arg<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_value(self.args[name].clone()).ok()
    }

    /// The answer as its contract has it.
    fn answer<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.answer.clone()).ok()
    }
}

/// Why the reference answers so.
pub fn of(exercise: &str, script: &Script, answers: &[String]) -> Vec<String> {
    let answers: Vec<Value> = answers.iter().map(|answer| serde_json::from_str(answer).unwrap_or_default()).collect();
    let Some(answer) = answers.last() else { return Vec::new() };
    let (call, args) = script.asked();
    let asked = Asked { call, args, script, answers: &answers, answer };
    let why = quietly(|| match exercise {
        "control_plane/admission" => control_plane::admission(&asked),
        "control_plane/garbage_collector" => control_plane::garbage_collector(&asked),
        "control_plane/informer" => control_plane::informer(&asked),
        "control_plane/raft_election" => control_plane::raft_election(&asked),
        "control_plane/raft_replication" => control_plane::raft_replication(&asked),
        "control_plane/store" => control_plane::store(&asked),
        "control_plane/work_queue" => control_plane::work_queue(&asked),
        "design/serverless" => design::serverless(&asked),
        "failure/database_operator" => database::database_operator(&asked),
        "failure/disruption" => disruption::disruption(&asked),
        "failure/leader_election" => election::leader_election(&asked),
        "failure/node_lifecycle" => failure::node_lifecycle(&asked),
        "network/blue_green" => release::blue_green(&asked),
        "network/dns" => network::dns(&asked),
        "network/endpoints" => network::endpoints(&asked),
        "network/load_balancer" => network::load_balancer(&asked),
        "network/network_policy" => packets::network_policy(&asked),
        "network/pod_network" => packets::pod_network(&asked),
        "node/eviction" => eviction::eviction(&asked),
        "node/limits" => limits::limits(&asked),
        "node/probes" => probes::probes(&asked),
        "node/pod_lifecycle" => pod_lifecycle::pod_lifecycle(&asked),
        "node/qos" => node::qos(&asked),
        "objects/quantity" => objects::quantity(&asked),
        "objects/selector" => objects::selector(&asked),
        "observability/alerts" => observability::alerts(&asked),
        "observability/logs" => observability::logs(&asked),
        "observability/metrics" => observability::metrics(&asked),
        "observability/traces" => traces::traces(&asked),
        "scheduler/node_affinity" => scheduler::node_affinity(&asked),
        "scheduler/pod_affinity" => scheduler::pod_affinity(&asked),
        "scheduler/preemption" => scheduler::preemption(&asked),
        "scheduler/queue" => scheduler::queue(&asked),
        "scheduler/resources_fit" => scheduler::resources_fit(&asked),
        "scheduler/score" => scheduler::score(&asked),
        "scheduler/taints" => scheduler::taints(&asked),
        "scheduler/topology_spread" => scheduler::topology_spread(&asked),
        "storage/claim_binding" => storage::claim_binding(&asked),
        "storage/volumes" => volumes::volumes(&asked),
        "workloads/daemon_set" => sets::daemon_set(&asked),
        "workloads/hpa" => workloads::hpa(&asked),
        "workloads/job" => job::job(&asked),
        "workloads/replica_set" => workloads::replica_set(&asked),
        "workloads/rollback" => rollback::rollback(&asked),
        "workloads/rolling_update" => workloads::rolling_update(&asked),
        "workloads/stateful_set" => sets::stateful_set(&asked),
        "workloads/vpa" => vpa::vpa(&asked),
        _ => None,
    });
    why.unwrap_or_default()
}

/// How a client among others came to its end.
pub fn of_writers(script: &Value, lines: &[String]) -> Vec<String> {
    control_plane::concurrency(script, lines)
}

/// Why a packet ends where it does.
pub fn of_packets(script: &Value, packet: &str, ends: &[String]) -> Vec<String> {
    packets::kube_proxy(script, packet, ends)
}

/// `a`, `a and b`, `a, b and c`; `nothing` of none.
fn list(all: &[String]) -> String {
    match all {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
