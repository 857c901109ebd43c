//! Who owns the claims of a set's pods, so that the garbage collector deletes them in time.
//!
//! With `whenDeleted: Delete` a claim belongs to the set; with `whenScaled: Delete` it belongs to its pod from when the
//! pod is one too many. Source: `isClaimOwnerUpToDate` and its neighbours in
//! `pkg/controller/statefulset/stateful_set_utils.go`.

use super::identity;
use kit_api::apps::StatefulSet;
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_api::meta::OwnerReference;
use kit_apimachinery::object::About;
use kit_contract::workloads::StatefulSetController;
use kit_contract::workloads::stateful_set::{ClaimOwner, Keep, Retention};

/// Who should own the claims of a set, as the module says.
#[derive(Clone, Copy)]
pub struct Owners {
    /// The policy of the set; claims are kept unless it says otherwise.
    pub retention: Retention,
    kept: ClaimOwner,
    condemned: ClaimOwner,
}

impl Owners {
    /// The owners that the policy of a set comes to.
    pub fn of(set: &StatefulSet, module: &dyn StatefulSetController) -> Self {
        let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.clone());
        let policy = policy.unwrap_or_default();
        let keep = |when: Option<String>| if when.as_deref() == Some("Delete") { Keep::Delete } else { Keep::Retain };
        let retention = Retention { when_deleted: keep(policy.when_deleted), when_scaled: keep(policy.when_scaled) };
        let [kept, condemned] = [false, true].map(|condemned| module.claim_owner(&retention, condemned));
        Owners { retention, kept, condemned }
    }

    fn wanted(&self, set: &StatefulSet, pod: &Pod) -> ClaimOwner {
        let needed = set.spec.as_ref().map(identity::ordinals).unwrap_or_default();
        let too_many = identity::ordinal(pod).is_none_or(|ordinal| !needed.contains(&ordinal));
        if too_many { self.condemned } else { self.kept }
    }

    /// Whether somebody else controls a claim for which the set has a policy (`hasUnexpectedController`).
    pub fn are_contested(&self, claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
        if self.retention == Retention::default() {
            return false;
        }
        owners(claim).iter().any(|owner| {
            let own = [About::from(set), About::from(pod)].into_iter().find(|about| names(owner, *about));
            own.map_or(owner.controller == Some(true), |about| owner.uid != about.uid())
        })
    }

    /// Whether a claim's owners are those of the policy, or are better left alone (`isClaimOwnerUpToDate`).
    pub fn is_settled(&self, claim: &PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) -> bool {
        let (by_set, by_pod) = (About::from(set), About::from(pod));
        if is_stale(claim, by_set) || is_stale(claim, by_pod) {
            return true;
        }
        let owned = (is_owned(claim, by_set), is_owned(claim, by_pod));
        if self.are_contested(claim, set, pod) {
            return owned == (false, false);
        }
        let is_own = |owner: &&OwnerReference| owner.uid == by_set.uid() || owner.uid == by_pod.uid();
        let wanted = self.wanted(set, pod);
        owners(claim).iter().filter(is_own).all(|owner| owner.controller == Some(true))
            && owned == (wanted == ClaimOwner::StatefulSet, wanted == ClaimOwner::Pod)
    }

    /// Gives a claim the owners of the policy (`updateClaimOwnerRefForSetAndPod`).
    pub fn settle(&self, claim: &mut PersistentVolumeClaim, set: &StatefulSet, pod: &Pod) {
        let contested = self.are_contested(claim, set, pod);
        let (by_set, by_pod) = (About::from(set), About::from(pod));
        let mut owners = claim.metadata.owner_references.take().unwrap_or_default();
        owners.retain(|owner| !names(owner, by_set) && !names(owner, by_pod));
        match self.wanted(set, pod) {
            _ if contested => {}
            ClaimOwner::Nobody => {}
            ClaimOwner::StatefulSet => owners.push(by_set.controller_ref()),
            ClaimOwner::Pod => owners.push(by_pod.controller_ref()),
        }
        claim.metadata.owner_references = Some(owners).filter(|owners| !owners.is_empty());
    }
}

