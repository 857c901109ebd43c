//! When that began to change which an endpoint object is written for: what the programming latency is measured from.
//!
//! Source: `staging/src/k8s.io/endpointslice/util/trigger_time_tracker.go`.

use super::Name;
use kit_api::core::{Pod, Service};
use kit_api::meta::Time;
use kit_api::pod;
use std::collections::BTreeMap;

/// What was seen of each service at its last sync.
#[derive(Debug, Default)]
pub struct Triggers {
    services: BTreeMap<Name, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    service: Option<Time>,
    /// When pods became ready or unready, by name.
    pods: BTreeMap<String, Time>,
}

impl Triggers {
    /// When what changed since the last sync began to change; a service that is new counts from its own beginning
    /// (`ComputeEndpointLastChangeTriggerTime`).
    pub fn changed(&mut self, name: &Name, service: &Service, pods: &[&Pod]) -> Option<Time> {
        let service = service.metadata.creation_timestamp.clone();
        let pods = pods.iter().filter_map(|pod| {
            let at = pod::condition(pod, "Ready")?.last_transition_time.clone()?;
            Some((pod.metadata.name.clone()?, at))
        });
        let now = Seen { service: service.clone(), pods: pods.collect() };
        let Some(before) = self.services.get(name) else {
            self.services.insert(name.clone(), now);
            return service;
        };
        let changed = now.pods.iter().filter(|(name, at)| before.pods.get(*name).is_none_or(|before| *at > before));
        let changed = changed.map(|(_, at)| at.clone());
        let changed =
            changed.chain(service.filter(|at| before.service.as_ref().is_none_or(|before| at > before))).min();
        self.services.insert(name.clone(), now);
        changed
    }

    /// The service is gone.
    pub fn forget(&mut self, name: &Name) {
        self.services.remove(name);
    }
}
