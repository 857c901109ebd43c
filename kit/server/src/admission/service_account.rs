//! ServiceAccount: who a pod is to the API server, and what it gets from that account.
//!
//! Source: `plugin/pkg/admission/serviceaccount/admission.go`. There need be no controller that makes a `default` account for
//! each namespace: every namespace has one. The volume with the account's token is for clusters that keep
//! accounts as objects ([`Server::mount_tokens`]); in scenarios nobody reads it.

use super::super::{Error, Server};
use crate::rules::{default_to, items_in, map_in};
use kit_api::core::ServiceAccount;
use kit_apimachinery::object::{Key, Kind};
use serde_json::{Map, Value, json};

const MIRROR: &str = "kubernetes.io/config.mirror";
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Where containers find the token.
const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
/// An hour, and a few seconds by which it is told from other tokens (`WarnOnlyBoundTokenExpirationPeriod`).
const TOKEN_SECONDS: i64 = 3_607;

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR).is_some()
}

fn items<'a>(of: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    of[field].as_array().into_iter().flatten()
}

impl Server {
    /// Gives a new pod its account, and what comes with it.
    pub(super) fn give_account(&mut self, key: &Key, pod: &mut Value) -> Result<(), Error> {
        if is_mirror(pod) {
            return self.check_account(key, pod);
        }
        let spec = map_in(pod, "spec");
        default_to(spec, "serviceAccountName", "default");
        let name = spec["serviceAccountName"].as_str().unwrap_or_default().to_string();
        spec.insert("serviceAccount".into(), name.as_str().into());
        let account = self.account(key, &name)?;
        let mounts = pod["spec"]["automountServiceAccountToken"].as_bool();
        if self.mount_tokens && mounts.or(account.automount_service_account_token) != Some(false) {
            let suffix = self.suffix(&format!("{}/{VOLUME}", key.path()));
            mount_token(map_in(pod, "spec"), &format!("{VOLUME}{suffix}"));
        }
        let spec = map_in(pod, "spec");
        let own = spec.get("imagePullSecrets").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if let Some(secrets) = account.image_pull_secrets.filter(|secrets| !secrets.is_empty() && !own) {
            let secrets = secrets.iter().map(|secret| json!({"name": secret.name}));
            spec.insert("imagePullSecrets".into(), secrets.collect());
        }
        self.check_account(key, pod)
    }

    fn account(&self, key: &Key, name: &str) -> Result<ServiceAccount, Error> {
        let there = self.state.get(&Key::new(Kind::ServiceAccount, &key.namespace, name));
        match there.and_then(|stored| stored.get::<ServiceAccount>()) {
            Some(account) => Ok(account.clone()),
            None if name == "default" => Ok(ServiceAccount::default()),
            None => {
                let namespace = &key.namespace;
                let why =
                    format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
                Err(Error::forbidden(key, &why))
            }
        }
    }

    /// Refuses what an account may not use, and what a pod of a node's own files may not name.
    fn check_account(&self, key: &Key, pod: &Value) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::forbidden(key, why));
        let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
        if is_mirror(pod) {
            let projects = |field: &str| {
                let sources = items(&pod["spec"], "volumes").flat_map(|volume| items(&volume["projected"], "sources"));
                sources.into_iter().any(|source| source[field].is_object())
            };
            return match (name.is_empty(), names_of(pod, "secret"), names_of(pod, "configMap")) {
                (false, ..) => refused("a mirror pod may not reference service accounts"),
                (_, true, _) => refused("a mirror pod may not reference secrets"),
                (_, _, true) => refused("a mirror pod may not reference configmaps"),
                _ if projects("serviceAccountToken") => {
                    refused("a mirror pod may not use ServiceAccountToken volume projections")
                }
                _ => Ok(()),
            };
        }
        let account = self.account(key, name)?;
        let enforced = account.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ENFORCE));
        let enforced = enforced.is_some_and(|text| ["1", "t", "T", "true", "TRUE", "True"].contains(&text.as_str()));
        match enforced.then(|| beyond(&account, name, pod)).flatten() {
            Some(why) => refused(&why),
            None => Ok(()),
        }
    }
}

