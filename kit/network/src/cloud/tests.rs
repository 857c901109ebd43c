//! The manager's loops in front of a cloud and an API server.

use super::Shared;
use super::health::HealthChecks;
use super::lifecycle::{Lifecycle, SHUTDOWN};
use super::node::Nodes;
use super::provider::{Cloud, Instance, Trouble};
use super::route::Routes;
use super::service::Services;
use crate::testing;
use kit_api::core::{Node, NodeAddress, Service};
use kit_api::node::UNINITIALIZED;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::component::Component;
use kit_server::DeleteOptions;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// The bench of controllers, with a cloud.
struct Bench {
    bench: testing::Bench,
    cloud: Shared,
}

impl Deref for Bench {
    type Target = testing::Bench;
    fn deref(&self) -> &testing::Bench {
        &self.bench
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut testing::Bench {
        &mut self.bench
    }
}

impl Bench {
    fn new<C: Component + 'static>(component: impl FnOnce(Shared) -> C) -> Bench {
        let instance = |name: &str| Instance {
            name: name.into(),
            zone: Some("zone-1".into()),
            instance_type: "standard-4".into(),
            addresses: vec![NodeAddress { type_: "InternalIP".into(), address: "192.168.0.1".into() }],
            stopped: false,
        };
        let cloud: Shared = Rc::new(RefCell::new(Cloud::new("region-1", ["node-1", "node-2"].map(instance))));
        Bench { bench: testing::Bench::new(component(cloud.clone())), cloud }
    }

    fn run(&mut self, seconds: i64) {
        let until = self.now + Instant::seconds(seconds);
        self.run_until(until);
    }

    /// The reasons of all events.
    fn events(&self) -> Vec<String> {
        let events = self.server.snapshot().list(Kind::Event).map(|stored| stored.to_value());
        events.map(|event| event["reason"].as_str().unwrap_or_default().to_string()).collect()
    }

    fn service(&self, name: &str) -> Option<Service> {
        self.server.fetch("default", name).ok()
    }

    fn address(&self, name: &str) -> Option<String> {
        let status = self.service(name)?.status?.load_balancer?;
        status.ingress?.first()?.ip.clone()
    }

    fn node(&self, name: &str) -> Option<Node> {
        self.server.fetch("", name).ok()
    }
}

fn node(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"providerID": format!("sim://zone-1/{name}"), "podCIDR": "10.244.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})
}

fn services(cloud: Shared) -> Services {
    Services::new(&solutions::modules(), cloud)
}

#[test]
fn an_address_comes_and_goes_with_the_service() {
    let mut bench = Bench::new(services);
    bench.create(node("node-1"));
    bench.create(service("web"));
    bench.run(5);
    assert_eq!(bench.address("web"), None, "the cloud takes its time");
    assert!(bench.service("web").is_some_and(|service| service.metadata.finalizers.is_some()));
    bench.run(10);
    assert_eq!(bench.address("web").as_deref(), Some("203.0.113.10"));
    let key = Key::new(Kind::Service, "default", "web");
    bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
    bench.run(1);
    assert!(bench.service("web").is_some(), "the finalizer holds it");
    bench.run(5);
    assert!(bench.service("web").is_none());
    assert_eq!(bench.cloud.borrow().balancers().count(), 0);
    let mut events = bench.events();
    events.sort();
    let expected = ["DeletedLoadBalancer", "DeletingLoadBalancer", "EnsuredLoadBalancer", "EnsuringLoadBalancer"];
    assert_eq!(events, expected);
}

#[test]
fn hosts_follow_the_nodes() {
    let mut bench = Bench::new(services);
    bench.create(service("web"));
    bench.run(20);
    let targets = |bench: &Bench| -> Vec<String> {
        bench.cloud.borrow().balancers().flat_map(|balancer| balancer.targets.keys().cloned()).collect()
    };
    assert_eq!(targets(&bench), [""; 0]);
    bench.create(node("node-1"));
    bench.create(node("node-2"));
    bench.run(5);
    assert_eq!(targets(&bench), ["node-1", "node-2"]);
    bench.server.delete(&Key::new(Kind::Node, "", "node-1"), &DeleteOptions::default()).expect("it is there");
    bench.cloud.borrow_mut().trouble = Trouble::Failing;
    bench.run(2);
    assert!(bench.events().contains(&"UpdateLoadBalancerFailed".to_string()));
    bench.cloud.borrow_mut().trouble = Trouble::None;
    bench.run(10);
    assert_eq!(targets(&bench), ["node-2"], "the service was ensured again");
}

#[test]
fn a_failing_cloud_is_asked_less_and_less() {
    let mut bench = Bench::new(services);
    bench.cloud.borrow_mut().trouble = Trouble::Failing;
    bench.create(service("web"));
    // Each call takes a second: asked at 0, 6, 17 and 38 seconds.
    let asked = |bench: &Bench| {
        let events = bench.server.snapshot().list(Kind::Event).map(|stored| stored.to_value());
        let ensuring = events.filter(|event| event["reason"] == "EnsuringLoadBalancer");
        ensuring.map(|event| event["count"].as_i64().unwrap_or(1)).sum::<i64>()
    };
    for (seconds, times) in [(5, 1), (2, 2), (11, 3), (19, 3), (2, 4)] {
        bench.run(seconds);
        assert_eq!(asked(&bench), times, "at {}", bench.now);
    }
    bench.cloud.borrow_mut().trouble = Trouble::Throttling(2);
    bench.run(60);
    bench.cloud.borrow_mut().trouble = Trouble::None;
    bench.run(20);
    assert_eq!(bench.address("web").as_deref(), Some("203.0.113.10"));
}

