//! A cluster for tests: objects go in and come out as JSON.

use kit_apimachinery::object::{Kind, Object};
use kit_cluster::cluster::{self, Config};
use kit_cluster::engine::{Clock, Engine};
use kit_server::Stored;
use kit_time::agenda::Instant;
use serde_json::{Value, json};
use std::sync::Arc;

/// Three nodes, and nothing else yet.
pub fn start() -> Engine {
    let mut engine = cluster::start(&Config::default(), &solutions::modules(), Clock::default());
    wait(&mut engine, 1);
    engine
}

/// Lets so many seconds pass.
pub fn wait(engine: &mut Engine, seconds: i64) {
    engine.run_until(engine.now() + Instant::seconds(seconds)).expect("the reference answers");
}

/// Creates an object.
pub fn create(engine: &mut Engine, manifest: &Value) {
    let kind = Kind::named(manifest["kind"].as_str().expect("a kind")).expect("a known kind");
    let object = Object::decode(kind, &manifest.to_string()).expect("a good manifest");
    engine.request(|server| server.create(object)).expect("it can be created");
}

/// All objects of a kind.
pub fn all(engine: &Engine, kind: Kind) -> Vec<Value> {
    let json = |stored: &Arc<Stored>| serde_json::from_str(stored.json()).expect("objects are JSON");
    engine.server().snapshot().list(kind).map(json).collect()
}

/// A Deployment `web` of pods with the label `app: web` and the image `app:1`.
pub fn deployment(replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template("app:1"),
        },
    })
}

/// The template of such pods with some image.
pub fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}
