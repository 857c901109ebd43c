//! Fresh scenarios of `network/load_balancer`: services that nearly want a load balancer, changes of one or two fields, nodes
//! with a label or taint more or less, and everything that can have happened.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const GOING: &str = "2025-06-01T12:00:00Z";

/// A field of a service, and two values that it may have; `null` is for none.
fn fields() -> Vec<(&'static str, [Value; 2])> {
    let port = |name: &str, port: i64, node_port: i64| json!({"name": name, "protocol": "TCP", "port": port, "targetPort": 8080, "nodePort": node_port});
    let (http, https) = (port("http", 80, 30_080), port("https", 443, 30_443));
    let with = |field: &str, value: Value| {
        let mut changed = http.clone();
        changed[field] = value;
        json!([changed])
    };
    let one = json!([http]);
    vec![
        ("/spec/ports", [json!([http, https]), json!([https, http])]),
        ("/spec/ports", [one.clone(), with("appProtocol", "http".into())]),
        ("/spec/ports", [one.clone(), with("targetPort", "http".into())]),
        ("/spec/ports", [one.clone(), with("name", "web".into())]),
        ("/spec/ports", [one.clone(), with("protocol", "UDP".into())]),
        ("/spec/ports", [one.clone(), with("nodePort", 30_081.into())]),
        ("/spec/ports", [one, with("port", 81.into())]),
        (
            "/spec/loadBalancerSourceRanges",
            [json!(["10.0.0.0/8", "192.168.0.0/16"]), json!(["192.168.0.0/16", "10.0.0.0/8"])],
        ),
        ("/spec/loadBalancerSourceRanges", [json!([]), Value::Null]),
        ("/spec/loadBalancerIP", [Value::Null, "203.0.113.77".into()]),
        ("/spec/loadBalancerIP", ["203.0.113.78".into(), "203.0.113.77".into()]),
        ("/spec/sessionAffinity", ["None".into(), "ClientIP".into()]),
        (
            "/spec/sessionAffinityConfig",
            [json!({"clientIP": {"timeoutSeconds": 60}}), json!({"clientIP": {"timeoutSeconds": 61}})],
        ),
        ("/spec/externalIPs", [json!(["198.51.100.1", "198.51.100.2"]), json!(["198.51.100.2", "198.51.100.1"])]),
        ("/spec/externalIPs", [json!(["198.51.100.1"]), Value::Null]),
        ("/spec/externalIPs", [json!([]), Value::Null]),
        ("/spec/externalIPs", [json!(["198.51.100.1"]), json!(["198.51.100.1", "198.51.100.2"])]),
        ("/spec/loadBalancerSourceRanges", [json!(["10.0.0.0/8"]), json!(["10.0.0.0/8", "192.168.0.0/16"])]),
        ("/spec/externalTrafficPolicy", ["Cluster".into(), "Local".into()]),
        ("/spec/healthCheckNodePort", [Value::Null, 31_000.into()]),
        ("/spec/healthCheckNodePort", [31_001.into(), 31_000.into()]),
        ("/spec/ipFamilies", [json!(["IPv4"]), json!(["IPv4", "IPv6"])]),
        ("/spec/ipFamilies", [json!(["IPv4", "IPv6"]), json!(["IPv6", "IPv4"])]),
        ("/metadata/annotations", [json!({"a": "1"}), json!({"a": "2"})]),
        ("/metadata/annotations", [json!({}), Value::Null]),
        ("/metadata/annotations", [json!({"a": "1"}), json!({"a": "1", "b": "2"})]),
        ("/metadata/uid", ["u-web".into(), "u-other".into()]),
        // These say nothing to a cloud.
        ("/metadata/labels", [json!({"a": "1"}), json!({"a": "2"})]),
        ("/spec/selector", [json!({"app": "web"}), json!({"app": "web", "version": "v2"})]),
        ("/spec/internalTrafficPolicy", ["Cluster".into(), "Local".into()]),
        ("/spec/publishNotReadyAddresses", [Value::Null, true.into()]),
        ("/spec/allocateLoadBalancerNodePorts", [Value::Null, true.into()]),
        ("/spec/clusterIP", ["10.96.1.7".into(), "10.96.1.8".into()]),
        ("/spec/trafficDistribution", [Value::Null, "PreferClose".into()]),
        ("/metadata/finalizers", [Value::Null, json!([FINALIZER])]),
        ("/status", [Value::Null, json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}})]),
    ]
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = object.pointer_mut(parent) {
        parent[field] = value;
    }
}

