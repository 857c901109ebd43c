//! Fresh scenarios: drawn from a seed, in the form that scenario files have.
//!
//! Each exercise has a generator, in the file with its name: valid questions, aimed at the corners as much as at the
//! middle. Goldens explain and can be known by heart; what nobody wrote down can't. The reference is the judge. Scenario
//! number 31 of a seed is the same on every machine, whatever was drawn before it, and whoever fails in one sees the
//! smallest that still fails: shrinking is proptest's.

use crate::{design, failure, network, node, objects, observability, scheduler, storage, workloads};
use kit_contract::Modules;
use kit_time::random::{Purpose, Random};
use proptest::collection::vec;
use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// What draws the scenarios of one exercise: `{new: …, steps: […]}` as in a file, with a sentence `why` where one can be told.
pub type Generator = BoxedStrategy<Value>;

/// The generator of an exercise, and how many of its scenarios belong to each verdict: as many as take a few tens of
/// milliseconds. Where it depends on the module what can happen next, the reference is played along.
pub fn of(exercise: &str, reference: &Modules) -> Option<(Generator, u64)> {
    use crate::control_plane::fresh as control_plane;
    Some(match exercise {
        "control_plane/admission" => (control_plane::admission::fresh(), 200),
        "control_plane/concurrency" => (control_plane::concurrency::fresh(), 50),
        "control_plane/garbage_collector" => (control_plane::garbage_collector::fresh(), 200),
        "control_plane/informer" => (control_plane::informer::fresh(reference.informer.clone()), 24),
        "control_plane/raft_election" => (control_plane::raft::elections(), 6),
        "control_plane/raft_replication" => (control_plane::raft::replication(), 6),
        "control_plane/store" => (control_plane::store::fresh(reference.store.clone()), 30),
        "control_plane/work_queue" => (control_plane::work_queue::fresh(reference.work_queue.clone()), 60),
        "design/serverless" => (design::serverless::fresh(), 200),
        "failure/database_operator" => (failure::database_operator::fresh(), 100),
        "failure/leader_election" => (failure::leader_election::fresh(reference.leader_election.clone()), 150),
        "failure/disruption" => (failure::disruption::fresh(), 150),
        "failure/node_lifecycle" => (failure::node_lifecycle::fresh(reference.node_lifecycle.clone()), 50),
        "network/blue_green" => (network::blue_green::fresh(), 30),
        "network/dns" => (network::dns::fresh(), 150),
        "network/endpoints" => (network::endpoints::fresh(), 100),
        "network/kube_proxy" => (network::kube_proxy::fresh(), 12),
        "network/load_balancer" => (network::load_balancer::fresh(), 150),
        "network/network_policy" => (network::network_policy::fresh(), 150),
        "network/pod_network" => (network::pod_network::fresh(), 15),
        "node/eviction" => (node::eviction::fresh(reference.eviction.clone()), 100),
        "node/limits" => (node::limits::fresh(), 150),
        "node/probes" => (node::probes::fresh(reference.probes.clone()), 150),
        "node/pod_lifecycle" => (node::pod_lifecycle::fresh(), 300),
        "node/qos" => (node::qos::fresh(), 80),
        "objects/quantity" => (objects::quantity::fresh(), 100),
        "objects/selector" => (objects::selector::fresh(), 100),
        "observability/alerts" => (observability::alerts::fresh(reference.alerts.clone()), 300),
        "observability/logs" => (observability::logs::fresh(reference.logs.clone()), 200),
        "observability/metrics" => (observability::metrics::fresh(), 300),
        "observability/traces" => (observability::traces::fresh(reference.traces.clone()), 200),
        "scheduler/node_affinity" => (scheduler::node_affinity::fresh(), 110),
        "scheduler/pod_affinity" => (scheduler::pod_affinity::fresh(), 70),
        "scheduler/preemption" => (scheduler::preemption::fresh(), 50),
        "scheduler/queue" => (scheduler::queue::fresh(), 60),
        "scheduler/resources_fit" => (scheduler::resources_fit::fresh(), 90),
        "scheduler/score" => (scheduler::score::fresh(), 120),
        "scheduler/taints" => (scheduler::taints::fresh(), 90),
        "scheduler/topology_spread" => (scheduler::topology_spread::fresh(), 70),
        "workloads/daemon_set" => (workloads::daemon_set::fresh(), 120),
        "storage/claim_binding" => (storage::claim_binding::fresh(), 150),
        "storage/volumes" => (storage::volumes::fresh(), 150),
        "workloads/hpa" => (workloads::hpa::fresh(), 200),
        "workloads/job" => (workloads::job::fresh(), 160),
        "workloads/replica_set" => (workloads::replica_set::fresh(), 150),
        "workloads/rollback" => (workloads::rollback::fresh(), 160),
        "workloads/rolling_update" => (workloads::rolling_update::fresh(), 300),
        "workloads/stateful_set" => (workloads::stateful_set::fresh(), 180),
        "workloads/vpa" => (workloads::vpa::fresh(), 120),
        _ => return None,
    })
}

