//! The API server by its handlers: what recorded cases don't show, one story each.

use kit_api::coordination::Lease;
use kit_api::core::Node;
use kit_api::jiff::Timestamp;
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_server::{Body, Request, Response, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};
use std::sync::Arc;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

struct Client {
    server: Server,
    user: Option<&'static str>,
    token: Option<String>,
}

impl Client {
    fn new() -> Client {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        let epoch = Timestamp::from_second(1_750_000_000).expect("a time");
        Client { server: Server::new(store, &modules, Random::new(1), epoch), user: None, token: None }
    }

    fn send(&mut self, line: &str, media: &str, body: &Value) -> Response {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut headers = vec![("Content-Type", media)];
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        headers.extend(bearer.as_deref().map(|value| ("Authorization", value)));
        headers.extend(self.user.map(|name| ("Impersonate-User", name)));
        self.server.request(&Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None })
    }

    /// The code and the body of an answer.
    fn ask(&mut self, line: &str, body: Value) -> (u16, Value) {
        self.patch(line, "application/json", body)
    }

    fn patch(&mut self, line: &str, media: &str, body: Value) -> (u16, Value) {
        let answer = self.send(line, media, &body);
        (answer.code, serde_json::from_str(answer.as_text()).unwrap_or_default())
    }

    /// Makes an object that must be fine.
    fn make(&mut self, path: &str, body: Value) -> Value {
        let (code, answer) = self.ask(&format!("POST {path}"), body);
        assert_eq!(code, 201, "{answer}");
        answer
    }

    /// The sentence of a refusal.
    fn refused(&mut self, line: &str, body: Value) -> String {
        let (code, answer) = self.ask(line, body);
        assert!(code >= 400, "{answer}");
        answer["message"].as_str().unwrap_or_default().to_string()
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}})
}