fn owners(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim.metadata.owner_references.as_deref().unwrap_or_default()
}

/// Whether a reference means an object of this kind and name, whichever one.
fn names(owner: &OwnerReference, about: About<'_>) -> bool {
    owner.api_version == about.kind.api_version() && owner.kind == about.kind.name() && owner.name == about.name()
}

fn is_owned(claim: &PersistentVolumeClaim, by: About<'_>) -> bool {
    owners(claim).iter().any(|owner| owner.uid == by.uid())
}

/// Whether the claim belongs to an earlier object of the same name (`hasStaleOwnerRef`).
fn is_stale(claim: &PersistentVolumeClaim, about: About<'_>) -> bool {
    owners(claim).iter().find(|owner| names(owner, about)).is_some_and(|owner| owner.uid != about.uid())
}

/// Whether the claim belongs to an earlier pod of the same name: it still goes away with that one (`PodClaimIsStale`).
pub fn is_of_earlier(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    is_stale(claim, About::from(pod))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(when_deleted: &str, when_scaled: &str) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"name": "db", "uid": "set"}, "spec": {
            "replicas": 2, "selector": {}, "template": {}, "serviceName": "db",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": when_scaled},
        }}))
        .expect("a set")
    }

    fn owners_of(set: &StatefulSet) -> Owners {
        Owners::of(set, &*solutions::modules().stateful_set.make(&()))
    }

    fn pod(name: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "uid": name}})).expect("a pod")
    }

    fn owner(kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        let version = if kind == "Pod" { "v1" } else { "apps/v1" };
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": controller})
    }

    fn claim(owners: Value) -> PersistentVolumeClaim {
        serde_json::from_value(json!({"metadata": {"name": "data-db-0", "ownerReferences": owners}})).expect("a claim")
    }

    #[test]
    fn the_policy_says_who_owns_a_claim() {
        let cases = [
            ("Retain", "Retain", "db-0", vec![]),
            ("Retain", "Retain", "db-2", vec![]),
            ("Delete", "Retain", "db-0", vec!["set"]),
            ("Delete", "Retain", "db-2", vec!["set"]),
            ("Retain", "Delete", "db-0", vec![]),
            ("Retain", "Delete", "db-2", vec!["db-2"]),
            ("Delete", "Delete", "db-0", vec!["set"]),
            ("Delete", "Delete", "db-2", vec!["db-2"]),
        ];
        for (deleted, scaled, name, expected) in cases {
            let (set, pod) = (set(deleted, scaled), pod(name));
            let policy = owners_of(&set);
            let mut claim = claim(json!([owner("StatefulSet", "db", "set", false)]));
            assert!(!policy.is_settled(&claim, &set, &pod), "an owner must control");
            policy.settle(&mut claim, &set, &pod);
            let uids: Vec<&str> = owners(&claim).iter().map(|owner| owner.uid.as_str()).collect();
            assert_eq!(uids, expected, "{deleted} {scaled} {name}");
            assert!(policy.is_settled(&claim, &set, &pod), "{deleted} {scaled} {name}");
        }
    }

    #[test]
    fn what_another_controls_or_an_earlier_set_owned_is_left_alone() {
        let (set, pod) = (set("Delete", "Delete"), pod("db-0"));
        let policy = owners_of(&set);
        for owners in [
            json!([owner("Operator", "op", "op", true)]),
            json!([owner("StatefulSet", "db", "earlier", true)]),
            json!([owner("Pod", "db-0", "earlier", true)]),
        ] {
            assert!(policy.is_settled(&claim(owners.clone()), &set, &pod), "{owners}");
        }
        let both = json!([owner("Operator", "op", "op", true), owner("StatefulSet", "db", "set", true)]);
        let mut claim = claim(both);
        assert!(!policy.is_settled(&claim, &set, &pod));
        policy.settle(&mut claim, &set, &pod);
        assert_eq!(owners(&claim).len(), 1, "the set gives way");
    }
}
