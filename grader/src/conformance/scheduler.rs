//! Decisions of the scheduler, held against the scheduler of the cluster with the reference modules.

use super::Check;
use super::pure::{compare, field};
use kit_api::core::{Namespace, Node, Pod as ApiPod, ReplicationController, Service};
use kit_api::policy::PodDisruptionBudget;
use kit_api::{Name, apps, pod, pod_resources};
use kit_apimachinery::object::AsKind;
use kit_contract::scheduler::{PendingPod, QueueConfig, ShapePoint, Strategy, WeightedResource};
use kit_scheduler::class::{Classes, Pod};
use kit_scheduler::cycle::{Found, State, feasible_nodes_to_find};
use kit_scheduler::framework::{Filter, Framework, Profile, Refusal};
use kit_scheduler::preemption::Preempted;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;

/// The check for one table by its name, if it is covered.
pub fn check(table: &str) -> Option<Check> {
    Some(match table {
        "feasible_nodes_to_find" => to_find,
        "scheduler_backoff" => backoff,
        "sequences" => sequence,
        "host_ports"
        | "image_locality"
        | "mixed"
        | "node_affinity"
        | "nominated_pods"
        | "pod_affinity_preferred"
        | "pod_affinity_required"
        | "pod_anti_affinity_required"
        | "pod_count_limit"
        | "preemption_affinity_spread_ports"
        | "preemption_pdb"
        | "preemption_resources"
        | "resources_basic"
        | "resources_extended"
        | "resources_init_sidecar_overhead"
        | "scoring_strategy"
        | "taints_tolerations"
        | "topology_spread_cluster_defaults"
        | "topology_spread_hard"
        | "topology_spread_soft"
        | "unschedulable_and_node_name" => decision,
        _ => return None,
    })
}

/// Times without one are later than all others.
const NOW: i64 = i64::MAX / 2;

fn to_find(case: &Value) -> Result<(), String> {
    let found = feasible_nodes_to_find(field(case, "percentageOfNodesToScore")?, field(case, "nodes")?);
    compare(case, json!({ "feasibleNodesToFind": found }))
}

/// How long a pod backs off after its last of some attempts. Another pod keeps it from being taken early.
fn backoff(case: &Value) -> Result<(), String> {
    let attempts: u32 = field(case, "attempts")?;
    let mut queue = solutions::modules().queue.make(&QueueConfig::default());
    let pod = PendingPod { name: "shop/web".into(), priority: 0, gated: false };
    queue.add(&pod, 0);
    let mut now = 0;
    for attempt in 1..=attempts {
        if queue.pop(now).is_none() {
            return Err(format!("attempt {attempt}: the pod can't be tried"));
        }
        queue.failed(&pod.name, &[], now);
        if attempt < attempts {
            now += 60_000;
        }
    }
    // It is over in the second after the one in which it ends.
    let seconds = (0..600).find(|seconds| queue.pop(now + 1000 * (seconds + 1)).is_some());
    compare(case, json!({ "seconds": seconds }))
}

/// A cluster as a case describes it.
struct Cluster {
    state: State,
    classes: Classes,
    framework: Framework,
}

impl Cluster {
    fn new(input: &Value) -> Result<Self, String> {
        let mut state = State::default();
        let mut classes = Classes::default();
        for node in list::<Node>(input, "nodes")? {
            state.nodes.set_node(&node);
        }
        for namespace in list::<Namespace>(input, "namespaces")? {
            state.objects.set(&namespace.into_object(), false);
        }
        for service in list::<Service>(input, "services")? {
            state.objects.set(&service.into_object(), false);
        }
        for set in list::<apps::ReplicaSet>(input, "replicaSets")? {
            state.objects.set(&set.into_object(), false);
        }
        for set in list::<apps::StatefulSet>(input, "statefulSets")? {
            state.objects.set(&set.into_object(), false);
        }
        for controller in list::<ReplicationController>(input, "replicationControllers")? {
            state.objects.set_replication_controller(&controller);
        }
        for budget in list::<PodDisruptionBudget>(input, "podDisruptionBudgets")? {
            state.objects.set(&budget.into_object(), false);
        }
        for pod in list::<ApiPod>(input, "existing")? {
            let pod = defaulted(pod);
            if pod::is_finished(&pod) {
                continue;
            }
            let pod = classes.pod(&pod);
            match (pod.node_name, pod.nominated) {
                (Some(node), _) => state.nodes.set_pod(node, pod),
                (None, Some(node)) => state.nominated.entry(node).or_default().push(Rc::new(pod)),
                (None, None) => {}
            }
        }
        let framework = Framework::new(&solutions::modules(), profile(&input["profile"])?);
        Ok(Cluster { state, classes, framework })
    }