#[test]
fn patches_of_three_kinds_change_an_object() {
    let mut client = Client::new();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    client.make(deployments, json!({"metadata": {"name": "web"}, "spec": spec}));
    let web = format!("PATCH {deployments}/web");

    let side = json!({"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}});
    let (_, answer) = client.patch(&web, STRATEGIC, side.clone());
    let names = |answer: &Value| -> Vec<String> {
        let containers = answer["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
        containers.iter().map(|container| container["name"].as_str().unwrap_or_default().to_string()).collect()
    };
    assert_eq!(names(&answer), ["side", "c"]);
    let (_, answer) = client.patch(&web, MERGE, side);
    assert_eq!(names(&answer), ["side"]);
    let (code, answer) =
        client.patch(&web, JSON_PATCH, json!([{"op": "replace", "path": "/spec/replicas", "value": 5}]));
    assert_eq!((code, answer["spec"]["replicas"].as_i64()), (200, Some(5)));
    let (code, answer) = client.patch(&web, JSON_PATCH, json!([{"op": "test", "path": "/spec/replicas", "value": 4}]));
    assert_eq!((code, answer["reason"].as_str()), (422, Some("Invalid")));
    // A change of the strategy takes fields of the other one away.
    let recreate = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    let (code, answer) = client.patch(&web, STRATEGIC, recreate);
    assert_eq!((code, &answer["spec"]["strategy"]), (200, &json!({"type": "Recreate"})));
    let (code, _) = client.patch(&web, "text/plain", json!({}));
    assert_eq!(code, 415);
}

#[test]
fn limits_give_defaults_and_say_what_is_too_much() {
    let mut client = Client::new();
    let limit =
        json!({"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}});
    client.make(
        "/api/v1/namespaces/default/limitranges",
        json!({"metadata": {"name": "l"}, "spec": {"limits": [limit]}}),
    );
    let there = client.make(PODS, pod("a"));
    let resources = &there["spec"]["containers"][0]["resources"];
    assert_eq!(*resources, json!({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}));
    let note = "LimitRanger plugin set: cpu request for container c; cpu limit for container c";
    assert_eq!(there["metadata"]["annotations"]["kubernetes.io/limit-ranger"], note);
    let mut greedy = pod("b");
    greedy["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "3"}});
    let why = client.refused(&format!("POST {PODS}"), greedy);
    assert_eq!(why, "pods \"b\" is forbidden: maximum cpu usage per Container is 2, but limit is 3");
}

#[test]
fn a_quota_counts_what_is_made_once_its_status_says_how_much() {
    let mut client = Client::new();
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    client.make(quotas, json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}}}));
    let status = json!({"status": {"hard": {"pods": "2"}, "used": {"pods": "0"}}});
    client.patch(&format!("PATCH {quotas}/small/status"), MERGE, status);
    client.make(PODS, pod("a"));
    client.make(PODS, pod("b"));
    let why = client.refused(&format!("POST {PODS}"), pod("c"));
    assert_eq!(why, "pods \"c\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2");
    let (_, quota) = client.ask(&format!("GET {quotas}/small"), Value::Null);
    assert_eq!(quota["status"]["used"]["pods"], "2");
}

#[test]
fn an_eviction_asks_the_budget() {
    let mut client = Client::new();
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let selector = json!({"matchLabels": {"app": "web"}});
    client.make(budgets, json!({"metadata": {"name": "pdb"}, "spec": {"minAvailable": 1, "selector": selector}}));
    for name in ["a", "b"] {
        let mut body = pod(name);
        body["spec"]["nodeName"] = "n1".into();
        client.make(PODS, body);
        let ready = json!([{"type": "Ready", "status": "True"}]);
        client.patch(
            &format!("PATCH {PODS}/{name}/status"),
            MERGE,
            json!({"status": {"phase": "Running", "conditions": ready}}),
        );
    }
    let evict = |name: &str| format!("POST {PODS}/{name}/eviction");
    let (code, answer) = client.ask(&evict("a"), json!({"metadata": {"name": "a"}}));
    let details = &answer["details"];
    assert_eq!((code, details["retryAfterSeconds"].as_i64()), (429, Some(10)), "not observed yet");
    let status = json!({"status": {
        "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
    }});
    client.patch(&format!("PATCH {budgets}/pdb/status"), MERGE, status);
    assert_eq!(client.ask(&evict("a"), json!({"metadata": {"name": "a"}})).0, 201);
    let (code, answer) = client.ask(&evict("b"), json!({"metadata": {"name": "b"}}));
    let cause = &answer["details"]["causes"][0]["message"];
    assert_eq!(
        (code, cause.as_str()),
        (429, Some("The disruption budget pdb needs 1 healthy pods and has 2 currently"))
    );
    assert!(answer["details"].get("retryAfterSeconds").is_none());
    assert_eq!(client.ask(&evict("nobody"), json!({})).0, 404);
}

#[test]
fn finalizers_hold_an_object_until_the_last_is_gone() {
    let mut client = Client::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    client.make(maps, json!({"metadata": {"name": "m", "finalizers": ["example.com/a"]}}));
    let (code, answer) = client.ask(&format!("DELETE {maps}/m"), Value::Null);
    assert_eq!((code, answer["kind"].as_str()), (200, Some("ConfigMap")));
    assert!(answer["metadata"]["deletionTimestamp"].is_string());
    let (code, answer) = client.patch(
        &format!("PATCH {maps}/m"),
        MERGE,
        json!({"metadata": {"finalizers": ["example.com/a", "example.com/b"]}}),
    );
    let why = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
               finalizers []string{\"example.com/b\"}";
    assert_eq!((code, answer["message"].as_str()), (422, Some(format!("ConfigMap \"m\" is invalid: {why}").as_str())));
    client.patch(&format!("PATCH {maps}/m"), MERGE, json!({"metadata": {"finalizers": null}}));
    assert_eq!(client.ask(&format!("GET {maps}/m"), Value::Null).0, 404);
}

#[test]
fn custom_resources_are_served_as_soon_as_they_are_defined() {
    let mut client = Client::new();
    let widgets = "/apis/example.com/v1/namespaces/default/widgets";
    assert_eq!(client.ask(&format!("GET {widgets}"), Value::Null).0, 404);
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        "subresources": {"status": {}},
    });
    let names = json!({"plural": "widgets", "kind": "Widget"});
    let spec = json!({"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.make(definitions, json!({"metadata": {"name": "widgets.example.com"}, "spec": spec}));
    let widget = json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 1}, "status": {"ok": true},
    });
    let there = client.make(widgets, widget);
    assert_eq!((there["metadata"]["generation"].as_i64(), there.get("status")), (Some(1), None));
    let (_, there) = client.patch(&format!("PATCH {widgets}/w"), MERGE, json!({"spec": {"size": 2}}));
    assert_eq!(there["metadata"]["generation"].as_i64(), Some(2));
    let (_, there) =
        client.patch(&format!("PATCH {widgets}/w/status"), MERGE, json!({"status": {"ok": true}, "spec": {"size": 9}}));
    assert_eq!((&there["spec"], &there["status"]), (&json!({"size": 2}), &json!({"ok": true})));
    let (_, list) = client.ask(&format!("GET {widgets}"), Value::Null);
    assert_eq!((list["kind"].as_str(), list["items"][0]["kind"].as_str()), (Some("WidgetList"), Some("Widget")));
    let (code, _) = client.patch(&format!("PATCH {widgets}/w"), STRATEGIC, json!({}));
    assert_eq!(code, 415);
    let (_, groups) = client.ask("GET /apis", Value::Null);
    assert!(groups.to_string().contains("example.com/v1"));
    client.ask(&format!("DELETE {definitions}/widgets.example.com"), Value::Null);
    assert_eq!(client.ask(&format!("GET {widgets}"), Value::Null).0, 404);
}

