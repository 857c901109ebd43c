//! A snapshot answers reads as the server does, or not at all.

use kit_api::jiff::Timestamp;
use kit_server::{Body, Request, Response, Server};
use kit_time::random::Random;
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const FORMS: [&str; 5] = ["", "application/json", "application/yaml", TABLE, METADATA];

struct Cluster(Server);

impl Cluster {
    fn new() -> Cluster {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        let epoch = Timestamp::from_second(1_750_000_000).expect("a time");
        let mut cluster = Cluster(Server::new(store, &modules, Random::new(1), epoch));
        // Namespaces whose order in the store is another than that of their names.
        for name in ["team", "team-a"] {
            cluster.write("POST", "/api/v1/namespaces", json!({"metadata": {"name": name}}));
        }
        for (number, namespace) in ["team", "team-a", "default", "team-a", "team", "default", "team"].iter().enumerate()
        {
            let labels = json!({"parity": if number % 2 == 0 { "even" } else { "odd" }});
            let spec =
                json!({"containers": [{"name": "c", "image": "c:1"}], "nodeName": format!("node-{}", number % 2)});
            let pod = json!({"metadata": {"name": format!("pod-{number}"), "labels": labels}, "spec": spec});
            cluster.write("POST", &format!("/api/v1/namespaces/{namespace}/pods"), pod);
        }
        cluster
    }

    fn send(&mut self, method: &str, target: &str, accept: &str, body: &Value) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("Content-Type", "application/json"), ("Accept", accept)];
        self.0.request(&Request { method, path, query, headers: &headers, body: body.as_bytes(), user: None })
    }

    fn write(&mut self, method: &str, target: &str, body: Value) {
        let answer = self.send(method, target, "", &body);
        assert!(answer.code < 300, "{}", answer.as_text());
    }

    /// What a snapshot says; none if the server is to be asked.
    fn read(&self, target: &str, accept: &str) -> Option<(u16, &'static str, Vec<String>, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = [("Accept", accept)];
        let request = Request { method: "GET", path, query, headers: &headers, body: b"", user: None };
        let Response { code, content_type, warnings, body } = self.0.snapshot().read(&request, self.0.time())?;
        let text = match body {
            Body::Text(text) => text,
            Body::List(list) => list.to_text(),
            _ => panic!("{target} is no read"),
        };
        Some((code, content_type, warnings, text))
    }

    /// The answer of both, which must be the same one.
    fn both(&mut self, target: &str, accept: &str) -> String {
        let read = self.read(target, accept).unwrap_or_else(|| panic!("{target} as {accept:?} is a read"));
        let asked = self.send("GET", target, accept, &Value::Null);
        let text = asked.as_text().to_string();
        assert_eq!(read, (asked.code, asked.content_type, asked.warnings, text.clone()), "{target} as {accept:?}");
        assert_eq!(read.0, 200, "{text}");
        text
    }
}

#[test]
fn it_says_what_the_server_says() {
    let mut cluster = Cluster::new();
    let revision = cluster.0.snapshot().revision;
    let targets = [
        "/api/v1/namespaces/default/pods/pod-2",
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/team/pods",
        "/api/v1/pods",
        "/api/v1/pods?limit=2",
        "/api/v1/pods?limit=2&labelSelector=parity%3Deven",
        "/api/v1/pods?labelSelector=parity+in+(odd)",
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1",
        "/api/v1/pods?fieldSelector=spec.nodeName!%3Dnode-1,status.phase%3DPending,metadata.namespace%3Dteam",
        "/api/v1/pods?fieldSelector=spec.restartPolicy%3DAlways,spec.nodeName%3Dnode-0",
        "/api/v1/namespaces/nowhere/pods",
        "/api/v1/namespaces?includeObject=Object",
        "/api/v1/pods?includeObject=None",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles?limit=3",
        "/api/v1/endpoints",
        "/api/v1/pods?resourceVersion=0&limit=1",
    ];
    for target in targets {
        FORMS.iter().for_each(|accept| drop(cluster.both(target, accept)));
    }
    let chosen = |text: String| serde_json::from_str::<Value>(&text).expect("JSON")["items"].as_array().map(Vec::len);
    assert_eq!(chosen(cluster.both("/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1", "")), Some(3));
    for target in [
        "/api/v1/namespaces/default/pods/nobody",
        "/api/v1/namespaces/default/pods/pod-2/log",
        "/api/v1/namespaces/default/pods/pod-2/status",
        "/api/v1/pods?watch=1",
        "/api/v1/pods?labelSelector=a+b+c",
        "/api/v1/pods?fieldSelector=spec.nothing%3D1",
        "/api/v1/pods?limit=x",
        "/api/v1/pods?continue=x",
        "/apis/example.com/v1/widgets",
        "/version",
        "/api",
        &format!("/api/v1/pods?resourceVersion={}", revision + 1),
        &format!("/api/v1/pods?resourceVersion={}&resourceVersionMatch=Exact", revision - 1),
    ] {
        assert_eq!(cluster.read(target, ""), None, "{target}");
    }
    assert_eq!(cluster.read("/api/v1/pods", "application/vnd.kubernetes.protobuf"), None);
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let mut cluster = Cluster::new();
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().into_iter().flatten();
        items
            .map(|item| format!("{}/{}", item["metadata"]["namespace"], item["metadata"]["name"]).replace('"', ""))
            .collect()
    };
    let next = |list: &Value| list["metadata"]["continue"].as_str().unwrap_or_default().to_string();
    for path in ["/api/v1/pods", "/api/v1/namespaces/team/pods", "/api/v1/namespaces"] {
        let whole = names(&value(&cluster.both(path, "")));
        let (mut token, mut paged, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let page = value(&cluster.both(&format!("{path}?limit=2&continue={token}"), ""));
            let left = page["metadata"]["remainingItemCount"].as_u64().unwrap_or_default();
            paged.extend(names(&page));
            assert_eq!(left as usize, whole.len() - paged.len(), "{path}");
            pages += 1;
            token = next(&page);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!((&paged, pages), (&whole, whole.len().div_ceil(2)), "{path}");
    }
    let pods = value(&cluster.both("/api/v1/pods", ""));
    assert_eq!(
        names(&pods),
        ["default/pod-2", "default/pod-5", "team-a/pod-1", "team-a/pod-3", "team/pod-0", "team/pod-4", "team/pod-6"],
        "in the order of keys in the store, where a namespace ends with a slash"
    );
    // A page of what was: the snapshot doesn't know it any more, and the server shows it as it was.
    let first = value(&cluster.both("/api/v1/pods?limit=3", ""));
    let rest = format!("/api/v1/pods?limit=9&continue={}", next(&first));
    let expected = names(&value(&cluster.both(&rest, "")));
    cluster.write("POST", "/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "other"}}));
    assert_eq!(cluster.read(&rest, ""), None);
    assert_eq!(names(&value(cluster.send("GET", &rest, "", &Value::Null).as_text())), expected);
    cluster.write("DELETE", "/api/v1/namespaces/team/pods/pod-4?gracePeriodSeconds=0", Value::Null);
    assert_eq!(names(&value(cluster.send("GET", &rest, "", &Value::Null).as_text())), expected);
    cluster.0.forget_history();
    assert_eq!(cluster.send("GET", &rest, "", &Value::Null).code, 410);
}