/// A service by what decides whether it wants a load balancer, and what may be in the way.
fn service() -> impl Strategy<Value = Value> {
    let kind = select(vec!["LoadBalancer", "LoadBalancer", "LoadBalancer", "ClusterIP", "NodePort"]);
    let class = prop_oneof![5 => Just(None), 1 => select(vec![Some("example.com/internal"), Some("simulated.io/lb")])];
    let finalizers = select(vec![
        json!([FINALIZER]),
        json!([]),
        json!(["example.com/hold"]),
        json!(["example.com/hold", FINALIZER]),
    ]);
    let addresses =
        select(vec![json!(null), json!([]), json!(["203.0.113.10"]), json!(["203.0.113.10", "2001:db8::10"])]);
    (kind, class, finalizers, prop::bool::weighted(0.3), addresses).prop_map(
        |(kind, class, finalizers, going, addresses)| {
            let mut service = json!({
                "metadata": {"name": "web", "namespace": "shop", "uid": "u-web", "finalizers": finalizers},
                "spec": {"type": kind, "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30_080}]},
            });
            if let Some(class) = class {
                service["spec"]["loadBalancerClass"] = class.into();
            }
            if going {
                service["metadata"]["deletionTimestamp"] = GOING.into();
            }
            if let Some(addresses) = addresses.as_array() {
                let ingress: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
                service["status"] = json!({"loadBalancer": {"ingress": ingress}});
            }
            service
        },
    )
}

/// A node, by its number.
fn node(number: usize) -> impl Strategy<Value = Value> {
    let label = prop_oneof![
        4 => Just(json!({})),
        1 => select(vec![json!({EXCLUDE: ""}), json!({EXCLUDE: "false"}), json!({EXCLUDE: "true"})]),
        1 => Just(json!({"node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude": "true",
            "node.kubernetes.io/exclude-from-external-load-balancers-2": ""})),
    ];
    let taint = prop_oneof![
        4 => Just(json!([])),
        1 => (select(vec!["NoSchedule", "NoExecute", "PreferNoSchedule"]), any::<bool>()).prop_map(|(effect, last)| {
            let mut taints = vec![json!({"key": "gpu", "effect": effect}), json!({"key": "gpu", "effect": "NoExecute"})];
            taints.insert(if last { 2 } else { 0 }, json!({"key": "ToBeDeletedByClusterAutoscaler", "effect": effect}));
            json!(taints)
        }),
        1 => select(vec!["DeletionCandidateOfClusterAutoscaler", "ToBeDeletedByClusterAutoscaler2"]).prop_map(
            |key| json!([{"key": key, "effect": "PreferNoSchedule"}])),
    ];
    let id = prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)];
    (label, taint, id, prop::bool::weighted(0.1), select(vec!["True", "False", "Unknown"]), any::<bool>()).prop_map(
        move |(labels, taints, id, going, ready, cordoned)| {
            let name = format!("node-{number}");
            let mut node = json!({
                "metadata": {"name": name, "labels": labels},
                "spec": {"taints": taints, "unschedulable": cordoned},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            });
            match id {
                0 => node["spec"]["providerID"] = format!("sim://zone-1/{name}").into(),
                1 => node["spec"]["providerID"] = format!("sim://zone-1/{name}b").into(),
                _ => {}
            }
            if going {
                node["metadata"]["deletionTimestamp"] = GOING.into();
            }
            node
        },
    )
}