#[test]
fn roles_say_what_a_user_may_do() {
    let mut client = Client::new();
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rule = json!({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]});
    client.make(&format!("{rbac}/roles"), json!({"metadata": {"name": "reader"}, "rules": [rule]}));
    let subjects =
        json!([{"kind": "User", "name": "jane"}, {"kind": "ServiceAccount", "name": "bot", "namespace": "default"}]);
    let role = json!({"kind": "Role", "name": "reader"});
    client.make(
        &format!("{rbac}/rolebindings"),
        json!({"metadata": {"name": "read"}, "subjects": subjects, "roleRef": role}),
    );
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    client.make(accounts, json!({"metadata": {"name": "bot"}}));
    let token = client.make(&format!("{accounts}/bot/token"), json!({"spec": {"expirationSeconds": 600}}));

    client.user = Some("jane");
    assert_eq!(client.ask(&format!("GET {PODS}"), Value::Null).0, 200);
    let why = client.refused("GET /api/v1/namespaces/default/secrets", Value::Null);
    let expected = "secrets is forbidden: User \"jane\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\"";
    assert_eq!(why, expected);
    let review =
        json!({"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": "default"}}});
    let (_, answer) = client.ask("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review);
    assert_eq!(answer["status"]["allowed"], false);

    client.user = None;
    client.token = token["status"]["token"].as_str().map(str::to_string);
    assert_eq!(client.ask(&format!("GET {PODS}"), Value::Null).0, 200);
    let why = client.refused(&format!("POST {PODS}"), pod("x"));
    assert!(why.contains("User \"system:serviceaccount:default:bot\" cannot create resource \"pods\""), "{why}");
    // Clocks may differ by a minute.
    client.server.enter(Instant::seconds(660), &Arc::from("test"));
    assert_eq!(client.ask(&format!("GET {PODS}"), Value::Null).0, 200);
    client.server.enter(Instant::seconds(661), &Arc::from("test"));
    assert_eq!(client.ask(&format!("GET {PODS}"), Value::Null).0, 401);
}

