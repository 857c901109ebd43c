//! Verdicts of 1,000 policies over 10,000 pods, with and without an index: `cargo bench -p kit-network --bench policy`.
//!
//! 100 namespaces have 10 policies each, of all kinds of peers, and 100 pods of 20 sets of labels. The same connections are
//! judged by the module, which looks at every policy, and by the index; then again after one pod has got other labels.
//! What is printed are verdicts per second and their ratio to the module's.

use kit_contract::network::NetworkPolicies;
use kit_contract::network::network_policy::{Connection, NamedPort, Pod, Policy, Protocol};
use kit_network::policy::index::{Index, Peer, connection};
use serde_json::json;
use solutions::network::network_policy::Exercise;
use std::net::IpAddr;
use std::time::Instant;

const NAMESPACES: usize = 100;
const PODS: usize = 10_000;
const CONNECTIONS: usize = 2_000;

fn policies() -> Vec<Policy> {
    let of_namespace = |namespace: usize| {
        (0..10).map(move |at| {
            let app = format!("app=app-{at}");
            let ingress = match at % 5 {
                0 => json!([{"peers": [{"podSelector": format!("app=app-{}", at + 1)}], "ports": [{"port": 8080}]}]),
                1 => json!([{"peers": [{"namespaceSelector": format!("team=team-{}", namespace % 7)}]}]),
                2 => json!([{"peers": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": "http"}]}]),
                3 => json!([{"peers": [{"namespaceSelector": "", "podSelector": "app in (app-1,app-2)"}], "ports": [{"port": 8000, "endPort": 9000}]}]),
                _ => json!([]),
            };
            let policy = json!({
                "namespace": format!("namespace-{namespace}"), "name": format!("policy-{at}"),
                "podSelector": if at == 9 { String::new() } else { app }, "ingress": ingress,
                "egress": if at % 3 == 0 { json!([{"peers": [{"namespaceSelector": ""}]}]) } else { json!([]) },
            });
            serde_json::from_value(policy).expect("it is a policy")
        })
    };
    (0..NAMESPACES).flat_map(of_namespace).collect()
}

fn pod(at: usize) -> Pod {
    let namespace = at % NAMESPACES;
    Pod {
        namespace: format!("namespace-{namespace}"),
        name: format!("pod-{at}"),
        labels: labels(at / NAMESPACES % 20),
        namespace_labels: [("team".to_string(), format!("team-{}", namespace % 10))].into(),
        ports: vec![NamedPort { name: "http".into(), port: 8080, protocol: Protocol::TCP }],
    }
}

fn labels(app: usize) -> kit_api::selector::Labels {
    [("app".to_string(), format!("app-{app}"))].into()
}

/// Verdicts per second.
fn per_second(count: usize, work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    count as f64 / begin.elapsed().as_secs_f64()
}

fn main() {
    let policies = policies();
    let mut index = Index::new(policies.clone());
    let pods: Vec<_> = (0..PODS)
        .map(|at| index.add(IpAddr::from([10, (at >> 16) as u8, (at >> 8) as u8, at as u8]), pod(at)))
        .collect();
    // Strides that share no factor with the number of pods, so that every pair is another.
    let pairs: Vec<_> = (0..CONNECTIONS)
        .map(|n| (Peer::Pod(pods[n * 7919 % PODS]), Peer::Pod(pods[(n * 104_729 + 31) % PODS]), 8080))
        .collect();
    let asked: Vec<Connection> =
        pairs.iter().map(|(from, to, port)| connection(&index, *from, *to, *port, Protocol::TCP)).collect();

    let mut expected = Vec::new();
    let scan =
        per_second(CONNECTIONS, || expected = asked.iter().map(|c| Exercise.judge(&policies, c).allowed).collect());
    let verdicts = |index: &mut Index, times: usize| {
        let mut all = Vec::new();
        let speed = per_second(CONNECTIONS * times, || {
            for _ in 0..times {
                all = pairs.iter().map(|(from, to, port)| index.allows(*from, *to, *port, Protocol::TCP)).collect();
            }
        });
        (speed, std::mem::take(&mut all) as Vec<bool>)
    };
    let (cold, first) = verdicts(&mut index, 1);
    assert_eq!(first, expected, "the index answers as the module does");
    let (warm, _) = verdicts(&mut index, 50);
    // Each round one pod of 10,000 gets labels that no pod of its namespace had.
    let begin = Instant::now();
    for round in 0..50 {
        index.relabel(pods[round * 97], labels(100 + round));
        verdicts(&mut index, 1);
    }
    let changed = (50 * CONNECTIONS) as f64 / begin.elapsed().as_secs_f64();

    println!("{} policies, {PODS} pods, {} identities", policies.len(), index.identities());
    println!("| | verdicts/s | ratio |\n|---|---:|---:|");
    for (what, speed) in [
        ("every policy, every time", scan),
        ("index, first time", cold),
        ("index, again", warm),
        ("index, a label changed every 2,000 verdicts", changed),
    ] {
        println!("| {what} | {speed:.0} | {:.1} |", speed / scan);
    }
}
