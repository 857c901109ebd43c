//! Does what was decided, and tells of it.
//!
//! Source: `pkg/controller/statefulset/stateful_pod_control.go`.

use super::identity;
use super::plan::{Batch, Step};
use super::retention::Owners;
use kit_api::apps::StatefulSet;
use kit_api::core::{PersistentVolumeClaim, Pod};
use kit_apimachinery::object::{About, AsKind, Key, Kind};
use kit_client::component::World;
use kit_server::{DeleteOptions, Error};

/// The hands of one look at a set.
pub struct Hands<'h, 'w> {
    pub set: &'h StatefulSet,
    pub owners: Owners,
    pub world: &'h mut World<'w>,
    /// How many pods were deleted to be replaced.
    pub replaced: i32,
}

impl Hands<'_, '_> {
    /// Takes the batches one after the other, until something fails.
    ///
    /// # Errors
    ///
    /// What failed first.
    pub fn work(&mut self, batches: &[Batch<'_>]) -> Result<(), Error> {
        batches.iter().try_for_each(|batch| {
            let results: Vec<_> = batch.iter().map(|turn| turn.iter().try_for_each(|step| self.take(step))).collect();
            results.into_iter().collect()
        })
    }

    fn take(&mut self, step: &Step<'_>) -> Result<(), Error> {
        match step {
            Step::Create(pod, claims) => self.create(pod, &|claim| claims.contains(claim)),
            Step::Claim(pod, claims) => {
                self.claim(pod, &|claim| claims.contains(claim))?;
                self.settle_or_tell(pod)
            }
            Step::Restore(pod) => self.restore(pod),
            Step::Settle(pod) => self.settle(pod),
            Step::Delete(name) => self.delete(name),
            Step::Replace(name) => {
                match self.delete(name) {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => self.replaced += 1,
                }
                Ok(())
            }
        }
    }

    /// Tells what became of a pod (`recordPodEvent`).
    fn tell(&mut self, verb: &str, pod: &str, result: &Result<(), Error>) {
        let set = About::from(self.set).name();
        let title = format!("{}{}", verb[..1].to_uppercase(), &verb[1..]);
        match result {
            Ok(()) => {
                let message = format!("{verb} Pod {pod} in StatefulSet {set} successful");
                self.world.server.record(self.set, "Normal", &format!("Successful{title}"), &message);
            }
            Err(error) => {
                let message = format!("{verb} Pod {pod} in StatefulSet {set} failed error: {error}");
                self.world.server.record(self.set, "Warning", &format!("Failed{title}"), &message);
            }
        }
    }

    fn create(&mut self, pod: &Pod, is_asked: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        let name = About::from(pod).name();
        let claimed = self.claim(pod, is_asked);
        if claimed.is_err() {
            self.tell("create", name, &claimed);
            return claimed;
        }
        let made = self.world.server.create(pod.clone().into_object()).map(drop);
        // The watch is behind, and will show it.
        if made.as_ref().is_err_and(|error| error.reason == "AlreadyExists") {
            return made;
        }
        self.settle_or_tell(pod)?;
        self.tell("create", name, &made);
        made
    }

    fn delete(&mut self, name: &str) -> Result<(), Error> {
        let key = Key::new(Kind::Pod, About::from(self.set).namespace(), name);
        let result = self.world.server.delete(&key, &DeleteOptions::default()).map(drop);
        self.tell("delete", name, &result);
        result
    }

    /// Makes the claims of a pod that aren't there, as far as they are asked for (`createPersistentVolumeClaims`).
    fn claim(&mut self, pod: &Pod, is_asked: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        let (set, name) = (About::from(self.set), About::from(pod).name());
        let mut problems = Vec::new();
        for claim in identity::claims(self.set, identity::ordinal(pod).unwrap_or_default()) {
            let claim_name = About::from(&claim).name().to_string();
            if let Some(there) = self.world.cache.fetch::<PersistentVolumeClaim>(set.namespace(), &claim_name) {
                if there.metadata.deletion_timestamp.is_some() {
                    problems.push(format!("pvc {claim_name} is being deleted"));
                }
                continue;
            }
            if !is_asked(&claim_name) {
                continue;
            }
            match self.world.server.create(claim.into_object()) {
                Ok(_) => {
                    let message = format!("create Claim {claim_name} Pod {name} in StatefulSet {} success", set.name());
                    self.world.server.record(self.set, "Normal", "SuccessfulCreate", &message);
                }
                Err(error) => {
                    if error.reason != "AlreadyExists" {
                        let set = set.name();
                        let message = format!(
                            "create Claim {claim_name} for Pod {name} in StatefulSet {set} failed error: {error}"
                        );
                        self.world.server.record(self.set, "Warning", "FailedCreate", &message);
                    }
                    problems.push(format!("failed to create PVC {claim_name}: {error}"));
                }
            }
        }
        match &problems[..] {
            [] => Ok(()),
            [problem] => Err(Error::internal(problem.clone())),
            several => Err(Error::internal(format!("[{}]", several.join(", ")))),
        }
    }

    /// Gives the claims of a pod the owners of the policy (`UpdatePodClaimForRetentionPolicy`).
    fn settle(&mut self, pod: &Pod) -> Result<(), Error> {
        let (set, cache) = (About::from(self.set), self.world.cache);
        for name in identity::claim_names(self.set, identity::ordinal(pod).unwrap_or_default()) {
            let Some(claim) = cache.fetch::<PersistentVolumeClaim>(set.namespace(), &name) else { continue };
            if self.owners.are_contested(claim, self.set, pod) {
                let message = format!(
                    "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, \
                     the retention policy is ignored for this claim"
                );
                self.world.server.record(self.set, "Warning", "ConflictingController", &message);
            }
            if self.owners.is_settled(claim, self.set, pod) {
                continue;
            }
            let mut claim = claim.clone();
            self.owners.settle(&mut claim, self.set, pod);
            self.world.server.update(claim.into_object()).map_err(|error| {
                Error::internal(format!("could not update claim {name} for delete policy ownerRefs: {error}"))
            })?;
        }
        Ok(())
    }

    fn settle_or_tell(&mut self, pod: &Pod) -> Result<(), Error> {
        let result = self.settle(pod);
        if result.is_err() {
            self.tell("update", About::from(pod).name(), &result);
        }
        result
    }

    /// Gives a pod back what makes it a pod of the set (`UpdateStatefulPod`).
    fn restore(&mut self, pod: &Pod) -> Result<(), Error> {
        let about = About::from(pod);
        let ordinal = identity::ordinal(pod).unwrap_or_default();
        let mounted = identity::is_mounted(self.set, pod, ordinal);
        if !mounted {
            let claimed = self.claim(pod, &|_| true);
            if claimed.is_err() {
                self.tell("update", about.name(), &claimed);
                return claimed;
            }
        }
        self.settle_or_tell(pod)?;
        // Upstream starts from what it saw and tries again where that has changed meanwhile.
        let mut fresh: Pod = self.world.server.fetch(about.namespace(), about.name())?;
        identity::restore(&mut fresh, ordinal);
        if !mounted {
            identity::mount(self.set, &mut fresh, ordinal);
        }
        let result = self.world.server.update(fresh.into_object()).map(drop);
        self.tell("update", about.name(), &result);
        result
    }
}