#[test]
fn a_watch_ends_with_gone_where_history_is_compacted() {
    let mut client = Client::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    let watch = |client: &mut Client, query: &str| match client
        .send(&format!("GET {maps}?watch=1&{query}"), "", &Value::Null)
        .body
    {
        Body::Watch(watch) => *watch,
        body => panic!("{body:?}"),
    };
    let version = client.make(maps, json!({"metadata": {"name": "a"}}))["metadata"]["resourceVersion"].clone();
    let version = version.as_str().unwrap_or_default().to_string();
    let mut slow = watch(&mut client, &format!("resourceVersion={version}&allowWatchBookmarks=true"));
    assert_eq!(client.server.events(&mut slow), Vec::<Value>::new());
    for minute in 1..30 {
        client.server.enter(Instant::seconds(minute * 60), &Arc::from("test"));
        client.make(maps, json!({"metadata": {"name": format!("m{minute}")}}));
    }
    let events = client.server.events(&mut slow);
    assert_eq!((events[0]["type"].as_str(), slow.ended()), (Some("ERROR"), true));
    assert_eq!((events[0]["object"]["code"].as_i64(), &events[0]["object"]["reason"]), (Some(410), &json!("Expired")));
    let mut late = watch(&mut client, &format!("resourceVersion={version}"));
    assert_eq!(client.server.events(&mut late)[0]["type"], "ERROR");
    client.server.watch_list = true;
    let mut fresh =
        watch(&mut client, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let events = client.server.events(&mut fresh);
    let last = events.last().cloned().unwrap_or_default();
    assert_eq!((events.len(), last["type"].as_str()), (31, Some("BOOKMARK")));
    assert_eq!(last["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[test]
fn a_watch_has_a_last_bookmark_before_it_ends() {
    let mut client = Client::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    let answer =
        client.send(&format!("GET {maps}?watch=1&timeoutSeconds=10&allowWatchBookmarks=true"), "", &Value::Null);
    let Body::Watch(mut watch) = answer.body else { panic!("{answer:?}") };
    let mut seen = Vec::new();
    for second in 0..=10 {
        client.server.enter(Instant::seconds(second), &Arc::from("test"));
        let events = client.server.events(&mut watch);
        seen.extend(events.iter().filter(|event| event["type"] == "BOOKMARK").map(|_| second));
    }
    assert_eq!((seen, watch.ended()), (vec![8], true));
}

#[test]
fn what_is_compacted_cannot_be_listed() {
    let mut client = Client::new();
    let maps = "/api/v1/namespaces/default/configmaps";
    let first = client.make(maps, json!({"metadata": {"name": "a"}}))["metadata"]["resourceVersion"].clone();
    let second = client.make(maps, json!({"metadata": {"name": "b"}}))["metadata"]["resourceVersion"].clone();
    client.server.forget_history();
    for (version, code) in [(first, 410), (second, 200)] {
        let version = version.as_str().unwrap_or_default();
        let list = format!("GET {maps}?resourceVersion={version}&resourceVersionMatch=Exact");
        assert_eq!(client.send(&list, "", &Value::Null).code, code, "{version}");
    }
}

/// However much is written, a watch can go back so far as upstream's cache of events always does; where little is, further.
#[test]
fn a_watch_goes_back_75_seconds_where_much_is_written() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let mut client = Client::new();
    let make = |client: &mut Client, second: i64| {
        client.server.enter(Instant::seconds(second), &Arc::from("test"));
        let map = client.make(MAPS, json!({"metadata": {"name": format!("at-{second}")}}));
        map["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_string()
    };
    let is_told = |client: &mut Client, version: &str| {
        let watch = format!("GET {MAPS}?watch=1&resourceVersion={version}");
        let Body::Watch(mut watch) = client.send(&watch, "", &Value::Null).body else { panic!("no watch") };
        client.server.events(&mut watch).iter().all(|event| event["type"] != "ERROR")
    };
    let versions = [0, 5, 20, 90].map(|second| make(&mut client, second));
    let [first, second] = [&versions[0], &versions[1]];
    assert!(is_told(&mut client, first));
    let lease = json!({"metadata": {"name": "busy"}, "spec": {"leaseTransitions": 0}});
    client.make("/apis/coordination.k8s.io/v1/namespaces/default/leases", lease);
    for renewal in 1..=10_100 {
        let mut lease: Lease = client.server.fetch("default", "busy").expect("a lease");
        lease.spec.get_or_insert_default().lease_transitions = Some(renewal);
        client.server.update(lease.into_object()).expect("it is renewed");
    }
    assert_eq!((is_told(&mut client, first), is_told(&mut client, second)), (false, true));
}

/// What is written most goes a shorter way, to the same place.
#[test]
fn a_node_that_loses_taints_is_written_as_by_anybody() {
    let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
    for left in [vec![], vec!["node.kubernetes.io/not-ready"], vec!["b"], vec!["a", "node.kubernetes.io/not-ready"]] {
        let mut client = Client::new();
        let mut written = Vec::new();
        for name in ["short", "long"] {
            let node = json!({"metadata": {"name": name}, "spec": {"taints": [taint("a"), taint("b")]}});
            let object = Object::from_value(Kind::Node, node).expect("a node");
            client.server.create(object).expect("it is created");
            let mut node: Node = client.server.fetch("", name).expect("a node");
            let taints = node.spec.get_or_insert_default().taints.take().unwrap_or_default();
            let kept: Vec<_> = taints.into_iter().filter(|taint| left.contains(&taint.key.as_str())).collect();
            node.spec.get_or_insert_default().taints = Some(kept).filter(|kept| !kept.is_empty());
            // Other labels are a matter for the long way.
            let mark = |node: &mut Node, value: Option<&str>| {
                node.metadata.labels = value.map(|value| [("way".to_string(), value.to_string())].into());
            };
            mark(&mut node, (name == "long").then_some(name));
            client.server.update(node.into_object()).expect("it loses taints");
            let mut node: Node = client.server.fetch("", name).expect("a node");
            mark(&mut node, None);
            let stored = client.server.update(node.into_object()).expect("it loses its label").to_value();
            written.push((stored["spec"].clone(), stored["status"].clone(), stored["metadata"]["labels"].clone()));
        }
        assert_eq!(written[0], written[1], "{left:?}");
    }
}

/// Namespaces whose names begin alike are in the order of the store's keys, and no page loses one.
#[test]
fn pages_over_namespaces_have_everything() {
    let mut client = Client::new();
    let spaces = ["a", "a-b", "ab"];
    for space in spaces {
        client.make("/api/v1/namespaces", json!({"metadata": {"name": space}}));
        for name in ["x", "y"] {
            client.make(&format!("/api/v1/namespaces/{space}/configmaps"), json!({"metadata": {"name": name}}));
        }
    }
    for limit in 1..=9 {
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let list = format!("GET /api/v1/configmaps?limit={limit}&continue={next}");
            let page: Value = serde_json::from_str(client.send(&list, "", &Value::Null).as_text()).expect("a list");
            for item in page["items"].as_array().into_iter().flatten() {
                let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_string();
                seen.push(text("namespace") + "/" + &text("name"));
            }
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_string();
            if next.is_empty() {
                break;
            }
            client.make("/api/v1/namespaces/a/secrets", json!({"metadata": {"generateName": "other-"}}));
        }
        assert_eq!(seen, ["a-b/x", "a-b/y", "a/x", "a/y", "ab/x", "ab/y"], "{limit}");
    }
}

#[test]
fn no_body_breaks_the_server() {
    let mut client = Client::new();
    let nonsense = [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{\"metadata\":5}",
        "{\"metadata\":{\"name\":[]}}",
        "{\"spec\":[]}",
        "\u{0}",
    ];
    let paths = ["/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments", "/api/v1/nodes"];
    for path in paths {
        for (method, tail) in [("POST", ""), ("PUT", "/x"), ("PATCH", "/x"), ("DELETE", "/x"), ("DELETE", "")] {
            for media in
                ["application/json", "application/yaml", MERGE, STRATEGIC, JSON_PATCH, "application/apply-patch+yaml"]
            {
                for body in nonsense {
                    let path = format!("{path}{tail}");
                    let headers = [("Content-Type", media)];
                    let request = Request {
                        method,
                        path: &path,
                        query: "fieldManager=x",
                        headers: &headers,
                        body: body.as_bytes(),
                        user: None,
                    };
                    let code = client.server.request(&request).code;
                    assert!((200..500).contains(&code) || code == 500, "{method} {path} {media} {body}");
                }
            }
        }
    }
}

/// `pkg/apis/storage/validation/validation.go` and `ValidatePersistentVolumeUpdate`.
#[test]
fn storage_is_held_to_its_rules() {
    let mut client = Client::new();
    const STORAGE: &str = "/apis/storage.k8s.io/v1";
    let object = |kind: &str, name: &str, more: Value| {
        let version = if kind == "PersistentVolume" { "v1" } else { "storage.k8s.io/v1" };
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}});
        more.as_object().into_iter().flatten().for_each(|(field, value)| object[field] = value.clone());
        object
    };
    let zones = |values: Value| json!({"matchLabelExpressions": [{"key": "zone", "values": values}]});
    let classes =
        json!({"provisioner": "disks", "allowedTopologies": [zones(json!(["a", "a"])), zones(json!([])), {}]});
    let attachment = json!({"spec": {"attacher": "", "nodeName": "", "source": {}}});
    let inline = json!({"spec": {"attacher": "disks", "nodeName": "n", "source": {"inlineVolumeSpec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "c",
        "persistentVolumeReclaimPolicy": "Delete", "hostPath": {"path": "/x"}}}}});
    let node = json!({"spec": {"drivers": [
        {"name": "disks", "nodeID": "", "allocatable": {"count": -1}, "topologyKeys": ["zone", "zone", ""]},
        {"name": "disks", "nodeID": "n"},
    ]}});
    let driver = json!({"spec": {"fsGroupPolicy": "Some", "volumeLifecycleModes": ["Persistent", "Long"],
        "tokenRequests": [{"audience": "a", "expirationSeconds": 60}, {"audience": "a"}]}});
    let mut told = String::new();
    for (path, kind, body) in [
        ("storageclasses", "StorageClass", classes),
        ("volumeattachments", "VolumeAttachment", attachment),
        ("volumeattachments", "VolumeAttachment", inline),
        ("csinodes", "CSINode", node),
        ("csidrivers", "CSIDriver", driver),
    ] {
        let (code, answer) = client.ask(&format!("POST {STORAGE}/{path}"), object(kind, "one", body));
        assert_eq!(code, 422, "{answer}");
        told += &format!("{}\n\n", answer["message"].as_str().expect("a message").replace(", ", ",\n  "));
    }
    let volume = |path: &str| json!({"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": path}}});
    client.make("/api/v1/persistentvolumes", object("PersistentVolume", "pv", volume("/a")));
    let attached = json!({"spec": {"attacher": "disks", "nodeName": "n", "source": {"persistentVolumeName": "pv"}}});
    client.make(&format!("{STORAGE}/volumeattachments"), object("VolumeAttachment", "va", attached));
    let driver = json!({"spec": {"drivers": [{"name": "disks", "nodeID": "n", "topologyKeys": null}]}});
    client.make(&format!("{STORAGE}/csinodes"), object("CSINode", "n", driver));
    client.make(&format!("{STORAGE}/csidrivers"), object("CSIDriver", "disks", json!({"spec": {}})));
    for (path, change) in [
        ("/api/v1/persistentvolumes/pv", volume("/b")),
        ("/apis/storage.k8s.io/v1/volumeattachments/va", json!({"spec": {"nodeName": "m"}})),
        (
            "/apis/storage.k8s.io/v1/csinodes/n",
            json!({"spec": {"drivers": [{"name": "disks", "nodeID": "m", "topologyKeys": null}]}}),
        ),
        (
            "/apis/storage.k8s.io/v1/csidrivers/disks",
            json!({"spec": {"attachRequired": false, "volumeLifecycleModes": ["Ephemeral"]}}),
        ),
    ] {
        let (code, answer) = client.patch(&format!("PATCH {path}"), MERGE, change);
        assert_eq!(code, 422, "{answer}");
        told += &format!("{}\n\n", answer["message"].as_str().expect("a message").replace(", ", ",\n  "));
    }
    insta::with_settings!({omit_expression => true}, { insta::assert_snapshot!(told) });
}

