//! Rollbacks that a Deployment's annotation asks for. `kubectl rollout undo` puts the old template back itself.
//!
//! Source: `pkg/controller/deployment/rollback.go`.

use super::revision::{self, HASH, ROLLBACK_TO};
use super::sync::Sync;
use kit_api::apps::{Deployment, ReplicaSet};
use kit_apimachinery::object::AsKind;
use kit_contract::workloads::rolling_update::{Strategy, SyncRequest};
use kit_server::Error;

/// The revision that is asked for; 0 means the last one (`getRollbackTo`).
pub(super) fn wanted(deployment: &Deployment) -> Option<i64> {
    deployment.metadata.annotations.as_ref()?.get(ROLLBACK_TO)?.parse().ok()
}

/// The question that is answered with a new set, if there is none: as if nobody had scaled, and no old pods were in the way.
pub(super) fn creating(mut request: SyncRequest) -> SyncRequest {
    request.old_pods_running = false;
    match request.strategy {
        Strategy::Recreate => request.replica_sets.retain(|set| set.new),
        Strategy::RollingUpdate(_) => request.replica_sets.iter_mut().for_each(|set| set.desired_replicas = None),
    }
    request
}

impl Sync<'_, '_> {
    /// Puts the template of a revision back, if there is one, and takes the annotation away in any case. The next look
    /// gives the revision its new number.
    pub(super) fn roll_back(mut self, revision: i64, before: &Deployment) -> Result<(), Error> {
        if self.deployment != *before {
            let stored = self.world.server.update_status(self.deployment.clone().into_object())?;
            self.deployment = stored.get().cloned().unwrap_or(self.deployment);
        }
        let revision = if revision == 0 { revision::last(self.sets.iter()) } else { revision };
        let set = self.sets.iter().find(|set| revision::revision(set) == revision).cloned();
        let name = self.deployment.metadata.name.clone().unwrap_or_default();
        let unchanged = format!("The rollback revision contains the same template as current deployment {name:?}");
        let (type_, reason, message) = match set {
            _ if revision == 0 => {
                ("Warning", "DeploymentRollbackRevisionNotFound", "Unable to find last revision.".into())
            }
            None => {
                let message = "Unable to find the revision to rollback to.".into();
                ("Warning", "DeploymentRollbackRevisionNotFound", message)
            }
            Some(set) if !self.take_template(&set) => ("Warning", "DeploymentRollbackTemplateUnchanged", unchanged),
            Some(_) => {
                ("Normal", "DeploymentRollback", format!("Rolled back deployment {name:?} to revision {revision}"))
            }
        };
        self.deployment.metadata.annotations.get_or_insert_default().remove(ROLLBACK_TO);
        self.world.server.update(self.deployment.clone().into_object())?;
        self.record(type_, reason, &message);
        Ok(())
    }

    /// Whether the set's template is another one than the Deployment's, which gets it (`rollbackToTemplate`).
    fn take_template(&mut self, set: &ReplicaSet) -> bool {
        let spec = self.deployment.spec.get_or_insert_default();
        let Some(mut template) = set.spec.as_ref().and_then(|spec| spec.template.clone()) else { return false };
        if revision::is_same(&template, &spec.template) {
            return false;
        }
        let labels = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut());
        labels.into_iter().for_each(|labels| _ = labels.remove(HASH));
        spec.template = template;
        revision::annotate_back(&mut self.deployment, set);
        true
    }
}
