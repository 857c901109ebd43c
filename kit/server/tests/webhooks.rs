//! Webhooks: what is asked, and what becomes of the answers.

use base64::Engine as _;
use kit_api::jiff::Timestamp;
use kit_server::{Call, CallTarget, Caller, Reply, Request, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Calls that were made, and what is said to them by the last part of their URL.
#[derive(Clone, Default)]
struct Fake {
    calls: Rc<RefCell<Vec<Call>>>,
}

fn response(call: &Call, response: Value) -> Reply {
    let mut response = response;
    if response.get("uid").is_none() {
        response["uid"] = call.review["request"]["uid"].clone();
    }
    Ok(json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}))
}

fn patch(operations: &Value) -> Value {
    let text = base64::engine::general_purpose::STANDARD.encode(operations.to_string());
    json!({"allowed": true, "patchType": "JSONPatch", "patch": text})
}

fn say(call: &Call) -> Reply {
    let CallTarget::Url(url) = &call.target else { return Err("no URL".into()) };
    let labels = &call.review["request"]["object"]["metadata"]["labels"];
    match url.rsplit('/').next().unwrap_or_default() {
        "allow" => response(call, json!({"allowed": true, "warnings": ["think of it"]})),
        "deny" => response(
            call,
            json!({"allowed": false, "status": {"message": "not today", "code": 403, "reason": "Forbidden"}}),
        ),
        "silent" => response(call, json!({"allowed": false})),
        "label" => response(call, patch(&json!([{"op": "add", "path": "/metadata/labels", "value": {"by": "hook"}}]))),
        "count" => {
            let seen = labels["seen"].as_str().map_or(0, |text| text.parse().unwrap_or(0)) + 1;
            response(
                call,
                patch(&json!([{"op": "add", "path": "/metadata/labels", "value": {"seen": seen.to_string()}}])),
            )
        }
        "extend" if labels["also"].is_null() => {
            response(call, patch(&json!([{"op": "add", "path": "/metadata/labels/also", "value": "this"}])))
        }
        "extend" => response(call, json!({"allowed": true})),
        "stranger" => response(call, json!({"allowed": true, "uid": "x"})),
        "nonsense" => Ok(json!({"kind": "Pod", "apiVersion": "v1"})),
        _ => Err(call.failed("dial tcp 127.0.0.1:9: connect: connection refused")),
    }
}

impl Caller for Fake {
    fn call(&self, _server: &Server, call: &Call) -> Reply {
        self.calls.borrow_mut().push(call.clone());
        say(call)
    }
}

fn server() -> (Server, Fake) {
    let modules = solutions::modules();
    let mut server = Server::new(modules.store.make(&()), &modules, Random::new(1), Timestamp::UNIX_EPOCH);
    let fake = Fake::default();
    server.call_webhooks_with(Box::new(fake.clone()));
    server.enter(Instant::seconds(1), &Arc::from("test"));
    (server, fake)
}

fn send(server: &mut Server, line: &str, body: &Value) -> (u16, Value, Vec<String>) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let (headers, text) = ([("content-type", media)], if body.is_null() { String::new() } else { body.to_string() });
    let answer = server.request(&Request { method, path, query, headers: &headers, body: text.as_bytes(), user: None });
    (answer.code, serde_json::from_str(answer.as_text()).unwrap_or_default(), answer.warnings)
}

