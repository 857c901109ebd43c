//! Kubelets and an API server, for tests: what the engine does, without its delays.

use super::Kubelets;
use super::node::NodeShape;
use kit_api::core::Pod;
use kit_apimachinery::object::{Key, Kind, Object};
use kit_client::cache::Cache;
use kit_client::component::{Component, World};
use kit_client::explain::Log;
use kit_client::fault::Fault;
use kit_server::{DeleteOptions, LogOptions, Request, Server};
use kit_time::agenda::Instant;
use kit_time::random::Random;
use serde_json::{Value, json};

pub struct Bench {
    pub server: Server,
    pub now: Instant,
    pub kubelets: Kubelets,
    cache: Cache,
    log: Log,
    cursor: usize,
}

/// Kubelets whose containers run programs, with the reference's probes.
pub fn with_programs(kubelets: Kubelets) -> Kubelets {
    kubelets.with_programs(solutions::modules().probes)
}

impl Bench {
    /// Two nodes, `node-1` and `node-2`.
    pub fn new(change: impl FnOnce(Kubelets) -> Kubelets) -> Bench {
        let modules = solutions::modules();
        let store = modules.store.make(&());
        let epoch = kit_api::jiff::Timestamp::from_second(1_748_779_200).expect("a time");
        let server = Server::new(store, &modules, Random::new(1), epoch);
        let shape = |name: &str| NodeShape { name: name.into(), ..NodeShape::default() };
        let shapes = vec![shape("node-1"), shape("node-2")];
        let kubelets = change(Kubelets::new(shapes, Default::default(), Default::default(), &modules));
        let (now, log) = (Instant::default(), Log::default());
        let mut bench = Bench { server, now, kubelets, cache: Cache::default(), log, cursor: 0 };
        bench.settle();
        bench
    }

    /// A pod on `node-1`, with this spec.
    pub fn pod(&mut self, name: &str, spec: Value) {
        self.annotated_pod(name, Value::Null, spec);
    }

    /// The same, with annotations.
    pub fn annotated_pod(&mut self, name: &str, annotations: Value, mut spec: Value) {
        spec["nodeName"] = "node-1".into();
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default", "annotations": annotations}, "spec": spec});
        self.server.create(Object::from_value(Kind::Pod, pod).expect("a good pod")).expect("it can be made");
        self.settle();
    }

    /// Changes what is at a pointer in a pod.
    pub fn change(&mut self, name: &str, pointer: &str, to: Value) {
        let pod = self.server.fetch::<Pod>("default", name).expect("the pod is there");
        let mut value = serde_json::to_value(pod).expect("it is JSON");
        *value.pointer_mut(pointer).expect("it is there") = to;
        self.server.update(Object::from_value(Kind::Pod, value).expect("a good pod")).expect("it can be changed");
        self.settle();
    }

    /// Brings an ephemeral container into a pod.
    pub fn debug(&mut self, name: &str, container: Value) {
        let body = json!({"spec": {"ephemeralContainers": [container]}});
        self.patch(name, "ephemeralcontainers", &body);
    }

    /// Changes the resources of the first container of a pod.
    pub fn resize(&mut self, name: &str, resources: Value) {
        let container = json!({"name": "main", "resources": resources});
        self.patch(name, "resize", &json!({"spec": {"containers": [container]}}));
    }

    fn patch(&mut self, name: &str, part: &str, body: &Value) {
        let path = format!("/api/v1/namespaces/default/pods/{name}/{part}");
        let body = body.to_string();
        let headers = [("Content-Type", "application/strategic-merge-patch+json")];
        let request =
            Request { method: "PATCH", path: &path, query: "", headers: &headers, body: body.as_bytes(), user: None };
        let answer = self.server.request(&request);
        assert_eq!(answer.code, 200, "{}", answer.as_text());
        self.settle();
    }

    pub fn delete(&mut self, name: &str) {
        self.delete_with(name, &DeleteOptions::default());
    }

    pub fn delete_with(&mut self, name: &str, options: &DeleteOptions) {
        self.server.delete(&Key::new(Kind::Pod, "default", name), options).expect("it is there");
        self.settle();
    }

