//! What a pod needs of other objects: logins of pull secrets, and the ConfigMaps and Secrets of its containers.
//!
//! Source: `makeEnvironmentVariables` and `getPullSecretsForPod` of `pkg/kubelet/kubelet_pods.go`.

use super::cri::Logins;
use kit_api::core::{ConfigMap, Container, Pod, Secret};
use kit_apimachinery::object::Key;
use kit_client::component::World;
use kit_server::Server;
use std::collections::{BTreeMap, BTreeSet};

/// What there is for the containers of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// What its pull secrets say.
    pub logins: Logins,
    /// Why a container can't have its environment, by its name.
    pub unset: BTreeMap<String, String>,
}

impl Needs {
    /// Of a pod, as the API server has it now.
    pub fn of(pod: &Key, world: &World<'_>) -> Needs {
        let mut needs = Needs::default();
        let Ok(found) = world.server.fetch::<Pod>(&pod.namespace, &pod.name) else { return needs };
        let spec = found.spec.unwrap_or_default();
        for secret in spec.image_pull_secrets.iter().flatten() {
            match world.server.fetch::<Secret>(&pod.namespace, &secret.name) {
                Ok(found) => {
                    let config = found.data.as_ref().and_then(|data| data.get(".dockerconfigjson"));
                    config.into_iter().for_each(|config| needs.logins.read(&config.0));
                }
                Err(_) => needs.logins.missing.push(secret.name.clone()),
            }
        }
        let at = Namespace { name: &pod.namespace, server: world.server };
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        let unset = containers.filter_map(|container| Some((container.name.clone(), at.unset(container)?)));
        needs.unset = unset.collect();
        needs
    }

    /// Whether a pod needs any.
    pub fn are_of(pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let mut containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        spec.image_pull_secrets.as_ref().is_some_and(|secrets| !secrets.is_empty())
            || containers.any(|container| {
                container.env_from.as_ref().is_some_and(|from| !from.is_empty())
                    || container.env.iter().flatten().any(|variable| variable.value_from.is_some())
            })
    }
}

/// Where ConfigMaps and Secrets are looked for.
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who has them.
    pub server: &'a Server,
}

/// The keys of an object, or that it isn't there.
pub type Keys = Result<BTreeSet<String>, String>;

impl Namespace<'_> {
    /// The keys of a ConfigMap.
    pub fn config_map(&self, name: &str) -> Keys {
        let found =
            self.server.fetch::<ConfigMap>(self.name, name).map_err(|_| format!("configmap {name:?} not found"))?;
        let binary = found.binary_data.unwrap_or_default().into_keys();
        Ok(found.data.unwrap_or_default().into_keys().chain(binary).collect())
    }

    /// The keys of a Secret.
    pub fn secret(&self, name: &str) -> Keys {
        let found = self.server.fetch::<Secret>(self.name, name).map_err(|_| format!("secret {name:?} not found"))?;
        Ok(found.data.unwrap_or_default().into_keys().collect())
    }

    /// Why a container can't have its environment.
    fn unset(&self, container: &Container) -> Option<String> {
        let from = container.env_from.iter().flatten().flat_map(|from| {
            let config_map = from.config_map_ref.iter().map(|of| ("ConfigMap", &of.name, None, of.optional));
            config_map.chain(from.secret_ref.iter().map(|of| ("Secret", &of.name, None, of.optional)))
        });
        let variables = container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref());
        let variables = variables.flat_map(|from| {
            let config_map = from.config_map_key_ref.iter();
            let config_map = config_map.map(|of| ("ConfigMap", &of.name, Some(&of.key), of.optional));
            let secret = from.secret_key_ref.iter();
            config_map.chain(secret.map(|of| ("Secret", &of.name, Some(&of.key), of.optional)))
        });
        let mut needed = from.chain(variables).filter(|(.., optional)| *optional != Some(true));
        needed.find_map(|(kind, object, key, _)| {
            let keys = if kind == "Secret" { self.secret(object) } else { self.config_map(object) };
            match (keys, key) {
                (Err(why), _) => Some(why),
                (Ok(keys), Some(key)) if !keys.contains(key) => {
                    Some(format!("couldn't find key {key} in {kind} {}/{object}", self.name))
                }
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests;
