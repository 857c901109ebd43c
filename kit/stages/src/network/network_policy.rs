//! Fresh scenarios of `network/network_policy`: a few policies that are mostly about one of the ends of a connection.

use crate::fresh::{Generator, question, several};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One begins with another one.
const NAMESPACES: [&str; 3] = ["shop", "ops", "shop-2"];
const NAMES: [&str; 2] = ["web-1", "api-1"];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const PORT_NAMES: [&str; 3] = ["http", "dns", "metrics"];
const PORTS: [u16; 8] = [80, 443, 8080, 53, 79, 81, 1, 65535];
const PODS: [&str; 8] =
    ["", "app=web", "app=api", "app in (web,api)", "app notin (web)", "tier", "!tier", "app=web,tier="];
const TEAMS: [&str; 7] = [
    "",
    "team=red",
    "kubernetes.io/metadata.name=shop",
    "kubernetes.io/metadata.name in (ops,shop)",
    "team notin (red)",
    "!team",
    "team",
];
/// Networks, each with parts that may be left out of it.
const BLOCKS: [(&str, &[&str]); 9] = [
    ("0.0.0.0/0", &["10.0.0.0/8", "203.0.113.64/26", "192.0.2.9/32"]),
    ("10.244.0.0/16", &["10.244.1.0/24", "10.244.1.10/32"]),
    ("203.0.113.0/24", &["203.0.113.64/26", "203.0.113.128/25"]),
    ("203.0.113.64/26", &["203.0.113.64/32"]),
    ("192.0.2.9/32", &[]),
    ("10.244.1.11/24", &["10.244.1.8/29"]),
    ("2001:db8::/32", &["2001:db8:1::/48"]),
    ("2001:db8:1::/64", &["2001:db8:1::10/127"]),
    ("::/0", &["2001:db8::/32"]),
];
const OUTSIDE: [&str; 9] = [
    "192.0.2.9",
    "203.0.113.63",
    "203.0.113.64",
    "203.0.113.127",
    "203.0.113.128",
    "10.0.0.1",
    "2001:db8::1",
    "2001:db8:1::1",
    "2001:db9::1",
];

/// An object without the fields that are null.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_string(), value)).collect()
}

fn labels() -> impl Strategy<Value = Value> {
    (option::weighted(0.8, select(vec!["web", "api", "db"])), option::of(select(vec!["", "front"])))
        .prop_map(|(app, tier)| object([("app", json!(app)), ("tier", json!(tier))]))
}

/// A port that a policy may mean by a name: number and protocol of a port that the pod has.
fn named_ports() -> impl Strategy<Value = Value> {
    let port = (select(&PORT_NAMES[..]), select(&PORTS[..3]), select(&PROTOCOLS[..]));
    vec(port, 0..4).prop_map(|ports| {
        let ports = ports.into_iter().map(|(name, port, protocol)| {
            // TCP is what nobody needs to write.
            object([
                ("name", json!(name)),
                ("port", json!(port)),
                ("protocol", json!((protocol != "TCP").then_some(protocol))),
            ])
        });
        ports.collect()
    })
}

/// An end in its namespace; those without a pod are outside.
fn end() -> impl Strategy<Value = (Option<usize>, Value)> {
    let pod = (select(vec![0_usize, 1, 2]), select(&NAMES[..]), labels(), named_ports(), prop::bool::weighted(0.25));
    let pod = pod.prop_map(|(namespace, name, labels, ports, six)| {
        let host = namespace * 2 + usize::from(name == "api-1") + 10;
        let ip = if six { format!("2001:db8:1::{host}") } else { format!("10.244.1.{host}") };
        let pod = json!({"namespace": NAMESPACES[namespace], "name": name, "labels": labels, "ports": ports});
        (Some(namespace), json!({"ip": ip, "pod": pod}))
    });
    let outside = select(&OUTSIDE[..]).prop_map(|ip| (None, json!({"ip": ip})));
    prop_oneof![5 => pod, 1 => outside]
}

fn block() -> impl Strategy<Value = Value> {
    (select(&BLOCKS[..]), vec(any::<prop::sample::Index>(), 0..3)).prop_map(|((cidr, parts), except)| {
        let except: Vec<&str> = except.iter().filter(|_| !parts.is_empty()).map(|at| *at.get(parts)).collect();
        json!({"ipBlock": {"cidr": cidr, "except": except}})
    })
}

