//! An index, and chains of iptables, answer as the module does that looks at every policy.

use kit_api::cidr::Cidr;
use kit_contract::network::NetworkPolicies;
use kit_contract::network::network_policy::{
    Connection, Direction, End, IpBlock, NamedPort, Peer, Pod, Policy, Port, PortRef, Protocol, Rule,
};
use kit_network::policy::calico::{Outcome, Tables};
use kit_network::policy::index::{self, Index};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index as Any, select};
use solutions::network::network_policy::Exercise;
use std::net::IpAddr;

fn selector() -> impl Strategy<Value = kit_api::selector::Selector> {
    let texts = vec!["", "app=web", "app=api", "app notin (web)", "tier", "!tier", "app=web,tier=front"];
    select(texts).prop_map(|text| text.parse().expect("it is a selector"))
}

fn cidr(texts: &'static [&'static str]) -> impl Strategy<Value = Cidr> {
    select(texts).prop_map(|text| text.parse().expect("it is a network"))
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::TCP, Protocol::UDP])
}

fn peer() -> impl Strategy<Value = Peer> {
    let block = (cidr(&["10.0.0.0/8", "10.0.1.0/24", "0.0.0.0/0"]), vec(cidr(&["10.0.0.0/24", "10.0.1.0/28"]), 0..2));
    let block = block.prop_map(|(cidr, except)| Peer { ip_block: Some(IpBlock { cidr, except }), ..Peer::default() });
    let selectors =
        (option::of(selector()), option::of(selector())).prop_filter_map("no peer", |(pods, namespaces)| {
            let any = pods.is_some() || namespaces.is_some();
            any.then_some(Peer { pod_selector: pods, namespace_selector: namespaces, ip_block: None })
        });
    prop_oneof![1 => block, 3 => selectors]
}

fn rule() -> impl Strategy<Value = Rule> {
    let number = (79..83_u16, option::of(80..84_u16)).prop_map(|(first, last)| (Some(PortRef::Number(first)), last));
    let name = select(vec!["http", "dns"]).prop_map(|name| (Some(PortRef::Name(name.into())), None));
    let port = (prop_oneof![1 => Just((None, None)), 3 => number, 2 => name], protocol());
    let port = port.prop_map(|((port, end_port), protocol)| Port { protocol, port, end_port });
    (vec(peer(), 0..3), vec(port, 0..3)).prop_map(|(peers, ports)| Rule { peers, ports })
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let types = select(vec![vec![], vec![Direction::Ingress], vec![Direction::Egress]]);
    let policy = (select(vec!["a", "b"]), selector(), types, vec(rule(), 0..3), vec(rule(), 0..3));
    vec(policy, 0..8).prop_map(|policies| {
        let named =
            policies.into_iter().enumerate().map(|(at, (namespace, pod_selector, policy_types, ingress, egress))| {
                let (namespace, name) = (namespace.to_string(), format!("policy-{at}"));
                Policy { namespace, name, pod_selector, policy_types, ingress, egress }
            });
        named.collect()
    })
}

fn labels() -> impl Strategy<Value = kit_api::selector::Labels> {
    btree_map(
        select(vec!["app".to_string(), "tier".into()]),
        select(vec!["web".into(), "api".into(), "front".into()]),
        0..3,
    )
}

fn pods() -> impl Strategy<Value = Vec<Pod>> {
    let port = (select(vec!["http", "dns"]), 79..83_u16, protocol());
    let port = port.prop_map(|(name, port, protocol)| NamedPort { name: name.into(), port, protocol });
    let pod = (any::<bool>(), labels(), vec(port, 0..3));
    (vec(pod, 2..8), labels(), labels()).prop_map(|(pods, of_a, of_b)| {
        let named = pods.into_iter().enumerate().map(|(at, (in_a, labels, ports))| {
            let (namespace, of) = if in_a { ("a", &of_a) } else { ("b", &of_b) };
            Pod { namespace: namespace.into(), name: format!("pod-{at}"), labels, namespace_labels: of.clone(), ports }
        });
        named.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn as_the_module(
        policies in policies(),
        pods in pods(),
        changes in vec((any::<Any>(), labels()), 0..3),
        flows in vec((any::<Any>(), any::<Any>(), 0..6_u8, 78..85_u16, protocol()), 1..20),
    ) {
        let mut index = Index::new(policies.clone());
        let ids: Vec<_> = pods
            .into_iter()
            .enumerate()
            .map(|(at, pod)| index.add(IpAddr::from([10, 0, at as u8 % 2, 10 + at as u8]), pod))
            .collect();
        let mut changes = changes.into_iter();
        for (from, to, outside, port, protocol) in flows {
            let client = index::Peer::Address(IpAddr::from([203, 0, 113, 9]));
            let [from, to] = match outside {
                0 => [client, index::Peer::Pod(*to.get(&ids))],
                1 => [index::Peer::Pod(*from.get(&ids)), client],
                _ => [index::Peer::Pod(*from.get(&ids)), index::Peer::Pod(*to.get(&ids))],
            };
            let expected = Exercise.judge(&policies, &index::connection(&index, from, to, port, protocol));
            prop_assert_eq!(index.allows(from, to, port, protocol), expected.allowed);
            prop_assert_eq!(index.judge(from, to, port, protocol), expected);
            if let Some((pod, labels)) = changes.next() {
                index.relabel(*pod.get(&ids), labels);
            }
        }
    }

    #[test]
    fn chains_as_the_module(
        policies in policies(),
        pods in pods(),
        flows in vec((any::<Any>(), any::<Any>(), 0..6_u8, 78..85_u16, protocol()), 1..20),
    ) {
        let ends: Vec<End> = pods
            .into_iter()
            .enumerate()
            .map(|(at, pod)| End { ip: IpAddr::from([10, 0, at as u8 % 2, 10 + at as u8]), pod: Some(pod) })
            .collect();
        let mut tables = Tables::default();
        ends.iter().for_each(|end| tables.add(end, &policies, &ends));
        for (from, to, outside, port, protocol) in flows {
            let client = End { ip: IpAddr::from([203, 0, 113, 9]), pod: None };
            let (mut from, mut to) = (from.get(&ends).clone(), to.get(&ends).clone());
            match outside {
                0 => from = client,
                1 => to = client,
                _ => {}
            }
            // What a pod sends to itself never leaves it, and so meets no chain.
            if from == to {
                continue;
            }
            let connection = Connection { from, to, port, protocol };
            let expected = Exercise.judge(&policies, &connection);
            let followed = tables.follow(&connection) == Outcome::Accepted;
            prop_assert_eq!(followed, expected.allowed, "{:?} {:?}\n{}", connection, expected, tables);
        }
    }
}