#[test]
fn pods_get_the_token_of_their_account_where_clusters_keep_accounts() {
    const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut client = Client::new();
    client.server.mount_tokens = true;
    client.make(
        "/api/v1/namespaces/default/serviceaccounts",
        json!({
            "metadata": {"name": "quiet"}, "automountServiceAccountToken": false,
        }),
    );
    let pods = "/api/v1/namespaces/default/pods";
    let pod = |name: &str, spec: Value| {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
        for (field, value) in spec.as_object().expect("fields") {
            pod["spec"][field] = value.clone();
        }
        pod
    };
    let made = client.make(pods, pod("loud", json!({})));
    let volume = &made["spec"]["volumes"][0];
    let mount = &made["spec"]["containers"][0]["volumeMounts"][0];
    assert!(volume["name"].as_str().is_some_and(|name| name.len() == "kube-api-access-".len() + 5), "{volume}");
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3607);
    assert_eq!((&mount["name"], &mount["mountPath"]), (&volume["name"], &json!(PATH)));
    // Containers that have something there keep it, and accounts and pods may say no.
    let own = json!([{"name": "c", "image": "x", "volumeMounts": [{"name": "v", "mountPath": PATH}]}]);
    for (name, spec) in [
        ("own", json!({"containers": own, "volumes": [{"name": "v", "emptyDir": {}}]})),
        ("silent", json!({"automountServiceAccountToken": false})),
        ("quiet", json!({"serviceAccountName": "quiet"})),
    ] {
        let made = client.make(pods, pod(name, spec));
        assert!(!made.to_string().contains("kube-api-access-"), "{made}");
    }
    let made =
        client.make(pods, pod("insists", json!({"serviceAccountName": "quiet", "automountServiceAccountToken": true})));
    assert!(made.to_string().contains("kube-api-access-"), "{made}");
}

