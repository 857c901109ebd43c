//! The root CA publisher: in each namespace a ConfigMap with which pods can check who the API server is.
//!
//! Source: `pkg/controller/certificates/rootcacertpublisher/publisher.go`.

use kit_api::core::{ConfigMap, Namespace};
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;
use std::collections::BTreeMap;

/// The name of the ConfigMaps.
const NAME: &str = "kube-root-ca.crt";
const ANNOTATION: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

/// Keeps the certificate in each namespace.
pub struct RootCa {
    data: BTreeMap<String, String>,
    /// Names of namespaces.
    queue: WorkQueue<String>,
}

impl RootCa {
    /// A publisher of this certificate, in PEM.
    pub fn new(ca: String) -> Self {
        RootCa { data: BTreeMap::from([("ca.crt".to_string(), ca)]), queue: WorkQueue::default() }
    }

    fn sync(&self, namespace: &str, world: &mut World<'_>) -> Result<(), Error> {
        let Some(there) = world.cache.fetch::<ConfigMap>(namespace, NAME) else {
            let map = ConfigMap {
                metadata: ObjectMeta {
                    name: Some(NAME.into()),
                    namespace: Some(namespace.into()),
                    annotations: Some(BTreeMap::from([(ANNOTATION.to_string(), DESCRIPTION.to_string())])),
                    ..ObjectMeta::default()
                },
                data: Some(self.data.clone()),
                ..ConfigMap::default()
            };
            return match world.server.create(map.into_object()) {
                Err(error) if !error.is_not_found() && !error.is_namespace_terminating() => Err(error),
                _ => Ok(()),
            };
        };
        let described = there.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION));
        if there.data.as_ref() == Some(&self.data) && described.is_some_and(|text| !text.is_empty()) {
            return Ok(());
        }
        let mut map = there.clone();
        map.data = Some(self.data.clone());
        map.metadata.annotations.get_or_insert_default().insert(ANNOTATION.into(), DESCRIPTION.into());
        world.server.update(map.into_object()).map(drop)
    }
}

impl Component for RootCa {
    fn name(&self) -> &'static str {
        "root-ca-cert-publisher"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Namespace, Kind::ConfigMap]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let is_active = |namespace: &Namespace| {
            namespace.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Active")
        };
        match (object, change.kind) {
            (Object::ConfigMap(_), ChangeKind::Modified | ChangeKind::Deleted) if object.name() == NAME => {
                self.queue.add(object.namespace().into(), world.now);
            }
            (Object::Namespace(_), ChangeKind::Added) => self.queue.add(object.name().into(), world.now),
            (Object::Namespace(namespace), ChangeKind::Modified) if is_active(namespace) => {
                self.queue.add(object.name().into(), world.now);
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(namespace) = self.queue.pop(world.now) {
            let done = self.sync(&namespace, world);
            self.queue.done(namespace, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use kit_apimachinery::object::Key;
    use kit_server::{DeleteOptions, Patch};
    use serde_json::{Value, json};

    fn right() -> Value {
        json!([{ANNOTATION: DESCRIPTION}, {"ca.crt": "PEM"}])
    }

    fn published(bench: &Bench, namespace: &str) -> Value {
        let Ok(map) = bench.server.get(&Key::new(Kind::ConfigMap, namespace, NAME)) else { return Value::Null };
        let map = map.to_value();
        json!([map["metadata"]["annotations"], map["data"]])
    }

    #[test]
    fn each_namespace_has_the_certificate() {
        let mut bench = Bench::new(RootCa::new("PEM".into()));
        bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        bench.settle();
        for namespace in ["default", "kube-system", "shop"] {
            assert_eq!(published(&bench, namespace), right(), "{namespace}");
        }
        let key = Key::new(Kind::Namespace, "", "shop");
        bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
        bench.server.delete(&Key::new(Kind::ConfigMap, "shop", NAME), &DeleteOptions::default()).expect("it is there");
        bench.settle();
        assert_eq!(published(&bench, "shop"), Value::Null);
    }

    #[test]
    fn what_is_deleted_or_changed_is_put_right() {
        let mut bench = Bench::new(RootCa::new("PEM".into()));
        bench.settle();
        let key = Key::new(Kind::ConfigMap, "default", NAME);
        let changes = [
            json!({"data": {"ca.crt": "mine"}}),
            json!({"data": {"more": "mine"}}),
            json!({"data": null}),
            json!({"metadata": {"annotations": null}}),
        ];
        for change in changes {
            bench.server.patch(&key, &Patch::Merge(change.clone()), false).expect("a good patch");
            bench.settle();
            assert_eq!(published(&bench, "default"), right(), "{change}");
        }
        // Another description is fine, as long as there is one.
        let other = json!({"metadata": {"annotations": {ANNOTATION: "mine"}}});
        bench.server.patch(&key, &Patch::Merge(other), false).expect("a good patch");
        bench.settle();
        assert_eq!(published(&bench, "default")[0][ANNOTATION], "mine");
        bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
        bench.settle();
        assert_eq!(published(&bench, "default"), right());
    }
}
