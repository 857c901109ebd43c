//! The other objects that decisions depend on: namespaces, what controls pods, and disruption budgets.

use super::class::{Class, Term, selector_of};
use super::volumes::Volumes;
use kit_api::apps::{ReplicaSet, StatefulSet};
use kit_api::core::ReplicationController;
use kit_api::selector::Operator;
use kit_api::selector::{Labels, Requirement, Selector};
use kit_apimachinery::object::{AsKind, Object};
use kit_contract::scheduler::{AffinityTerm, Namespaces};
use std::collections::{BTreeMap, BTreeSet};

type Named<T> = BTreeMap<(String, String), T>;

/// What listers hold upstream.
#[derive(Debug, Default)]
pub struct Objects {
    namespaces: BTreeMap<String, Labels>,
    services: Named<Labels>,
    /// ReplicaSets and StatefulSets, by kind.
    sets: BTreeMap<(&'static str, String, String), Selector>,
    replication_controllers: Named<Labels>,
    budgets: Named<Budget>,
    /// Volumes and claims for them.
    pub volumes: Volumes,
    version: u64,
}

/// A disruption budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    namespace: String,
    selector: Selector,
    /// How many pods may be disrupted now.
    pub allowed: i64,
    /// Pods whose eviction was granted already.
    disrupted: BTreeSet<String>,
}

impl Budget {
    /// Whether a deletion of the pod counts (`filterPodsWithPDBViolation`): a pod without labels is in no budget, an empty
    /// selector means no pod, and an eviction that was granted was counted then.
    pub fn counts(&self, name: &str, class: &Class) -> bool {
        self.namespace == class.namespace
            && !class.labels.is_empty()
            && !self.selector.is_empty()
            && self.selector.matches(&class.labels)
            && !self.disrupted.contains(name)
    }
}

impl Objects {
    /// Counts changes that matter to terms and to default spreading.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Takes over an object as it is now, or forgets it.
    pub fn set(&mut self, object: &Object, gone: bool) {
        /// Whether it is different now.
        fn put<K: Ord, V: PartialEq>(map: &mut BTreeMap<K, V>, key: K, value: V, gone: bool) -> bool {
            if gone {
                return map.remove(&key).is_some();
            }
            let same = map.get(&key) == Some(&value);
            map.insert(key, value);
            !same
        }
        let key = (object.namespace().to_string(), object.name().to_string());
        let changed = match object {
            Object::Namespace(namespace) => {
                put(&mut self.namespaces, key.1, namespace.metadata.labels.clone().unwrap_or_default(), gone)
            }
            Object::Service(service) => {
                // A service without a selector has no pods.
                let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
                put(&mut self.services, key, selector.clone().unwrap_or_default(), gone || selector.is_none())
            }
            Object::ReplicaSet(set) => {
                let selector = set.spec.as_ref().map(|spec| &spec.selector);
                put(&mut self.sets, ("ReplicaSet", key.0, key.1), selector_of(selector), gone)
            }
            Object::StatefulSet(set) => {
                let selector = set.spec.as_ref().map(|spec| &spec.selector);
                put(&mut self.sets, ("StatefulSet", key.0, key.1), selector_of(selector), gone)
            }
            Object::PodDisruptionBudget(budget) => {
                let spec = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                let status = budget.status.clone().unwrap_or_default();
                let disrupted = status.disrupted_pods.unwrap_or_default().into_keys().collect();
                let budget = Budget {
                    namespace: key.0.clone(),
                    selector: selector_of(spec),
                    allowed: status.disruptions_allowed.into(),
                    disrupted,
                };
                put(&mut self.budgets, key, budget, gone);
                false
            }
            object => {
                self.volumes.set(object, gone);
                false
            }
        };
        self.version += u64::from(changed);
    }

    /// Takes over a replication controller.
    pub fn set_replication_controller(&mut self, controller: &ReplicationController) {
        let of = |field: &Option<String>| field.clone().unwrap_or_default();
        let key = (of(&controller.metadata.namespace), of(&controller.metadata.name));
        let selector = controller.spec.as_ref().and_then(|spec| spec.selector.clone());
        self.replication_controllers.insert(key, selector.unwrap_or_default());
        self.version += 1;
    }

    /// All budgets, by namespace and name.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    /// Whether there is an object for a namespace.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// A term with its namespaces by name. `orphan` is a namespace without an object, which a selector sees without labels.
    pub fn resolve(&self, term: &Term, orphan: Option<&str>) -> AffinityTerm {
        let Term { selector, namespaces, namespace_selector, topology_key, .. } = term;
        let namespaces = if namespace_selector.is_empty() {
            Namespaces::All
        } else {
            let selected = self.namespaces.iter().filter(|(_, labels)| namespace_selector.matches(labels));
            let orphan = orphan.filter(|_| namespace_selector.matches(&Labels::new())).map(str::to_string);
            let all: BTreeSet<String> =
                namespaces.iter().chain(selected.map(|(name, _)| name)).cloned().chain(orphan).collect();
            Namespaces::These(all.into_iter().collect())
        };
        AffinityTerm { selector: selector.clone(), namespaces, topology_key: *topology_key }
    }

    /// Whether a term means pods of a class.
    pub fn means(&self, term: &Term, class: &Class) -> bool {
        let selected = || match self.namespaces.get(&class.namespace) {
            Some(labels) => term.namespace_selector.matches(labels),
            None => term.namespace_selector.matches(&Labels::new()),
        };
        term.selector.matches(&class.labels) && (term.namespaces.contains(&class.namespace) || selected())
    }

    /// The pods that a pod is one of, by its services and its controller (`DefaultSelector` of `plugins/helper/spread.go`);
    /// none if nothing selects it.
    pub fn default_selector(&self, class: &Class) -> Option<Selector> {
        let mut labels = Labels::new();
        for ((namespace, _), selector) in &self.services {
            if *namespace == class.namespace && selector.iter().all(|(key, value)| class.labels.get(key) == Some(value))
            {
                labels.extend(selector.clone());
            }
        }
        let mut requirements = Vec::new();
        if let Some((version, kind, name)) = &class.controller {
            let key = (class.namespace.clone(), name.clone());
            match (version.as_str(), kind.as_str()) {
                ("v1", "ReplicationController") => {
                    labels.extend(self.replication_controllers.get(&key).cloned().unwrap_or_default());
                }
                ("apps/v1", kind) => {
                    let kinds = [ReplicaSet::KIND.name(), StatefulSet::KIND.name()];
                    let kind = kinds.into_iter().find(|known| *known == kind);
                    let set = kind.and_then(|kind| self.sets.get(&(kind, key.0, key.1)));
                    if let Some(Selector::All(more)) = set {
                        requirements.extend(more.iter().cloned());
                    }
                }
                _ => {}
            }
        }
        let equal = |(key, value)| Requirement { key, operator: Operator::Equals, values: vec![value] };
        requirements.extend(labels.into_iter().map(equal));
        (!requirements.is_empty()).then_some(Selector::All(requirements))
    }
}
