use super::*;
use crate::testing::Bench;
use kit_server::Patch;
use serde_json::{Value, json};

fn service(spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"app": "web"});
    let labels = json!({"team": "red", HEADLESS: ""});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default", "labels": labels},
        "spec": spec})
}

fn pod(name: &str, status: Value) -> Value {
    let ports = json!([{"name": "http", "containerPort": if name == "b" { 8081 } else { 8080 }}]);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1", "ports": ports}]},
        "status": status})
}

fn running(ip: &str, ready: bool) -> Value {
    let ready = json!({"type": "Ready", "status": if ready { "True" } else { "False" },
        "lastTransitionTime": "2025-06-01T12:00:10Z"});
    json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [ready]})
}

fn key(kind: Kind, name: &str) -> Key {
    Key::new(kind, "default", name)
}

fn endpoints(bench: &Bench) -> Value {
    bench.server.get(&key(Kind::Endpoints, "web")).map(|stored| stored.to_value()).unwrap_or_default()
}

/// Each subset as its ready addresses, its others and its ports.
fn subsets(bench: &Bench) -> Vec<String> {
    let list = |subset: &Value, part: &str, field: &str| {
        let all: Vec<String> =
            subset[part].as_array().into_iter().flatten().map(|one| one[field].to_string().replace('"', "")).collect();
        all.join(",")
    };
    let show = |subset: &Value| {
        let addresses = [list(subset, "addresses", "ip"), list(subset, "notReadyAddresses", "ip")];
        format!("{} | {} | {}", addresses[0], addresses[1], list(subset, "ports", "port"))
    };
    endpoints(bench)["subsets"].as_array().into_iter().flatten().map(show).collect()
}

#[test]
fn pods_are_ready_or_not_or_not_there() {
    let http = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
    let two = json!([{"name": "http", "port": 80, "targetPort": 8080}, {"name": "more", "port": 90}]);
    let named = json!([{"name": "http", "port": 80, "targetPort": "http"}, {"name": "more", "port": 90}]);
    let table = [
        (json!({"ports": http}), vec!["10.0.0.1 | 10.0.0.2 | 8080"]),
        (json!({"ports": two}), vec!["10.0.0.1 | 10.0.0.2 | 8080,90"]),
        (json!({"ports": http, "publishNotReadyAddresses": true}), vec!["10.0.0.1,10.0.0.2,10.0.0.3 |  | 8080"]),
        // The name stands for another port in one of the pods.
        (json!({"ports": named}), vec!["10.0.0.1 |  | 8080", " | 10.0.0.2 | 8081", "10.0.0.1 | 10.0.0.2 | 90"]),
        (json!({"clusterIP": "None"}), vec!["10.0.0.1 | 10.0.0.2 | "]),
        (json!({"clusterIP": "None", "ports": http}), vec!["10.0.0.1 | 10.0.0.2 | 8080"]),
    ];
    for (spec, want) in table {
        let mut bench = Bench::new(AllEndpoints::default());
        bench.create(service(spec.clone()));
        // Addresses come in their own order, not in that of names.
        bench.create(pod("z", running("10.0.0.1", true)));
        bench.create(pod("b", running("10.0.0.2", false)));
        bench.create(pod("ending", running("10.0.0.3", true)));
        bench.server.delete(&key(Kind::Pod, "ending"), &DeleteOptions::default()).expect("it is there");
        bench.create(pod("new", json!({"phase": "Pending"})));
        let mut over = running("10.0.0.5", true);
        over["phase"] = "Failed".into();
        bench.create(pod("over", over));
        bench.settle();
        assert_eq!(subsets(&bench), want, "{spec}");
        let mut labels = json!({"team": "red", MANAGED_BY: CONTROLLER});
        if spec["clusterIP"] == "None" {
            labels[HEADLESS] = "".into();
        }
        assert_eq!(endpoints(&bench)["metadata"]["labels"], labels, "{spec}");
    }
}

