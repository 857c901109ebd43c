//! A cluster with a network: pods get addresses from a plugin, and reach each other as Services and policies have it.

use kit_api::core::{Node, Pod};
use kit_apimachinery::object::Kind;
use kit_cluster::cluster::{Config, NetworkShape, Plugin, start};
use kit_cluster::engine::{Clock, Engine};
use kit_cluster::timeline::{Condition, Step, act};
use kit_time::agenda::Instant;
use serde_json::{Value, json};

fn cluster(plugin: Plugin) -> Engine {
    let network = Some(NetworkShape { plugin, ..NetworkShape::default() });
    let config = Config { network, ..Config::default() };
    let mut engine = start(&config, &solutions::modules(), Clock::default());
    run(&mut engine, 5);
    engine
}

fn run(engine: &mut Engine, seconds: i64) {
    let until = engine.now() + Instant::seconds(seconds);
    engine.run_until(until).expect("the reference answers");
}

fn step(engine: &mut Engine, step: Value) {
    let step: Step = serde_json::from_value(step).expect("a step");
    act(engine, &step).unwrap_or_else(|error| panic!("{step}: {}", error.message));
}

fn deployment(name: &str, replicas: i32, ports: Value) -> Value {
    let labels = json!({"app": name});
    let container = json!({"name": "c", "image": "app:1", "ports": ports});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
        "spec": {"containers": [container]}}}})
}

/// Three web servers behind a Service with a node port, and somebody who asks.
fn shop(engine: &mut Engine) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "NodePort", "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}]}});
    let web = deployment("web", 3, json!([{"containerPort": 8080}]));
    step(engine, json!({"apply": [namespace, service, web, deployment("asks", 1, json!([]))]}));
    run(engine, 15);
}

#[track_caller]
fn holds(engine: &Engine, text: &str) {
    let seen = Condition::try_from(text.to_string()).expect("a condition").look(engine);
    assert!(seen.holds, "{text}: {}", seen.seen);
}

#[test]
fn pods_reach_services_by_name_and_outside_by_node_ports() {
    for plugin in [Plugin::Flannel, Plugin::Calico, Plugin::Cilium] {
        let mut engine = cluster(plugin);
        shop(&mut engine);
        holds(&engine, "pods in kube-system with k8s-app=kube-dns ready = 2");
        for to in ["web.shop:80", "web:80", "web.shop.svc.cluster.local.:80", "service/shop/web:80"] {
            holds(&engine, &format!("deployment/shop/asks reaches {to}"));
        }
        holds(&engine, "deployment/shop/asks resolves web.shop within 2ms");
        holds(&engine, "deployment/shop/asks not reaches web:81");
        holds(&engine, "client reaches node-2:30080");
        let snapshot = engine.server().snapshot();
        let ranges =
            snapshot.list(Kind::Node).filter_map(|stored| stored.get::<Node>()?.spec.as_ref()?.pod_cidr.clone());
        assert_eq!(ranges.collect::<Vec<_>>(), ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]);
        let pods = snapshot.list(Kind::Pod).filter_map(|stored| stored.get::<Pod>());
        let mut addresses: Vec<String> = pods.filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect();
        addresses.sort();
        assert!(addresses.len() == 6 && addresses.iter().all(|ip| ip.starts_with("10.244.")), "{addresses:?}");
        if plugin == Plugin::Flannel {
            // The first of those that kubelets give by themselves where there is no network.
            assert_eq!(addresses.first().map(String::as_str), Some("10.244.0.2"));
        }
    }
}

#[test]
fn a_policy_without_dns_is_seen_and_mended() {
    let policy = |egress: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "tight", "namespace": "shop"},
            "spec": {"podSelector": {"matchLabels": {"app": "asks"}}, "policyTypes": ["Egress"], "egress": egress}})
    };
    let web = json!({"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]});
    let mut engine = cluster(Plugin::Calico);
    shop(&mut engine);
    step(&mut engine, json!({"apply": [policy(json!([web]))]}));
    run(&mut engine, 2);
    holds(&engine, "deployment/shop/asks not reaches web:80");
    holds(&engine, "deployment/shop/asks reaches service/shop/web:80");
    let way = engine.packet("deployment/shop/asks", "web:80", false).expect("it is followed").join("\n");
    assert!(way.contains("UDP 53 is not admitted by tight"), "{way}");
    let dns = json!({"to": [{"namespaceSelector": {}}], "ports": [{"port": 53, "protocol": "UDP"}]});
    step(&mut engine, json!({"apply": [policy(json!([web, dns]))]}));
    run(&mut engine, 2);
    holds(&engine, "deployment/shop/asks reaches web:80");
}

#[test]
fn a_service_outlives_a_node() {
    let mut engine = cluster(Plugin::Flannel);
    shop(&mut engine);
    let client = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client", "namespace": "shop"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "app:1"}]}});
    step(&mut engine, json!({"apply": [client]}));
    run(&mut engine, 5);
    holds(&engine, "pod/shop/client reaches service/shop/web:80");
    step(&mut engine, json!({"crash": "node-3"}));
    run(&mut engine, 1);
    let text = "pod/shop/client reaches service/shop/web:80".to_string();
    let condition = Condition::try_from(text).expect("a condition");
    assert!(!condition.look(&engine).holds, "{}", condition.look(&engine).seen);
    // The endpoints of a node that says nothing are not ready after 40 s, and rules follow within a second.
    run(&mut engine, 60);
    assert!(condition.look(&engine).holds, "{}", condition.look(&engine).seen);
    holds(&engine, "client not reaches node-3:30080");
}

#[test]
fn faults_of_the_network_have_a_way_back() {
    let mut engine = cluster(Plugin::Flannel);
    shop(&mut engine);
    for (fault, heals) in [
        (
            json!({"narrow": {"node-1": 1400, "node-2": 1400, "node-3": 1400}}),
            json!([{"widen": "node-1"}, {"widen": "node-2"}, {"widen": "node-3"}]),
        ),
        (json!({"flood": "node-2"}), json!([{"ebb": "node-2"}])),
    ] {
        step(&mut engine, fault);
        let text = "node-2 reaches service/shop/web:80".to_string();
        assert!(!Condition::try_from(text).expect("a condition").look(&engine).holds);
        heals.as_array().expect("steps").iter().for_each(|heal| step(&mut engine, heal.clone()));
        holds(&engine, "node-2 reaches service/shop/web:80");
    }
    step(&mut engine, json!({"stop_agent": "node-2"}));
    holds(&engine, "node-2 reaches service/shop/web:80");
    step(&mut engine, json!({"start_agent": "node-2"}));
    let mut without = start(&Config::default(), &solutions::modules(), Clock::default());
    run(&mut without, 1);
    let refused = act(&mut without, &Step::Flood("node-1".into())).expect_err("there is no network");
    assert!(refused.message.contains("network: {}"), "{}", refused.message);
}