/// A configuration of webhooks for config maps: of each the URL and what else is said of it.
fn configure(server: &mut Server, kind: &str, hooks: &[(&str, Value)]) {
    let hook = |(at, (says, more)): (usize, &(&str, Value))| {
        let mut hook = json!({
            "name": format!("h{at}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": format!("https://hooks.test/{says}")},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            hook[field] = value.clone();
        }
        hook
    };
    let hooks: Vec<Value> = hooks.iter().enumerate().map(hook).collect();
    let path = format!("POST /apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations");
    let (code, answer, _) = send(server, &path, &json!({"metadata": {"name": "c"}, "webhooks": hooks}));
    assert_eq!(code, 201, "{answer}");
}

const MAPS: &str = "POST /api/v1/namespaces/default/configmaps";

fn map() -> Value {
    json!({"metadata": {"name": "a"}, "data": {"x": "y"}})
}

#[test]
fn what_a_validating_webhook_says_counts() {
    let internal = "Internal error occurred: failed calling webhook \"h0.example.com\":";
    for (says, more, code, message) in [
        ("allow", json!({}), 201, ""),
        ("deny", json!({}), 403, "admission webhook \"h0.example.com\" denied the request: not today"),
        ("silent", json!({}), 400, "admission webhook \"h0.example.com\" denied the request without explanation"),
        (
            "gone",
            json!({}),
            500,
            &*format!(
                "{internal} failed to call webhook: Post \"https://hooks.test/gone?timeout=10s\": dial tcp 127.0.0.1:9: connect: connection refused"
            ),
        ),
        ("gone", json!({"failurePolicy": "Ignore"}), 201, ""),
        (
            "deny",
            json!({"failurePolicy": "Ignore"}),
            403,
            "admission webhook \"h0.example.com\" denied the request: not today",
        ),
        (
            "nonsense",
            json!({}),
            500,
            &*format!(
                "{internal} received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got v1, Kind=Pod"
            ),
        ),
        (
            "label",
            json!({}),
            500,
            &*format!("{internal} received invalid webhook response: validating webhook may not return response.patch"),
        ),
        ("deny", json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name != 'a'"}]}), 201, ""),
        (
            "deny",
            json!({"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'a'"}]}),
            403,
            "admission webhook \"h0.example.com\" denied the request: not today",
        ),
        (
            "allow",
            json!({"matchConditions": [{"name": "c", "expression": "object.nope == 'a'"}]}),
            403,
            "configmaps \"a\" is forbidden: expression 'object.nope == 'a'' resulted in error: no such key: nope",
        ),
        ("deny", json!({"objectSelector": {"matchLabels": {"a": "b"}}}), 201, ""),
        ("deny", json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}), 201, ""),
        (
            "deny",
            json!({"rules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"]}]}),
            201,
            "",
        ),
        (
            "deny",
            json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]}),
            201,
            "",
        ),
        (
            "deny",
            json!({"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["*"], "scope": "Cluster"}]}),
            201,
            "",
        ),
    ] {
        let (mut server, fake) = server();
        configure(&mut server, "validating", &[(says, more.clone())]);
        let (found, answer, warnings) = send(&mut server, MAPS, &map());
        assert_eq!(found, code, "{says} {more}: {answer}");
        assert_eq!(answer["message"].as_str().unwrap_or_default(), message, "{says} {more}");
        if says == "allow" && code == 201 {
            assert_eq!(warnings, ["think of it"]);
            let request = fake.calls.borrow()[0].review["request"].clone();
            assert_eq!(request["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
            assert_eq!(request["requestResource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
            let told = ["name", "namespace", "operation", "dryRun"].map(|field| request[field].clone());
            assert_eq!(told, [json!("a"), json!("default"), json!("CREATE"), json!(false)]);
            assert_eq!(request["userInfo"]["username"], "kubernetes-admin");
            assert_eq!((&request["object"]["data"]["x"], &request["oldObject"]), (&json!("y"), &Value::Null));
            assert_eq!(request["options"]["kind"], "CreateOptions");
        }
    }
}

#[test]
fn mutating_webhooks_change_what_is_stored_and_may_look_again() {
    let (mut server, fake) = server();
    let again = json!({"reinvocationPolicy": "IfNeeded"});
    configure(&mut server, "mutating", &[("count", again), ("extend", json!({}))]);
    let (code, answer, _) = send(&mut server, MAPS, &map());
    assert_eq!(code, 201, "{answer}");
    // The first one sets all labels anew when it looks again.
    assert_eq!(answer["metadata"]["labels"], json!({"seen": "2"}));
    let names: Vec<String> = fake.calls.borrow().iter().map(|call| call.name.clone()).collect();
    assert_eq!(names, ["h0.example.com", "h1.example.com", "h0.example.com"]);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let (mut server, _) = server();
    configure(&mut server, "mutating", &[("stranger", json!({}))]);
    let (code, answer, _) = send(&mut server, MAPS, &map());
    assert_eq!(code, 500);
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("received invalid webhook response: expected response.uid=\""), "{message}");
}

#[test]
fn deletions_and_dry_runs_are_told_of() {
    let (mut server, fake) = server();
    assert_eq!(send(&mut server, MAPS, &map()).0, 201);
    configure(&mut server, "validating", &[("deny", json!({"sideEffects": "NoneOnDryRun"}))]);
    let (code, answer, _) =
        send(&mut server, "DELETE /api/v1/namespaces/default/configmaps/a?dryRun=All", &Value::Null);
    assert_eq!(code, 403, "{answer}");
    let request = fake.calls.borrow()[0].review["request"].clone();
    assert_eq!((&request["operation"], &request["object"]), (&json!("DELETE"), &Value::Null));
    assert_eq!((&request["oldObject"]["metadata"]["name"], &request["dryRun"]), (&json!("a"), &json!(true)));
    // The configuration itself can always be taken away.
    let path = "DELETE /apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/c";
    assert_eq!(send(&mut server, path, &Value::Null).0, 200);
    assert_eq!(send(&mut server, "DELETE /api/v1/namespaces/default/configmaps/a", &Value::Null).0, 200);
}

#[test]
fn a_request_comes_again_with_the_answers() {
    let (mut server, _) = server();
    configure(&mut server, "mutating", &[("label", json!({}))]);
    configure(&mut server, "validating", &[("allow", json!({}))]);
    let body = json!({"metadata": {"generateName": "a-"}}).to_string();
    let path = "/api/v1/namespaces/default/configmaps";
    let headers = [("content-type", "application/json")];
    let request = Request { method: "POST", path, headers: &headers, body: body.as_bytes(), ..Request::default() };
    let (mut known, mut names) = (Vec::new(), Vec::new());
    for second in 2..10 {
        server.enter(Instant::seconds(second), &Arc::from("test"));
        match server.answer_with(&request, known) {
            Ok(response) => {
                let answer: Value = serde_json::from_str(response.as_text()).expect("JSON");
                assert_eq!((response.code, names.len()), (201, 2), "{answer}");
                assert_eq!(answer["metadata"]["labels"]["by"], "hook");
                assert_eq!(answer["metadata"]["name"], names[1], "the name that the webhook was shown");
                return;
            }
            Err(lacking) => {
                let (calls, others) = *lacking;
                known = others;
                for call in calls {
                    names.push(call.review["request"]["name"].as_str().unwrap_or_default().to_string());
                    let reply = say(&call);
                    known.push((call, reply));
                }
            }
        }
    }
    panic!("it always lacks another answer: {names:?}");
}

#[test]
fn those_that_only_check_are_called_at_once() {
    let (mut server, fake) = server();
    let hooks = ["silent", "allow", "deny"].map(|says| (says, json!({})));
    configure(&mut server, "validating", &hooks);
    let (code, answer, warnings) = send(&mut server, MAPS, &map());
    // One refusal is told, and what the others warn of.
    assert_eq!((code, warnings), (400, vec!["think of it".to_string()]), "{answer}");
    assert_eq!(fake.calls.borrow().len(), 3);
    let body = map().to_string();
    let (path, headers) = ("/api/v1/namespaces/default/configmaps", [("content-type", "application/json")]);
    let request = Request { method: "POST", path, headers: &headers, body: body.as_bytes(), ..Request::default() };
    let (calls, known) = *server.answer_with(&request, Vec::new()).expect_err("nothing is known");
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!((names, known.len()), (vec!["h0.example.com", "h1.example.com", "h2.example.com"], 0));
    let known = calls.into_iter().map(|call| (call.clone(), say(&call))).collect();
    assert_eq!(server.answer_with(&request, known).expect("all is known").code, 400);
}

#[test]
fn a_service_has_to_be_there() {
    let (mut server, _) = server();
    let target = CallTarget::Service("default".into(), "hook".into(), 443, "/check".into());
    let call = Call { name: "h".into(), target, ca_bundle: Vec::new(), timeout: 10, review: json!({}) };
    let missing = "Post \"https://hook.default.svc:443/check?timeout=10s\": service \"hook\" not found";
    assert_eq!(server.endpoint_of(&call), Err(missing.to_string()));
    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}], "selector": {"a": "b"}}});
    let (code, service, _) = send(&mut server, "POST /api/v1/namespaces/default/services", &service);
    assert_eq!(code, 201, "{service}");
    let address = service["spec"]["clusterIP"].as_str().expect("an address");
    let refused = format!(
        "Post \"https://hook.default.svc:443/check?timeout=10s\": dial tcp {address}:443: connect: connection refused"
    );
    assert_eq!(server.endpoint_of(&call), Err(refused));
}