    fn incoming(&mut self, input: &Value) -> Result<Rc<Pod>, String> {
        Ok(Rc::new(self.classes.pod(&defaulted(field(input, "pod")?))))
    }

    /// What is recorded of each node.
    fn nodes(&mut self, pod: &Rc<Pod>, found: &Found) -> Map<String, Value> {
        let mut nodes = Map::new();
        for place in 0..self.state.nodes.list().len() {
            let name = self.state.nodes.list()[place].name;
            let excluded = found.restricted_to.as_ref().is_some_and(|names| !names.iter().any(|n| *n == *name));
            let mut shown = json!({ "fits": found.feasible.contains(&place) });
            if excluded {
                shown["rejected"] = json!({ "code": "ExcludedByPreFilterResult" });
            } else if let Some(refusal) = found.refused.get(&place) {
                shown["rejected"] = rejected(refusal);
                let others = self.also_failing(pod, place, refusal.plugin);
                if !others.is_empty() {
                    shown["alsoFailing"] = others.into();
                }
            } else if let Some(at) = found.feasible.iter().position(|other| *other == place) {
                let weighted =
                    found.scores.iter().map(|scores| (scores.plugin.to_string(), scores.weighted[at].into()));
                shown["scores"] = Value::Object(weighted.collect());
                let raw = |scores: &kit_scheduler::framework::PluginScores| {
                    Some((scores.plugin.to_string(), scores.raw.as_ref()?[at].into()))
                };
                shown["raw"] = Value::Object(found.scores.iter().filter_map(raw).collect());
                shown["total"] = found.totals[at].into();
            }
            nodes.insert(name.to_string(), shown);
        }
        nodes
    }

    /// The plugins that refuse a node, too, if they are asked on their own.
    fn also_failing(&mut self, pod: &Rc<Pod>, place: usize, first: &str) -> Map<String, Value> {
        let mut failing = Map::new();
        for filter in Filter::ALL.into_iter().filter(|filter| filter.name() != first) {
            let State { nodes, objects, .. } = &self.state;
            let mut cycle = self.framework.cycle(pod, nodes);
            if let Some(refusal) = self.framework.ask_filter(filter, &mut cycle, place, nodes, objects) {
                let code = code(&refusal);
                failing.insert(filter.name().into(), json!({ "code": code, "reasons": refusal.reasons }));
            }
        }
        failing
    }
}

fn decision(case: &Value) -> Result<(), String> {
    let (input, output) = (&case["input"], &case["output"]);
    let mut cluster = Cluster::new(input)?;
    let pod = cluster.incoming(input)?;
    let mut found = cluster.state.find(&pod, &mut cluster.framework);
    // The recording scores a single node, too.
    cluster.state.score(&pod, &mut cluster.framework, &mut found);
    let nodes = cluster.nodes(&pod, &found);
    let name = |place: &usize| cluster.state.nodes.list()[*place].name.to_string();
    let mut feasible: Vec<String> = found.feasible.iter().map(name).collect();
    let mut got = json!({ "nodes": nodes });
    if let Some(names) = &found.restricted_to {
        got["preFilterNodes"] = json!(names);
    }
    let most = found.totals.iter().max();
    let best = found.feasible.iter().zip(&found.totals).filter(|(_, total)| Some(*total) == most);
    let mut best: Vec<String> = best.map(|(place, _)| name(place)).collect();
    best.sort();
    feasible.sort();
    got["feasible"] = json!(feasible);
    if feasible.is_empty() {
        let mut module = solutions::modules().preemption.make(&());
        let preempted = cluster.state.preempt(&pod, &found, &mut cluster.framework, &mut *module, NOW);
        got["message"] = cluster.state.failure(&found, &preempted).into();
        got["preemption"] = preemption(&preempted, &cluster.state, &output["preemption"])?;
    } else {
        got["best"] = json!(best);
    }
    differences(output, &got, "").map_err(|difference| format!("{}: {difference}", case["name"]))
}