/// Whether a pod names secrets or config maps (`VisitPodSecretNames`, `VisitPodConfigmapNames`).
fn names_of(pod: &Value, what: &str) -> bool {
    let (reference, key) = match what {
        "secret" => ("secretRef", "secretKeyRef"),
        _ => ("configMapRef", "configMapKeyRef"),
    };
    let spec = &pod["spec"];
    let mut containers =
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|l| items(spec, l));
    let in_containers = containers.any(|container| {
        items(container, "envFrom").any(|source| source[reference].is_object())
            || items(container, "env").any(|variable| variable["valueFrom"][key].is_object())
    });
    let in_volumes = items(spec, "volumes").any(|volume| {
        volume[what].is_object() || items(&volume["projected"], "sources").any(|source| source[what].is_object())
    });
    in_containers || in_volumes || (what == "secret" && items(spec, "imagePullSecrets").next().is_some())
}

/// What a pod uses that its account doesn't have, if its account is held to that (`limitSecretReferences`).
fn beyond(account: &ServiceAccount, name: &str, pod: &Value) -> Option<String> {
    let own: Vec<&str> = account.secrets.iter().flatten().filter_map(|secret| secret.name.as_deref()).collect();
    let pulls: Vec<&str> = account.image_pull_secrets.iter().flatten().map(|secret| secret.name.as_str()).collect();
    let spec = &pod["spec"];
    let lacks = |secret: &Value, there: &[&str]| {
        let secret = secret.as_str().unwrap_or_default().to_string();
        (!there.contains(&secret.as_str())).then_some(secret)
    };
    let why = format!("is not allowed because service account {name} does not reference that");
    for volume in items(spec, "volumes").filter(|volume| volume["secret"].is_object()) {
        if let Some(secret) = lacks(&volume["secret"]["secretName"], &own) {
            return Some(format!("volume with secret.secretName=\"{secret}\" {why} secret"));
        }
    }
    let lists = [
        ("initContainers", "init container"),
        ("containers", "container"),
        ("ephemeralContainers", "ephemeral container"),
    ];
    for (list, word) in lists {
        for container in items(spec, list) {
            for variable in items(container, "env").filter(|v| v["valueFrom"]["secretKeyRef"].is_object()) {
                if let Some(secret) = lacks(&variable["valueFrom"]["secretKeyRef"]["name"], &own) {
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
                    let (container, variable) = (text(&container["name"]), text(&variable["name"]));
                    return Some(format!(
                        "{word} {container} with envVar {variable} referencing secret.secretName=\"{secret}\" {why} secret"
                    ));
                }
            }
        }
    }
    let pulled = items(spec, "imagePullSecrets").enumerate();
    let mut lacking = pulled.filter_map(|(index, secret)| Some((index, lacks(&secret["name"], &pulls)?)));
    let (index, secret) = lacking.next()?;
    Some(format!("imagePullSecrets[{index}].name=\"{secret}\" {why} imagePullSecret"))
}

/// A volume with the account's token, the authority's certificate and the namespace, for each container that has
/// nothing else there (`mountServiceAccountToken`, `TokenVolumeSource`).
fn mount_token(spec: &mut Map<String, Value>, name: &str) {
    let there = items_in(spec, "volumes").find_map(|volume| {
        volume.get("name").and_then(Value::as_str).filter(|there| there.starts_with(VOLUME)).map(str::to_string)
    });
    let mount = json!({"name": there.as_deref().unwrap_or(name), "readOnly": true, "mountPath": PATH});
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        for container in items_in(spec, list) {
            let mounts = container.entry("volumeMounts").or_insert_with(|| json!([]));
            let Some(mounts) = mounts.as_array_mut() else { continue };
            if !mounts.iter().any(|there| there["mountPath"] == PATH) {
                mounts.push(mount.clone());
                needed = true;
            }
        }
    }
    if there.is_some() || !needed {
        return;
    }
    let field = json!({"apiVersion": "v1", "fieldPath": "metadata.namespace"});
    let volume = json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]}});
    let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
    volumes.as_array_mut().into_iter().for_each(|volumes| volumes.push(volume.clone()));
}
