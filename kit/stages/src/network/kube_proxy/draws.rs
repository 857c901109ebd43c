//! Fresh scenarios of `network/kube_proxy`.

use crate::fresh::Generator;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use std::net::IpAddr;

/// Ranges of senders, each with its like in IPv6. Some hold the node, a pod, or one stranger.
const SOURCE_RANGES: [(&str, &str); 5] = [
    ("203.0.113.0/25", "fd00:203::71:0/121"),
    ("192.168.0.0/24", "fd00:192::/120"),
    ("10.244.9.8/29", "fd00:244::9:8/125"),
    ("198.18.0.0/15", "fd00:198:12::/47"),
    ("203.0.113.200/32", "fd00:203::71:c8/128"),
];

/// Services of all kinds: few endpoints and addresses, so that they meet.
pub fn fresh() -> Generator {
    let counts = prop_oneof![24 => 0..4_usize, 4 => 4..8_usize, 1 => Just(33_usize)];
    let policies = prop_oneof![3 => Just(("Cluster", "Cluster")), 2 => Just(("Local", "Cluster")), 4 => Just(("Cluster", "Local")), 2 => Just(("Local", "Local"))];
    let ports =
        (select(vec![80_u16, 443, 8080, 53]), prop_oneof![Just(None), Just(Some(30080_u16)), Just(Some(32767))]);
    let addresses = (
        prop_oneof![3 => Just(vec![]), 1 => subsequence(vec!["192.168.1.2", "198.51.100.10", "198.51.100.11"], 1..3)],
        prop_oneof![2 => Just(vec![]), 2 => subsequence(vec!["198.51.100.80", "198.51.100.81"], 1..=2)],
        prop_oneof![
            2 => Just(vec![]),
            3 => subsequence(SOURCE_RANGES.to_vec(), 1..3),
        ],
    );
    let node = prop_oneof![4 => Just((true, false)), 1 => Just((true, true)), 1 => Just((false, false)), 1 => Just((false, true))];
    let rest = (
        select(vec!["TCP", "UDP", "SCTP"]),
        prop_oneof![3 => Just(None), 2 => select(vec![Some(1_u32), Some(10_800), Some(86_400)])],
        prop_oneof![3 => Just(None), 1 => Just(Some(32_100_u16))],
        // Which endpoints are on this node: bits; whether local ones are others than those of the cluster; whether there are some elsewhere.
        (any::<u64>(), 0..4_u8, any::<bool>(), prop_oneof![6 => Just(false), 1 => Just(true)]),
    );
    (counts, policies, ports, addresses, node, rest)
        .prop_map(|(count, (internal, external), (port, node_port), (external_ips, balancers, ranges), node, rest)| {
            let (protocol, affinity, health, (on_node, other_local, elsewhere, six)) = rest;
            let is_external = node_port.is_some() || !external_ips.is_empty() || !balancers.is_empty();
            let uses_cluster = internal == "Cluster" || is_external;
            let uses_local = internal == "Local" || (external == "Local" && is_external);
            let family = |four: &str| -> String {
                let Ok(IpAddr::V4(ip)) = four.parse() else { return four.to_string() };
                let [a, b, c, d] = ip.octets();
                let net = if (a, b) == (192, 168) { "192" } else { "198" };
                if six { format!("fd00:{net}::{c:x}:{d:x}") } else { four.to_string() }
            };
            let endpoint = |at: usize| {
                let target = 8080 + at % 3;
                if six {
                    format!("[fd00:244::{at:x}]:{target}")
                } else {
                    format!("10.244.{}.{}:{target}", at % 4, 5 + at)
                }
            };
            let mut all: Vec<usize> = (0..count).collect();
            if on_node & 1 == 1 {
                all.reverse();
            }
            let mut local: Vec<usize> = all.iter().copied().filter(|at| on_node >> (at + 1) & 1 == 1).collect();
            if other_local == 0 && !all.is_empty() && uses_cluster {
                // One that is about to end serves for want of others here, while the cluster has better ones.
                local = vec![count];
            }
            let texts = |all: &[usize]| all.iter().map(|at| endpoint(*at)).collect::<Vec<_>>();
            let cluster = if uses_cluster { texts(&all) } else { Vec::new() };
            let local = if uses_local { texts(&local) } else { Vec::new() };
            let texts = |all: Vec<&str>| all.into_iter().map(family).collect::<Vec<_>>();
            let mut service = json!({
                "protocol": protocol,
                "cluster_ip": if six { "fd00:96::a" } else { "10.96.0.10" },
                "port": port,
                "node_port": node_port,
                "external_ips": texts(external_ips),
                "load_balancer_ips": texts(balancers.clone()),
                "source_ranges": ranges.into_iter().map(|(four, its_like)| if six { its_like } else { four }).collect::<Vec<_>>(),
                "health_check_node_port": health.filter(|_| external == "Local" && !balancers.is_empty()),
                "internal_policy": internal,
                "external_policy": external,
                // Each endpoint has its clients to follow.
                "affinity_seconds": affinity.filter(|_| count < 10),
                "cluster": cluster,
                "local": local,
                "elsewhere": !uses_cluster && elsewhere,
            });
            if let Some(fields) = service.as_object_mut() {
                fields.retain(|_, value| !value.is_null() && *value != json!([]) && *value != json!(false));
            }
            json!({"service": service, "node": {"detects_pods": node.0, "masquerade_all": node.1}})
        })
        .prop_map(Value::from)
        .boxed()
}
