//! The pods that use a claim. Who seldom wants to know lists them; who asks for each claim keeps [`Users`].

use crate::names::{Name, name_of};
use kit_api::core::{ContainerStatus, Pod};
use kit_api::{pod, volume};
use kit_apimachinery::object::Kind;
use kit_server::Snapshot;
use std::collections::{BTreeMap, BTreeSet};

/// The pods that refer to claims, by claim (`PodPVCIndex`).
#[derive(Debug, Default)]
pub struct Users(BTreeMap<Name, BTreeSet<Name>>);

impl Users {
    /// Those of a cluster.
    pub fn of_all(state: &Snapshot) -> Users {
        let mut users = Users::default();
        state.list(Kind::Pod).filter_map(|stored| stored.get::<Pod>()).for_each(|pod| users.set(pod, true));
        users
    }

    /// A pod comes or goes. What it refers to never changes.
    pub fn set(&mut self, pod: &Pod, there: bool) {
        let name = name_of(&pod.metadata);
        for claim in pod.spec.iter().flat_map(|spec| volume::claims(&name.1, spec)) {
            let claim = (name.0.clone(), claim.name);
            if there {
                self.0.entry(claim).or_default().insert(name.clone());
            } else if let Some(pods) = self.0.get_mut(&claim) {
                pods.remove(&name);
                if pods.is_empty() {
                    self.0.remove(&claim);
                }
            }
        }
    }

    /// The names of the pods that refer to a claim.
    pub fn of(&self, claim: &Name) -> impl Iterator<Item = &Name> {
        self.0.get(claim).into_iter().flatten()
    }
}

/// The pods of a namespace that refer to a claim, by name.
pub fn of<'a>(state: &'a Snapshot, namespace: &'a str, claim: &str) -> Vec<&'a Pod> {
    let pods = state.list_in(Kind::Pod, namespace).filter_map(|stored| stored.get::<Pod>());
    pods.filter(|pod| volume::uses(pod, claim)).collect()
}

/// Whether nothing of a pod runs any more (`IsPodTerminated` of `pkg/volume/util/util.go`).
pub fn is_terminated(pod: &Pod) -> bool {
    let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let rests = |status: &ContainerStatus| {
        status.state.as_ref().is_some_and(|state| state.terminated.is_some() || state.waiting.is_some())
    };
    pod::is_finished(pod) || pod::is_terminating(pod) && statuses.all(rests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_found_by_their_claims_until_they_are_gone() {
        let pod = |name: &str, volumes: serde_json::Value| -> Pod {
            let metadata = json!({"name": name, "namespace": "shop"});
            serde_json::from_value(json!({"metadata": metadata, "spec": {"volumes": volumes, "containers": []}}))
                .expect("a good pod")
        };
        let of = |claim: &str| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}});
        let own = json!({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}});
        let pods =
            [pod("a", json!([of("data"), own])), pod("b", json!([of("data"), {"name": "none", "emptyDir": {}}]))];
        let mut users = Users::default();
        pods.iter().for_each(|pod| users.set(pod, true));
        let names = |users: &Users, claim: &str| {
            users.of(&("shop".into(), claim.into())).map(|name| name.1.clone()).collect::<Vec<_>>()
        };
        assert_eq!([names(&users, "data"), names(&users, "a-scratch")], [vec!["a", "b"], vec!["a"]]);
        assert_eq!(names(&users, "none"), Vec::<String>::new());
        users.set(&pods[0], false);
        assert_eq!([names(&users, "data"), names(&users, "a-scratch")], [vec!["b"], vec![]]);
        users.set(&pods[1], false);
        assert!(users.0.is_empty());
    }
}