#[test]
fn watches_tell_of_events_in_the_version_of_their_path() {
    let mut client = Client::new();
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let event = json!({
        "metadata": {"name": "e"}, "eventTime": "2025-06-15T15:06:40.000000Z", "reportingController": "example.com/x",
        "reportingInstance": "x-1", "action": "Look", "reason": "Seen", "type": "Normal", "note": "n",
        "regarding": {"kind": "Pod", "namespace": "default", "name": "p"},
    });
    client.make(path, event);
    let Body::Watch(mut watch) = client.send(&format!("GET {path}?watch=1"), "", &Value::Null).body else {
        panic!("a watch")
    };
    let first = client.server.events(&mut watch);
    client.patch("PATCH /api/v1/namespaces/default/events/e", MERGE, json!({"metadata": {"labels": {"a": "b"}}}));
    let then = client.server.events(&mut watch);
    for event in first.iter().chain(&then) {
        assert_eq!(
            (&event["object"]["apiVersion"], &event["object"]["note"]),
            (&json!("events.k8s.io/v1"), &json!("n"))
        );
        assert!(event["object"].get("message").is_none(), "{event}");
    }
    assert_eq!((first.len(), then.len()), (1, 1));
}

#[test]
fn definitions_have_api_services_as_long_as_they_are_there() {
    let mut client = Client::new();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let names = json!({"plural": "crons", "singular": "cron", "kind": "Cron", "listKind": "CronList"});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}});
    client.make(
        definitions,
        json!({
            "metadata": {"name": "crons.example.com"},
            "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
        }),
    );
    let service = "GET /apis/apiregistration.k8s.io/v1/apiservices/v1.example.com";
    assert_eq!(client.ask(service, Value::Null).0, 200);
    client.ask(&format!("DELETE {definitions}/crons.example.com"), Value::Null);
    assert_eq!(client.ask(service, Value::Null).0, 404);
    // And what other servers serve is not there without their Service.
    let spec = json!({
        "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"namespace": "kube-system", "name": "metrics-server"},
    });
    let services = "/apis/apiregistration.k8s.io/v1/apiservices";
    client.make(services, json!({"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": spec}));
    let (_, made) = client.ask(&format!("GET {services}/v1beta1.metrics.k8s.io"), Value::Null);
    assert_eq!(made["status"]["conditions"][0]["reason"], "ServiceNotFound");
}
