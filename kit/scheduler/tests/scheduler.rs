//! What the scheduler keeps between two decisions, and what it asks of modules.

use kit_api::core::{Node, Pod as ApiPod};
use kit_api::rustc_hash::FxHashSet;
use kit_contract::scheduler::NodeAffinity;
use kit_scheduler::class::{Classes, Pod};
use kit_scheduler::cycle::State;
use kit_scheduler::framework::{Framework, Profile};
use kit_scheduler::nodes::Nodes;
use kit_scheduler::tables::{AffinityTable, SpreadTables, affinity_pod};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::rc::Rc;

fn node(index: usize) -> Node {
    let name = format!("node-{index}");
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
        }},
        "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}},
    }))
    .expect("a good node")
}

/// A pod of an application that keeps away from itself, is spread over zones, and would like to be near the next one.
fn pod(app: usize, name: &str) -> ApiPod {
    let selector = |app: usize| json!({"matchLabels": {"app": format!("app-{app}")}});
    let far = json!({"labelSelector": selector(app), "topologyKey": "kubernetes.io/hostname"});
    let near = json!({"labelSelector": selector(app + 1), "topologyKey": "topology.kubernetes.io/zone"});
    let spec: Value = json!({
        "containers": [{"name": "main", "image": "web:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
        "affinity": {
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [far]},
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": near}]},
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": selector(app),
        }],
    });
    let labels = json!({"app": format!("app-{app}"), "pod-template-hash": "7d9f6c5b8"});
    let metadata = json!({"name": name, "namespace": "shop", "labels": labels});
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).expect("a good pod")
}

/// Something that happens to the pods of a cluster.
#[derive(Debug, Clone)]
enum Happens {
    Put(usize, usize, usize),
    Gone(usize, usize),
    Supposed(usize, usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let put = (0..4usize, 0..6usize, 0..9usize).prop_map(|(app, pod, node)| Happens::Put(app, pod, node));
    let gone = (0..4usize, 0..6usize).prop_map(|(app, pod)| Happens::Gone(app, pod));
    let supposed = (0..4usize, 0..9usize).prop_map(|(app, node)| Happens::Supposed(app, node));
    prop_oneof![4 => put, 2 => gone, 1 => supposed]
}

/// The table for affinity as people would read it: the pods on each node by their labels.
fn shown(table: &AffinityTable) -> Vec<String> {
    let row = |node: &kit_contract::scheduler::AffinityNode| {
        let pods: BTreeSet<String> = (node.pods.iter())
            .map(|count| format!("{} × {:?}", count.count, table.groups[count.group].labels))
            .collect();
        format!("{} {:?} {pods:?}", node.name, node.topology)
    };
    table.nodes.iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Tables that are brought up to date pod by pod are those that would be made anew.
    #[test]
    fn tables_kept_up_to_date_are_as_good_as_new(history in prop::collection::vec(happens(), 1..60)) {
        let mut nodes = Nodes::default();
        let mut classes = Classes::default();
        let objects = Default::default();
        let affinity: Box<dyn NodeAffinity> = solutions::modules().node_affinity.make(&());
        (0..9).for_each(|index| _ = nodes.set_node(&node(index)));
        nodes.arrange();
        let (mut spread, mut near) = (SpreadTables::default(), AffinityTable::default());
        for event in history {
            match event {
                Happens::Put(app, number, place) => {
                    let name = nodes.list()[place].name;
                    let pod = classes.pod(&pod(app, &format!("app-{app}-{number}")));
                    nodes.set_pod(name, Pod { node_name: Some(name), ..pod });
                }
                Happens::Gone(app, number) => _ = nodes.remove_pod(&format!("shop/app-{app}-{number}")),
                Happens::Supposed(app, place) => {
                    let more = [Rc::new(classes.pod(&pod(app, "more")))];
                    let less: FxHashSet<Rc<str>> = nodes.list()[place].pods.iter().map(|pod| pod.key.clone()).collect();
                    let before = nodes.list()[place].clone();
                    nodes.suppose(place, &more, &less, |nodes| near.update(&more[0].class, nodes, &objects));
                    prop_assert_eq!(&before, &nodes.list()[place]);
                }
            }
            let class = classes.pod(&pod(0, "asks")).class;
            near.update(&class, &nodes, &objects);
            let mut fresh = AffinityTable::default();
            fresh.update(&class, &nodes, &objects);
            prop_assert_eq!(shown(&near), shown(&fresh));
            let kept = spread.get(&class, &class.spread, true, 0, &nodes, &*affinity).nodes.clone();
            let mut fresh = SpreadTables::default();
            prop_assert_eq!(&kept, &fresh.get(&class, &class.spread, true, 0, &nodes, &*affinity).nodes);
        }
    }
}

#[test]
fn a_question_about_a_hundred_nodes_is_small() {
    let mut state = State::default();
    (0..100).for_each(|index| _ = state.nodes.set_node(&node(index)));
    let mut classes = Classes::default();
    let mut framework = Framework::new(&solutions::modules(), Profile::default());
    // Ten pods a node, of forty applications.
    for number in 0..1000 {
        let pod = Rc::new(classes.pod(&pod(number % 40, &format!("pod-{number}"))));
        let found = state.schedule(&pod, &mut framework);
        let node = found.chosen.expect("there is room for all");
        state.nodes.set_pod(node, Pod { node_name: Some(node), ..(*pod).clone() });
    }
    let class = classes.pod(&pod(0, "asks")).class;
    let mut table = AffinityTable::default();
    table.update(&class, &state.nodes, &state.objects);
    let asker = affinity_pod(&class, &state.objects, None);
    let question = serde_json::to_string(&(asker, &table.groups, &table.nodes)).expect("it can be asked");
    assert!(question.len() <= 64 << 10, "{} bytes", question.len());
    let affinity: Box<dyn NodeAffinity> = solutions::modules().node_affinity.make(&());
    let mut tables = SpreadTables::default();
    let table = tables.get(&class, &class.spread, true, 0, &state.nodes, &*affinity);
    let question = serde_json::to_string(&(&table.constraints, &table.nodes)).expect("it can be asked");
    assert!(question.len() <= 64 << 10, "{} bytes", question.len());
}

#[test]
fn the_search_ends_when_enough_nodes_are_found_and_begins_where_it_ended() {
    let mut state = State::default();
    (0..250).for_each(|index| _ = state.nodes.set_node(&node(index)));
    let mut classes = Classes::default();
    let mut framework = Framework::new(&solutions::modules(), Profile::default());
    let plain = |name: &str| {
        let container = json!({"name": "main", "image": "web:1"});
        let pod = json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": [container]}});
        serde_json::from_value::<ApiPod>(pod).expect("a good pod")
    };
    // 250 nodes: 48 percent of them are enough.
    let mut starts = Vec::new();
    for number in 0..3 {
        let pod = Rc::new(classes.pod(&plain(&format!("pod-{number}"))));
        let found = state.find(&pod, &mut framework);
        assert_eq!(found.feasible.len(), 120);
        starts.push(found.feasible.contains(&0));
    }
    // 0 to 119, 120 to 239, then 240 to 249 and 0 to 109.
    assert_eq!(starts, [true, false, true]);
}