#[test]
fn another_type_gives_the_load_balancer_back() {
    let mut bench = Bench::new(services);
    bench.create(service("web"));
    bench.run(20);
    let mut value = bench.server.get(&Key::new(Kind::Service, "default", "web")).expect("it is there").to_value();
    value["spec"]["type"] = "ClusterIP".into();
    value["spec"]["ports"][0].as_object_mut().expect("a port").shift_remove("nodePort");
    bench.server.update(Object::from_value(Kind::Service, value).expect("good")).expect("it may change");
    bench.run(10);
    let service = bench.service("web").expect("it stays");
    assert_eq!((bench.address("web"), service.metadata.finalizers), (None, None));
    assert_eq!(bench.cloud.borrow().balancers().count(), 0);
}

#[test]
fn one_call_at_a_time() {
    let mut bench = Bench::new(services);
    bench.create(service("one"));
    bench.create(service("two"));
    bench.run(15);
    assert_eq!([bench.address("one").is_some(), bench.address("two").is_some()], [true, false]);
    bench.run(10);
    assert!(bench.address("two").is_some());
}

#[test]
fn nodes_are_initialized_when_the_cloud_can_be_asked() {
    let mut bench = Bench::new(Nodes::new);
    bench.cloud.borrow_mut().trouble = Trouble::Failing;
    bench.create(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"},
        "spec": {"taints": [{"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"}]}}));
    bench.run(1);
    // The API server puts a taint on new nodes as well.
    let taints = |bench: &Bench| {
        let taints = bench.node("node-1").and_then(|node| node.spec?.taints).unwrap_or_default();
        taints.iter().filter(|taint| taint.key == UNINITIALIZED).count()
    };
    assert_eq!(taints(&bench), 1);
    bench.cloud.borrow_mut().trouble = Trouble::None;
    bench.run(10);
    assert_eq!(taints(&bench), 0);
    let node = bench.node("node-1").expect("it is there");
    assert_eq!(node.spec.and_then(|spec| spec.provider_id).as_deref(), Some("sim://zone-1/node-1"));
    assert_eq!(bench.events(), ["Synced"]);
}

#[test]
fn nodes_whose_machines_are_gone_go_and_others_are_tainted() {
    let mut bench = Bench::new(Lifecycle::new);
    for (name, ready) in [("node-1", "Unknown"), ("node-2", "Unknown"), ("node-3", "True")] {
        let mut json = node(name);
        json["status"]["conditions"][0]["status"] = ready.into();
        bench.create(json);
    }
    bench.cloud.borrow_mut().set_stopped("node-2", true);
    bench.cloud.borrow_mut().remove_instance("node-1");
    bench.run(10);
    assert!(bench.node("node-1").is_none());
    assert!(bench.node("node-3").is_some(), "nobody asks about a node that is ready");
    let taints = bench.node("node-2").and_then(|node| node.spec?.taints).unwrap_or_default();
    assert!(taints.iter().any(|taint| taint.key == SHUTDOWN));
    assert_eq!(bench.events(), ["DeletingNode"]);
}

#[test]
fn routes_are_made_and_the_nodes_say_so() {
    let mut bench = Bench::new(Routes::new);
    bench.create(node("node-1"));
    bench.create({
        let mut json = node("node-9");
        json["spec"]["podCIDR"] = "10.244.9.0/24".into();
        json
    });
    bench.run(1);
    let unavailable = |name: &str| {
        let conditions = bench.node(name)?.status?.conditions?;
        conditions
            .into_iter()
            .find(|condition| condition.type_ == "NetworkUnavailable")
            .map(|condition| condition.status)
    };
    assert_eq!([unavailable("node-1"), unavailable("node-9")], [Some("False".into()), Some("True".into())]);
    assert_eq!(bench.events(), ["FailedToCreateRoute"]);
    assert_eq!(bench.cloud.borrow().routes().map(|routes| routes.len()), Ok(1));
}

#[test]
fn targets_without_a_ready_pod_get_no_local_traffic() {
    let mut bench = Bench::new(HealthChecks::new);
    bench.create(node("node-1"));
    bench.create(node("node-2"));
    let mut local = service("web");
    local["spec"]["externalTrafficPolicy"] = "Local".into();
    bench.create(local);
    let stored = bench.service("web").expect("it is there");
    assert!(stored.spec.as_ref().and_then(|spec| spec.health_check_node_port).is_some(), "the API server gives a port");
    let hosts = ["node-1", "node-2"].map(|name| kit_contract::network::load_balancer::Host {
        name: name.into(),
        provider_id: format!("sim://zone-1/{name}"),
    });
    bench.cloud.borrow_mut().ensure(&stored, &hosts).expect("it can");
    bench.create(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.244.0.2"], "nodeName": "node-1", "conditions": {"ready": true}}]}));
    bench.run(10);
    let shown = |bench: &Bench| bench.component.shows().into_iter().map(|(_, said)| said).collect::<String>();
    assert!(shown(&bench).ends_with("healthy: node-1, unhealthy: node-2"), "{}", shown(&bench));
    bench.cloud.borrow_mut().set_stopped("node-1", true);
    bench.run(9);
    assert!(shown(&bench).contains("healthy: node-1,"), "one missing answer is no reason");
    bench.run(20);
    assert!(shown(&bench).ends_with("unhealthy: node-1 node-2"), "{}", shown(&bench));
}
