//! A server over a store that holds objects of an earlier start goes on where that one ended.

use kit_api::jiff::Timestamp;
use kit_live::store::Kept;
use kit_server::{Body, Request, Server};
use kit_store::api::{Op, PutRequest, TxnRequest};
use kit_store::{Disk, Kv, Options};
use kit_time::random::Random;
use serde_json::{Value, json};
use std::path::Path;

fn open(path: &Path, between: impl FnOnce(&mut Disk)) -> Server {
    let modules = solutions::modules();
    let mut store = Disk::open(path, Options::default()).expect("a store");
    between(&mut store);
    let kept = Box::new(Kept::alone(store));
    Server::open(kept, &modules, Random::new(1), Timestamp::UNIX_EPOCH).unwrap_or_else(|e| panic!("{}", e.message))
}

fn ask(server: &mut Server, line: &str, body: Value) -> (u16, Value) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("Content-Type", "application/json")];
    let answer = server.request(&Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None });
    (answer.code, serde_json::from_str(answer.as_text()).unwrap_or_default())
}

fn make(server: &mut Server, path: &str, body: Value) -> Value {
    let (code, answer) = ask(server, &format!("POST {path}"), body);
    assert_eq!(code, 201, "{answer}");
    answer
}

fn get(server: &mut Server, path: &str) -> Value {
    let (code, answer) = ask(server, &format!("GET {path}"), Value::Null);
    assert_eq!(code, 200, "{answer}");
    answer
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SERVICES: &str = "/api/v1/namespaces/default/services";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        let spec = json!({"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}});
        let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
        json!({"name": name, "served": true, "storage": storage, "schema": schema})
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}

fn widget(version: &str, name: &str, size: i64) -> Value {
    let api_version = format!("example.com/{version}");
    json!({"apiVersion": api_version, "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})
}

fn service(name: &str) -> Value {
    let spec = json!({"type": "NodePort", "ports": [{"port": 80}], "selector": {"app": name}});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": name_of(name)})
}

fn raw_map(number: i64) -> PutRequest {
    let mut map = map(&format!("map-{number}"));
    map["metadata"]["namespace"] = "default".into();
    let key = format!("/registry/configmaps/default/map-{number}");
    PutRequest { key: key.as_str().into(), value: map.to_string().as_str().into(), ..PutRequest::default() }
}

/// A name that ends in a dash is to be completed.
fn name_of(name: &str) -> Value {
    if name.ends_with('-') { json!({"generateName": name}) } else { json!({"name": name}) }
}

/// All objects of the kinds that the tests make, as they are answered.
fn everything(server: &mut Server) -> Vec<Value> {
    let lists =
        ["/api/v1/namespaces", "/api/v1/nodes", "/apis/scheduling.k8s.io/v1/priorityclasses", MAPS, SERVICES, WIDGETS];
    lists.iter().flat_map(|list| get(server, list)["items"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn every_object_is_there_again_and_what_follows_from_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    // More than a page of the store, written at once.
    let mut server = open(&path, |store| {
        let map = |number| TxnRequest { success: vec![Op::Put(raw_map(number))], ..TxnRequest::default() };
        let maps: Vec<TxnRequest> = (0..600).map(map).collect();
        store.txns(&maps).into_iter().for_each(|answer| drop(answer.expect("a write")));
    });
    assert_eq!(get(&mut server, MAPS)["items"].as_array().map(Vec::len), Some(600));
    make(&mut server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition());
    make(&mut server, WIDGETS, widget("v1", "one", 1));
    make(&mut server, "/api/v1/nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}));
    make(&mut server, SERVICES, service("web"));
    let drawn = make(&mut server, MAPS, map("drawn-"));
    make(&mut server, MAPS, map("gone"));
    assert_eq!(ask(&mut server, &format!("DELETE {MAPS}/gone"), Value::Null).0, 200);
    let before = everything(&mut server);
    let revision = server.snapshot().revision;
    drop(server);

    let mut server = open(&path, |_| {});
    assert_eq!(server.snapshot().revision, revision, "nothing was missing that a start makes");
    assert_eq!(everything(&mut server), before);
    assert_eq!(server.unreadable().count(), 0);
    // The definition still says what a widget is.
    assert_eq!(ask(&mut server, &format!("POST {WIDGETS}"), widget("v1", "large", 10)).0, 422);
    make(&mut server, WIDGETS, widget("v1", "two", 2));
    // Addresses and ports that are taken are not given again.
    let (web, other) = (get(&mut server, &format!("{SERVICES}/web")), make(&mut server, SERVICES, service("other")));
    for field in ["/spec/clusterIP", "/spec/ports/0/nodePort"] {
        assert_ne!(web.pointer(field), other.pointer(field), "{field}");
    }
    // The same chance draws other names and uids.
    let again = make(&mut server, MAPS, map("drawn-"));
    for field in ["/metadata/name", "/metadata/uid"] {
        assert_ne!(drawn.pointer(field), again.pointer(field), "{field}");
    }
    // What happened before this start can't be watched any more; what happens since can.
    let watch = |server: &mut Server, since: i64| {
        let query = format!("watch=1&resourceVersion={since}");
        let request = Request { method: "GET", path: MAPS, query: &query, headers: &[], body: b"", user: None };
        let Body::Watch(mut watch) = server.request(&request).body else { panic!("no watch") };
        server.events(&mut watch)
    };
    let (gone, since) = (watch(&mut server, revision - 1), watch(&mut server, revision));
    assert_eq!((gone.len(), &gone[0]["object"]["reason"]), (1, &json!("Expired")), "{gone:?}");
    let names: Vec<_> = since.iter().map(|event| &event["object"]["metadata"]["name"]).collect();
    assert_eq!(names, [&again["metadata"]["name"]]);
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.redb");
    let mut server = open(&path, |_| {});
    ["fine", "broken", "renamed"].iter().for_each(|name| drop(make(&mut server, MAPS, map(name))));
    drop(server);
    let broken = [
        ("/registry/configmaps/default/broken", "{"),
        ("/registry/configmaps/default/renamed", r#"{"metadata":{"name":"other","namespace":"default"}}"#),
        ("/registry/example.org/lost/default/one", "{}"),
        ("/registry/pods/too/many/words", "{}"),
        ("/registry/nothing", "{}"),
    ];
    let mut server = open(&path, |store| {
        for (key, value) in broken {
            let put = PutRequest { key: key.into(), value: value.into(), ..PutRequest::default() };
            store.put(&put).expect("a write");
        }
    });
    let named: Vec<&str> = server.unreadable().map(|(key, _)| key).collect();
    let mut keys = broken.map(|(key, _)| key);
    keys.sort_unstable();
    assert_eq!(named, keys);
    assert!(server.unreadable().all(|(key, why)| why.message.contains(key)));
    let items = get(&mut server, MAPS)["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(items.iter().map(|map| &map["metadata"]["name"]).collect::<Vec<_>>(), ["fine"]);
    let there = format!("{MAPS}/broken");
    for line in [format!("GET {there}"), format!("DELETE {there}"), format!("PUT {there}"), format!("POST {MAPS}")] {
        let body = if line.starts_with('P') { map("broken") } else { Value::Null };
        let (code, answer) = ask(&mut server, &line, body);
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(code == 500 && message.contains("/registry/configmaps/default/broken"), "{line}: {code} {answer}");
    }
    make(&mut server, MAPS, map("another"));
}
