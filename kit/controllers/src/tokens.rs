//! The tokens controller: a Secret of type `kubernetes.io/service-account-token` gets the token of its account, and goes
//! when the account does.
//!
//! Source: `pkg/controller/serviceaccount/tokens_controller.go`.

use kit_api::core::{Secret, ServiceAccount};
use kit_apimachinery::object::{AsKind, Key, Kind, Object};
use kit_client::component::{Component, World};
use kit_client::work_queue::WorkQueue;
use kit_server::{Change, ChangeKind, DeleteOptions, Error};
use kit_time::agenda::Instant;

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// Keeps tokens in Secrets.
pub struct Tokens {
    /// The certificate of the authority, in PEM.
    ca: String,
    /// Namespaces and names of Secrets.
    queue: WorkQueue<(String, String)>,
}

impl Tokens {
    /// A controller that puts this certificate, in PEM, beside each token.
    pub fn new(ca: String) -> Self {
        Tokens { ca, queue: WorkQueue::default() }
    }

    fn sync(&self, namespace: &str, name: &str, world: &mut World<'_>) -> Result<(), Error> {
        let Some(secret) = world.cache.fetch::<Secret>(namespace, name).filter(|secret| is_token(secret)) else {
            return Ok(());
        };
        let said = |key: &str| {
            let annotations = secret.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default()
        };
        let account = Key::new(Kind::ServiceAccount, namespace, said(NAME));
        // Asked of the server: what a cache hasn't seen yet is no reason to delete anything.
        let there = world.server.get(&account).ok().map(|account| account.object.uid().to_string());
        let Some(uid) = there.filter(|uid| said(UID).is_empty() || said(UID) == uid) else {
            let gone = Key::new(Kind::Secret, namespace, name);
            let options = DeleteOptions { uid: secret.metadata.uid.clone(), ..DeleteOptions::default() };
            return Error::ignore_not_found(world.server.delete(&gone, &options));
        };
        let data = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
        let right = data("ca.crt") == Some(self.ca.as_bytes())
            && data("namespace") == Some(namespace.as_bytes())
            && data("token").is_some_and(|token| !token.is_empty());
        if right && said(UID) == uid {
            return Ok(());
        }
        let mut filled = secret.clone();
        let token = match data("token").filter(|token| !token.is_empty()) {
            Some(token) => token.to_vec(),
            None => world.server.token_for_secret(&account, &uid, name)?.into_bytes(),
        };
        let fields = filled.data.get_or_insert_default();
        for (key, bytes) in
            [("ca.crt", self.ca.clone().into_bytes()), ("namespace", namespace.into()), ("token", token)]
        {
            fields.entry(key.into()).or_default().0 = bytes;
        }
        filled.metadata.annotations.get_or_insert_default().insert(UID.into(), uid);
        world.server.update(filled.into_object()).map(drop)
    }
}

fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TYPE)
}

impl Component for Tokens {
    fn name(&self) -> &'static str {
        "tokens-controller"
    }

    fn watches(&self) -> &'static [Kind] {
        &[Kind::Secret, Kind::ServiceAccount]
    }

    fn observe(&mut self, change: &Change, world: &mut World<'_>) {
        let object = &change.object.object;
        let mut add = |namespace: &str, name: &str| self.queue.add((namespace.into(), name.into()), world.now);
        match object {
            Object::Secret(secret) if change.kind != ChangeKind::Deleted && is_token(secret) => {
                add(object.namespace(), object.name());
            }
            Object::ServiceAccount(account) if change.kind != ChangeKind::Modified => {
                of(account, world).into_iter().for_each(|secret| add(object.namespace(), &secret));
            }
            _ => {}
        }
    }

    fn run(&mut self, world: &mut World<'_>) {
        while let Some(key) = self.queue.pop(world.now) {
            let done = self.sync(&key.0, &key.1, world);
            self.queue.done(key, &done, world.now);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.queue.next()
    }
}

/// The names of the Secrets of an account.
fn of(account: &ServiceAccount, world: &World<'_>) -> Vec<String> {
    let (namespace, name) = (account.metadata.namespace.as_deref(), account.metadata.name.as_ref());
    let secrets = world.cache.stored(Kind::Secret).filter_map(|stored| stored.get::<Secret>());
    let own = secrets.filter(|secret| {
        is_token(secret)
            && secret.metadata.namespace.as_deref() == namespace
            && secret.metadata.annotations.as_ref().and_then(|all| all.get(NAME)) == name
    });
    own.filter_map(|secret| secret.metadata.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;
    use serde_json::{Value, json};

    fn secret(bench: &Bench, name: &str) -> Value {
        let secret = bench.server.get(&Key::new(Kind::Secret, "default", name));
        secret.map(|secret| secret.to_value()).unwrap_or_default()
    }

    fn make(bench: &mut Bench, name: &str, account: &str) {
        let metadata = json!({"name": name, "namespace": "default", "annotations": {NAME: account}});
        bench.create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE}));
    }

    #[test]
    fn a_secret_has_the_token_of_its_account_as_long_as_that_is_there() {
        let mut bench = Bench::new(Tokens::new("PEM".into()));
        let robot = json!({"name": "robot", "namespace": "default"});
        bench.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": robot}));
        make(&mut bench, "robot-token", "robot");
        make(&mut bench, "lost", "nobody");
        bench.settle();
        let filled = secret(&bench, "robot-token");
        assert_eq!((&filled["data"]["ca.crt"], &filled["data"]["namespace"]), (&json!("UEVN"), &json!("ZGVmYXVsdA==")));
        let token = filled["data"]["token"].clone();
        assert!(token.as_str().is_some_and(|token| token.len() > 100), "{filled}");
        assert!(filled["metadata"]["annotations"][UID].is_string());
        assert_eq!(secret(&bench, "lost"), Value::Null);
        // Something else in it changes nothing, and what is taken away comes back.
        let key = Key::new(Kind::Secret, "default", "robot-token");
        let patch = kit_server::Patch::Merge(json!({"data": {"more": "eA==", "namespace": null}}));
        bench.server.patch(&key, &patch, false).expect("a good patch");
        bench.settle();
        let again = secret(&bench, "robot-token");
        assert_eq!((&again["data"]["token"], &again["data"]["namespace"]), (&token, &json!("ZGVmYXVsdA==")));
        let account = Key::new(Kind::ServiceAccount, "default", "robot");
        bench.server.delete(&account, &DeleteOptions::default()).expect("it is there");
        bench.settle();
        assert_eq!(secret(&bench, "robot-token"), Value::Null);
    }
}
