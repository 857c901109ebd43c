//! What preemption and pods on their way to a node do to a decision, in the corners where it is easy to decide differently.

use kit_scheduler::class::{Classes, Pod};
use kit_scheduler::cycle::{Found, State};
use kit_scheduler::framework::{Framework, Profile};
use kit_scheduler::preemption::Preempted;
use serde_json::{Value, json};
use std::rc::Rc;

/// A cluster of two nodes with a CPU each, in a zone each.
struct Cluster {
    state: State,
    classes: Classes,
    framework: Framework,
}

impl Cluster {
    fn new() -> Self {
        let framework = Framework::new(&solutions::modules(), Profile::default());
        let mut cluster = Cluster { state: State::default(), classes: Classes::default(), framework };
        for name in ["node-0", "node-1"] {
            let node = json!({
                "metadata": {"name": name, "labels": {"zone": name, "generation": "5"}},
                "status": {"allocatable": {"cpu": "1", "memory": "4Gi", "pods": "110"}},
            });
            cluster.state.nodes.set_node(&serde_json::from_value(node).expect("a good node"));
        }
        cluster
    }

    /// A pod `shop/<name>` of the application `web` that asks for so much CPU, with other fields merged over it.
    fn pod(&mut self, name: &str, cpu: &str, mut other: Value) -> Pod {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}]},
        });
        for part in ["metadata", "spec", "status"] {
            if let Some(fields) = other[part].as_object_mut() {
                fields.iter().for_each(|(name, value)| pod[part][name] = value.clone());
            }
        }
        self.classes.pod(&serde_json::from_value(pod).expect("a good pod"))
    }

    /// Puts a pod on a node.
    fn run(&mut self, node: &str, name: &str, cpu: &str, other: Value) {
        let pod = self.pod(name, cpu, other);
        self.state.nodes.set_pod(node.into(), pod);
    }

    fn decide(&mut self, pod: Pod) -> (Found, Preempted) {
        let pod = Rc::new(pod);
        let found = self.state.find(&pod, &mut self.framework);
        let mut module = solutions::modules().preemption.make(&());
        let preempted = self.state.preempt(&pod, &found, &mut self.framework, &mut *module, 0);
        (found, preempted)
    }
}

/// A pod on its way out, by this reason in its condition DisruptionTarget.
fn leaving(reason: &str) -> Value {
    json!({
        "metadata": {"deletionTimestamp": "2025-01-01T00:00:00Z"},
        "status": {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]},
    })
}

fn urgent(other: Value) -> Value {
    let mut pod = json!({"spec": {"priority": 100}, "status": {"nominatedNodeName": "node-0"}});
    for (name, value) in other.as_object().into_iter().flatten() {
        pod["spec"][name] = value.clone();
    }
    pod
}

#[test]
fn it_waits_only_for_pods_that_leave_for_another() {
    for (reason, waits) in [("PreemptionByScheduler", true), ("EvictionByEvictionAPI", false)] {
        let mut cluster = Cluster::new();
        cluster.run("node-0", "leaving", "1", leaving(reason));
        cluster.run("node-1", "stays", "1", json!({"spec": {"priority": 100}}));
        let pod = cluster.pod("urgent", "1", urgent(json!({})));
        assert_eq!(cluster.decide(pod).1.not_eligible, waits, "{reason}");
    }
}

#[test]
fn it_does_not_wait_for_a_node_that_is_out_of_the_question() {
    let mut cluster = Cluster::new();
    cluster.run("node-0", "leaving", "1", leaving("PreemptionByScheduler"));
    cluster.run("node-1", "gives-way", "1", json!({}));
    let term = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]});
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
    let pod = cluster.pod("urgent", "1", urgent(json!({"affinity": {"nodeAffinity": required}})));
    assert_eq!(cluster.decide(pod).1.node.as_deref(), Some("node-1"));
}

#[test]
fn of_pods_that_have_not_started_the_last_one_stays() {
    let mut cluster = Cluster::new();
    cluster.run("node-1", "stays", "1", json!({"spec": {"priority": 100}}));
    for name in ["a", "b"] {
        cluster.run("node-0", name, "500m", json!({}));
    }
    let pod = cluster.pod("urgent", "500m", json!({"spec": {"priority": 100}}));
    let victims: Vec<_> =
        cluster.decide(pod).1.candidates[0].victims.iter().map(|victim| victim.name.clone()).collect();
    assert_eq!(victims, ["shop/a"]);
}

/// `updateWithPod` takes one off the count for any pod that is supposed to be away, and the count didn't have the one that is leaving.
#[test]
fn a_pod_that_leaves_is_subtracted_from_the_spread_all_the_same() {
    let mut cluster = Cluster::new();
    cluster.run("node-0", "stays", "0", json!({"spec": {"priority": 100}}));
    cluster.run("node-0", "leaving", "0", leaving("EvictionByEvictionAPI"));
    cluster.run("node-1", "full", "1", json!({"metadata": {"labels": {}}, "spec": {"priority": 100}}));
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]);
    let pod = cluster.pod("urgent", "1", json!({"spec": {"priority": 100, "topologySpreadConstraints": spread}}));
    let (found, preempted) = cluster.decide(pod);
    assert!(found.feasible.is_empty());
    assert_eq!(preempted.node.as_deref(), Some("node-0"));
}

#[test]
fn a_nominated_pod_alone_keeps_nobody_away() {
    let far = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"});
    let alone = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [far]}});
    let alone = json!({"spec": {"priority": 100, "affinity": alone}});
    // Somewhere else a pod runs that keeps others away: only then it is looked at all.
    for (elsewhere, feasible) in [(false, vec![0, 1]), (true, vec![])] {
        let mut cluster = Cluster::new();
        if elsewhere {
            cluster.run("node-1", "alone", "0", alone.clone());
        }
        let coming = cluster.pod("coming", "0", alone.clone());
        cluster.state.nominated.insert("node-0".into(), vec![Rc::new(coming)]);
        let pod = cluster.pod("new", "0", json!({}));
        assert_eq!(cluster.decide(pod).0.feasible, feasible, "{elsewhere}");
    }
}

#[test]
fn a_number_that_is_no_label_value_matches_no_node() {
    for (number, feasible) in [("1", 2), ("-1", 0), ("+1", 0)] {
        let mut cluster = Cluster::new();
        let term = json!({"matchExpressions": [{"key": "generation", "operator": "Gt", "values": [number]}]});
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
        let pod = cluster.pod("new", "0", json!({"spec": {"affinity": {"nodeAffinity": required}}}));
        assert_eq!(cluster.decide(pod).0.feasible.len(), feasible, "{number}");
    }
}