/// What is recorded of preemption.
fn preemption(preempted: &Preempted, state: &State, recorded: &Value) -> Result<Value, String> {
    let mut shown = json!({ "status": if preempted.node.is_some() { "Success" } else { "Unschedulable" } });
    let candidate = |c: &kit_contract::scheduler::PreemptionCandidate| {
        let victims: Vec<&str> = c.victims.iter().map(|pod| pod.name.as_str()).collect();
        (c.node.clone(), json!({ "victims": victims, "pdbViolations": c.violations }))
    };
    if !preempted.candidates.is_empty() {
        shown["candidates"] = Value::Object(preempted.candidates.iter().map(candidate).collect());
    }
    if !preempted.message.is_empty() {
        shown["message"] = preempted.message.clone().into();
    }
    if !preempted.not_eligible {
        let mut others = Map::new();
        for node in state.nodes.list() {
            let name = node.name.to_string();
            if preempted.candidates.iter().any(|c| c.node == name) {
                continue;
            }
            let shown = match preempted.not_candidates.get(&name) {
                Some(refusal) => json!({ "code": code(refusal), "reasons": refusal.reasons }),
                None => json!({
                    "code": "UnschedulableAndUnresolvable",
                    "reasons": ["Preemption is not helpful for scheduling"],
                }),
            };
            others.insert(name, shown);
        }
        if !others.is_empty() {
            shown["notCandidates"] = others.into();
        }
    }
    // Of equal nodes upstream takes any: ours must be one of those that were seen.
    if let Some(node) = &preempted.node {
        let any: BTreeSet<String> = field(recorded, "nominatedAnyOf")?;
        if !any.contains(node) {
            return Err(format!("preemption.nominatedAnyOf: expected one of {any:?}, got {node:?}"));
        }
        shown["nominatedAnyOf"] = recorded["nominatedAnyOf"].clone();
        for recorded_run in ["nominatedByThisRun", "deletedByThisRun"] {
            shown[recorded_run] = recorded[recorded_run].clone();
        }
        // If the recorded run took the same node, it deleted the same pods.
        if recorded["nominatedByThisRun"] == json!(node) {
            let victims = preempted.candidates.iter().filter(|c| c.node == *node).flat_map(|c| &c.victims);
            let mut victims: Vec<&str> = victims.map(|pod| pod.name.as_str()).collect();
            victims.sort();
            let mut deleted: Vec<String> = field(recorded, "deletedByThisRun")?;
            deleted.sort();
            if victims != deleted {
                shown["deletedByThisRun"] = json!(victims);
            }
        }
    }
    Ok(shown)
}