fn peer() -> impl Strategy<Value = Value> {
    let both = (select(&PODS[..]), select(&TEAMS[..]));
    prop_oneof![
        3 => select(&PODS[..]).prop_map(|pods| json!({"podSelector": pods})),
        3 => select(&TEAMS[..]).prop_map(|teams| json!({"namespaceSelector": teams})),
        3 => both.prop_map(|(pods, teams)| json!({"podSelector": pods, "namespaceSelector": teams})),
        3 => block(),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let number = (select(&PORTS[..]), option::weighted(0.3, select(vec![0_u16, 1, 2, 8000, u16::MAX])));
    let number = number.prop_map(|(first, more)| {
        object([("port", json!(first)), ("endPort", json!(more.map(|more| first.saturating_add(more))))])
    });
    let which = prop_oneof![
        1 => Just(json!({})),
        4 => number,
        3 => select(&PORT_NAMES[..]).prop_map(|name| json!({"port": name})),
    ];
    (which, option::weighted(0.4, select(&PROTOCOLS[..]))).prop_map(|(mut port, protocol)| {
        if let Some(protocol) = protocol {
            port["protocol"] = protocol.into();
        }
        port
    })
}

fn rules() -> impl Strategy<Value = Value> {
    let rule = (vec(peer(), 0..3), vec(port(), 0..3));
    let rule = rule.prop_map(|(peers, ports)| {
        let list = |items: Vec<Value>| if items.is_empty() { Value::Null } else { json!(items) };
        object([("peers", list(peers)), ("ports", list(ports))])
    });
    vec(rule, 0..3).prop_map(|rules| json!(rules))
}

fn policy() -> impl Strategy<Value = (usize, Value)> {
    let types = select(vec![
        json!([]),
        json!(["Ingress"]),
        json!(["Egress"]),
        json!(["Ingress", "Egress"]),
        json!(["Egress", "Ingress"]),
    ]);
    (0..6_usize, select(&PODS[..]), types, rules(), rules()).prop_map(|(of, pods, types, ingress, egress)| {
        let policy = json!({"podSelector": pods, "policyTypes": types, "ingress": ingress, "egress": egress});
        (of, policy)
    })
}

/// Policies, and a connection whose ends most of them are about.
fn judged() -> impl Strategy<Value = Value> {
    let namespaces = vec(option::of(select(vec!["red", "blue"])), 3);
    let policies = prop_oneof![30 => vec(policy(), 0..6), 1 => vec(policy(), 101..106)];
    let port = (select(&PORTS[..]), prop_oneof![3 => Just("TCP"), 1 => select(&PROTOCOLS[..])]);
    let shares = prop::bool::weighted(0.08);
    (namespaces, end(), end(), policies, port, any::<prop::sample::Index>(), shares).prop_map(
        |(teams, (from, mut source), (to, mut destination), policies, (port, protocol), which, shares)| {
            for (namespace, end) in [(from, &mut source), (to, &mut destination)] {
                if let Some(namespace) = namespace {
                    let name = json!(NAMESPACES[namespace]);
                    end["pod"]["namespaceLabels"] =
                        object([("kubernetes.io/metadata.name", name), ("team", json!(teams[namespace]))]);
                }
            }
            // A pod is the same at both ends, with the same labels.
            let is_same = |field: &str| source["pod"][field] == destination["pod"][field];
            if from.is_some() && from == to && is_same("name") {
                destination = source.clone();
            } else if shares && from.is_some() && to.is_some() {
                // Two pods in the network of one node.
                destination["ip"] = source["ip"].clone();
            }
            let mut seen = BTreeSet::new();
            let policies = policies.into_iter().enumerate().map(|(at, (of, mut policy))| {
                let namespace = match of {
                    0..3 => to.or(from).unwrap_or(of),
                    3 | 4 => from.unwrap_or(of - 3),
                    _ => which.index(3),
                };
                // A name is used once in a namespace, and often in each.
                let name = 99 - (at + which.index(7)) / 2;
                let name =
                    if seen.insert((namespace, name)) { format!("policy-{name}") } else { format!("policy-x{at}") };
                let own = policy.as_object_mut().expect("it was made as an object");
                let mut named = Map::from_iter([
                    ("namespace".to_string(), json!(NAMESPACES[namespace])),
                    ("name".to_string(), json!(name)),
                ]);
                named.append(own);
                Value::Object(named)
            });
            let policies: Vec<Value> = policies.collect();
            // A port that the destination has a name for is worth asking about more often than chance would.
            let named = destination["pod"]["ports"].as_array().filter(|ports| !ports.is_empty() && which.index(5) < 2);
            let (port, protocol) = match named.map(|ports| which.get(ports)) {
                Some(named) => (named["port"].clone(), named["protocol"].as_str().unwrap_or("TCP").into()),
                None => (json!(port), json!(protocol)),
            };
            let connection = json!({"from": source, "to": destination, "port": port, "protocol": protocol});
            question("judge", json!({"policies": policies, "connection": connection}))
        },
    )
}

/// Connections under policies, a few for one module.
pub fn fresh() -> Generator {
    several(judged(), 4)
}