#[test]
fn an_address_says_whose_it_is() {
    let mut bench = Bench::new(AllEndpoints::default());
    bench.create(service(json!({"ports": [{"port": 80}]})));
    let mut member = pod("a", running("10.0.0.1", true));
    member["spec"]["subdomain"] = "web".into();
    member["spec"]["hostname"] = "first".into();
    let uid = bench.create(member).object.uid().to_string();
    bench.settle();
    let address = json!({"ip": "10.0.0.1", "hostname": "first", "nodeName": "node-1",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": uid}});
    assert_eq!(endpoints(&bench)["subsets"][0]["addresses"], json!([address]));
}

#[test]
fn some_services_have_none_of_this_controller() {
    let mut bench = Bench::new(AllEndpoints::default());
    let mut manual = service(json!({"ports": [{"port": 80}]}));
    manual["spec"]["selector"] = Value::Null;
    manual["metadata"]["name"] = "manual".into();
    bench.create(manual);
    let mut external = service(json!({"type": "ExternalName", "externalName": "example.com"}));
    external["metadata"]["name"] = "external".into();
    bench.create(external);
    bench.create(pod("a", running("10.0.0.1", true)));
    bench.settle();
    assert_eq!(bench.server.snapshot().list(Kind::Endpoints).count(), 0);
}

#[test]
fn endpoints_go_with_their_service_and_come_back_without_it() {
    let mut bench = Bench::new(AllEndpoints::default());
    let (orphan, leader) = (json!({"name": "orphan"}), json!({"name": "leader", "annotations": {LEADER: "{}"}}));
    for mut metadata in [orphan, leader] {
        metadata["namespace"] = "default".into();
        bench.create(json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}));
    }
    bench.create(service(json!({"ports": [{"port": 80}]})));
    bench.settle();
    let names = |bench: &Bench| {
        bench.server.snapshot().list(Kind::Endpoints).map(|stored| stored.key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((names(&bench), subsets(&bench)), (vec!["leader".to_string(), "web".into()], vec![]));
    bench.server.delete(&key(Kind::Endpoints, "web"), &DeleteOptions::default()).expect("it is there");
    bench.settle();
    assert_eq!(names(&bench).len(), 2);
    bench.server.delete(&key(Kind::Service, "web"), &DeleteOptions::default()).expect("it is there");
    bench.settle();
    assert_eq!(names(&bench), ["leader"]);
    assert_eq!(bench.events(), Vec::<String>::new());
}

#[test]
fn the_time_is_that_of_the_change_that_is_told() {
    let mut bench = Bench::new(AllEndpoints::default());
    let time = |bench: &Bench| endpoints(bench)["metadata"]["annotations"][TRIGGERED].clone();
    bench.create(service(json!({"ports": [{"port": 80}]})));
    bench.settle();
    assert_eq!(time(&bench), "2025-06-01T12:00:00Z");
    bench.create(pod("a", running("10.0.0.1", true)));
    bench.settle();
    assert_eq!(time(&bench), "2025-06-01T12:00:10Z");
    // What doesn't matter to the endpoints is not written.
    let version = endpoints(&bench)["metadata"]["resourceVersion"].clone();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"note": "mine"}}}));
    bench.server.patch(&key(Kind::Pod, "a"), &patch, false).expect("a good patch");
    bench.settle();
    assert_eq!(endpoints(&bench)["metadata"]["resourceVersion"], version);
    // Nobody knows since when a label is gone.
    let patch = Patch::Merge(json!({"metadata": {"labels": null}}));
    bench.server.patch(&key(Kind::Pod, "a"), &patch, false).expect("a good patch");
    bench.settle();
    assert_eq!((subsets(&bench), time(&bench)), (vec![], Value::Null));
}

#[test]
fn a_thousand_addresses_are_enough() {
    let address = || EndpointAddress::default();
    let part = |count: usize| Some(vec![address(); count]).filter(|part| !part.is_empty());
    let subset = |(ready, not): (usize, usize)| EndpointSubset {
        addresses: part(ready),
        not_ready_addresses: part(not),
        ports: None,
    };
    let length = |part: &Option<Vec<EndpointAddress>>| part.as_ref().map_or(0, Vec::len);
    let table = [
        (vec![(600, 400)], vec![(600, 400)], false),
        (vec![(1001, 0)], vec![(1000, 0)], true),
        (vec![(900, 200)], vec![(900, 100)], true),
        (vec![(1001, 50)], vec![(1000, 0)], true),
        (vec![(1000, 50)], vec![(1000, 0)], true),
        // The share of each is rounded up, and the last one gets what is left.
        (vec![(400, 0), (400, 0), (400, 0)], vec![(334, 0), (334, 0), (332, 0)], true),
        (vec![(500, 100), (400, 200)], vec![(500, 34), (400, 66)], true),
    ];
    for (before, after, truncated) in table {
        let mut subsets: Vec<_> = before.iter().copied().map(subset).collect();
        assert_eq!(truncate(&mut subsets), truncated, "{before:?}");
        let left: Vec<_> = subsets.iter().map(|s| (length(&s.addresses), length(&s.not_ready_addresses))).collect();
        assert_eq!(left, after, "{before:?}");
    }
}

#[test]
fn the_address_is_of_the_first_family_of_the_service() {
    let mut two = running("10.0.0.1", true);
    two["podIPs"] = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]);
    let pod: Pod = serde_json::from_value(pod("a", two)).expect("a pod");
    let table = [
        (json!({"ipFamilies": ["IPv6", "IPv4"]}), Some("fd00::1")),
        (json!({"ipFamilies": ["IPv4"]}), Some("10.0.0.1")),
        (json!({"clusterIP": "fd00::a"}), Some("fd00::1")),
        (json!({"clusterIP": "None"}), Some("10.0.0.1")),
    ];
    for (spec, expected) in table {
        let service: Service = serde_json::from_value(service(spec.clone())).expect("a service");
        assert_eq!(address_of(&service, &pod).as_deref(), expected, "{spec}");
    }
}
