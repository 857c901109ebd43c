//! What is installed beside Kubernetes itself: objects that somebody applies once.

use kit_apimachinery::object::{Kind, Object};
use kit_client::component::{Component, World};
use kit_server::Change;
use kit_time::agenda::Instant;
use serde_json::{Value, json};

/// An object with its version and its kind.
type Manifest = (&'static str, &'static str, Value);

/// Whoever runs `kubectl apply` once.
pub struct Installed {
    objects: Vec<Manifest>,
}

impl Installed {
    /// Whoever applies these.
    pub fn new(objects: impl Into<Vec<Manifest>>) -> Installed {
        Installed { objects: objects.into() }
    }

    /// The Service of an index of logs, which is no pod here.
    pub fn log_index() -> Installed {
        let labels = json!({"app.kubernetes.io/name": "elasticsearch"});
        Installed::new([
            ("v1", "Namespace", json!({"metadata": {"name": "logging"}})),
            (
                "v1",
                "Service",
                json!({
                    "metadata": {"name": "elasticsearch", "namespace": "logging", "labels": labels},
                    "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 9200, "targetPort": 9200}]},
                }),
            ),
        ])
    }
}

impl Component for Installed {
    fn name(&self) -> &'static str {
        "kubectl"
    }

    fn watches(&self) -> &'static [Kind] {
        &[]
    }

    fn observe(&mut self, _change: &Change, _world: &mut World<'_>) {}

    fn run(&mut self, world: &mut World<'_>) {
        for (version, kind, mut value) in std::mem::take(&mut self.objects) {
            let Some(kind) = world.server.kind_of(version, kind) else { continue };
            value["apiVersion"] = version.into();
            value["kind"] = kind.name().into();
            // What is there stays as it is.
            if let Ok(object) = Object::from_value(kind, value) {
                _ = world.server.create(object);
            }
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        (!self.objects.is_empty()).then(Instant::default)
    }
}