/// One fresh scenario, which can be made smaller.
pub struct Fresh(Box<dyn ValueTree<Value = Value>>);

impl Fresh {
    /// Scenario `number` of a seed, counted from 1.
    ///
    /// # Errors
    ///
    /// If the generator gives up, which is a mistake in it.
    pub fn draw(generator: &Generator, exercise: &str, seed: &str, number: u64) -> Result<Fresh, String> {
        let random = Random::new(number);
        let mut bytes = [0; 32];
        for (attempt, part) in (0..).zip(bytes.chunks_mut(8)) {
            let purpose = Purpose { component: exercise, object: seed, reason: "fresh", attempt };
            part.copy_from_slice(&random.bits(purpose).to_le_bytes());
        }
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
        generator.new_tree(&mut runner).map(|tree| Fresh(Box::new(tree))).map_err(|e| e.to_string())
    }

    /// The scenario.
    pub fn scenario(&self) -> Value {
        self.0.current()
    }

    /// Looks for the smallest scenario for which `fails` holds, as it does for this one; it is asked so often at most.
    pub fn shrink(&mut self, most: usize, mut fails: impl FnMut(Value) -> bool) {
        if !self.0.simplify() {
            return;
        }
        for _ in 0..most {
            let go_on = if fails(self.0.current()) { self.0.simplify() } else { self.0.complicate() };
            if !go_on {
                return;
            }
        }
    }
}

/// A scenario of these steps for a module that is made with `new`.
pub fn scenario(new: Value, steps: Vec<Value>) -> Value {
    json!({"new": new, "steps": steps})
}

/// A scenario of one question.
pub fn question(call: &str, args: Value) -> Value {
    scenario(json!({}), vec![step(call, args)])
}

/// Scenarios of several questions, made of scenarios of one, for modules without a configuration: what a module keeps of a
/// question must not show in the next answer.
pub fn several(one: impl Strategy<Value = Value> + 'static, most: usize) -> Generator {
    let all = vec(one, 1..=most).prop_map(|scenarios| {
        let steps =
            scenarios.into_iter().flat_map(|scenario| scenario["steps"].as_array().cloned().unwrap_or_default());
        scenario(json!({}), steps.collect())
    });
    all.boxed()
}

/// One step.
pub fn step(call: &str, args: Value) -> Value {
    json!({ call: args })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit_contract::EXERCISES;

    #[test]
    fn a_number_of_a_seed_is_one_scenario_forever() {
        for exercise in EXERCISES {
            let Some((generator, _)) = of(exercise, &solutions::modules()) else { continue };
            let draw = |seed, number| Fresh::draw(&generator, exercise, seed, number).expect("it draws").scenario();
            assert_eq!(draw("a", 31), draw("a", 31), "{exercise}");
            assert!((1..20).any(|number| draw("a", number) != draw("b", number)), "{exercise}");
        }
    }
}