fn nodes() -> impl Strategy<Value = Vec<Value>> {
    let all: Vec<usize> = (1..=5).collect();
    subsequence(all, 0..=5).prop_shuffle().prop_flat_map(|numbers| numbers.into_iter().map(node).collect::<Vec<_>>())
}

/// A change of a service: what it is, and one or two of its fields.
fn change() -> impl Strategy<Value = Value> {
    let field = || select(fields());
    let wants = select(vec![
        json!({"type": "LoadBalancer"}),
        json!({"type": "LoadBalancer"}),
        json!({"type": "LoadBalancer"}),
        json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/internal"}),
        json!({"type": "ClusterIP"}),
        json!({"type": "NodePort"}),
    ]);
    let both = prop_oneof![3 => wants.clone().prop_map(|one| (one.clone(), one)), 1 => (wants.clone(), wants)];
    (both, vec((field(), any::<[bool; 2]>()), 1..=2)).prop_map(|((before, after), changed)| {
        let bare = |spec: Value| json!({"metadata": {"name": "web", "uid": "u-web"}, "spec": spec});
        let (mut old, mut new) = (bare(before), bare(after));
        for ((pointer, values), [first, second]) in changed {
            set(&mut old, pointer, values[usize::from(first)].clone());
            set(&mut new, pointer, values[usize::from(second)].clone());
        }
        question("service_changed", json!({"old": old, "new": new}))
    })
}

fn happened() -> impl Strategy<Value = Value> {
    let addresses = select(vec![
        json!([]),
        json!(["203.0.113.10"]),
        json!(["203.0.113.11"]),
        json!(["203.0.113.10", "2001:db8::10"]),
    ]);
    let call = select(vec!["ensure", "update_hosts", "delete"]);
    prop_oneof![
        3 => Just(json!("service")),
        3 => Just(json!("nodes")),
        1 => Just(json!("updated")),
        1 => Just(json!("deleted")),
        2 => addresses.prop_map(|addresses| json!({"ensured": {"addresses": addresses}})),
        3 => (call, option::weighted(0.3, select(vec![0, 1, 20, 900]))).prop_map(
            |(call, after)| json!({"failed": {"call": call, "retry_after_seconds": after}})),
    ]
}

fn sync() -> impl Strategy<Value = Value> {
    let failures = prop_oneof![4 => 0_u32..9, 1 => select(vec![31, 32, 33, 4_000_000_000])];
    (happened(), service(), nodes(), any::<bool>(), (nodes(), 0..4_u8), failures).prop_map(
        |(happened, service, nodes, in_cloud, (others, which), failures)| {
            // What it was told is often what it would be told now, or nearly.
            let host = |node: &Value| {
                json!({"name": node["metadata"]["name"], "provider_id": node["spec"]["providerID"].as_str().unwrap_or_default()})
            };
            let mut told: Vec<Value> = if which == 0 { &others } else { &nodes }.iter().map(host).collect();
            if which == 1 {
                told.pop();
            }
            if which == 2 {
                told.reverse();
            }
            let request = json!({"happened": happened, "service": service, "nodes": nodes, "in_cloud": in_cloud,
                "told": told, "failures": failures});
            question("sync", json!({"request": request}))
        },
    )
}

/// A few questions of all kinds.
pub fn fresh() -> Generator {
    let of_node = (node(1), node(1)).prop_map(|(old, new)| question("node_changed", json!({"old": old, "new": new})));
    let one = prop_oneof![
        8 => service().prop_map(|service| question("task", json!({"service": service}))),
        8 => nodes().prop_map(|nodes| question("hosts", json!({"nodes": nodes}))),
        // No cloud's limit is the controller's.
        1 => (101..110_usize, node(0)).prop_map(|(count, node)| {
            let nodes: Vec<Value> = (0..count).map(|number| {
                let mut node = node.clone();
                node["metadata"]["name"] = format!("node-{number}").into();
                node
            }).collect();
            question("hosts", json!({"nodes": nodes}))
        }),
        16 => change(),
        8 => of_node,
        32 => sync(),
    ];
    several(one, 6)
}