    pub fn fault(&mut self, fault: &Fault) {
        self.server.enter(self.now, &self.kubelets.name().into());
        let Bench { server, now, kubelets, cache, log, .. } = self;
        assert_eq!(kubelets.fault(fault, &mut World { now: *now, server, cache, log }), Ok(true));
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            self.server.enter(self.now, &self.kubelets.name().into());
            let before = self.server.end();
            while let Ok(Some(change)) = self.server.change(self.cursor) {
                self.cursor += 1;
                let change = change.clone();
                if self.kubelets.watches().contains(&change.object.key.kind) {
                    self.cache.apply(&change);
                    let Bench { server, now, kubelets, cache, log, .. } = self;
                    kubelets.observe(&change, &mut World { now: *now, server, cache, log });
                }
            }
            let Bench { server, now, kubelets, cache, log, .. } = self;
            kubelets.run(&mut World { now: *now, server, cache, log });
            if self.server.end() == before && self.cursor == before {
                return;
            }
        }
    }

    /// Lets so many seconds pass.
    pub fn wait(&mut self, seconds: f64) {
        let until = self.now + Instant { nanos: (seconds * 1e9) as i64 };
        while let Some(wake) = self.kubelets.next_wake().filter(|wake| *wake <= until) {
            self.now = wake.max(self.now);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    /// A node.
    pub fn node(&self, name: &str) -> Value {
        self.server.get(&Key::new(Kind::Node, "", name)).expect("the node is there").to_value()
    }

    /// A pod that is there.
    pub fn get(&self, name: &str) -> Pod {
        self.server.fetch::<Pod>("default", name).expect("the pod is there")
    }

    /// What a container of a pod has written.
    pub fn log(&self, name: &str, container: &str) -> String {
        let target = self.target(name, container);
        let mut reader = self.kubelets.logs(&target, &LogOptions::default(), self.now).expect("it has a log");
        let mut text = Vec::new();
        while let (Some(piece), _) = self.kubelets.read(&mut reader, self.now) {
            text.extend(piece);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Runs a command in a container and lets so many seconds pass: what it has written, and its exit code if it has ended.
    pub fn exec(&mut self, name: &str, container: &str, command: &[&str], seconds: f64) -> (String, Option<i32>) {
        let target = self.target(name, container);
        let command = command.iter().map(ToString::to_string).collect();
        let Bench { server, now, kubelets, cache, log, .. } = self;
        let world = World { now: *now, server, cache, log };
        let id = match kubelets.exec(&target, command, false, false, &world) {
            Ok(id) => id,
            Err(why) => return (format!("{why:?}"), None),
        };
        self.wait(seconds);
        let Bench { server, now, kubelets, cache, log, .. } = self;
        let world = World { now: *now, server, cache, log };
        let mut text = String::new();
        loop {
            let output = kubelets.output(id, &world).unwrap_or_default();
            output.written.iter().for_each(|(_, bytes)| text.push_str(&String::from_utf8_lossy(bytes)));
            if output.written.is_empty() {
                return (text, output.ended);
            }
        }
    }

    fn target(&self, name: &str, container: &str) -> kit_server::Container {
        let pod = self.server.fetch::<Pod>("default", name).expect("the pod is there");
        kit_server::Container {
            node: "node-1".into(),
            uid: pod.metadata.uid.unwrap_or_default(),
            pod: Key::new(Kind::Pod, "default", name),
            container: container.into(),
        }
    }

    /// A field of a pod's status, as a JSON pointer names it; null if it isn't there.
    pub fn status(&self, name: &str, pointer: &str) -> Value {
        let pod = self.server.fetch::<Pod>("default", name).ok();
        let value = serde_json::to_value(pod.and_then(|pod| pod.status)).unwrap_or_default();
        value.pointer(pointer).cloned().unwrap_or_default()
    }

    /// What the column STATUS of kubectl says.
    pub fn shown(&self, name: &str) -> String {
        let pod = self.server.fetch::<Pod>("default", name).expect("the pod is there");
        kit_server::containers(&pod).status
    }

    /// The events about a pod: type, reason, message, how often.
    pub fn events(&self, name: &str) -> Vec<String> {
        let all = self.server.snapshot().list(Kind::Event).map(|stored| stored.to_value());
        let about = all.filter(|event| event["involvedObject"]["name"] == name);
        let line = |event: Value| {
            let word = |field: &str| event[field].as_str().unwrap_or_default().to_string();
            let count = event["count"].as_i64().unwrap_or(1);
            let times = if count > 1 { format!(" (x{count})") } else { String::new() };
            let first = event["firstTimestamp"].as_str().unwrap_or_default().to_string();
            (first, format!("{} {}: {}{times}", word("type"), word("reason"), word("message")))
        };
        let mut lines: Vec<(String, String)> = about.map(line).collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