/// Pods of one template, one after the other.
fn sequence(case: &Value) -> Result<(), String> {
    let input = &case["input"];
    let mut cluster = Cluster::new(input)?;
    let template: ApiPod = field(input, "pod")?;
    let steps = case["steps"].as_array().or(case["output"]["steps"].as_array()).ok_or("the case has no `steps`")?;
    for (number, step) in steps.iter().enumerate() {
        let mut api = template.clone();
        api.metadata.name = Some(format!("pod-{number}"));
        let pod = Rc::new(cluster.classes.pod(&defaulted(api)));
        let mut found = cluster.state.find(&pod, &mut cluster.framework);
        cluster.state.score(&pod, &mut cluster.framework, &mut found);
        let name = |place: &usize| cluster.state.nodes.list()[*place].name;
        let mut got = if found.feasible.is_empty() {
            let mut module = solutions::modules().preemption.make(&());
            let preempted = cluster.state.preempt(&pod, &found, &mut cluster.framework, &mut *module, NOW);
            json!({ "message": cluster.state.failure(&found, &preempted) })
        } else {
            let totals: Map<String, Value> = found
                .feasible
                .iter()
                .zip(&found.totals)
                .map(|(p, total)| (name(p).to_string(), (*total).into()))
                .collect();
            let most = found.totals.iter().max();
            let mut best: Vec<Name> = found
                .feasible
                .iter()
                .zip(&found.totals)
                .filter(|(_, t)| Some(*t) == most)
                .map(|(p, _)| name(p))
                .collect();
            best.sort();
            let taken = best[0];
            cluster.state.nodes.set_pod(taken, Pod { node_name: Some(taken), ..(*pod).clone() });
            json!({ "totals": totals, "best": best, "taken": taken })
        };
        got["pod"] = step["pod"].clone();
        differences(step, &got, "").map_err(|difference| format!("{} step {number}: {difference}", case["name"]))?;
    }
    Ok(())
}

fn list<T: DeserializeOwned>(input: &Value, name: &str) -> Result<Vec<T>, String> {
    let list: Option<Vec<T>> = field(input, name)?;
    Ok(list.unwrap_or_default())
}

/// What the API server would have made of the pod.
fn defaulted(mut pod: ApiPod) -> ApiPod {
    pod.metadata.namespace.get_or_insert_with(|| "default".into());
    pod_resources::set_defaults(&mut pod);
    let spec = pod.spec.get_or_insert_default();
    let on_host = spec.host_network == Some(true);
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        for port in container.ports.iter_mut().flatten() {
            port.protocol.get_or_insert_with(|| "TCP".into());
            if on_host && port.host_port.unwrap_or(0) == 0 {
                port.host_port = Some(port.container_port);
            }
        }
    }
    pod
}

fn profile(name: &Value) -> Result<Profile, String> {
    let resource = |(name, weight): (&str, i64)| WeightedResource { name: name.into(), weight };
    let point = |(utilization, score)| ShapePoint { utilization, score };
    Ok(match name.as_str() {
        None => Profile::default(),
        Some("topology-list-defaulting") => Profile { no_default_spreading: true, ..Profile::default() },
        Some("most-allocated") => Profile {
            strategy: Strategy::MostAllocated([("cpu", 1), ("memory", 1)].map(resource).into()),
            ..Profile::default()
        },
        Some("requested-to-capacity-ratio") => Profile {
            strategy: Strategy::RequestedToCapacityRatio {
                resources: [("cpu", 3), ("memory", 1), ("nvidia.com/gpu", 5)].map(resource).into(),
                // The configuration counts scores from 0 to 10.
                shape: [(0, 0), (40, 80), (100, 100)].map(point).into(),
            },
            ..Profile::default()
        },
        Some(other) => return Err(format!("there is no profile {other}")),
    })
}

fn code(refusal: &Refusal) -> &'static str {
    if refusal.unresolvable { "UnschedulableAndUnresolvable" } else { "Unschedulable" }
}

fn rejected(refusal: &Refusal) -> Value {
    json!({ "code": code(refusal), "plugin": refusal.plugin, "reasons": refusal.reasons })
}

/// Compares two values field by field: the first difference, with the path to it. Nothing, null and an empty list are the same.
fn differences(expected: &Value, got: &Value, path: &str) -> Result<(), String> {
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().try_for_each(|key| differences(&expected[key], &got[key], &format!("{path}.{key}")))
        }
        (Value::Null, Value::Array(list)) | (Value::Array(list), Value::Null) if list.is_empty() => Ok(()),
        (Value::Null, Value::Object(map)) | (Value::Object(map), Value::Null) if map.is_empty() => Ok(()),
        _ if expected == got => Ok(()),
        _ => Err(format!("{}: expected {expected}, got {got}", path.trim_start_matches('.'))),
    }
}
