//! The service accounts controller: each namespace has a service account named `default`.
//!
//! Source: `pkg/controller/serviceaccount/serviceaccounts_controller.go`.

use kit_api::core::{Namespace, ServiceAccount};
use kit_api::meta::ObjectMeta;
use kit_apimachinery::object::{AsKind, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, Error};
use kit_time::agenda::Instant;

/// The account of pods that name none.
const DEFAULT: &str = "default";

/// Makes the default account of each namespace.
#[derive(Default)]
pub struct ServiceAccounts {
    /// Names of namespaces.
    queue: WorkQueue<String>,
}

impl Component for ServiceAccounts {
    fn name(&self) -> &'static str {
        "service-account-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Namespace, Kind::ServiceAccount]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        match object {
            Object::ServiceAccount(_) if change.kind == ChangeKind::Deleted => {
                self.queue.add(object.namespace().into(), world.now);
            }
            Object::Namespace(_) if change.kind != ChangeKind::Deleted => {
                self.queue.add(object.name().into(), world.now);
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(namespace) = self.queue.pop(world.now) {
            let done = sync(&namespace, world);
            self.queue.done(namespace, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

fn sync(name: &str, world: &mut World<'_>) -> Result<(), Error> {
    let Some(namespace) = world.cache.fetch::<Namespace>("", name) else { return Ok(()) };
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase != Some("Active") || world.cache.fetch::<ServiceAccount>(name, DEFAULT).is_some() {
        return Ok(());
    }
    let metadata = ObjectMeta { name: Some(DEFAULT.into()), namespace: Some(name.into()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match world.server.create(account.into_object()) {
        Err(error) if error.reason != "AlreadyExists" && !error.is_namespace_terminating() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use kit_apimachinery::object::Key;
    use kit_server::DeleteOptions;
    use serde_json::json;

    fn accounts(bench: &Bench) -> Vec<String> {
        let accounts = bench.server.snapshot().list(Kind::ServiceAccount);
        accounts.map(|stored| format!("{}/{}", stored.key.namespace, stored.key.name)).collect()
    }

    #[test]
    fn each_active_namespace_has_its_default_account() {
        let mut bench = Bench::new(ServiceAccounts::default());
        bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        let ending = json!({"name": "ending", "finalizers": ["example.com/wait"]});
        bench.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": ending}));
        _ = bench.server.delete(&Key::new(Kind::Namespace, "", "ending"), &DeleteOptions::default());
        bench.settle();
        let all = [
            "default/default",
            "kube-node-lease/default",
            "kube-public/default",
            "kube-system/default",
            "shop/default",
        ];
        assert_eq!(accounts(&bench), all);
    }

    #[test]
    fn a_default_account_that_is_deleted_is_made_anew_and_others_are_not() {
        let mut bench = Bench::new(ServiceAccounts::default());
        let robot = json!({"name": "robot", "namespace": "default"});
        bench.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": robot}));
        bench.settle();
        let uid = |bench: &Bench| {
            bench.server.get(&Key::new(Kind::ServiceAccount, "default", "default")).map(|a| a.object.uid().to_string())
        };
        let before = uid(&bench).expect("it is made");
        for name in ["robot", "default"] {
            let key = Key::new(Kind::ServiceAccount, "default", name);
            bench.server.delete(&key, &DeleteOptions::default()).expect("it is there");
        }
        bench.settle();
        assert!(uid(&bench).is_ok_and(|after| after != before));
        assert_eq!(accounts(&bench).len(), 4);
    }
}
